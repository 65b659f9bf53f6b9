package store

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// erasedEvent is what is left in quarantine of an erased client's event.
const erasedEvent = `{"erased":true}`

// shortestName is how long a name has to be for its bytes alone to say that an
// unreadable record is its person's.
const shortestName = 6

// empty takes out what is kept of the client where no message is: the rows stay,
// because the ledger counts them.
func (e *erasing) empty(ctx context.Context, p *PendingErasure) error {
	values := make([]string, len(e.people))
	for i, id := range e.people {
		values[i] = id.Value
	}
	// Ignored: what was written while blocked.
	rows, _ := e.tx.Query(ctx, `
		UPDATE parley_ignored SET event = NULL
		 WHERE tenant_id = $1 AND event->'person'->'identity'->>'value' = ANY ($2)
		RETURNING stream_partition, stream_seq`, e.tenant, values)
	var partition int
	var seq uint64
	take := func() error { p.addFrame(partition, seq); return nil }
	if _, err := pgx.ForEachRow(rows, []any{&partition, &seq}, take); err != nil {
		return err
	}
	rows, _ = e.tx.Query(ctx, `
		UPDATE parley_updates SET event = '{}', before = NULL, provider_chat = NULL, provider_message = NULL, applied_at = coalesce(applied_at, now())
		 WHERE tenant_id = $1 AND message_id IS NULL AND event->'person'->'identity'->>'value' = ANY ($2)
		RETURNING coalesce(stream_partition, 0), coalesce(stream_seq, 0)`, e.tenant, values)
	if _, err := pgx.ForEachRow(rows, []any{&partition, &seq}, func() error {
		if seq > 0 {
			return take()
		}
		return nil
	}); err != nil {
		return err
	}
	if err := e.emptyQuarantine(ctx, p); err != nil {
		return err
	}
	return e.emptyFacts(ctx)
}

// emptyQuarantine reads all of the tenant's: what could not be stored may not be
// readable either.
func (e *erasing) emptyQuarantine(ctx context.Context, p *PendingErasure) error {
	rows, _ := e.tx.Query(ctx, `SELECT id, event, stream_partition, stream_seq FROM parley_quarantine WHERE tenant_id = $1`, e.tenant)
	var ids []int64
	var id int64
	var event []byte
	var partition int
	var seq uint64
	if _, err := pgx.ForEachRow(rows, []any{&id, &event, &partition, &seq}, func() error {
		if e.theirs(event) {
			ids = append(ids, id)
			p.addFrame(partition, seq)
		}
		return nil
	}); err != nil {
		return err
	}
	_, err := e.tx.Exec(ctx, `
		UPDATE parley_quarantine SET event = $2, reason = 'Erased with its client.', replayed_at = coalesce(replayed_at, now()), replay_outcome = coalesce(replay_outcome, 'erased')
		 WHERE id = ANY ($1)`, ids, []byte(erasedEvent))
	return err
}

func (e *erasing) theirs(event []byte) bool {
	var ev events.Inbound
	if json.Unmarshal(event, &ev) == nil && ev.Person.Identity.Valid() {
		return e.hashes[string(buryIdentity(e.key, ev.Person.Identity))] ||
			ev.Key.Valid() && e.hashes[string(buryMessage(e.key, string(ev.Channel), ev.Key.Chat, ev.Key.Message, int16(ev.Key.Part)))] //nolint:gosec // adapters split a message into a handful of parts
	}
	return slices.ContainsFunc(e.people, func(id events.Identity) bool {
		return len(id.Value) >= shortestName && bytes.Contains(event, []byte(id.Value))
	})
}

// emptyFacts takes out the facts that still wait for the bus. Those of a batch
// share a row; their ids are counted, so each keeps its place.
func (e *erasing) emptyFacts(ctx context.Context) error {
	if _, err := e.tx.Exec(ctx, `DELETE FROM parley_facts WHERE tenant_id = $1 AND chat_ids IS NULL AND chat_id = ANY ($2)`, e.tenant, e.chats); err != nil {
		return err
	}
	_, err := e.tx.Exec(ctx, `
		UPDATE parley_facts f SET lines = (
		       SELECT string_agg(CASE WHEN u.chat = ANY ($2::bigint[]) THEN '{}' ELSE u.line END, E'\n' ORDER BY u.n)
		         FROM unnest(f.chat_ids, string_to_array(f.lines, E'\n')) WITH ORDINALITY AS u (chat, line, n))
		 WHERE tenant_id = $1 AND chat_ids && $2::bigint[]`, e.tenant, e.chats)
	return err
}

// remove deletes the client, with whom it takes everything of theirs, and the
// files that nobody else has.
func (e *erasing) remove(ctx context.Context, p *PendingErasure) error {
	rows, _ := e.tx.Query(ctx, `
		SELECT a.upload_id FROM crm_chat_message_attachments a JOIN crm_chat_messages m ON m.id = a.message_id WHERE m.chat_id = ANY ($1::integer[])
		UNION SELECT x.upload_id FROM parley_media x JOIN crm_chat_messages m ON m.id = x.message_id
		 WHERE m.chat_id = ANY ($1::integer[]) AND x.upload_id IS NOT NULL`, e.chats)
	uploads, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	rows, _ = e.tx.Query(ctx, `SELECT y.blob_key FROM parley_payloads y JOIN crm_chat_messages m ON m.id = y.message_id
		WHERE m.chat_id = ANY ($1::integer[]) AND y.blob_key IS NOT NULL`, e.chats)
	if p.Todo.Blobs, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return err
	}
	if _, err := e.tx.Exec(ctx, `DELETE FROM parley_lanes l USING parley_deliveries d
		WHERE d.chat_id = ANY ($1::integer[]) AND l.channel_id = d.channel_id AND l.lane = d.lane`, e.chats); err != nil {
		return err
	}
	// Whoever was merged into them goes along.
	if _, err := e.tx.Exec(ctx, `DELETE FROM crm_clients WHERE tenant_id = $1 AND id = $2`, e.tenant, p.Client); err != nil {
		return err
	}
	rows, _ = e.tx.Query(ctx, `
		DELETE FROM core_uploads u WHERE u.tenant_id = $1 AND u.id = ANY ($2) AND u.managed
		   AND NOT EXISTS (SELECT FROM crm_chat_message_attachments a WHERE a.upload_id = u.id)
		   AND NOT EXISTS (SELECT FROM parley_media m WHERE m.upload_id = u.id)
		RETURNING blob_key, coalesce(thumbnail_key, '')`, e.tenant, uploads)
	var blob, thumbnail string
	_, err = pgx.ForEachRow(rows, []any{&blob, &thumbnail}, func() error {
		p.Files++
		p.Todo.Blobs = append(p.Todo.Blobs, blob)
		if thumbnail != "" {
			p.Todo.Blobs = append(p.Todo.Blobs, thumbnail)
		}
		return nil
	})
	return err
}
