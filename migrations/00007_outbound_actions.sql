-- What the outbound half needs beyond plain replies.

-- +goose Up

-- A status may name our message by our own reference of the attempt only.
CREATE INDEX parley_updates_ref ON parley_updates (channel_id, (event -> 'status' ->> 'ref'))
    WHERE applied_at IS NULL AND event -> 'status' ->> 'ref' IS NOT NULL;

-- +goose Down
DROP INDEX parley_updates_ref;
