-- What two people may change at once has a version, every create can be repeated
-- with a key, and users may be signed in by somebody else's word.

-- +goose Up
ALTER TABLE core_users ADD COLUMN version bigint NOT NULL DEFAULT 1;
GRANT UPDATE (version) ON core_users TO parley_api;

-- Rows without a key are in neither index: what comes in costs nothing more.
ALTER TABLE parley_channels ADD COLUMN idempotency_key text;
CREATE UNIQUE INDEX parley_channels_idempotency ON parley_channels (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
ALTER TABLE core_uploads ADD COLUMN idempotency_key text;
CREATE UNIQUE INDEX parley_uploads_idempotency ON core_uploads (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- Who a user is at an OpenID Connect provider: the subject, which never changes,
-- where the address may (OpenID Connect Core 1.0, section 5.7).
CREATE TABLE parley_subjects (
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant(),
    issuer     text        NOT NULL CHECK (issuer <> ''),
    subject    text        NOT NULL CHECK (subject <> ''),
    user_id    integer     NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, issuer, subject),
    -- One account each: a second one of the same address is somebody else's.
    CONSTRAINT parley_subjects_once UNIQUE (tenant_id, issuer, user_id),
    CONSTRAINT parley_subjects_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES core_users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_subjects_of ON parley_subjects (tenant_id, user_id);
CALL parley_isolate('parley_subjects');
GRANT SELECT, INSERT ON parley_subjects TO parley_api;

-- +goose Down
DROP TABLE parley_subjects;
DROP INDEX parley_uploads_idempotency, parley_channels_idempotency;
ALTER TABLE core_uploads DROP COLUMN idempotency_key;
ALTER TABLE parley_channels DROP COLUMN idempotency_key;
REVOKE UPDATE (version) ON core_users FROM parley_api;
ALTER TABLE core_users DROP COLUMN version;
