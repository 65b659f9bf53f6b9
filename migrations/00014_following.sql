-- What following along and finding again need: streams hear at once that their
-- credential ended; the words of messages and clients, beside them.

-- +goose Up
-- Wakes whoever holds a stream open for the tenant; they look for themselves.
-- +goose StatementBegin
CREATE FUNCTION parley_access_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('parley_access', OLD.tenant_id::text);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER parley_access_changed AFTER UPDATE OF revoked_at ON parley_sessions
    FOR EACH ROW EXECUTE FUNCTION parley_access_changed();
CREATE TRIGGER parley_access_changed AFTER UPDATE OF revoked_at ON parley_tokens
    FOR EACH ROW EXECUTE FUNCTION parley_access_changed();
CREATE TRIGGER parley_access_changed AFTER UPDATE OF role, disabled_at ON core_users
    FOR EACH ROW EXECUTE FUNCTION parley_access_changed();


-- The words of each message, to find it by. Not an index on the messages: what is
-- written there is paid for by each message that comes in. A worker fills this
-- table behind them, and an edit tells it to look again.
--
-- words has the text's lexemes without their places, and one for each block of ids
-- that the row is in, so that the newest matches of one tenant are found without
-- touching the others: see parley_find.
CREATE TABLE parley_message_words (
    id        bigint   PRIMARY KEY,
    tenant_id uuid     NOT NULL DEFAULT parley_tenant(),
    words     tsvector NOT NULL,
    CONSTRAINT parley_message_words_message FOREIGN KEY (tenant_id, id)
        REFERENCES crm_chat_messages (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_message_words_gin ON parley_message_words USING gin (words) WITH (gin_pending_list_limit = 512);

-- The trigrams of each client's names, numbers and addresses.
CREATE TABLE parley_client_words (
    id        integer  PRIMARY KEY,
    tenant_id uuid     NOT NULL DEFAULT parley_tenant(),
    words     tsvector NOT NULL,
    CONSTRAINT parley_client_words_client FOREIGN KEY (tenant_id, id)
        REFERENCES crm_clients (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_client_words_gin ON parley_client_words USING gin (words) WITH (gin_pending_list_limit = 512);

-- What changed since its words were written. Rows come and go; the worker reads
-- what is true when it looks.
CREATE TABLE parley_words_stale (
    seq        bigserial PRIMARY KEY,
    tenant_id  uuid      NOT NULL DEFAULT parley_tenant(),
    message_id bigint,
    client_id  integer,
    CONSTRAINT parley_words_stale_one CHECK (num_nonnulls(message_id, client_id) = 1),
    CONSTRAINT parley_words_stale_message FOREIGN KEY (tenant_id, message_id)
        REFERENCES crm_chat_messages (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT parley_words_stale_client FOREIGN KEY (tenant_id, client_id)
        REFERENCES crm_clients (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_words_stale_message ON parley_words_stale (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX parley_words_stale_client ON parley_words_stale (client_id) WHERE client_id IS NOT NULL;
CALL parley_isolate('parley_words_stale');
GRANT INSERT ON parley_words_stale TO parley_api;

-- How far the worker is, by sequence of ids. Ids become visible out of order: up to
-- target all are there or never will be once no transaction before horizon runs.
CREATE TABLE parley_words_progress (
    source     text        PRIMARY KEY,
    done       bigint      NOT NULL DEFAULT 0,
    target     bigint      NOT NULL DEFAULT 0,
    horizon    bigint      NOT NULL DEFAULT 0,
    noted_at   timestamptz NOT NULL DEFAULT now()
);
INSERT INTO parley_words_progress (source) VALUES ('crm_chat_messages'), ('crm_clients'), ('crm_client_contacts');
GRANT SELECT, UPDATE ON parley_words_progress TO parley_worker;

-- The lexeme of a block of ids of a tenant; no text has it, for it begins with a
-- control character. Two that are hashed alike cost time and no more.
CREATE FUNCTION parley_block(tenant uuid, level integer, block bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN E'\x01' || left(md5(tenant::text || ' ' || level || ' ' || block), 11);

-- The blocks that an id is in: of 8,192, 65,536 and 524,288 ids.
CREATE FUNCTION parley_blocks(tenant uuid, id bigint) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN array_to_tsvector(ARRAY[parley_block(tenant, 13, id >> 13), parley_block(tenant, 16, id >> 16), parley_block(tenant, 19, id >> 19)]);

-- What of a message is searched: its text, and a mail's subject. More than 100,000
-- characters would be more than a tsvector holds.
CREATE FUNCTION parley_message_text(message text, content jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN left(concat_ws(E'\n', content->>'subject', message), 100000);

-- The trigrams of a text, with the beginnings of its words, in lower case.
CREATE FUNCTION parley_trigrams(given text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT coalesce(array_agg(DISTINCT gram), '{}')
              FROM regexp_split_to_table(lower(left(given, 2000)), '[^[:alnum:]]+') AS word,
                   LATERAL (SELECT substr(word, n, 3) AS gram FROM generate_series(1, length(word) - 2) AS n
                            UNION ALL SELECT '^' || left(word, n) FROM generate_series(1, least(2, length(word))) AS n) AS grams);

CREATE FUNCTION parley_client_text(c crm_clients) RETURNS text
    LANGUAGE sql STABLE
    RETURN concat_ws(' ', c.first_name, c.middle_name, c.last_name, c.phone_number, c.email,
        (SELECT string_agg(x.contact_value, ' ') FROM crm_client_contacts x WHERE x.tenant_id = c.tenant_id AND x.client_id = c.id));

-- What a session is looking for right now.
CREATE FUNCTION parley_query() RETURNS tsquery
    LANGUAGE sql STABLE
    RETURN nullif(current_setting('parley.query', true), '')::tsquery;

-- The walls of these two tables have the query in them: PostgreSQL uses no index
-- for text under a policy, unless the policy itself asks for the text. So a session
-- sees, of its own tenant, what it is looking for.
-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['parley_message_words', 'parley_client_words'] LOOP
        EXECUTE format('CALL parley_isolate(%L)', t);
        EXECUTE format('ALTER POLICY parley_tenant ON %I USING (tenant_id = parley_tenant() AND words @@ parley_query())', t);
        EXECUTE format('GRANT SELECT ON %I TO parley_api', t);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- The newest ids below one whose words match, at most so many, newest first. It
-- goes back block by block, larger ones as it gets further, and so reads no more
-- of a common word than of a rare one.
-- +goose StatementBegin
CREATE FUNCTION parley_find(source regclass, wanted tsquery, below bigint, most integer) RETURNS SETOF bigint
    LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    tenant uuid := parley_tenant();
    hi     bigint := below;
    lo     bigint;
    level  integer;
    these  bigint;
    so_far bigint := 0;
BEGIN
    IF tenant IS NULL OR numnode(wanted) = 0 THEN
        RETURN;
    END IF;
    WHILE hi > 0 AND so_far < most LOOP
        level := CASE WHEN hi & 524287 = 0 THEN 19 WHEN hi & 65535 = 0 THEN 16 ELSE 13 END;
        lo := ((hi - 1) >> level) << level;
        PERFORM set_config('parley.query', (wanted && quote_literal(parley_block(tenant, level, lo >> level))::tsquery)::text, true);
        RETURN QUERY EXECUTE format('SELECT id::bigint FROM %s WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3', source)
            USING lo, hi, most - so_far;
        GET DIAGNOSTICS these = ROW_COUNT;
        so_far := so_far + these;
        hi := lo;
    END LOOP;
    PERFORM set_config('parley.query', '', true);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION parley_words_stale() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'crm_chat_messages' THEN
        INSERT INTO parley_words_stale (tenant_id, message_id) VALUES (NEW.tenant_id, NEW.id);
    ELSIF TG_TABLE_NAME = 'crm_clients' THEN
        INSERT INTO parley_words_stale (tenant_id, client_id) VALUES (NEW.tenant_id, NEW.id);
    ELSE
        -- With their client contacts go, too, and then there is nothing to look at.
        INSERT INTO parley_words_stale (tenant_id, client_id)
        SELECT c.tenant_id, c.id FROM crm_clients c WHERE c.tenant_id = OLD.tenant_id AND c.id = OLD.client_id FOR KEY SHARE;
        IF TG_OP = 'UPDATE' THEN
            IF NEW.client_id <> OLD.client_id THEN
                INSERT INTO parley_words_stale (tenant_id, client_id) VALUES (NEW.tenant_id, NEW.client_id);
            END IF;
        END IF;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER parley_messages_words AFTER UPDATE OF message ON crm_chat_messages
    FOR EACH ROW WHEN (NEW.message IS DISTINCT FROM OLD.message) EXECUTE FUNCTION parley_words_stale();
CREATE TRIGGER parley_clients_words AFTER UPDATE OF first_name, middle_name, last_name, phone_number, email ON crm_clients
    FOR EACH ROW EXECUTE FUNCTION parley_words_stale();
CREATE TRIGGER parley_contacts_words AFTER UPDATE OF contact_value, client_id OR DELETE ON crm_client_contacts
    FOR EACH ROW EXECUTE FUNCTION parley_words_stale();

-- Where other systems are told of facts by HTTP.
CREATE TABLE parley_webhooks (
    id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id       uuid        NOT NULL DEFAULT parley_tenant() REFERENCES tenants (id) ON DELETE CASCADE,
    url             text        NOT NULL CHECK (url <> ''),
    description     text        NOT NULL DEFAULT '',
    -- Of facts, such as message.received; none are all.
    types           text[]      NOT NULL DEFAULT '{}',
    -- The signing secrets, sealed with the installation's key: the present one, and
    -- until previous_until the one before.
    sealed          bytea       NOT NULL,
    previous_until  timestamptz,
    -- Up to where in the stream of facts its deliveries are queued.
    place           text        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    -- Since when nothing was accepted; NULL while it works.
    failing_since   timestamptz,
    disabled_at     timestamptz,
    disabled_why    text        NOT NULL DEFAULT '',
    idempotency_key text,
    CONSTRAINT parley_webhooks_tenant_id UNIQUE (tenant_id, id)
);
CREATE UNIQUE INDEX parley_webhooks_idempotency ON parley_webhooks (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CALL parley_isolate('parley_webhooks');
GRANT SELECT, INSERT, UPDATE, DELETE ON parley_webhooks TO parley_api;

-- What is to be told to a webhook, until it was, and for a while after.
CREATE TABLE parley_webhook_deliveries (
    id         bigserial   PRIMARY KEY,
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant(),
    webhook_id uuid        NOT NULL,
    -- The fact's; a replay of a fact is the same delivery again.
    fact_id    bigint      NOT NULL,
    chat_id    bigint      NOT NULL,
    type       text        NOT NULL,
    body       text        NOT NULL,
    state      text        NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sent', 'failed')),
    attempts   integer     NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When it is tried next; NULL when it is not.
    due_at     timestamptz DEFAULT now(),
    CONSTRAINT parley_webhook_deliveries_webhook FOREIGN KEY (tenant_id, webhook_id)
        REFERENCES parley_webhooks (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT parley_webhook_deliveries_tenant_id UNIQUE (tenant_id, id),
    CONSTRAINT parley_webhook_deliveries_once UNIQUE (webhook_id, fact_id)
);
CREATE INDEX parley_webhook_deliveries_of ON parley_webhook_deliveries (tenant_id, webhook_id, id);
CREATE INDEX parley_webhook_deliveries_due ON parley_webhook_deliveries (webhook_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX parley_webhook_deliveries_chat ON parley_webhook_deliveries (tenant_id, chat_id);
CREATE INDEX parley_webhook_deliveries_old ON parley_webhook_deliveries (created_at);
CALL parley_isolate('parley_webhook_deliveries');
GRANT SELECT, INSERT, UPDATE, DELETE ON parley_webhook_deliveries TO parley_api;

-- With a client goes what was told, and is to be told, of them.
-- +goose StatementBegin
CREATE FUNCTION parley_chats_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM parley_webhook_deliveries d USING gone WHERE d.tenant_id = gone.tenant_id AND d.chat_id = gone.id;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER parley_chats_told AFTER DELETE ON crm_chats
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION parley_chats_told();

-- Each try, and what came of it.
CREATE TABLE parley_webhook_attempts (
    id          bigserial   PRIMARY KEY,
    tenant_id   uuid        NOT NULL DEFAULT parley_tenant(),
    webhook_delivery_id bigint      NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    -- The HTTP status, 0 when there was none.
    status      integer     NOT NULL,
    took_ms     integer     NOT NULL,
    -- Why it did not count as accepted, empty when it did.
    error       text        NOT NULL DEFAULT '',
    CONSTRAINT parley_webhook_attempts_delivery FOREIGN KEY (tenant_id, webhook_delivery_id)
        REFERENCES parley_webhook_deliveries (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_webhook_attempts_of ON parley_webhook_attempts (webhook_delivery_id);
CALL parley_isolate('parley_webhook_attempts');
GRANT SELECT ON parley_webhook_attempts TO parley_api;

GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO parley_api, parley_worker;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO parley_worker;
-- The newest message's id is where a search begins.
GRANT SELECT ON SEQUENCE crm_chat_messages_id_seq, crm_clients_id_seq TO parley_api;

-- +goose Down
REVOKE SELECT ON SEQUENCE crm_chat_messages_id_seq, crm_clients_id_seq FROM parley_api;
DROP TRIGGER parley_chats_told ON crm_chats;
DROP FUNCTION parley_chats_told;
DROP TABLE parley_webhook_attempts, parley_webhook_deliveries, parley_webhooks;
DROP TRIGGER parley_contacts_words ON crm_client_contacts;
DROP TRIGGER parley_clients_words ON crm_clients;
DROP TRIGGER parley_messages_words ON crm_chat_messages;
DROP TABLE parley_words_progress, parley_words_stale, parley_client_words, parley_message_words;
DROP FUNCTION parley_words_stale, parley_find, parley_query, parley_client_text, parley_trigrams, parley_message_text, parley_blocks, parley_block;
DROP TRIGGER parley_access_changed ON core_users;
DROP TRIGGER parley_access_changed ON parley_tokens;
DROP TRIGGER parley_access_changed ON parley_sessions;
DROP FUNCTION parley_access_changed;
