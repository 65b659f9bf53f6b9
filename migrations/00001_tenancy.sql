-- Roles, the session's tenant, and what the CRM schema refers to without
-- defining: tenants, users, uploads, passports (created minimal).

-- +goose Up
-- +goose StatementBegin
DO $$
DECLARE
    wanted text;
    -- Since 16 a membership need not allow SET ROLE.
    usable text := CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END;
BEGIN
    IF current_setting('server_version_num')::int < 150000 THEN
        RAISE EXCEPTION 'PostgreSQL 15 or later is needed, this is %', current_setting('server_version')
            USING HINT = 'ON DELETE SET NULL with a column list came with version 15. Upgrade the server.';
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)) THEN
        RAISE WARNING 'role % is not bound by row security', current_user
            USING HINT = 'Parley works all the same; let an ordinary role own its database, so that a mistake stays within one tenant.';
    END IF;
    -- Roles belong to the whole server, so another database's migration may
    -- have made them already, or be making them now.
    FOREACH wanted IN ARRAY ARRAY['parley_api', 'parley_worker'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
            END;
        END IF;
        IF NOT pg_has_role(current_user, wanted, usable) THEN
            BEGIN
                EXECUTE format('GRANT %I TO %I', wanted, current_user);
            EXCEPTION WHEN unique_violation THEN NULL;
            END;
        END IF;
    END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE EXCEPTION 'role % may neither create the roles parley_api and parley_worker nor join them: %', current_user, SQLERRM
        USING ERRCODE = 'insufficient_privilege',
              HINT = format('Let an administrator run these once, leaving out a role that exists: '
                  'CREATE ROLE parley_api NOLOGIN NOINHERIT; CREATE ROLE parley_worker NOLOGIN NOINHERIT; '
                  'GRANT parley_api, parley_worker TO %I;', current_user);
END
$$;
-- +goose StatementEnd

GRANT USAGE ON SCHEMA public TO parley_api, parley_worker;

-- The tenant this session works for, NULL when it has not said.
CREATE FUNCTION parley_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('parley.tenant', true), '')::uuid;

-- Puts the walls around one tenant table. Workers see all tenants, but only
-- while they act as the worker role: whoever merely inherits it does not. The
-- subquery is answered once per statement; compared row by row, the planner would
-- expect one row in two hundred and join everything by nested loops.
-- +goose StatementBegin
CREATE PROCEDURE parley_isolate(t regclass, tenant_column name DEFAULT 'tenant_id')
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY parley_tenant ON %s USING (%I = parley_tenant()) WITH CHECK (%I = parley_tenant())',
        t, tenant_column, tenant_column);
    EXECUTE format('CREATE POLICY parley_worker ON %s TO parley_worker USING ((SELECT current_user = ''parley_worker'')) WITH CHECK ((SELECT current_user = ''parley_worker''))', t);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO parley_worker', t);
END
$$;
-- +goose StatementEnd

CREATE TABLE tenants (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    name       text        NOT NULL CHECK (btrim(name) <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);
CALL parley_isolate('tenants', 'id');
GRANT SELECT ON tenants TO parley_api;

CREATE TABLE core_users (
    id         serial       PRIMARY KEY,
    tenant_id  uuid         NOT NULL DEFAULT parley_tenant() REFERENCES tenants (id) ON DELETE CASCADE,
    name       varchar(255) NOT NULL CHECK (btrim(name) <> ''),
    email      varchar(255),
    created_at timestamptz  NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id)
);
CREATE UNIQUE INDEX parley_users_email ON core_users (tenant_id, lower(email)) WHERE email IS NOT NULL;
CALL parley_isolate('core_users');
GRANT SELECT ON core_users TO parley_api;

CREATE TABLE core_uploads (
    id         serial      PRIMARY KEY,
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant() REFERENCES tenants (id) ON DELETE CASCADE,
    -- The key of the bytes in the blob store.
    blob_key   text        NOT NULL CHECK (blob_key <> ''),
    name       text,
    mime_type  text,
    size       bigint      CHECK (size >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id)
);
CALL parley_isolate('core_uploads');
GRANT SELECT, INSERT ON core_uploads TO parley_api;

CREATE TABLE core_passports (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant() REFERENCES tenants (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id)
);
CALL parley_isolate('core_passports');
GRANT SELECT ON core_passports TO parley_api;

GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO parley_api, parley_worker;
-- A backup by an ordinary role is pg_dump --role=parley_worker --enable-row-security,
-- which also reads the sequences and the table of applied migrations. The owner
-- would dump empty tables.
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO parley_worker;
GRANT SELECT ON parley_migrations TO parley_worker;

-- +goose Down
DROP TABLE core_passports, core_uploads, core_users, tenants;
DROP PROCEDURE parley_isolate;
DROP FUNCTION parley_tenant;
