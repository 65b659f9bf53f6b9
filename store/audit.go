package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// LedgerLine is one partition's ledger beside the rows it answers for.
type LedgerLine struct {
	Partition
	// Rows counts the stored messages and updates of this partition, whatever
	// its incarnation; Erased those that left with their client or tenant.
	Rows, Erased int64
	// QuarantineRows and IgnoredRows count this incarnation's, with what left
	// with a tenant.
	QuarantineRows, IgnoredRows int64
}

// Missing is how many stored messages and updates were deleted without their
// client or tenant: by hand. Negative when there are rows that no batch stored.
func (l LedgerLine) Missing() int64 { return l.Carried + l.Persisted - l.Rows - l.Erased }

// Ledger reads every partition's counters and counts the rows, in one snapshot.
// It reads whole tables: it is for an audit, not for a dashboard.
func (db *DB) Ledger(ctx context.Context) ([]LedgerLine, error) {
	var list []LedgerLine
	opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, db.worker, opts, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
			return err
		}
		parts, err := partitions(ctx, tx)
		if err != nil {
			return err
		}
		list = make([]LedgerLine, len(parts))
		byNumber := make(map[int]*LedgerLine, len(parts))
		for i, p := range parts {
			list[i] = LedgerLine{Partition: p}
			byNumber[p.Partition] = &list[i]
		}
		rows, err := tx.Query(ctx, `
			SELECT stream_partition, sum(messages)::bigint, sum(erased)::bigint, sum(quarantined)::bigint, sum(ignored)::bigint
			  FROM (
			    SELECT stream_partition, count(*) AS messages, 0 AS erased, 0 AS quarantined, 0 AS ignored
			      FROM crm_chat_messages WHERE stream_partition IS NOT NULL AND NOT late GROUP BY 1
			    UNION ALL
			    SELECT stream_partition, count(*), 0, 0, 0 FROM parley_updates WHERE stream_partition IS NOT NULL GROUP BY 1
			    UNION ALL
			    SELECT stream_partition, 0, sum(messages), 0, 0 FROM parley_erasures GROUP BY 1
			    UNION ALL
			    SELECT e.stream_partition, 0, 0, sum(e.quarantined), sum(e.ignored) FROM parley_erasures e
			      JOIN parley_partitions p ON p.partition = e.stream_partition AND p.incarnation = e.incarnation GROUP BY 1
			    UNION ALL
			    SELECT q.stream_partition, 0, 0, count(*), 0 FROM parley_quarantine q
			      JOIN parley_partitions p ON p.partition = q.stream_partition AND p.incarnation = q.incarnation GROUP BY 1
			    UNION ALL
			    SELECT i.stream_partition, 0, 0, 0, count(*) FROM parley_ignored i
			      JOIN parley_partitions p ON p.partition = i.stream_partition AND p.incarnation = i.incarnation GROUP BY 1
			  ) counted GROUP BY 1`)
		if err != nil {
			return err
		}
		var p int
		var stored, erased, quarantined, ignored int64
		_, err = pgx.ForEachRow(rows, []any{&p, &stored, &erased, &quarantined, &ignored}, func() error {
			if l := byNumber[p]; l != nil {
				l.Rows, l.Erased, l.QuarantineRows, l.IgnoredRows = stored, erased, quarantined, ignored
			}
			return nil
		})
		return err
	})
	return list, err
}

// Evidence is what an audit asks about one record of the bus.
type Evidence struct {
	// Seq is its frame's sequence, Index its place in the frame.
	Seq   uint64
	Index int
	// Event is nil when the record cannot be decoded.
	Event *events.Inbound
}

// WithoutEvidence returns the frames' sequences of those records of a partition for
// which no row answers: no message of its key, no update, nothing ignored or
// quarantined. Records of a tenant that is gone are answered for by that.
func (db *DB) WithoutEvidence(ctx context.Context, partition, incarnation int, list []Evidence) ([]uint64, error) {
	var missing []uint64
	n := len(list)
	seqs, indexes, kinds := make([]int64, n), make([]int16, n), make([]string, n)
	tenants, channels := make([]*string, n), make([]*string, n)
	chats, messages, updates, parts := make([]string, n), make([]string, n), make([]string, n), make([]int16, n)
	for i, e := range list {
		seqs[i], indexes[i] = int64(e.Seq), int16(e.Index) //nolint:gosec // a stream sequence; a frame has at most 500 events
		if e.Event == nil || examine(e.Event) != nil {
			continue // only a row in quarantine can answer for it
		}
		ev := e.Event
		tenant, channel := string(ev.Tenant), string(ev.Channel)
		kinds[i], tenants[i], channels[i] = string(ev.Kind), &tenant, &channel
		chats[i], messages[i], updates[i] = ev.Key.Chat, ev.Key.Message, updateKey(ev)
		parts[i] = int16(ev.Key.Part) //nolint:gosec // adapters split a message into a handful of parts
	}
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT r.seq
			  FROM unnest($3::bigint[], $4::text[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::smallint[], $10::text[], $11::smallint[])
			       AS r (seq, kind, tenant_id, channel_id, chat, message, part, provider_event, index)
			 WHERE NOT EXISTS (SELECT 1 FROM parley_quarantine q
			                    WHERE q.stream_partition = $1 AND q.incarnation = $2 AND q.stream_seq = r.seq AND q.stream_index = r.index)
			   AND NOT EXISTS (SELECT 1 FROM parley_ignored i
			                    WHERE i.stream_partition = $1 AND i.incarnation = $2 AND i.stream_seq = r.seq AND i.stream_index = r.index)
			   AND NOT (r.kind = 'message' AND EXISTS (
			            SELECT 1 FROM crm_chat_messages m
			             WHERE m.channel_id = r.channel_id AND m.provider_chat = r.chat AND m.provider_message = r.message
			               AND m.part = r.part AND m.provider_message IS NOT NULL))
			   AND NOT (r.kind = 'message' AND EXISTS (
			            SELECT 1 FROM parley_copies c
			             WHERE c.channel_id = r.channel_id AND c.provider_chat = r.chat AND c.provider_message = r.message AND c.part = r.part))
			   AND NOT EXISTS (SELECT 1 FROM parley_updates u
			                    WHERE u.channel_id = r.channel_id AND u.kind = r.kind AND u.provider_event = r.provider_event)
			   AND (r.tenant_id IS NULL OR EXISTS (SELECT 1 FROM tenants t WHERE t.id = r.tenant_id))
			 ORDER BY 1`, partition, incarnation, seqs, kinds, tenants, channels, chats, messages, parts, updates, indexes)
		if err != nil {
			return err
		}
		var seq int64
		_, err = pgx.ForEachRow(rows, []any{&seq}, func() error {
			missing = append(missing, uint64(seq)) //nolint:gosec // a stream sequence
			return nil
		})
		return err
	})
	return missing, err
}
