-- What the router needs: who is who, how far each partition is stored, and the
-- rows that are written in the same transaction as the messages.

-- +goose Up
CREATE TABLE parley_identities (
    tenant_id  uuid        NOT NULL DEFAULT parley_tenant(),
    kind       text        NOT NULL,
    value      text        NOT NULL CHECK (value <> ''),
    client_id  integer     NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, kind, value),
    -- Deferred: the identity is claimed before its client is written.
    CONSTRAINT parley_identities_client FOREIGN KEY (tenant_id, client_id)
        REFERENCES crm_clients (tenant_id, id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX parley_identities_client ON parley_identities (client_id);
CALL parley_isolate('parley_identities');
GRANT SELECT, INSERT, DELETE ON parley_identities TO parley_api;

-- One row per partition: cursor, fence and ledger at once. The stream's messages
-- are frames of events; base_seq is the sequence before the first frame this
-- database answers for. Always last_seq - base_seq = frames, and
-- events = persisted + duplicate + ignored + quarantined.
CREATE TABLE parley_partitions (
    partition       smallint    PRIMARY KEY,
    stream          text        NOT NULL,
    stream_identity text        NOT NULL,
    base_seq        bigint      NOT NULL,
    last_seq        bigint      NOT NULL,
    epoch           bigint      NOT NULL DEFAULT 0,
    owner           text,
    lease_until     timestamptz NOT NULL DEFAULT '-infinity',
    frames          bigint      NOT NULL DEFAULT 0,
    events          bigint      NOT NULL DEFAULT 0,
    persisted       bigint      NOT NULL DEFAULT 0,
    duplicate       bigint      NOT NULL DEFAULT 0,
    ignored         bigint      NOT NULL DEFAULT 0,
    quarantined     bigint      NOT NULL DEFAULT 0,
    fenced          bigint      NOT NULL DEFAULT 0,
    -- Which stream of that name this is: raised when an operator adopts a new
    -- one, so that its sequence numbers do not collide with the old one's rows.
    incarnation     integer     NOT NULL DEFAULT 0,
    -- Messages and updates stored from earlier incarnations.
    carried         bigint      NOT NULL DEFAULT 0,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CHECK (last_seq >= base_seq)
) WITH (fillfactor = 10);
GRANT SELECT, INSERT, UPDATE ON parley_partitions TO parley_worker;

-- Moves a partition's row at the end of a batch, or raises PY001 when the
-- caller's lease was taken by another: the whole batch rolls back.
-- +goose StatementBegin
CREATE FUNCTION parley_advance(p smallint, e bigint, prev bigint, hi bigint, n_frames bigint, n_events bigint,
    n_persisted bigint, n_duplicate bigint, n_ignored bigint, n_quarantined bigint) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    UPDATE parley_partitions
       SET last_seq = hi,
           frames = frames + n_frames,
           events = events + n_events,
           persisted = persisted + n_persisted,
           duplicate = duplicate + n_duplicate,
           ignored = ignored + n_ignored,
           quarantined = quarantined + n_quarantined,
           updated_at = clock_timestamp()
     WHERE partition = p AND epoch = e AND last_seq = prev;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'partition % is no longer ours at epoch %, sequence %', p, e, prev USING ERRCODE = 'PY001';
    END IF;
END
$$;
-- +goose StatementEnd

-- What was accepted and is deliberately not a message. Evidence for the audit.
CREATE TABLE parley_ignored (
    stream_partition smallint    NOT NULL,
    stream_seq       bigint      NOT NULL,
    -- The event's place in its frame.
    stream_index     smallint    NOT NULL DEFAULT 0,
    incarnation      integer     NOT NULL DEFAULT 0,
    tenant_id        uuid        NOT NULL DEFAULT parley_tenant() REFERENCES tenants (id) ON DELETE CASCADE,
    channel_id       uuid        NOT NULL,
    event_id         uuid        NOT NULL,
    reason           text        NOT NULL,
    -- The whole event, where a person may want it back (a blocked client).
    event            jsonb,
    accepted_at      timestamptz NOT NULL,
    PRIMARY KEY (stream_partition, incarnation, stream_seq, stream_index)
);
CREATE INDEX parley_ignored_tenant ON parley_ignored (tenant_id, accepted_at);
CALL parley_isolate('parley_ignored');
GRANT SELECT ON parley_ignored TO parley_api;

-- What could not be stored. The bytes are kept as they came, so that a later
-- version can replay them.
CREATE TABLE parley_quarantine (
    id               bigserial   PRIMARY KEY,
    -- NULL when the event's own tenant could not be read or is unknown.
    tenant_id        uuid        REFERENCES tenants (id) ON DELETE CASCADE,
    stream_partition smallint    NOT NULL,
    stream_seq       bigint      NOT NULL,
    -- The event's place in its frame.
    stream_index     smallint    NOT NULL DEFAULT 0,
    incarnation      integer     NOT NULL DEFAULT 0,
    event            bytea       NOT NULL,
    -- Plain words, and the database's SQLSTATE when it was the one to refuse.
    reason           text        NOT NULL,
    sqlstate         text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    replayed_at      timestamptz,
    replay_outcome   text,
    UNIQUE (stream_partition, incarnation, stream_seq, stream_index)
);
CREATE INDEX parley_quarantine_tenant ON parley_quarantine (tenant_id);
CREATE INDEX parley_quarantine_waiting ON parley_quarantine (id) WHERE replayed_at IS NULL;
CALL parley_isolate('parley_quarantine');
GRANT SELECT ON parley_quarantine TO parley_api;

-- Edits, reactions, statuses and reachability: history once applied, waiting
-- for their target before. The provider's event id is the dedupe key.
CREATE TABLE parley_updates (
    id               bigserial   PRIMARY KEY,
    tenant_id        uuid        NOT NULL DEFAULT parley_tenant() REFERENCES tenants (id) ON DELETE CASCADE,
    channel_id       uuid        NOT NULL,
    kind             text        NOT NULL,
    provider_event   text        NOT NULL CHECK (provider_event <> ''),
    provider_chat    text,
    provider_message text,
    part             smallint    NOT NULL DEFAULT 0,
    -- The event without its raw payload.
    event            jsonb       NOT NULL,
    event_id         uuid        NOT NULL,
    accepted_at      timestamptz NOT NULL,
    stream_partition smallint,
    stream_seq       bigint,
    message_id       bigint,
    -- The content it replaced, for edits.
    before           jsonb,
    applied_at       timestamptz,
    UNIQUE (channel_id, kind, provider_event),
    CONSTRAINT parley_updates_message FOREIGN KEY (tenant_id, message_id)
        REFERENCES crm_chat_messages (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX parley_updates_tenant ON parley_updates (tenant_id);
CREATE INDEX parley_updates_message ON parley_updates (message_id);
CREATE INDEX parley_updates_waiting ON parley_updates (channel_id, provider_chat, provider_message)
    WHERE applied_at IS NULL;
CALL parley_isolate('parley_updates');
GRANT SELECT ON parley_updates TO parley_api;

-- Facts on their way to the bus: published by presence in id order, then
-- deleted. A chat's facts are written under its lock, so ids order them.
CREATE SEQUENCE parley_facts_id_seq INCREMENT BY 10000 START WITH 10000 CACHE 1;
CREATE TABLE parley_facts (
    id        bigint      PRIMARY KEY DEFAULT nextval('parley_facts_id_seq'),
    tenant_id uuid        NOT NULL DEFAULT parley_tenant(),
    noun      text        NOT NULL,
    verb      text        NOT NULL,
    chat_id   bigint      NOT NULL DEFAULT 0,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    data      json,
    -- A batch writes its facts of one kind as one row, which costs a tenth: the
    -- n-th of chat_ids, from 0, has the id + n, and the n-th line as its data.
    chat_ids  bigint[]    CHECK (cardinality(chat_ids) BETWEEN 1 AND 10000),
    lines     text,
    CHECK ((data IS NULL) = (lines IS NOT NULL) AND (lines IS NULL) = (chat_ids IS NULL))
);
ALTER SEQUENCE parley_facts_id_seq OWNED BY parley_facts.id;
CALL parley_isolate('parley_facts');
GRANT SELECT, INSERT ON parley_facts TO parley_api;

-- Leases of what only one process may do: the facts relay, and each channel's
-- dispatch. Epochs fence whoever held it before.
CREATE TABLE parley_leases (
    name        text        PRIMARY KEY,
    epoch       bigint      NOT NULL DEFAULT 0,
    owner       text,
    lease_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 10);
GRANT SELECT, INSERT, UPDATE, DELETE ON parley_leases TO parley_worker;

-- Raises PY001 unless the lease is still the caller's.
-- +goose StatementBegin
CREATE FUNCTION parley_fence(lease text, e bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM parley_leases WHERE name = lease AND epoch = e FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'lease % is no longer ours at epoch %', lease, e USING ERRCODE = 'PY001';
    END IF;
END
$$;
-- +goose StatementEnd

-- What left with its chat or tenant, by partition: the ledger's other side. A
-- row deleted by hand is not counted here, so the audit misses it.
CREATE TABLE parley_erasures (
    id               bigserial   PRIMARY KEY,
    stream_partition smallint    NOT NULL,
    incarnation      integer     NOT NULL DEFAULT 0,
    -- Messages and updates that the ledger counts as persisted.
    messages         bigint      NOT NULL DEFAULT 0,
    ignored          bigint      NOT NULL DEFAULT 0,
    quarantined      bigint      NOT NULL DEFAULT 0,
    at               timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT ON parley_erasures TO parley_worker;
-- The triggers below run as whoever deletes.
GRANT INSERT ON parley_erasures TO parley_api;

-- A cascade is known by the parent that is gone. pg_trigger_depth() would not
-- tell: a foreign key's action leaves its statement triggers to the outer query.
-- The look-up is a subquery that stays one, so that deleting one row never scans
-- the parents.
-- +goose StatementBegin
CREATE FUNCTION parley_messages_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO parley_erasures (stream_partition, messages)
    SELECT g.stream_partition, count(*) FROM gone g
     WHERE g.stream_partition IS NOT NULL AND NOT g.late
       AND (SELECT c.id FROM crm_chats c WHERE c.id = g.chat_id) IS NULL
     GROUP BY 1;
    RETURN NULL;
END
$$;
CREATE FUNCTION parley_updates_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO parley_erasures (stream_partition, messages)
    SELECT g.stream_partition, count(*) FROM gone g
     WHERE g.stream_partition IS NOT NULL
       AND (g.message_id IS NOT NULL AND (SELECT m.id FROM crm_chat_messages m WHERE m.id = g.message_id) IS NULL
            OR (SELECT t.id FROM tenants t WHERE t.id = g.tenant_id) IS NULL)
     GROUP BY 1;
    RETURN NULL;
END
$$;
CREATE FUNCTION parley_ignored_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO parley_erasures (stream_partition, incarnation, ignored)
    SELECT g.stream_partition, g.incarnation, count(*) FROM gone g
     WHERE (SELECT t.id FROM tenants t WHERE t.id = g.tenant_id) IS NULL
     GROUP BY 1, 2;
    RETURN NULL;
END
$$;
CREATE FUNCTION parley_quarantine_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO parley_erasures (stream_partition, incarnation, quarantined)
    SELECT g.stream_partition, g.incarnation, count(*) FROM gone g
     WHERE g.tenant_id IS NOT NULL AND (SELECT t.id FROM tenants t WHERE t.id = g.tenant_id) IS NULL
     GROUP BY 1, 2;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER parley_messages_erased AFTER DELETE ON crm_chat_messages
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION parley_messages_erased();
CREATE TRIGGER parley_updates_erased AFTER DELETE ON parley_updates
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION parley_updates_erased();
CREATE TRIGGER parley_ignored_erased AFTER DELETE ON parley_ignored
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION parley_ignored_erased();
CREATE TRIGGER parley_quarantine_erased AFTER DELETE ON parley_quarantine
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION parley_quarantine_erased();

GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO parley_api, parley_worker;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO parley_worker;

-- +goose Down
DROP TRIGGER parley_messages_erased ON crm_chat_messages;
DROP TABLE parley_erasures, parley_leases, parley_facts, parley_updates, parley_quarantine,
    parley_ignored, parley_partitions, parley_identities;
DROP FUNCTION parley_messages_erased, parley_updates_erased, parley_ignored_erased,
    parley_quarantine_erased, parley_fence, parley_advance;
