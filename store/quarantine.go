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

// QuarantineScope says whose events of the quarantine somebody reaches: those that
// came by a tenant's channels. The zero scope reaches none.
type QuarantineScope struct {
	Tenant events.TenantID
	// Whole is the operator's: of every tenant, and of none.
	Whole bool
}

// read runs f in a transaction that sees what the scope does: of a tenant it is
// row security that says so.
func (s QuarantineScope) read(ctx context.Context, db *DB, f func(pgx.Tx) error) error {
	if s.Whole {
		return db.asWorker(ctx, f)
	}
	return db.inTenant(ctx, s.Tenant, f)
}

// work runs f in a transaction that stores events, as the router does, once the
// event is known to be in the scope.
func (s QuarantineScope) work(ctx context.Context, db *DB, id int64, f func(pgx.Tx) error) error {
	if !s.Whole {
		err := db.inTenant(ctx, s.Tenant, func(tx pgx.Tx) error {
			var there bool
			if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM parley_quarantine WHERE id = $1)`, id).Scan(&there); err != nil {
				return err
			}
			if !there {
				return noQuarantined(id)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return db.asWorker(ctx, f)
}

// admits refuses what a tenant's event would write anywhere but into that tenant.
func (s QuarantineScope) admits(ctx context.Context, tx pgx.Tx, list []events.Inbound) error {
	for i := range list {
		if s.Whole {
			break
		}
		ev, own := &list[i], false
		if ev.Tenant == s.Tenant && isUUID(string(ev.Channel)) {
			err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM parley_channels WHERE id = $1 AND tenant_id = $2)`, string(ev.Channel), string(s.Tenant)).Scan(&own)
			if err != nil {
				return err
			}
		}
		if !own {
			return errors.New("it names a channel that is not this tenant's; only the operator can try it again")
		}
	}
	return nil
}

const sqlQuarantineColumns = `id, tenant_id::text, stream_partition, stream_seq, reason, sqlstate, created_at, replayed_at, replay_outcome`

// QuarantinePage is a part of the quarantine. Only All has what was replayed, too.
type QuarantinePage struct {
	All bool
	// Before is the id to go on from, 0 for the newest.
	Before int64
	Limit  int
}

// QuarantineList lists quarantined events, newest first.
func (db *DB) QuarantineList(ctx context.Context, scope QuarantineScope, p QuarantinePage) ([]QuarantinedEvent, error) {
	var list []QuarantinedEvent
	err := scope.read(ctx, db, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+sqlQuarantineColumns+`, ''::bytea AS event FROM parley_quarantine
			WHERE (replayed_at IS NULL OR $1) AND ($2 = 0 OR id < $2) ORDER BY id DESC LIMIT $3`, p.All, p.Before, p.Limit)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, pgx.RowToStructByName[QuarantinedEvent])
		return err
	})
	return list, err
}

// Quarantined returns one quarantined event with its bytes, or fails with NotFound.
func (db *DB) Quarantined(ctx context.Context, scope QuarantineScope, id int64) (QuarantinedEvent, error) {
	var q QuarantinedEvent
	err := scope.read(ctx, db, func(tx pgx.Tx) (err error) {
		q, err = quarantined(ctx, tx, id, "")
		return err
	})
	return q, err
}

// quarantined reads an event; lock is what to take on its row.
func quarantined(ctx context.Context, tx pgx.Tx, id int64, lock string) (QuarantinedEvent, error) {
	rows, err := tx.Query(ctx, `SELECT `+sqlQuarantineColumns+`, event FROM parley_quarantine WHERE id = $1 `+lock, id)
	if err != nil {
		return QuarantinedEvent{}, err
	}
	q, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[QuarantinedEvent])
	if errors.Is(err, pgx.ErrNoRows) {
		return q, noQuarantined(id)
	}
	return q, err
}

func noQuarantined(id int64) error {
	return &inbox.Error{
		Code:    inbox.NotFound,
		Message: fmt.Sprintf("There is no event %d in quarantine.", id),
		Hint:    "List what is there.",
	}
}

// sqlReplaying is the lock of who replays an event.
const sqlReplaying = "FOR NO KEY UPDATE"

// ReplayQuarantined stores what the quarantined event contains now: the events
// that parse makes of its bytes, late, with the time they were first accepted.
// It may be repeated; a second time finds duplicates. An event that still cannot
// be stored stays in quarantine, and the error says why. A tenant's is noted in its
// audit log.
func (db *DB) ReplayQuarantined(ctx context.Context, scope QuarantineScope, id int64, parse func(data []byte) ([]events.Inbound, error)) (BatchResult, error) {
	var res BatchResult
	err := scope.work(ctx, db, id, func(tx pgx.Tx) error {
		q, err := quarantined(ctx, tx, id, sqlReplaying)
		if err != nil {
			return err
		}
		list, err := parse(q.Event)
		if err == nil {
			err = scope.admits(ctx, tx, list)
		}
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
		if err != nil || q.Tenant == nil {
			return err
		}
		return noteFor(ctx, tx, events.TenantID(*q.Tenant))
	})
	return res, err
}

func stillUnstorable(id int64, why string) error {
	return &inbox.Error{
		Code:    inbox.Invalid,
		Message: fmt.Sprintf("Event %d still cannot be stored: %s", id, why),
		Hint:    "It stays in quarantine.",
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
