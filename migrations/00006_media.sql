-- Files both ways: what a stored upload is, and which files of clients still
-- have to be fetched from their provider.

-- +goose Up
ALTER TABLE core_uploads
    -- Of the bytes, so that the same file is kept once per tenant.
    ADD COLUMN sha256        bytea    CHECK (length(sha256) = 32),
    -- Pixels, of an image.
    ADD COLUMN width         integer,
    ADD COLUMN height        integer,
    -- The key of a small JPEG of it in the blob store.
    ADD COLUMN thumbnail_key text     CHECK (thumbnail_key <> ''),
    -- Stored by Parley, which removes it once no message has it. Other programs'
    -- uploads are theirs.
    ADD COLUMN managed       boolean  NOT NULL DEFAULT false;
CREATE INDEX parley_uploads_same ON core_uploads (tenant_id, sha256) WHERE sha256 IS NOT NULL;
-- For the removal of blobs that no row names.
CREATE INDEX parley_uploads_blob ON core_uploads (blob_key);
CREATE INDEX parley_uploads_thumbnail ON core_uploads (thumbnail_key) WHERE thumbnail_key IS NOT NULL;
-- To lock an upload whose blob another one will share.
GRANT UPDATE (name) ON core_uploads TO parley_api;

-- One row per file of a client's message, by its place in content.attachments.
-- The bytes are in an upload once they were fetched; the files that somebody
-- attached have a row in crm_chat_message_attachments then, too.
CREATE TABLE parley_media (
    id         bigserial   PRIMARY KEY,
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant(),
    message_id bigint      NOT NULL,
    position   smallint    NOT NULL,
    channel_id uuid        NOT NULL,
    -- What the provider calls the bytes: tells whether an edit replaced them.
    ref        text        NOT NULL DEFAULT '',
    state      text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'stored', 'failed')),
    -- Tries so far. Each is the only one that may settle the row.
    attempts   integer     NOT NULL DEFAULT 0,
    -- When to try next. A try under way has put it off for longer than it may
    -- take, so that another process tries again after a crash.
    due_at     timestamptz NOT NULL DEFAULT now(),
    -- Why the last try failed: a word for programs, and words for people.
    code       text,
    words      text,
    upload_id  integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (message_id, position),
    CHECK ((state = 'stored') = (upload_id IS NOT NULL)),
    CONSTRAINT parley_media_message FOREIGN KEY (tenant_id, message_id)
        REFERENCES crm_chat_messages (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT parley_media_upload FOREIGN KEY (tenant_id, upload_id)
        REFERENCES core_uploads (tenant_id, id) ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED
) WITH (fillfactor = 80);
CREATE INDEX parley_media_due ON parley_media (due_at) WHERE state = 'pending';
CREATE INDEX parley_media_upload ON parley_media (upload_id) WHERE upload_id IS NOT NULL;
CALL parley_isolate('parley_media');
GRANT SELECT, UPDATE ON parley_media TO parley_api;

-- The provider's payload of a message, where something still needs it: the blob
-- that keeps it when it was too large for the bus, or the payload itself when
-- the message did not come by the bus.
CREATE TABLE parley_payloads (
    message_id bigint      PRIMARY KEY,
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant(),
    blob_key   text        CHECK (blob_key <> ''),
    raw        json,
    CHECK ((blob_key IS NULL) <> (raw IS NULL)),
    CONSTRAINT parley_payloads_message FOREIGN KEY (tenant_id, message_id)
        REFERENCES crm_chat_messages (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_payloads_blob ON parley_payloads (blob_key) WHERE blob_key IS NOT NULL;
CALL parley_isolate('parley_payloads');

GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO parley_api, parley_worker;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO parley_worker;

-- +goose Down
DROP TABLE parley_payloads, parley_media;
DROP INDEX parley_uploads_blob;
REVOKE UPDATE (name) ON core_uploads FROM parley_api;
ALTER TABLE core_uploads DROP COLUMN sha256, DROP COLUMN width, DROP COLUMN height,
    DROP COLUMN thumbnail_key, DROP COLUMN managed;
