-- Row security asks for the session's tenant once in a statement and table, no
-- longer for each row: a page of 50 messages asked some 250 times.

-- +goose Up
-- +goose StatementBegin
CREATE OR REPLACE PROCEDURE parley_isolate(t regclass, tenant_column name DEFAULT 'tenant_id')
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY parley_tenant ON %s USING (%I = (SELECT parley_tenant())) WITH CHECK (%I = parley_tenant())',
        t, tenant_column, tenant_column);
    EXECUTE format('CREATE POLICY parley_worker ON %s TO parley_worker USING ((SELECT current_user = ''parley_worker'')) WITH CHECK ((SELECT current_user = ''parley_worker''))', t);
    EXECUTE format('CREATE POLICY parley_backup ON %s FOR SELECT TO parley_backup USING ((SELECT current_user = ''parley_backup''))', t);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO parley_worker', t);
    EXECUTE format('GRANT SELECT ON %s TO parley_backup', t);
END
$$;
-- +goose StatementEnd

-- Those that look for words stay as they are: their index is found by both.
-- +goose StatementBegin
DO $$
DECLARE
    t regclass;
BEGIN
    FOR t IN SELECT polrelid::regclass FROM pg_policy
              WHERE polname = 'parley_tenant' AND pg_get_expr(polqual, polrelid) NOT LIKE '%parley_query()%' LOOP
        EXECUTE format('ALTER POLICY parley_tenant ON %s USING (%I = (SELECT parley_tenant()))',
            t, CASE t WHEN 'tenants'::regclass THEN 'id' ELSE 'tenant_id' END);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$
DECLARE
    t regclass;
BEGIN
    FOR t IN SELECT polrelid::regclass FROM pg_policy
              WHERE polname = 'parley_tenant' AND pg_get_expr(polqual, polrelid) NOT LIKE '%parley_query()%' LOOP
        EXECUTE format('ALTER POLICY parley_tenant ON %s USING (%I = parley_tenant())',
            t, CASE t WHEN 'tenants'::regclass THEN 'id' ELSE 'tenant_id' END);
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
