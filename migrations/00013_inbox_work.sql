-- What agents do with chats: status, assignment, teams, labels, notes, drafts.

-- +goose Up
CREATE TABLE parley_teams (
    id              serial      PRIMARY KEY,
    tenant_id       uuid        NOT NULL DEFAULT parley_tenant() REFERENCES tenants (id) ON DELETE CASCADE,
    name            text        NOT NULL CHECK (btrim(name) <> ''),
    created_at      timestamptz NOT NULL DEFAULT now(),
    idempotency_key text,
    UNIQUE (tenant_id, id)
);
CREATE UNIQUE INDEX parley_teams_name ON parley_teams (tenant_id, lower(name));
CREATE UNIQUE INDEX parley_teams_idempotency ON parley_teams (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CALL parley_isolate('parley_teams');
GRANT SELECT, INSERT, UPDATE, DELETE ON parley_teams TO parley_api;

CREATE TABLE parley_team_members (
    team_id   integer NOT NULL,
    user_id   integer NOT NULL,
    tenant_id uuid    NOT NULL DEFAULT parley_tenant(),
    PRIMARY KEY (team_id, user_id),
    CONSTRAINT parley_team_members_team FOREIGN KEY (tenant_id, team_id)
        REFERENCES parley_teams (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT parley_team_members_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES core_users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_team_members_user ON parley_team_members (user_id);
CALL parley_isolate('parley_team_members');
GRANT SELECT, INSERT, DELETE ON parley_team_members TO parley_api;

-- A chat's folder is what the inbox lists it under: status, whether somebody has
-- it, whether something in it is unread. Each list of the inbox is one or more
-- folders, so one index serves all of them, and a new chat writes no more index
-- entries than before.
ALTER TABLE crm_chats
    ADD COLUMN status        text        NOT NULL DEFAULT 'open',
    ADD COLUMN snoozed_until timestamptz,
    ADD COLUMN assignee_id   integer,
    ADD COLUMN team_id       integer,
    -- Whether something the client wrote is unread; the messages themselves say
    -- what.
    ADD COLUMN unread        boolean     NOT NULL DEFAULT false,
    -- The client's message that last opened the chat again.
    ADD COLUMN reopened_seq  bigint,
    ADD COLUMN folder        smallint    NOT NULL GENERATED ALWAYS AS (
        CASE status WHEN 'open' THEN 0::smallint WHEN 'snoozed' THEN 4::smallint ELSE 8::smallint END
        + CASE WHEN assignee_id IS NULL AND team_id IS NULL THEN 0::smallint ELSE 2::smallint END
        + CASE WHEN unread THEN 1::smallint ELSE 0::smallint END) STORED,
    ADD CONSTRAINT parley_chats_status CHECK (status IN ('open', 'snoozed', 'closed') AND (status = 'snoozed') = (snoozed_until IS NOT NULL)),
    ADD CONSTRAINT parley_chats_assignee FOREIGN KEY (tenant_id, assignee_id)
        REFERENCES core_users (tenant_id, id) ON DELETE SET NULL (assignee_id),
    ADD CONSTRAINT parley_chats_team FOREIGN KEY (tenant_id, team_id)
        REFERENCES parley_teams (tenant_id, id) ON DELETE SET NULL (team_id);
DROP INDEX parley_chats_activity;
CREATE INDEX parley_chats_folder ON crm_chats (tenant_id, folder, activity_slot DESC);
CREATE INDEX parley_chats_assignee ON crm_chats (assignee_id, folder, activity_slot DESC) WHERE assignee_id IS NOT NULL;
CREATE INDEX parley_chats_team ON crm_chats (team_id, folder, activity_slot DESC) WHERE team_id IS NOT NULL;
CREATE INDEX parley_chats_snoozed ON crm_chats (snoozed_until) WHERE snoozed_until IS NOT NULL;

-- Whoever marks messages as read or unread moves their chat's mark along.
-- +goose StatementBegin
CREATE FUNCTION parley_messages_marked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE crm_chats c SET unread = NEW.read_at IS NULL
     WHERE c.id = NEW.chat_id AND c.unread IS DISTINCT FROM (NEW.read_at IS NULL)
       AND (NEW.read_at IS NULL OR NOT EXISTS (
           SELECT FROM crm_chat_messages m WHERE m.chat_id = NEW.chat_id AND m.read_at IS NULL AND m.direction = 'in'));
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER parley_messages_marked AFTER UPDATE OF read_at ON crm_chat_messages
    FOR EACH ROW WHEN (NEW.direction = 'in' AND (NEW.read_at IS NULL) <> (OLD.read_at IS NULL))
    EXECUTE FUNCTION parley_messages_marked();

-- As before, and an inbound message opens its chat and makes it unread.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION parley_messages_complete() RETURNS trigger LANGUAGE plpgsql AS $$
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
           last_message_at = greatest(last_message_at, NEW.created_at),
           unread = unread OR (NEW.direction = 'in' AND NEW.read_at IS NULL),
           status = CASE WHEN NEW.direction = 'in' THEN 'open' ELSE status END,
           snoozed_until = CASE WHEN NEW.direction = 'in' THEN NULL ELSE snoozed_until END,
           reopened_seq = CASE WHEN NEW.direction = 'in' AND status <> 'open' THEN last_seq + 1 ELSE reopened_seq END
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

CREATE TABLE parley_labels (
    id              serial      PRIMARY KEY,
    tenant_id       uuid        NOT NULL DEFAULT parley_tenant() REFERENCES tenants (id) ON DELETE CASCADE,
    name            text        NOT NULL CHECK (btrim(name) <> ''),
    -- As in style sheets: #rrggbb.
    colour          text        NOT NULL CHECK (colour ~ '^#[0-9a-f]{6}$'),
    created_at      timestamptz NOT NULL DEFAULT now(),
    idempotency_key text,
    UNIQUE (tenant_id, id)
);
CREATE UNIQUE INDEX parley_labels_name ON parley_labels (tenant_id, lower(name));
CREATE UNIQUE INDEX parley_labels_idempotency ON parley_labels (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CALL parley_isolate('parley_labels');
GRANT SELECT, INSERT, UPDATE, DELETE ON parley_labels TO parley_api;

CREATE TABLE parley_chat_labels (
    chat_id   integer NOT NULL,
    label_id  integer NOT NULL,
    tenant_id uuid    NOT NULL DEFAULT parley_tenant(),
    PRIMARY KEY (chat_id, label_id),
    CONSTRAINT parley_chat_labels_chat FOREIGN KEY (tenant_id, chat_id)
        REFERENCES crm_chats (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT parley_chat_labels_label FOREIGN KEY (tenant_id, label_id)
        REFERENCES parley_labels (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_chat_labels_label ON parley_chat_labels (label_id, chat_id);
CALL parley_isolate('parley_chat_labels');
GRANT SELECT, INSERT, DELETE ON parley_chat_labels TO parley_api;

-- What agents write to each other beside a chat. Nothing sends them: only a
-- message has a delivery.
CREATE TABLE parley_notes (
    id              bigserial   PRIMARY KEY,
    tenant_id       uuid        NOT NULL DEFAULT parley_tenant(),
    chat_id         integer     NOT NULL,
    -- NULL once its writer is gone.
    user_id         integer,
    text            text        NOT NULL CHECK (text ~ '\S'),
    -- The chat's newest message when it was written: where it is shown.
    after_seq       bigint      NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    edited_at       timestamptz,
    idempotency_key text,
    CONSTRAINT parley_notes_chat FOREIGN KEY (tenant_id, chat_id)
        REFERENCES crm_chats (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT parley_notes_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES core_users (tenant_id, id) ON DELETE SET NULL (user_id)
);
CREATE INDEX parley_notes_chat ON parley_notes (chat_id, id);
CREATE INDEX parley_notes_user ON parley_notes (user_id);
CREATE UNIQUE INDEX parley_notes_idempotency ON parley_notes (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CALL parley_isolate('parley_notes');
GRANT SELECT, INSERT, UPDATE, DELETE ON parley_notes TO parley_api;

-- What a user has begun to write in a chat.
CREATE TABLE parley_drafts (
    chat_id    integer     NOT NULL,
    user_id    integer     NOT NULL,
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant(),
    text       text        NOT NULL,
    channel_id uuid,
    reply_to   bigint,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (chat_id, user_id),
    CONSTRAINT parley_drafts_chat FOREIGN KEY (tenant_id, chat_id)
        REFERENCES crm_chats (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT parley_drafts_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES core_users (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT parley_drafts_channel FOREIGN KEY (tenant_id, channel_id)
        REFERENCES parley_channels (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT parley_drafts_reply_to FOREIGN KEY (tenant_id, reply_to)
        REFERENCES crm_chat_messages (tenant_id, id) ON DELETE SET NULL (reply_to)
);
CREATE INDEX parley_drafts_user ON parley_drafts (user_id);
CREATE INDEX parley_drafts_channel ON parley_drafts (channel_id) WHERE channel_id IS NOT NULL;
CREATE INDEX parley_drafts_reply_to ON parley_drafts (reply_to) WHERE reply_to IS NOT NULL;
CALL parley_isolate('parley_drafts');
GRANT SELECT, INSERT, UPDATE, DELETE ON parley_drafts TO parley_api;

ALTER TABLE crm_clients ADD COLUMN idempotency_key text;
CREATE UNIQUE INDEX parley_clients_idempotency ON crm_clients (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO parley_api, parley_worker;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO parley_worker;

-- What is there already.
SET LOCAL ROLE parley_worker;
UPDATE crm_chats c SET unread = true
 WHERE EXISTS (SELECT FROM crm_chat_messages m WHERE m.chat_id = c.id AND m.read_at IS NULL AND m.direction = 'in');
RESET ROLE;

-- +goose Down
DROP TABLE parley_drafts, parley_notes, parley_chat_labels, parley_labels;
ALTER TABLE crm_clients DROP COLUMN idempotency_key;
DROP TRIGGER parley_messages_marked ON crm_chat_messages;
DROP FUNCTION parley_messages_marked;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION parley_messages_complete() RETURNS trigger LANGUAGE plpgsql AS $$
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
ALTER TABLE crm_chats DROP COLUMN folder, DROP COLUMN status, DROP COLUMN snoozed_until, DROP COLUMN assignee_id,
    DROP COLUMN team_id, DROP COLUMN unread, DROP COLUMN reopened_seq;
CREATE INDEX parley_chats_activity ON crm_chats (tenant_id, activity_slot DESC);
DROP TABLE parley_team_members, parley_teams;
