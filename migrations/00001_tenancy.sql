-- Roles, the session's tenant, and what the CRM schema refers to without
-- defining: tenants, users, uploads, passports (created minimal).

-- +goose Up
-- +goose StatementBegin
DO $$
BEGIN
    IF current_setting('server_version_num')::int < 150000 THEN
        RAISE EXCEPTION 'PostgreSQL 15 or later is needed, this is %', current_setting('server_version')
            USING HINT = 'ON DELETE SET NULL with a column list came with version 15. Upgrade the server.';
    END IF;
    -- Roles belong to the whole server, so another database's migration may
    -- have made them already, or be making them now.
    BEGIN
        CREATE ROLE parley_api NOLOGIN NOINHERIT;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    BEGIN
        CREATE ROLE parley_worker NOLOGIN NOINHERIT;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    IF NOT pg_has_role(current_user, 'parley_api', 'MEMBER') THEN
        EXECUTE format('GRANT parley_api TO %I', current_user);
    END IF;
    IF NOT pg_has_role(current_user, 'parley_worker', 'MEMBER') THEN
        EXECUTE format('GRANT parley_worker TO %I', current_user);
    END IF;
END
$$;
-- +goose StatementEnd

GRANT USAGE ON SCHEMA public TO parley_api, parley_worker;

-- The tenant this session works for, NULL when it has not said.
CREATE FUNCTION parley_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('parley.tenant', true), '')::uuid;

-- Puts the walls around one tenant table. Workers see all tenants, but only
-- while they act as the worker role: whoever merely inherits it does not.
-- +goose StatementBegin
CREATE PROCEDURE parley_isolate(t regclass, tenant_column name DEFAULT 'tenant_id')
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY parley_tenant ON %s USING (%I = parley_tenant()) WITH CHECK (%I = parley_tenant())',
        t, tenant_column, tenant_column);
    EXECUTE format('CREATE POLICY parley_worker ON %s TO parley_worker USING (current_user = ''parley_worker'') WITH CHECK (current_user = ''parley_worker'')', t);
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

-- +goose Down
DROP TABLE core_passports, core_uploads, core_users, tenants;
DROP PROCEDURE parley_isolate;
DROP FUNCTION parley_tenant;
