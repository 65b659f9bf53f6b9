-- What is written before it is sent, and what is written without anybody: reusable
-- templates, undo, scheduled replies, automatic replies.
-- Nothing here is written by an inbound message.

-- +goose Up
ALTER TABLE crm_message_templates
    -- For people, unique within the tenant; NULL in rows of other programs.
    ADD COLUMN name            text        CHECK (btrim(name) <> ''),
    -- The provider's approved templates that say the same, for when free text is
    -- not taken: [{"channel", "id", "variables"}].
    ADD COLUMN approved        jsonb       NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(approved) = 'array'),
    -- Rises with every change, for If-Match.
    ADD COLUMN version         bigint      NOT NULL DEFAULT 1,
    ADD COLUMN updated_at      timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN idempotency_key text        CHECK (idempotency_key <> '');
CREATE UNIQUE INDEX parley_templates_name ON crm_message_templates (tenant_id, lower(name)) WHERE name IS NOT NULL;
CREATE UNIQUE INDEX parley_templates_idempotency ON crm_message_templates (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- How a tenant's agents write. No row is the defaults.
CREATE TABLE parley_desk_settings (
    tenant_id    uuid        PRIMARY KEY DEFAULT parley_tenant() REFERENCES tenants (id) ON DELETE CASCADE,
    -- How long a reply waits before it leaves, unless it says so itself.
    undo_seconds integer     NOT NULL DEFAULT 0 CHECK (undo_seconds BETWEEN 0 AND 60),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CALL parley_isolate('parley_desk_settings');
GRANT SELECT, INSERT, UPDATE ON parley_desk_settings TO parley_api;

-- Replies that are to be written later. Only once one is due does it become a
-- message with its delivery: a delivery that waits for days would hold its lane,
-- and a message that nobody was sent yet would stand in the chat as if said.
CREATE TABLE parley_scheduled (
    id              bigserial   PRIMARY KEY,
    tenant_id       uuid        NOT NULL DEFAULT parley_tenant(),
    chat_id         integer     NOT NULL,
    -- NULL once the user is gone; what they scheduled is then not sent.
    user_id         integer,
    -- What to say, and how.
    reply           jsonb       NOT NULL,
    due_at          timestamptz NOT NULL,
    -- The chat's newest message when it was scheduled.
    seen            bigint      NOT NULL,
    -- Not sent when the client wrote meanwhile.
    unless_answered boolean     NOT NULL DEFAULT false,
    state           text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'cancelled', 'refused')),
    -- Why it was refused, in plain words.
    words           text,
    -- What it became. No foreign key, here and below: each one is looked at
    -- whenever a message changes.
    message_id      bigint,
    version         bigint      NOT NULL DEFAULT 1,
    idempotency_key text        CHECK (idempotency_key <> ''),
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, id),
    CONSTRAINT parley_scheduled_chat FOREIGN KEY (tenant_id, chat_id)
        REFERENCES crm_chats (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT parley_scheduled_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES core_users (tenant_id, id) ON DELETE SET NULL (user_id)
);
CREATE INDEX parley_scheduled_due ON parley_scheduled (due_at) WHERE state = 'waiting';
CREATE INDEX parley_scheduled_waiting ON parley_scheduled (tenant_id, due_at, id) WHERE state = 'waiting';
CREATE INDEX parley_scheduled_of ON parley_scheduled (chat_id);
CREATE INDEX parley_scheduled_user_of ON parley_scheduled (user_id);
CREATE UNIQUE INDEX parley_scheduled_idempotency ON parley_scheduled (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CALL parley_isolate('parley_scheduled');
GRANT SELECT, INSERT, UPDATE ON parley_scheduled TO parley_api;

-- The files of what is scheduled, so that nothing sweeps them up meanwhile.
CREATE TABLE parley_scheduled_files (
    scheduled_id bigint  NOT NULL,
    upload_id    integer NOT NULL,
    tenant_id    uuid    NOT NULL DEFAULT parley_tenant(),
    PRIMARY KEY (scheduled_id, upload_id),
    CONSTRAINT parley_scheduled_files_scheduled FOREIGN KEY (tenant_id, scheduled_id)
        REFERENCES parley_scheduled (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT parley_scheduled_files_upload FOREIGN KEY (tenant_id, upload_id)
        REFERENCES core_uploads (tenant_id, id) ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX parley_scheduled_files_upload ON parley_scheduled_files (upload_id);
CALL parley_isolate('parley_scheduled_files');
GRANT SELECT, INSERT, DELETE ON parley_scheduled_files TO parley_api;

-- When somebody is there, and what clients are told when nobody is: of one
-- channel, or without one of all that have no row of their own.
CREATE TABLE parley_hours (
    id         serial      PRIMARY KEY,
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant() REFERENCES tenants (id) ON DELETE CASCADE,
    channel_id uuid,
    enabled    boolean     NOT NULL DEFAULT true,
    -- An IANA name, such as Europe/Berlin.
    time_zone  text        NOT NULL,
    -- {"mon": ["09:00-12:30", "13:30-17:00"], …}; a day that is missing is closed.
    week       jsonb       NOT NULL DEFAULT '{}',
    -- {"2026-12-25": []} is closed that day, with times open then.
    holidays   jsonb       NOT NULL DEFAULT '{}',
    -- What is answered outside the hours, and to somebody's first message; empty
    -- for nothing.
    away       text        NOT NULL DEFAULT '',
    greeting   text        NOT NULL DEFAULT '',
    version    bigint      NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT parley_hours_channel FOREIGN KEY (tenant_id, channel_id)
        REFERENCES parley_channels (tenant_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX parley_hours_of ON parley_hours (tenant_id, channel_id) NULLS NOT DISTINCT;
CREATE INDEX parley_hours_channel ON parley_hours (channel_id);
CALL parley_isolate('parley_hours');
GRANT SELECT, INSERT, UPDATE, DELETE ON parley_hours TO parley_api;

-- Who was answered automatically, by day in the hours' time zone: this row is
-- written with the message, so nobody is answered twice a day.
CREATE TABLE parley_autoreplies (
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant(),
    client_id  integer     NOT NULL,
    day        date        NOT NULL,
    kind       text        NOT NULL CHECK (kind IN ('away', 'greeting')),
    message_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, client_id, day),
    CONSTRAINT parley_autoreplies_client FOREIGN KEY (tenant_id, client_id)
        REFERENCES crm_clients (tenant_id, id) ON DELETE CASCADE
);
CALL parley_isolate('parley_autoreplies');
GRANT SELECT, INSERT ON parley_autoreplies TO parley_api;
GRANT UPDATE (message_id) ON parley_autoreplies TO parley_api;

GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO parley_api, parley_worker;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO parley_worker;

-- +goose Down
DROP TABLE parley_autoreplies, parley_hours, parley_scheduled_files, parley_scheduled, parley_desk_settings;
DROP INDEX parley_templates_name, parley_templates_idempotency;
ALTER TABLE crm_message_templates DROP COLUMN name, DROP COLUMN approved, DROP COLUMN version, DROP COLUMN updated_at, DROP COLUMN idempotency_key;
