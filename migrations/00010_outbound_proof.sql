-- What was sent is known by all that its provider calls it, and is asked about
-- where nobody knows; who opted out stays so whatever they write.

-- +goose Up

-- Unreachable by their own word: only opting in again ends it.
ALTER TABLE crm_chat_members ADD COLUMN opted_out boolean NOT NULL DEFAULT false;
-- Under FORCE its owner would update no rows.
ALTER TABLE crm_chat_members NO FORCE ROW LEVEL SECURITY;
UPDATE crm_chat_members SET opted_out = true
 WHERE unreachable_why IN ('The client opted out of messages on this channel.', 'the recipient opted out and has to write START first');
ALTER TABLE crm_chat_members FORCE ROW LEVEL SECURITY;

-- The further files of an album that was sent, each a message of its own at the
-- provider.
CREATE TABLE parley_albums (
    channel_id    uuid   NOT NULL,
    provider_chat text   NOT NULL,
    provider_id   text   NOT NULL,
    tenant_id     uuid   NOT NULL DEFAULT parley_tenant(),
    delivery_id   bigint NOT NULL,
    PRIMARY KEY (channel_id, provider_chat, provider_id),
    CONSTRAINT parley_albums_delivery FOREIGN KEY (tenant_id, delivery_id)
        REFERENCES parley_deliveries (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_albums_delivery ON parley_albums (delivery_id);
CALL parley_isolate('parley_albums');
GRANT SELECT ON parley_albums TO parley_api;

-- What may have been accepted, to be asked about.
CREATE INDEX parley_attempts_uncertain ON parley_attempts (channel_id, started_at) WHERE outcome = 'uncertain';

-- +goose Down
DROP INDEX parley_attempts_uncertain;
DROP TABLE parley_albums;
ALTER TABLE crm_chat_members DROP COLUMN opted_out;
