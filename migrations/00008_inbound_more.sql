-- What the router keeps beyond messages: what came in a second time by another
-- way, what a message has to do with another chat, reactions, and how many
-- strangers a channel let in.

-- +goose Up
-- A channel's own user: whoever wrote for the business in another program (a
-- mailbox's Sent folder, a phone). Nobody knows which person that was.
ALTER TABLE core_users ADD COLUMN channel_id uuid;
ALTER TABLE core_users ADD CONSTRAINT parley_users_of_channel FOREIGN KEY (tenant_id, channel_id)
    REFERENCES parley_channels (tenant_id, id)
    -- A tenant's deletion takes both away, in either order.
    DEFERRABLE INITIALLY DEFERRED;
CREATE UNIQUE INDEX parley_users_channel ON core_users (tenant_id, channel_id) WHERE channel_id IS NOT NULL;

-- Usernames that a client was registered with before they wrote.
CREATE INDEX parley_contacts_username ON crm_client_contacts (tenant_id, lower(contact_value))
    WHERE contact_type = 'telegram' AND contact_value LIKE '@%';

-- A mail is known by its Message-ID and content, in whichever mailbox.
CREATE TABLE parley_mails (
    tenant_id  uuid   NOT NULL DEFAULT parley_tenant(),
    -- SHA-256 of who vouches for it, Message-ID and content.
    digest     bytea  NOT NULL CHECK (length(digest) = 32),
    message_id bigint NOT NULL,
    PRIMARY KEY (tenant_id, digest),
    CONSTRAINT parley_mails_message FOREIGN KEY (tenant_id, message_id)
        REFERENCES crm_chat_messages (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_mails_message ON parley_mails (message_id);
CALL parley_isolate('parley_mails');

-- What was accepted under another key than its message's: received via both
-- mailboxes, or sent by Parley itself and seen once more in the Sent folder.
CREATE TABLE parley_copies (
    channel_id       uuid        NOT NULL,
    provider_chat    text        NOT NULL,
    provider_message text        NOT NULL,
    part             smallint    NOT NULL DEFAULT 0,
    tenant_id        uuid        NOT NULL DEFAULT parley_tenant(),
    message_id       bigint      NOT NULL,
    event_id         uuid        NOT NULL,
    accepted_at      timestamptz NOT NULL,
    PRIMARY KEY (channel_id, provider_chat, provider_message, part),
    CONSTRAINT parley_copies_message FOREIGN KEY (tenant_id, message_id)
        REFERENCES crm_chat_messages (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_copies_message ON parley_copies (message_id);
CALL parley_isolate('parley_copies');
GRANT SELECT ON parley_copies TO parley_api;

-- Another chat that a message has to do with, for people to look at:
--   token    it was written to that chat's reply address
--   thread   it answers a message of that chat
--   address  it claims that chat's client's address, and nobody vouches for it
--   phone    its sender has proven that chat's client's number
CREATE TABLE parley_links (
    message_id bigint  NOT NULL,
    chat_id    integer NOT NULL,
    why        text    NOT NULL CHECK (why IN ('token', 'thread', 'address', 'phone')),
    tenant_id  uuid    NOT NULL DEFAULT parley_tenant(),
    PRIMARY KEY (message_id, chat_id, why),
    CONSTRAINT parley_links_message FOREIGN KEY (tenant_id, message_id)
        REFERENCES crm_chat_messages (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT parley_links_chat FOREIGN KEY (tenant_id, chat_id)
        REFERENCES crm_chats (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_links_chat ON parley_links (chat_id);
CALL parley_isolate('parley_links');
GRANT SELECT ON parley_links TO parley_api;

-- The reactions that somebody has on a message now; parley_updates has all there
-- ever were.
CREATE TABLE parley_reactions (
    message_id bigint      NOT NULL,
    -- Who on the channel; empty for the business itself.
    person     text        NOT NULL,
    emoji      text[]      NOT NULL,
    at         timestamptz NOT NULL,
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant(),
    PRIMARY KEY (message_id, person),
    CONSTRAINT parley_reactions_message FOREIGN KEY (tenant_id, message_id)
        REFERENCES crm_chat_messages (tenant_id, id) ON DELETE CASCADE
);
CALL parley_isolate('parley_reactions');
GRANT SELECT ON parley_reactions TO parley_api;

-- How many new clients a channel brought in an hour, where its setting
-- new_clients_per_hour limits them. Written by the router only.
CREATE TABLE parley_newcomers (
    channel_id uuid        NOT NULL,
    hour       timestamptz NOT NULL,
    clients    integer     NOT NULL DEFAULT 0,
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant(),
    PRIMARY KEY (tenant_id, channel_id, hour),
    CONSTRAINT parley_newcomers_channel FOREIGN KEY (tenant_id, channel_id)
        REFERENCES parley_channels (tenant_id, id) ON DELETE CASCADE
);
CALL parley_isolate('parley_newcomers');

-- +goose Down
DROP TABLE parley_newcomers, parley_reactions, parley_links, parley_copies, parley_mails;
DROP INDEX parley_contacts_username;
ALTER TABLE core_users DROP COLUMN channel_id;
