-- What the outbound half needs beyond plain replies.

-- +goose Up

-- A status may name our message by our own reference of the attempt only.
CREATE INDEX parley_updates_ref ON parley_updates (channel_id, (event -> 'status' ->> 'ref'))
    WHERE applied_at IS NULL AND event -> 'status' ->> 'ref' IS NOT NULL;

-- An approved template that is sent instead of the message's text: its id and
-- variables.
ALTER TABLE parley_deliveries ADD COLUMN template jsonb;

-- How a channel fares as a sender. What the gateways know of it is on the bus,
-- this here because whoever replies has to know it.
CREATE TABLE parley_senders (
    channel_id uuid        NOT NULL,
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant(),
    state      text        NOT NULL CHECK (state IN ('connected', 'degraded', 'needs_attention')),
    words      text        NOT NULL DEFAULT '',
    since      timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The version of the channel that was tried.
    version    bigint      NOT NULL,
    PRIMARY KEY (tenant_id, channel_id),
    CONSTRAINT parley_senders_channel FOREIGN KEY (tenant_id, channel_id)
        REFERENCES parley_channels (tenant_id, id) ON DELETE CASCADE
);
CALL parley_isolate('parley_senders');
GRANT SELECT ON parley_senders TO parley_api;

-- +goose Down
DROP TABLE parley_senders;
ALTER TABLE parley_deliveries DROP COLUMN template;
DROP INDEX parley_updates_ref;
