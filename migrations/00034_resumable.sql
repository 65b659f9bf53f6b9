-- Uploads that go on where they stopped: what has arrived so far, in parts that
-- every replica can read.

-- +goose Up
CREATE TABLE parley_resumables (
    id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id       uuid        NOT NULL DEFAULT parley_tenant(),
    -- Nobody else's: only they see it, and go on with it.
    user_id         integer     NOT NULL,
    name            text        NOT NULL DEFAULT '',
    mime_type       text        NOT NULL DEFAULT '',
    -- As the client sent it, which may ask for it again.
    metadata        text        NOT NULL DEFAULT '' CHECK (length(metadata) <= 4096),
    -- Of the whole file, and of what has arrived of it, in bytes.
    size            bigint      NOT NULL CHECK (size > 0),
    received        bigint      NOT NULL DEFAULT 0 CHECK (received BETWEEN 0 AND size),
    -- What it became. No foreign key: the upload may be removed before.
    upload_id       bigint,
    idempotency_key text        CHECK (idempotency_key <> ''),
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL,
    UNIQUE (tenant_id, id),
    -- The last bytes count once the whole file is kept.
    CHECK ((received = size) = (upload_id IS NOT NULL)),
    CONSTRAINT parley_resumables_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES core_users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_resumables_of ON parley_resumables (tenant_id, user_id);
CREATE INDEX parley_resumables_expired ON parley_resumables (expires_at);
CREATE UNIQUE INDEX parley_resumables_idempotency ON parley_resumables (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CALL parley_isolate('parley_resumables');
GRANT SELECT, INSERT, UPDATE, DELETE ON parley_resumables TO parley_api;

CREATE TABLE parley_resumable_parts (
    resumable_id uuid   NOT NULL,
    -- Where in the file it begins, in bytes.
    start        bigint NOT NULL CHECK (start >= 0),
    tenant_id    uuid   NOT NULL DEFAULT parley_tenant(),
    blob_key     text   NOT NULL CHECK (blob_key <> ''),
    PRIMARY KEY (resumable_id, start),
    CONSTRAINT parley_resumable_parts_of FOREIGN KEY (tenant_id, resumable_id)
        REFERENCES parley_resumables (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_resumable_parts_blob ON parley_resumable_parts (blob_key);
CALL parley_isolate('parley_resumable_parts');
GRANT SELECT, INSERT, DELETE ON parley_resumable_parts TO parley_api;

-- +goose Down
DROP TABLE parley_resumable_parts, parley_resumables;
