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
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO parley_api, parley_worker;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO parley_worker;

-- +goose Down
DROP TABLE parley_merged_messages, parley_merges;
REVOKE UPDATE (client_id) ON parley_identities FROM parley_api;
ALTER TABLE crm_chats DROP COLUMN merged_into;
ALTER TABLE crm_clients DROP COLUMN merged_into;
