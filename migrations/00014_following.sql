-- What following along needs: streams hear at once that their credential ended.

-- +goose Up
-- Wakes whoever holds a stream open for the tenant; they look for themselves.
-- +goose StatementBegin
CREATE FUNCTION parley_access_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('parley_access', OLD.tenant_id::text);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER parley_access_changed AFTER UPDATE OF revoked_at ON parley_sessions
    FOR EACH ROW EXECUTE FUNCTION parley_access_changed();
CREATE TRIGGER parley_access_changed AFTER UPDATE OF revoked_at ON parley_tokens
    FOR EACH ROW EXECUTE FUNCTION parley_access_changed();
CREATE TRIGGER parley_access_changed AFTER UPDATE OF role, disabled_at ON core_users
    FOR EACH ROW EXECUTE FUNCTION parley_access_changed();

-- +goose Down
DROP TRIGGER parley_access_changed ON core_users;
DROP TRIGGER parley_access_changed ON parley_tokens;
DROP TRIGGER parley_access_changed ON parley_sessions;
DROP FUNCTION parley_access_changed;
