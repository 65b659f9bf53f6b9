package store

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Note is an entry of the audit log that waits for what it tells to be done. The
// first transaction of its context that writes anything in a tenant writes the
// entry, too: either both are there or neither is. A request that changes nothing
// leaves no entry.
type Note struct {
	By    inbox.Actor
	Entry NewAuditEntry
	kept  atomic.Bool
}

type noteKey struct{}

// WithNote has what is done with the context noted.
func WithNote(ctx context.Context, n *Note) context.Context {
	return context.WithValue(ctx, noteKey{}, n)
}

// pendingNote is the context's note while it waits, nil otherwise.
func pendingNote(ctx context.Context) *Note {
	n, _ := ctx.Value(noteKey{}).(*Note)
	if n == nil || n.kept.Load() {
		return nil
	}
	return n
}

// aim says what the note is about, where the request did not know it or called it
// by another name.
func aim(ctx context.Context, id any) {
	if n := pendingNote(ctx); n != nil {
		n.Entry.TargetID = fmt.Sprint(id)
	}
}

// unnoted is for a transaction that only took locks: what was asked for had been
// done, and noted, before.
func unnoted(ctx context.Context) {
	if n := pendingNote(ctx); n != nil {
		n.kept.Store(true)
	}
}

// write writes the entry if the transaction has written anything: only then it
// has an id (https://www.postgresql.org/docs/15/functions-info.html).
func (n *Note) write(ctx context.Context, tx pgx.Tx) (written bool, err error) {
	if n.Entry.Detail == nil {
		n.Entry.Detail = map[string]any{}
	}
	by, e := n.By, n.Entry
	tag, err := tx.Exec(ctx, `INSERT INTO parley_audit_log
		(actor_kind, actor_id, actor_name, action, target_kind, target_id, address, user_agent, request_id, detail)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 WHERE pg_current_xact_id_if_assigned() IS NOT NULL`,
		by.Kind, by.ID, by.Name, e.Action, e.TargetKind, e.TargetID, by.Address, by.UserAgent, by.RequestID, e.Detail)
	if err != nil {
		return false, fmt.Errorf("noting it in the audit log: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}

// noteFor writes the context's note, if there is one, into a tenant's log in a
// worker's transaction, as its last statement: that one sees every tenant, and
// names none before.
func noteFor(ctx context.Context, tx pgx.Tx, tenant events.TenantID) error {
	note := pendingNote(ctx)
	if note == nil {
		return nil
	}
	if _, err := tx.Exec(ctx, "SELECT set_config('parley.tenant', $1, true)", string(tenant)); err != nil {
		return err
	}
	_, err := note.write(ctx, tx)
	return err
}

// maxUserAgent bounds what a program may say of itself, in bytes.
const maxUserAgent = 200

// CutUserAgent is a User-Agent as it is kept.
func CutUserAgent(text string) string {
	if len(text) > maxUserAgent {
		text = text[:maxUserAgent]
	}
	// PostgreSQL takes neither broken UTF-8 nor NUL.
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
