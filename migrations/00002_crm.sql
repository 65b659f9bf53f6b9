-- The seven tables of the CRM data model. Names, columns, indexes and
-- constraint names are its contract; what differs is told in docs/data-model.md.
-- parley_channels comes first because members and messages name a channel.

-- +goose Up
CREATE TABLE parley_channels (
    id           uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id    uuid        NOT NULL DEFAULT parley_tenant() REFERENCES tenants (id) ON DELETE CASCADE,
    transport    varchar(50) NOT NULL,
    name         text        NOT NULL CHECK (btrim(name) <> ''),
    mode         text        NOT NULL CHECK (mode IN ('webhook', 'polling')),
    webhook_path text        NOT NULL UNIQUE CHECK (length(webhook_path) >= 32),
    country      varchar(2),
    settings     jsonb       NOT NULL DEFAULT '{}',
    sealed       bytea,
    -- The account's own name at the provider, once checked.
    account      text,
    paused_at    timestamptz,
    -- Rises with every change, so that an older projection never wins.
    version      bigint      NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id)
);
CALL parley_isolate('parley_channels');
GRANT SELECT, INSERT, UPDATE ON parley_channels TO parley_api;

CREATE TABLE crm_clients (
    id            serial       PRIMARY KEY,
    tenant_id     uuid         NOT NULL DEFAULT parley_tenant(),
    first_name    varchar(255) NOT NULL,
    last_name     varchar(255),
    middle_name   varchar(255),
    phone_number  varchar(20),
    address       text,
    email         varchar(255),
    date_of_birth date,
    gender        varchar(20),
    passport_id   uuid,
    pin           varchar(20),
    comments      text,
    created_at    timestamptz  NOT NULL DEFAULT now(),
    updated_at    timestamptz  NOT NULL DEFAULT now(),
    -- What a blocked client writes is accounted for as ignored.
    blocked_at    timestamptz,
    CONSTRAINT parley_clients_tenant_id_id UNIQUE (tenant_id, id)
);
CREATE INDEX idx_crm_clients_tenant_id ON crm_clients (tenant_id);
CREATE INDEX idx_crm_clients_phone ON crm_clients (tenant_id, phone_number);
CREATE INDEX idx_crm_clients_email ON crm_clients (tenant_id, email);
CREATE UNIQUE INDEX idx_crm_clients_phone_unique ON crm_clients (tenant_id, phone_number);
CREATE UNIQUE INDEX idx_crm_clients_pin_unique ON crm_clients (tenant_id, pin);
CREATE INDEX parley_clients_passport ON crm_clients (passport_id) WHERE passport_id IS NOT NULL;
ALTER TABLE crm_clients
    ADD CONSTRAINT fk_crm_clients_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    ADD CONSTRAINT fk_crm_clients_passport_id FOREIGN KEY (tenant_id, passport_id)
        REFERENCES core_passports (tenant_id, id) ON DELETE SET NULL (passport_id);
CALL parley_isolate('crm_clients');
GRANT SELECT, INSERT, UPDATE, DELETE ON crm_clients TO parley_api;

-- Two clients without a phone must not collide on ''.
-- +goose StatementBegin
CREATE FUNCTION parley_clients_blank_to_null() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.phone_number := nullif(btrim(NEW.phone_number), '');
    NEW.pin := nullif(btrim(NEW.pin), '');
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER parley_clients_blank_to_null BEFORE INSERT OR UPDATE OF phone_number, pin ON crm_clients
    FOR EACH ROW WHEN (NEW.phone_number IS DISTINCT FROM nullif(btrim(NEW.phone_number), '')
                       OR NEW.pin IS DISTINCT FROM nullif(btrim(NEW.pin), ''))
    EXECUTE FUNCTION parley_clients_blank_to_null();

CREATE TABLE crm_client_contacts (
    id            serial       PRIMARY KEY,
    tenant_id     uuid         NOT NULL DEFAULT parley_tenant(),
    client_id     integer      NOT NULL,
    contact_type  varchar(50)  NOT NULL,
    contact_value varchar(255) NOT NULL,
    created_at    timestamptz  NOT NULL DEFAULT now(),
    updated_at    timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT parley_client_contacts_tenant_id_id UNIQUE (tenant_id, id)
);
CREATE INDEX idx_crm_client_contacts_client_id ON crm_client_contacts (client_id);
CREATE INDEX idx_crm_client_contacts_type_value ON crm_client_contacts (contact_type, contact_value);
ALTER TABLE crm_client_contacts
    ADD CONSTRAINT fk_crm_client_contacts_client_id FOREIGN KEY (tenant_id, client_id)
        REFERENCES crm_clients (tenant_id, id) ON DELETE CASCADE;
CALL parley_isolate('crm_client_contacts');
GRANT SELECT, INSERT, UPDATE, DELETE ON crm_client_contacts TO parley_api;

CREATE TABLE crm_chats (
    id              serial      PRIMARY KEY,
    tenant_id       uuid        NOT NULL DEFAULT parley_tenant(),
    client_id       integer     NOT NULL,
    last_message_at timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    -- The seq of the chat's newest message; raised under this row's lock.
    last_seq        bigint      NOT NULL DEFAULT 0,
    -- The quarter of a minute of the chat's last activity: the inbox's list is
    -- found by it and sorted within it. An index on last_message_at itself would
    -- make each message write all of this table's indexes.
    activity_slot   timestamptz NOT NULL GENERATED ALWAYS AS (date_bin('15 seconds',
        CASE WHEN last_message_at IS NULL THEN created_at ELSE last_message_at END,
        TIMESTAMPTZ '2000-01-01 00:00:00+00')) STORED,
    CONSTRAINT parley_chats_tenant_id_id UNIQUE (tenant_id, id)
) WITH (fillfactor = 80);
CREATE INDEX idx_crm_chats_tenant_id ON crm_chats (tenant_id);
CREATE INDEX idx_crm_chats_client_id ON crm_chats (client_id);
CREATE UNIQUE INDEX idx_crm_chats_tenant_client_unique ON crm_chats (tenant_id, client_id);
CREATE INDEX parley_chats_activity ON crm_chats (tenant_id, activity_slot DESC);
ALTER TABLE crm_chats
    ADD CONSTRAINT fk_crm_chats_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    ADD CONSTRAINT fk_crm_chats_client_id FOREIGN KEY (tenant_id, client_id)
        REFERENCES crm_clients (tenant_id, id) ON DELETE CASCADE;
CALL parley_isolate('crm_chats');
GRANT SELECT, INSERT, UPDATE, DELETE ON crm_chats TO parley_api;

CREATE TABLE crm_chat_members (
    id                uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id         uuid        NOT NULL DEFAULT parley_tenant(),
    chat_id           integer     NOT NULL,
    user_id           integer,
    client_id         integer,
    client_contact_id integer,
    transport         varchar(50) NOT NULL,
    transport_meta    jsonb,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    -- A client's member is one person on one channel: who they are there, and
    -- where a reply goes.
    channel_id        uuid,
    provider_user     text        CHECK (provider_user <> ''),
    address           text,
    -- Set while the provider refuses to deliver to this person.
    unreachable_at    timestamptz,
    unreachable_why   text,
    CONSTRAINT parley_members_tenant_chat_id UNIQUE (tenant_id, chat_id, id)
);
CREATE INDEX idx_crm_chat_members_chat_id ON crm_chat_members (chat_id);
CREATE INDEX idx_crm_chat_members_tenant_id ON crm_chat_members (tenant_id);
CREATE INDEX idx_crm_chat_members_user_id ON crm_chat_members (user_id);
CREATE INDEX parley_members_client ON crm_chat_members (client_id);
CREATE INDEX parley_members_contact ON crm_chat_members (client_contact_id);
CREATE UNIQUE INDEX parley_members_provider ON crm_chat_members (channel_id, provider_user);
CREATE UNIQUE INDEX parley_members_agent ON crm_chat_members (chat_id, user_id, transport) WHERE user_id IS NOT NULL;
ALTER TABLE crm_chat_members
    ADD CONSTRAINT fk_crm_chat_members_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    ADD CONSTRAINT fk_crm_chat_members_chat_id FOREIGN KEY (tenant_id, chat_id)
        REFERENCES crm_chats (tenant_id, id) ON DELETE CASCADE,
    ADD CONSTRAINT fk_crm_chat_members_user_id FOREIGN KEY (tenant_id, user_id)
        REFERENCES core_users (tenant_id, id) ON DELETE SET NULL (user_id),
    ADD CONSTRAINT fk_crm_chat_members_client_id FOREIGN KEY (tenant_id, client_id)
        REFERENCES crm_clients (tenant_id, id) ON DELETE CASCADE,
    ADD CONSTRAINT fk_crm_chat_members_client_contact_id FOREIGN KEY (tenant_id, client_contact_id)
        REFERENCES crm_client_contacts (tenant_id, id) ON DELETE SET NULL (client_contact_id);
CALL parley_isolate('crm_chat_members');
GRANT SELECT, INSERT, UPDATE, DELETE ON crm_chat_members TO parley_api;

-- A member's and a message's channel is one of its tenant's: otherwise a tenant
-- could take another channel's dedupe keys. Not a foreign key, which would lock
-- the one row of a busy channel for every row of every batch; a channel is
-- deleted only with its tenant, so looking when it is written is enough.
-- +goose StatementBegin
CREATE FUNCTION parley_own_channel() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stray boolean;
BEGIN
    IF TG_LEVEL = 'ROW' THEN
        stray := NOT EXISTS (SELECT FROM parley_channels c WHERE c.id = NEW.channel_id AND c.tenant_id = NEW.tenant_id);
    ELSE
        stray := EXISTS (SELECT FROM (SELECT DISTINCT tenant_id, channel_id FROM added WHERE channel_id IS NOT NULL) a
            WHERE NOT EXISTS (SELECT FROM parley_channels c WHERE c.id = a.channel_id AND c.tenant_id = a.tenant_id));
    END IF;
    IF stray THEN
        RAISE EXCEPTION 'a row of % names a channel that its tenant does not have', TG_TABLE_NAME
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = TG_ARGV[0], TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER parley_members_channel AFTER INSERT ON crm_chat_members
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION parley_own_channel('parley_members_channel');
CREATE TRIGGER parley_members_channel_changed AFTER UPDATE OF channel_id ON crm_chat_members
    FOR EACH ROW WHEN (NEW.channel_id IS NOT NULL AND NEW.channel_id IS DISTINCT FROM OLD.channel_id) EXECUTE FUNCTION parley_own_channel('parley_members_channel');

-- A member is a user or a client. A CHECK would also stop the ON DELETE SET
-- NULL that makes a user a former agent; that one is an UPDATE inside a trigger
-- of the foreign key. Afterwards the former agent's row can still be changed.
-- +goose StatementBegin
CREATE FUNCTION parley_members_somebody() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF pg_trigger_depth() > 1 OR (OLD.user_id IS NULL AND OLD.client_id IS NULL) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'a chat member is a user or a client'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'parley_members_somebody', TABLE = 'crm_chat_members',
              HINT = 'Set user_id or client_id.';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER parley_members_somebody BEFORE INSERT OR UPDATE OF user_id, client_id ON crm_chat_members
    FOR EACH ROW WHEN (NEW.user_id IS NULL AND NEW.client_id IS NULL)
    EXECUTE FUNCTION parley_members_somebody();

CREATE TABLE crm_chat_messages (
    id               bigserial   PRIMARY KEY,
    tenant_id        uuid        NOT NULL DEFAULT parley_tenant(),
    chat_id          integer     NOT NULL,
    sender_id        uuid        NOT NULL,
    message          text        NOT NULL,
    sent_at          timestamptz,
    read_at          timestamptz,
    -- When the gateway accepted it (inbound) or the agent wrote it (outbound).
    created_at       timestamptz NOT NULL DEFAULT now(),
    -- The order within the chat, gapless as written, from crm_chats.last_seq.
    seq              bigint      NOT NULL,
    direction        text        NOT NULL CHECK (direction IN ('in', 'out')),
    kind             text        NOT NULL DEFAULT 'text',
    content          jsonb,
    channel_id       uuid,
    -- With channel_id the dedupe key of what a provider handed us.
    provider_chat    text        CHECK (provider_chat <> ''),
    provider_message text        CHECK (provider_message <> ''),
    part             smallint    NOT NULL DEFAULT 0,
    provider_at      timestamptz,
    edited_at        timestamptz,
    -- Why it went to this chat: member, identity, phone, email, new.
    routed_by        text,
    event_id         uuid,
    -- Where in the bus it came from; NULL for what did not come by the bus.
    stream_partition smallint,
    stream_seq       bigint,
    -- Stored by a replay: its created_at is older than its neighbours'.
    late             boolean     NOT NULL DEFAULT false,
    idempotency_key  text        CHECK (idempotency_key <> ''),
    CONSTRAINT parley_messages_inbound_sent CHECK (direction <> 'in' OR sent_at IS NOT NULL),
    CONSTRAINT parley_messages_id_tenant_id UNIQUE (id, tenant_id),
    -- Deferrable, so that a merge can renumber.
    CONSTRAINT parley_messages_chat_seq UNIQUE (chat_id, seq) DEFERRABLE INITIALLY IMMEDIATE
    -- Room on the page for the row that setting sent_at makes.
) WITH (fillfactor = 85);
CREATE INDEX idx_crm_chat_messages_chat_id ON crm_chat_messages (chat_id);
CREATE INDEX idx_crm_chat_messages_sender_id ON crm_chat_messages (sender_id);
CREATE INDEX idx_crm_chat_messages_created_at ON crm_chat_messages (created_at);
CREATE UNIQUE INDEX parley_messages_provider
    ON crm_chat_messages (channel_id, provider_chat, provider_message, part)
    WHERE provider_message IS NOT NULL;
CREATE UNIQUE INDEX parley_messages_idempotency
    ON crm_chat_messages (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX parley_messages_unread ON crm_chat_messages (chat_id) WHERE read_at IS NULL AND direction = 'in';
-- None on what has no sent_at: an index that names a column makes each change of
-- it write all the others, too. parley_deliveries_lane has what waits to be sent.
ALTER TABLE crm_chat_messages
    ADD CONSTRAINT fk_crm_chat_messages_chat_id FOREIGN KEY (tenant_id, chat_id)
        REFERENCES crm_chats (tenant_id, id) ON DELETE CASCADE,
    -- Not RESTRICT, which fires at once even when deferrable and would stop the
    -- deletion of a client whose members go before the messages. A merge moves
    -- members to another chat; their messages follow.
    ADD CONSTRAINT fk_crm_chat_messages_sender_id FOREIGN KEY (tenant_id, chat_id, sender_id)
        REFERENCES crm_chat_members (tenant_id, chat_id, id)
        ON UPDATE CASCADE ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED;
CALL parley_isolate('crm_chat_messages');
GRANT SELECT, INSERT, UPDATE, DELETE ON crm_chat_messages TO parley_api;

CREATE TRIGGER parley_messages_channel AFTER INSERT ON crm_chat_messages
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION parley_own_channel('parley_messages_channel');
CREATE TRIGGER parley_messages_channel_changed AFTER UPDATE OF channel_id ON crm_chat_messages
    FOR EACH ROW WHEN (NEW.channel_id IS NOT NULL AND NEW.channel_id IS DISTINCT FROM OLD.channel_id) EXECUTE FUNCTION parley_own_channel('parley_messages_channel');

-- Programs written for the CRM schema insert a message without knowing of seq
-- and direction: give them both, and move the chat along. Never a send: only a
-- delivery row causes one.
-- +goose StatementBegin
CREATE FUNCTION parley_messages_complete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.direction IS NULL THEN
        -- Who is both speaks for the business; who is neither did, once.
        SELECT CASE WHEN m.user_id IS NULL AND m.client_id IS NOT NULL THEN 'in' ELSE 'out' END INTO NEW.direction
          FROM crm_chat_members m WHERE m.id = NEW.sender_id;
        NEW.direction := coalesce(NEW.direction, 'out');
    END IF;
    IF NEW.direction = 'in' AND NEW.sent_at IS NULL THEN
        NEW.sent_at := NEW.created_at;
    END IF;
    UPDATE crm_chats
       SET last_seq = last_seq + 1,
           last_message_at = greatest(last_message_at, NEW.created_at)
     WHERE id = NEW.chat_id
    RETURNING last_seq INTO NEW.seq;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'chat % does not exist in this tenant', NEW.chat_id
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'fk_crm_chat_messages_chat_id', TABLE = 'crm_chat_messages';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER parley_messages_complete BEFORE INSERT ON crm_chat_messages
    FOR EACH ROW WHEN (NEW.seq IS NULL) EXECUTE FUNCTION parley_messages_complete();

CREATE TABLE crm_chat_message_attachments (
    id         bigserial   PRIMARY KEY,
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant(),
    message_id bigint      NOT NULL,
    upload_id  integer     NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_crm_chat_message_attachments_message_id ON crm_chat_message_attachments (message_id);
CREATE INDEX idx_crm_chat_message_attachments_upload_id ON crm_chat_message_attachments (upload_id);
ALTER TABLE crm_chat_message_attachments
    ADD CONSTRAINT fk_crm_chat_message_attachments_message_id FOREIGN KEY (tenant_id, message_id)
        REFERENCES crm_chat_messages (tenant_id, id) ON DELETE CASCADE,
    ADD CONSTRAINT fk_crm_chat_message_attachments_upload_id FOREIGN KEY (tenant_id, upload_id)
        REFERENCES core_uploads (tenant_id, id) ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED;
CALL parley_isolate('crm_chat_message_attachments');
GRANT SELECT, INSERT, DELETE ON crm_chat_message_attachments TO parley_api;

CREATE TABLE crm_message_templates (
    id         serial      PRIMARY KEY,
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant(),
    template   text        NOT NULL CONSTRAINT parley_templates_content CHECK (template ~ '\S'),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_crm_message_templates_tenant_id ON crm_message_templates (tenant_id);
ALTER TABLE crm_message_templates
    ADD CONSTRAINT fk_crm_message_templates_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE;
CALL parley_isolate('crm_message_templates');
GRANT SELECT, INSERT, UPDATE, DELETE ON crm_message_templates TO parley_api;

GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO parley_api, parley_worker;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO parley_worker;

-- +goose Down
DROP TABLE crm_message_templates, crm_chat_message_attachments, crm_chat_messages,
    crm_chat_members, crm_chats, crm_client_contacts, crm_clients, parley_channels;
DROP FUNCTION parley_own_channel, parley_messages_complete, parley_members_somebody, parley_clients_blank_to_null;
