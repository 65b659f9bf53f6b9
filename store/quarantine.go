package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// QuarantinedEvent is an event that could not be stored.
type QuarantinedEvent struct {
	ID int64 `db:"id" json:"id"`
	// Tenant is nil when the event does not name one that exists.
	Tenant    *string `db:"tenant_id" json:"tenant_id,omitempty"`
	Partition int     `db:"stream_partition" json:"partition"`
	Seq       int64   `db:"stream_seq" json:"seq"`
	// Reason is in plain words; SQLState is the database's, when it refused.
	Reason        string     `db:"reason" json:"reason"`
	SQLState      *string    `db:"sqlstate" json:"sqlstate,omitempty"`
	CreatedAt     time.Time  `db:"created_at" json:"created_at"`
	ReplayedAt    *time.Time `db:"replayed_at" json:"replayed_at,omitempty"`
	ReplayOutcome *string    `db:"replay_outcome" json:"replay_outcome,omitempty"`
	// Event is the record as it came; only Quarantined fills it.
	Event []byte `db:"event" json:"-"`
}

const sqlQuarantineColumns = `id, tenant_id::text, stream_partition, stream_seq, reason, sqlstate, created_at, replayed_at, replay_outcome`

// QuarantineList lists quarantined events, newest first, before id (0: from the
// newest); replayed ones only when all is set. It is the operator's view across
// tenants: what names no tenant belongs to nobody else.
func (db *DB) QuarantineList(ctx context.Context, all bool, before int64, limit int) ([]QuarantinedEvent, error) {
	var list []QuarantinedEvent
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+sqlQuarantineColumns+`, ''::bytea AS event FROM parley_quarantine
			WHERE (replayed_at IS NULL OR $1) AND ($2 = 0 OR id < $2) ORDER BY id DESC LIMIT $3`, all, before, limit)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, pgx.RowToStructByName[QuarantinedEvent])
		return err
	})
	return list, err
}

// Quarantined returns one quarantined event with its bytes.
func (db *DB) Quarantined(ctx context.Context, id int64) (QuarantinedEvent, error) {
	var q QuarantinedEvent
	err := db.asWorker(ctx, func(tx pgx.Tx) (err error) {
		q, err = quarantined(ctx, tx, id)
		return err
	})
	return q, err
}

func quarantined(ctx context.Context, tx pgx.Tx, id int64) (QuarantinedEvent, error) {
	rows, err := tx.Query(ctx, `SELECT `+sqlQuarantineColumns+`, event FROM parley_quarantine WHERE id = $1 FOR NO KEY UPDATE`, id)
	if err != nil {
		return QuarantinedEvent{}, err
	}
	q, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[QuarantinedEvent])
	if errors.Is(err, pgx.ErrNoRows) {
		return q, &inbox.Error{
			Code:    inbox.NotFound,
			Message: fmt.Sprintf("There is no event %d in quarantine.", id),
			Hint:    "List them with: parley quarantine list",
		}
	}
	return q, err
}

// ReplayQuarantined stores what the quarantined event contains now: the events
// that parse makes of its bytes, late, with the time they were first accepted.
// It may be repeated; a second time finds duplicates. An event that still cannot
// be stored stays in quarantine, and the error says why.
func (db *DB) ReplayQuarantined(ctx context.Context, id int64, parse func(data []byte) ([]events.Inbound, error)) (BatchResult, error) {
	var res BatchResult
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		q, err := quarantined(ctx, tx, id)
		if err != nil {
			return err
		}
		list, err := parse(q.Event)
		if err != nil {
			return stillUnstorable(id, err.Error())
		}
		b := db.newLateBatch(list, q.Partition, q.Seq)
		if err := b.store(ctx, tx); err != nil {
			if sqlState(err) != "" {
				return stillUnstorable(id, err.Error())
			}
			return err
		}
		for i, o := range b.result.Outcomes {
			if o == Quarantined {
				return stillUnstorable(id, b.records[i].Unstorable.Reason)
			}
		}
		res = b.result
		outcome, err := json.Marshal(res.Outcomes)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE parley_quarantine SET replayed_at = now(), replay_outcome = $2 WHERE id = $1`,
			id, string(outcome))
		return err
	})
	return res, err
}

func stillUnstorable(id int64, why string) error {
	return &inbox.Error{
		Code:    inbox.Invalid,
		Message: fmt.Sprintf("Event %d still cannot be stored: %s", id, why),
		Hint:    "It stays in quarantine; look at it with: parley quarantine show " + fmt.Sprint(id),
	}
}

// newLateBatch is a batch of events that were accepted long ago: their messages
// keep that time and are marked late, so that the ledger counts them once.
func (db *DB) newLateBatch(list []events.Inbound, partition int, seq int64) *batch {
	p := int16(partition) //nolint:gosec // at most 256 partitions
	b := &batch{partition: p, late: true, erasureKey: db.erasureKey, result: BatchResult{Outcomes: make([]Outcome, len(list))}}
	for i := range list {
		b.records = append(b.records, InboundRecord{Seq: uint64(seq), Event: &list[i]}) //nolint:gosec // a stream sequence
	}
	return b
}
