-- Alerts to agents with no page open: what each wants, who has a page open, and
-- what they were told. Nothing here is written by an inbound message.

-- +goose Up
CREATE TABLE parley_alert_settings (
    tenant_id     uuid        NOT NULL DEFAULT parley_tenant(),
    user_id       integer     NOT NULL,
    way           text        NOT NULL CHECK (way IN ('off', 'mail', 'telegram')),
    -- The user's own chat with the tenant's bot; mail goes to the user's address.
    telegram_id   text        NOT NULL DEFAULT '' CHECK (telegram_id ~ '^[0-9]{0,20}$' AND (way <> 'telegram' OR telegram_id <> '')),
    -- How long a message is unread before they are told, and how long nothing more
    -- is said about the same chat.
    after_minutes integer     NOT NULL CHECK (after_minutes BETWEEN 0 AND 1440),
    quiet_minutes integer     NOT NULL CHECK (quiet_minutes BETWEEN 1 AND 10080),
    -- They are told of what came since.
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, user_id),
    CONSTRAINT parley_alert_settings_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES core_users (tenant_id, id) ON DELETE CASCADE
);
CALL parley_isolate('parley_alert_settings');
GRANT SELECT, INSERT, UPDATE ON parley_alert_settings TO parley_api;

-- The Telegram channel whose bot tells a tenant's agents.
CREATE TABLE parley_alert_bots (
    tenant_id  uuid PRIMARY KEY DEFAULT parley_tenant(),
    channel_id uuid NOT NULL,
    CONSTRAINT parley_alert_bots_channel FOREIGN KEY (tenant_id, channel_id)
        REFERENCES parley_channels (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_alert_bots_channel ON parley_alert_bots (channel_id);
CALL parley_isolate('parley_alert_bots');
GRANT SELECT, INSERT, UPDATE ON parley_alert_bots TO parley_api;

-- Who has a page open, by the process that serves it: written twice a minute.
CREATE TABLE parley_presence (
    tenant_id uuid        NOT NULL DEFAULT parley_tenant(),
    user_id   integer     NOT NULL,
    process   text        NOT NULL,
    seen_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id, process),
    CONSTRAINT parley_presence_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES core_users (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 50);
CALL parley_isolate('parley_presence');

-- What users were told last of each chat. Written before it is sent: what was cut
-- short by a crash is not sent again.
CREATE TABLE parley_alerts (
    tenant_id uuid        NOT NULL DEFAULT parley_tenant(),
    user_id   integer     NOT NULL,
    chat_id   integer     NOT NULL,
    -- The newest message that it was about.
    seq       bigint      NOT NULL,
    at        timestamptz NOT NULL,
    way       text        NOT NULL,
    outcome   text        NOT NULL DEFAULT 'pending' CHECK (outcome IN ('pending', 'sent', 'failed')),
    words     text        NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, user_id, chat_id),
    CONSTRAINT parley_alerts_user FOREIGN KEY (tenant_id, user_id)
        REFERENCES core_users (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT parley_alerts_chat FOREIGN KEY (tenant_id, chat_id)
        REFERENCES crm_chats (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_alerts_chat ON parley_alerts (chat_id);
CALL parley_isolate('parley_alerts');

-- +goose Down
DROP TABLE parley_alerts, parley_presence, parley_alert_bots, parley_alert_settings;
