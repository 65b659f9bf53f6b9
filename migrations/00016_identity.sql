-- Who is who, decided by people: merged clients, what is blocked, what was
-- erased, how long things are kept.

-- +goose Up
-- Where a client went that was merged into another. Its chat is empty from then
-- on and takes no more messages.
ALTER TABLE crm_clients ADD COLUMN merged_into integer;
ALTER TABLE crm_clients ADD CONSTRAINT parley_clients_merged_into FOREIGN KEY (tenant_id, merged_into)
    REFERENCES crm_clients (tenant_id, id) ON DELETE CASCADE;
CREATE INDEX parley_clients_merged ON crm_clients (merged_into) WHERE merged_into IS NOT NULL;
-- Said again of the chat, because whoever writes to it holds this row. No key:
-- the client's is enough.
ALTER TABLE crm_chats ADD COLUMN merged_into integer;

CREATE TABLE parley_merges (
    id        bigserial   PRIMARY KEY,
    tenant_id uuid        NOT NULL DEFAULT parley_tenant(),
    into_id   integer     NOT NULL,
    from_id   integer     NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    undone_at timestamptz,
    -- What was moved and what the clients were like before.
    moved     jsonb       NOT NULL DEFAULT '{}',
    UNIQUE (tenant_id, id),
    CONSTRAINT parley_merges_into FOREIGN KEY (tenant_id, into_id)
        REFERENCES crm_clients (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT parley_merges_from FOREIGN KEY (tenant_id, from_id)
        REFERENCES crm_clients (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_merges_into ON parley_merges (into_id);
CREATE INDEX parley_merges_from ON parley_merges (from_id);
CREATE UNIQUE INDEX parley_merges_standing ON parley_merges (tenant_id, from_id) WHERE undone_at IS NULL;
CALL parley_isolate('parley_merges');
GRANT SELECT, INSERT, UPDATE ON parley_merges TO parley_api;

-- The places that a merge's messages had.
CREATE TABLE parley_merged_messages (
    merge_id   bigint NOT NULL,
    message_id bigint NOT NULL,
    tenant_id  uuid   NOT NULL DEFAULT parley_tenant(),
    seq        bigint NOT NULL,
    -- The member who sent it then. An agent has one in each chat.
    sender     uuid   NOT NULL,
    -- No key to the message: each one costs every change of a message.
    PRIMARY KEY (merge_id, message_id),
    CONSTRAINT parley_merged_messages_merge FOREIGN KEY (tenant_id, merge_id)
        REFERENCES parley_merges (tenant_id, id) ON DELETE CASCADE
);
CALL parley_isolate('parley_merged_messages');
GRANT SELECT, INSERT, DELETE ON parley_merged_messages TO parley_api;

GRANT UPDATE (client_id) ON parley_identities TO parley_api;

-- Who may not write: a number, address or account, a mail domain with what is
-- below it, or a pattern with * and ?. What they write is ignored, and kept.
CREATE TABLE parley_blocks (
    id         bigserial   PRIMARY KEY,
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant() REFERENCES tenants (id) ON DELETE CASCADE,
    kind       text        NOT NULL CHECK (kind IN ('value', 'domain', 'pattern')),
    value      text        NOT NULL CHECK (value <> '' AND value = lower(value) AND length(value) <= 512),
    note       text        NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT parley_blocks_once UNIQUE (tenant_id, kind, value)
);
CALL parley_isolate('parley_blocks');
GRANT SELECT, INSERT, DELETE ON parley_blocks TO parley_api;

-- What must not come back: keyed hashes of the provider's keys of erased messages,
-- and of the names of those who were erased, which hold for what they sent until
-- then. Nobody can tell from them who it was.
CREATE TABLE parley_tombstones (
    tenant_id uuid        NOT NULL DEFAULT parley_tenant() REFERENCES tenants (id) ON DELETE CASCADE,
    digest    bytea       NOT NULL CHECK (length(digest) = 32),
    erased_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, digest)
);
CALL parley_isolate('parley_tombstones');

-- Erasures: that there was one, and what is left to do outside of the database.
CREATE TABLE parley_erased (
    id        uuid        PRIMARY KEY,
    tenant_id uuid        NOT NULL DEFAULT parley_tenant() REFERENCES tenants (id) ON DELETE CASCADE,
    at        timestamptz NOT NULL,
    client_id bigint      NOT NULL,
    messages  bigint      NOT NULL,
    files     bigint      NOT NULL,
    -- Chats, blobs and frames; NULL once they are gone.
    todo      jsonb
);
CREATE INDEX parley_erased_tenant ON parley_erased (tenant_id, at);
CREATE INDEX parley_erased_todo ON parley_erased (at) WHERE todo IS NOT NULL;
CALL parley_isolate('parley_erased');
GRANT SELECT ON parley_erased TO parley_api;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO parley_api, parley_worker;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO parley_worker;

-- +goose Down
DROP TABLE parley_erased, parley_tombstones, parley_blocks, parley_merged_messages, parley_merges;
REVOKE UPDATE (client_id) ON parley_identities FROM parley_api;
ALTER TABLE crm_chats DROP COLUMN merged_into;
ALTER TABLE crm_clients DROP COLUMN merged_into;
