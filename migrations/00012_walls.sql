-- A role for backups, which reads everything and writes nothing, and from where
-- something was done.

-- +goose Up
-- +goose StatementBegin
DO $$
DECLARE
    -- Since 16 a membership need not allow SET ROLE.
    usable text := CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END;
BEGIN
    -- Another database's migration may be making it now.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'parley_backup') THEN
        BEGIN
            CREATE ROLE parley_backup NOLOGIN NOINHERIT;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    IF NOT pg_has_role(current_user, 'parley_backup', usable) THEN
        BEGIN
            EXECUTE format('GRANT parley_backup TO %I', current_user);
        EXCEPTION WHEN unique_violation THEN NULL;
        END;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE EXCEPTION 'role % may neither create the role parley_backup nor join it: %', current_user, SQLERRM
        USING ERRCODE = 'insufficient_privilege',
              HINT = format('Let an administrator run these once, leaving out a role that exists: '
                  'CREATE ROLE parley_backup NOLOGIN NOINHERIT; GRANT parley_backup TO %I;', current_user);
END
$$;
-- +goose StatementEnd

GRANT USAGE ON SCHEMA public TO parley_backup;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO parley_backup;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO parley_backup;
-- And whatever later migrations make, or its rows would be missing in a backup.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO parley_backup;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON SEQUENCES TO parley_backup;

-- Like the worker's: only whoever acts as the role sees through the policy, not
-- whoever inherits it.
-- +goose StatementBegin
DO $$
DECLARE
    t regclass;
BEGIN
    FOR t IN SELECT polrelid::regclass FROM pg_policy WHERE polname = 'parley_tenant' LOOP
        EXECUTE format('CREATE POLICY parley_backup ON %s FOR SELECT TO parley_backup USING ((SELECT current_user = ''parley_backup''))', t);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE PROCEDURE parley_isolate(t regclass, tenant_column name DEFAULT 'tenant_id')
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY parley_tenant ON %s USING (%I = parley_tenant()) WITH CHECK (%I = parley_tenant())',
        t, tenant_column, tenant_column);
    EXECUTE format('CREATE POLICY parley_worker ON %s TO parley_worker USING ((SELECT current_user = ''parley_worker'')) WITH CHECK ((SELECT current_user = ''parley_worker''))', t);
    EXECUTE format('CREATE POLICY parley_backup ON %s FOR SELECT TO parley_backup USING ((SELECT current_user = ''parley_backup''))', t);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO parley_worker', t);
    EXECUTE format('GRANT SELECT ON %s TO parley_backup', t);
END
$$;
-- +goose StatementEnd

ALTER TABLE parley_audit_log ADD COLUMN user_agent text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE parley_audit_log DROP COLUMN user_agent;
-- +goose StatementBegin
DO $$
DECLARE
    t regclass;
BEGIN
    FOR t IN SELECT polrelid::regclass FROM pg_policy WHERE polname = 'parley_backup' LOOP
        EXECUTE format('DROP POLICY parley_backup ON %s', t);
    END LOOP;
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE PROCEDURE parley_isolate(t regclass, tenant_column name DEFAULT 'tenant_id')
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
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT ON TABLES FROM parley_backup;
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT ON SEQUENCES FROM parley_backup;
REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM parley_backup;
REVOKE SELECT ON ALL SEQUENCES IN SCHEMA public FROM parley_backup;
REVOKE USAGE ON SCHEMA public FROM parley_backup;
