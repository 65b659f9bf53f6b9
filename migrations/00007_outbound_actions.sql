-- What the outbound half needs beyond plain replies.

-- +goose Up

-- A status may name our message by our own reference of the attempt only.
CREATE INDEX parley_updates_ref ON parley_updates (channel_id, (event -> 'status' ->> 'ref'))
    WHERE applied_at IS NULL AND event -> 'status' ->> 'ref' IS NOT NULL;

-- An approved template that is sent instead of the message's text: its id and
-- variables.
ALTER TABLE parley_deliveries ADD COLUMN template jsonb;

-- An action changes a message that was sent, or reacts to one. It is a delivery of
-- its own, so that it waits its turn in the person's lane like a message:
-- {"text"} edits, {"emoji"} reacts; "before" is the content that an edit replaced.
ALTER TABLE parley_deliveries
    ADD COLUMN action jsonb,
    -- 0 delivers the message itself, others count its actions.
    ADD COLUMN action_no integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT parley_deliveries_action CHECK ((action IS NULL) = (action_no = 0)),
    DROP CONSTRAINT parley_deliveries_message_id_key;
ALTER TABLE parley_deliveries
    ADD CONSTRAINT parley_deliveries_message_id_key UNIQUE (message_id, action_no);

-- What an action leads to, whichever way its end became known.
-- +goose StatementBegin
CREATE FUNCTION parley_action_ended() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    old_content jsonb;
    edits boolean := NEW.action ? 'text';
BEGIN
    IF NEW.state = 'sent' AND edits THEN
        SELECT content INTO old_content FROM crm_chat_messages WHERE id = NEW.message_id FOR NO KEY UPDATE;
        UPDATE crm_chat_messages
           SET message = NEW.action ->> 'text', edited_at = clock_timestamp(),
               content = (coalesce(content, '{"type": "text"}') - 'entities') || jsonb_build_object('text', NEW.action ->> 'text')
         WHERE id = NEW.message_id;
        UPDATE parley_deliveries SET action = action || jsonb_build_object('before', old_content) WHERE id = NEW.id;
    END IF;
    INSERT INTO parley_facts (tenant_id, noun, verb, chat_id, data)
    SELECT NEW.tenant_id, 'message',
           CASE WHEN NEW.state = 'sent' THEN CASE WHEN edits THEN 'edited' ELSE 'reacted' END
                ELSE CASE WHEN edits THEN 'edit_failed' ELSE 'reaction_failed' END END,
           m.chat_id, json_strip_nulls(json_build_object(
               'message_id', m.id, 'chat_id', m.chat_id, 'seq', m.seq, 'channel_id', NEW.channel_id, 'delivery_id', NEW.id,
               'text', NEW.action -> 'text', 'emoji', NEW.action -> 'emoji', 'user_id', NEW.action -> 'user',
               'code', CASE WHEN NEW.state <> 'sent' THEN NEW.code END, 'words', CASE WHEN NEW.state <> 'sent' THEN NEW.words END))
      FROM crm_chat_messages m WHERE m.id = NEW.message_id;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER parley_action_ended AFTER UPDATE OF state ON parley_deliveries
    FOR EACH ROW WHEN (NEW.action_no > 0 AND NEW.state IN ('sent', 'failed') AND NEW.state <> OLD.state)
    EXECUTE FUNCTION parley_action_ended();

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
DROP TRIGGER parley_action_ended ON parley_deliveries;
DROP FUNCTION parley_action_ended;
DELETE FROM parley_deliveries WHERE action_no > 0;
ALTER TABLE parley_deliveries DROP CONSTRAINT parley_deliveries_message_id_key;
ALTER TABLE parley_deliveries DROP COLUMN template, DROP COLUMN action, DROP COLUMN action_no,
    ADD CONSTRAINT parley_deliveries_message_id_key UNIQUE (message_id);
DROP INDEX parley_updates_ref;
