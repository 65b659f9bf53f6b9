-- The outbound queue is here, where the message already is.

-- +goose Up
CREATE TABLE parley_deliveries (
    id              bigserial   PRIMARY KEY,
    tenant_id       uuid        NOT NULL DEFAULT parley_tenant(),
    message_id      bigint      NOT NULL,
    chat_id         integer     NOT NULL,
    channel_id      uuid        NOT NULL,
    -- The person written to: the client's member on that channel.
    member_id       uuid        NOT NULL,
    -- Where it goes; deliveries of one lane leave one after the other, by id.
    lane            text        NOT NULL CHECK (lane <> ''),
    -- queued: waits for due_at and its lane; sending: an attempt is under way;
    -- uncertain: the provider may have it; sent, delivered, read; failed;
    -- cancelled.
    state           text        NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'sending', 'uncertain', 'sent', 'delivered', 'read', 'failed', 'cancelled')),
    due_at          timestamptz NOT NULL DEFAULT now(),
    -- The provider's id of the message answered, empty when none.
    reply_to        text,
    -- Parts the provider has accepted so far, and how many there are (0: not
    -- split yet).
    parts_sent      smallint    NOT NULL DEFAULT 0,
    parts           smallint    NOT NULL DEFAULT 0,
    -- How the message was split when that made several parts: a later attempt
    -- must not find other parts because the account's limits changed meanwhile.
    split           jsonb,
    -- Attempts of the current part, for the back-off.
    attempts        integer     NOT NULL DEFAULT 0,
    -- An uncertain delivery holds its lane until then.
    holds_lane_until timestamptz,
    code            text,
    -- Plain words about the last failure and what to do.
    words           text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    -- Columns of their own because an index on state would be written with each
    -- step: claiming changes neither.
    in_lane         boolean     NOT NULL
        GENERATED ALWAYS AS (state IN ('queued', 'sending') OR holds_lane_until IS NOT NULL) STORED,
    in_trouble      boolean     NOT NULL
        GENERATED ALWAYS AS (state IN ('uncertain', 'failed')) STORED,
    UNIQUE (message_id),
    UNIQUE (tenant_id, id),
    CONSTRAINT parley_deliveries_message FOREIGN KEY (tenant_id, message_id)
        REFERENCES crm_chat_messages (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT parley_deliveries_channel FOREIGN KEY (tenant_id, channel_id)
        REFERENCES parley_channels (tenant_id, id)
        -- A tenant's deletion takes both away, in either order.
        DEFERRABLE INITIALLY DEFERRED,
    -- Deferred for the deletion of a chat; follows a member that a merge moves.
    CONSTRAINT parley_deliveries_member FOREIGN KEY (tenant_id, chat_id, member_id)
        REFERENCES crm_chat_members (tenant_id, chat_id, id) ON UPDATE CASCADE
        DEFERRABLE INITIALLY DEFERRED
) WITH (fillfactor = 70);
-- What a lane still waits for; its head is the lowest id.
CREATE INDEX parley_deliveries_lane ON parley_deliveries (channel_id, lane, id) WHERE in_lane;
-- The few that hold their lane, to be let go in time.
CREATE INDEX parley_deliveries_holding ON parley_deliveries (channel_id, holds_lane_until)
    WHERE holds_lane_until IS NOT NULL;
CREATE INDEX parley_deliveries_channel ON parley_deliveries (channel_id);
CREATE INDEX parley_deliveries_member ON parley_deliveries (member_id);
CREATE INDEX parley_deliveries_trouble ON parley_deliveries (tenant_id, id) WHERE in_trouble;
CALL parley_isolate('parley_deliveries');
GRANT SELECT, INSERT, UPDATE ON parley_deliveries TO parley_api;

-- One row per lane that has something to send. Finding what is due among the
-- deliveries themselves would pass over everything that waits behind a lane's
-- head, or over every lane that waits. A row without deliveries is removed when
-- it is next looked at; due_at is a hint that the same look corrects, but an
-- open delivery without its lane's row would never leave.
CREATE TABLE parley_lanes (
    channel_id uuid        NOT NULL,
    lane       text        NOT NULL,
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant(),
    -- When to look at its head next.
    due_at     timestamptz NOT NULL,
    -- Rises with each delivery, so that a lane found empty is not removed while
    -- one arrives.
    deliveries bigint      NOT NULL DEFAULT 1,
    PRIMARY KEY (channel_id, lane),
    CONSTRAINT parley_lanes_channel FOREIGN KEY (tenant_id, channel_id)
        REFERENCES parley_channels (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 70);
CREATE INDEX parley_lanes_due ON parley_lanes (channel_id, due_at, lane);
CALL parley_isolate('parley_lanes');
GRANT SELECT, INSERT, UPDATE ON parley_lanes TO parley_api;

-- Gives every new delivery its lane, and tells the dispatchers.
-- +goose StatementBegin
CREATE FUNCTION parley_deliveries_queued() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Sorted, so that two transactions lock lanes in the same order.
    INSERT INTO parley_lanes AS l (channel_id, lane, tenant_id, due_at, deliveries)
    SELECT channel_id, lane, tenant_id, min(due_at), count(*) FROM added GROUP BY 1, 2, 3 ORDER BY 1, 2
    ON CONFLICT (channel_id, lane) DO UPDATE
       SET due_at = least(l.due_at, excluded.due_at), deliveries = l.deliveries + excluded.deliveries;
    PERFORM pg_notify('parley_delivery', channel_id::text) FROM (SELECT DISTINCT channel_id FROM added) c;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER parley_deliveries_queued AFTER INSERT ON parley_deliveries
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION parley_deliveries_queued();

-- Tells the dispatchers to look at the channels: the first reply on a new one
-- must not wait until they do so by themselves.
-- +goose StatementBegin
CREATE FUNCTION parley_channels_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Without a channel, for one that is new is none of theirs yet.
    PERFORM pg_notify('parley_delivery', '');
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER parley_channels_changed AFTER INSERT OR UPDATE ON parley_channels
    FOR EACH STATEMENT EXECUTE FUNCTION parley_channels_changed();

CREATE TABLE parley_attempts (
    delivery_id   bigint      NOT NULL,
    part          smallint    NOT NULL,
    attempt       integer     NOT NULL,
    tenant_id     uuid        NOT NULL DEFAULT parley_tenant(),
    channel_id    uuid        NOT NULL,
    -- Our own reference, echoed by providers that can: a callback may come before
    -- the answer that holds the provider's id. Version 7, so that the index grows
    -- at its end.
    ref           uuid        NOT NULL,
    -- The dispatcher's lease epoch: pending attempts of an older one are
    -- uncertain.
    epoch         bigint      NOT NULL,
    outcome       text        NOT NULL DEFAULT 'pending'
        CHECK (outcome IN ('pending', 'sent', 'retry', 'rejected', 'uncertain')),
    provider_chat text,
    provider_id   text,
    code          text,
    words         text,
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at   timestamptz,
    PRIMARY KEY (delivery_id, part, attempt),
    CONSTRAINT parley_attempts_delivery FOREIGN KEY (tenant_id, delivery_id)
        REFERENCES parley_deliveries (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 80);
-- Statuses, replies and reactions find our message by the provider's id.
CREATE UNIQUE INDEX parley_attempts_provider ON parley_attempts (channel_id, provider_chat, provider_id)
    WHERE provider_id IS NOT NULL;
CREATE UNIQUE INDEX parley_attempts_ref ON parley_attempts (ref);
CREATE INDEX parley_attempts_pending ON parley_attempts (channel_id, epoch) WHERE outcome = 'pending';
CALL parley_isolate('parley_attempts');
GRANT SELECT ON parley_attempts TO parley_api;

GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO parley_api, parley_worker;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO parley_worker;

-- +goose Down
DROP TRIGGER parley_channels_changed ON parley_channels;
DROP TABLE parley_attempts, parley_lanes, parley_deliveries;
DROP FUNCTION parley_deliveries_queued, parley_channels_changed;
