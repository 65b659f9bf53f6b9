-- Who may use Parley: roles and passwords of users, their sessions, the tokens
-- of programs, invitations, what slows down guessing, and the log of who did what.
--
-- Every secret is stored as its SHA-256 only. Credentials name their tenant, so
-- that each is looked up behind that tenant's walls: there is no lookup across
-- tenants that could be misused.

-- +goose Up
ALTER TABLE core_users
    -- The default is for rows of other programs.
    ADD COLUMN role            text        NOT NULL DEFAULT 'agent' CHECK (role IN ('owner', 'admin', 'agent', 'read_only')),
    -- Argon2id in the PHC string format; NULL for those who cannot log in.
    ADD COLUMN password_hash   text        CHECK (password_hash LIKE '$argon2id$%'),
    -- The second factor's secret, sealed with the installation's key.
    ADD COLUMN totp            bytea,
    -- The time step of the last code that was used: none works twice.
    ADD COLUMN totp_step       bigint      NOT NULL DEFAULT 0,
    -- A program: it has tokens and cannot log in.
    ADD COLUMN service         boolean     NOT NULL DEFAULT false,
    ADD COLUMN disabled_at     timestamptz,
    ADD COLUMN idempotency_key text,
    ADD CONSTRAINT core_users_service CHECK (NOT service OR (password_hash IS NULL AND totp IS NULL));
CREATE UNIQUE INDEX parley_users_idempotency ON core_users (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
GRANT INSERT ON core_users TO parley_api;
GRANT UPDATE (name, email, role, password_hash, totp, totp_step, disabled_at) ON core_users TO parley_api;

CREATE TABLE parley_sessions (
    id           uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id    uuid        NOT NULL DEFAULT parley_tenant(),
    user_id      integer     NOT NULL,
    hash         bytea       NOT NULL UNIQUE CHECK (length(hash) = 32),
    user_agent   text        NOT NULL DEFAULT '',
    address      text        NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    -- Written at most once a minute.
    last_used_at timestamptz NOT NULL DEFAULT now(),
    -- It ends at the earlier of these: so long after the log-in, and so long
    -- after it was last used.
    expires_at   timestamptz NOT NULL,
    idle         interval    NOT NULL,
    revoked_at   timestamptz,
    CONSTRAINT parley_sessions_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES core_users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_sessions_of ON parley_sessions (tenant_id, user_id);
CALL parley_isolate('parley_sessions');
GRANT SELECT, INSERT, DELETE ON parley_sessions TO parley_api;
GRANT UPDATE (last_used_at, revoked_at) ON parley_sessions TO parley_api;

CREATE TABLE parley_tokens (
    id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id       uuid        NOT NULL DEFAULT parley_tenant(),
    -- In whose name it acts.
    user_id         integer     NOT NULL,
    name            text        NOT NULL CHECK (btrim(name) <> ''),
    -- Its beginning, for people to tell it by.
    prefix          text        NOT NULL,
    hash            bytea       NOT NULL UNIQUE CHECK (length(hash) = 32),
    scopes          text[]      NOT NULL CHECK (cardinality(scopes) > 0),
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL,
    last_used_at    timestamptz,
    revoked_at      timestamptz,
    idempotency_key text,
    CONSTRAINT parley_tokens_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES core_users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_tokens_of ON parley_tokens (tenant_id, user_id);
CREATE UNIQUE INDEX parley_tokens_idempotency ON parley_tokens (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CALL parley_isolate('parley_tokens');
GRANT SELECT, INSERT ON parley_tokens TO parley_api;
GRANT UPDATE (last_used_at, revoked_at) ON parley_tokens TO parley_api;

-- Links that let somebody in once: to join, or to choose a new password.
CREATE TABLE parley_invitations (
    id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id       uuid        NOT NULL DEFAULT parley_tenant() REFERENCES tenants (id) ON DELETE CASCADE,
    -- Whose password it resets; NULL for an invitation to join.
    user_id         integer,
    -- Whom it is for; NULL when whoever has it may say.
    email           varchar(255),
    role            text        NOT NULL CHECK (role IN ('owner', 'admin', 'agent', 'read_only')),
    hash            bytea       NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL,
    used_at         timestamptz,
    revoked_at      timestamptz,
    idempotency_key text,
    CONSTRAINT parley_invitations_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES core_users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_invitations_of ON parley_invitations (tenant_id, user_id);
CREATE UNIQUE INDEX parley_invitations_idempotency ON parley_invitations (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CALL parley_isolate('parley_invitations');
GRANT SELECT, INSERT ON parley_invitations TO parley_api;
GRANT UPDATE (used_at, revoked_at) ON parley_invitations TO parley_api;

-- Failed log-ins by account and by address, which need not belong to any tenant.
CREATE TABLE parley_throttle (
    -- SHA-256 of what is counted, so that no address is kept.
    key           bytea       PRIMARY KEY CHECK (length(key) = 32),
    failures      integer     NOT NULL,
    -- Of the last failure; an old row counts no more.
    failed_at     timestamptz NOT NULL DEFAULT now(),
    blocked_until timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX parley_throttle_old ON parley_throttle (failed_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON parley_throttle TO parley_worker;

CREATE TABLE parley_audit_log (
    id          bigserial   PRIMARY KEY,
    tenant_id   uuid        NOT NULL DEFAULT parley_tenant() REFERENCES tenants (id) ON DELETE CASCADE,
    at          timestamptz NOT NULL DEFAULT now(),
    -- Who, as they were called then: they may be gone since.
    actor_kind  text        NOT NULL CHECK (actor_kind IN ('operator', 'user', 'token', 'anonymous')),
    actor_id    text        NOT NULL DEFAULT '',
    actor_name  text        NOT NULL DEFAULT '',
    -- What, as noun.verb, and to whom.
    action      text        NOT NULL CHECK (action <> ''),
    target_kind text        NOT NULL DEFAULT '',
    target_id   text        NOT NULL DEFAULT '',
    -- From where.
    address     text        NOT NULL DEFAULT '',
    request_id  text        NOT NULL DEFAULT '',
    detail      jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX parley_audit_log_of ON parley_audit_log (tenant_id, id);
CALL parley_isolate('parley_audit_log');
GRANT SELECT, INSERT ON parley_audit_log TO parley_api;
REVOKE UPDATE, DELETE ON parley_audit_log FROM parley_worker;

-- Refuses everybody, the owner of the table included. Only a tenant's erasure
-- takes its log along: by then its row is gone.
-- +goose StatementBegin
CREATE FUNCTION parley_append_only() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_LEVEL = 'ROW' THEN
        IF NOT EXISTS (SELECT FROM tenants WHERE id = OLD.tenant_id) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER parley_append_only BEFORE UPDATE OR DELETE ON parley_audit_log
    FOR EACH ROW EXECUTE FUNCTION parley_append_only();
CREATE TRIGGER parley_append_only_all BEFORE TRUNCATE ON parley_audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION parley_append_only();

GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO parley_api, parley_worker;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO parley_worker;

-- +goose Down
DROP TABLE parley_audit_log, parley_throttle, parley_invitations, parley_tokens, parley_sessions;
DROP FUNCTION parley_append_only;
DROP INDEX parley_users_idempotency;
REVOKE INSERT ON core_users FROM parley_api;
REVOKE UPDATE (name, email, role, password_hash, totp, totp_step, disabled_at) ON core_users FROM parley_api;
ALTER TABLE core_users DROP CONSTRAINT core_users_service, DROP COLUMN role, DROP COLUMN password_hash, DROP COLUMN totp,
    DROP COLUMN totp_step, DROP COLUMN service, DROP COLUMN disabled_at, DROP COLUMN idempotency_key;
