package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// AuditEntry is one thing that somebody did.
type AuditEntry struct {
	ID         int64           `db:"id" json:"id"`
	At         time.Time       `db:"at" json:"at"`
	ActorKind  inbox.ActorKind `db:"actor_kind" json:"actor_kind" enum:"operator,user,token,anonymous"`
	ActorID    string          `db:"actor_id" json:"actor_id,omitempty"`
	ActorName  string          `db:"actor_name" json:"actor_name,omitempty"`
	Action     string          `db:"action" json:"action" doc:"What, as noun.verb."`
	TargetKind string          `db:"target_kind" json:"target_kind,omitempty"`
	TargetID   string          `db:"target_id" json:"target_id,omitempty"`
	Address    string          `db:"address" json:"address,omitempty" doc:"From where."`
	UserAgent  string          `db:"user_agent" json:"user_agent,omitempty" doc:"With which program, as it says itself."`
	RequestID  string          `db:"request_id" json:"request_id,omitempty"`
	Detail     json.RawMessage `db:"detail" json:"detail,omitempty"`
}

// NewAuditEntry is what to note of an action. Nothing secret belongs into Detail.
type NewAuditEntry struct {
	Action, TargetKind, TargetID string
	Detail                       map[string]any
}

// AppendAudit notes what somebody did, for actions that have no transaction of
// their own to note it in.
func (db *DB) AppendAudit(ctx context.Context, tenant events.TenantID, by inbox.Actor, e NewAuditEntry) error {
	if err := validTenant(tenant); err != nil {
		return err
	}
	return db.inTenant(ctx, tenant, func(tx pgx.Tx) error { return appendAudit(ctx, tx, by, e) })
}

func appendAudit(ctx context.Context, tx pgx.Tx, by inbox.Actor, e NewAuditEntry) error {
	if e.Detail == nil {
		e.Detail = map[string]any{}
	}
	_, err := tx.Exec(ctx, `INSERT INTO parley_audit_log
		(actor_kind, actor_id, actor_name, action, target_kind, target_id, address, user_agent, request_id, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		by.Kind, by.ID, by.Name, e.Action, e.TargetKind, e.TargetID, by.Address, by.UserAgent, by.RequestID, e.Detail)
	if err != nil {
		return fmt.Errorf("noting it in the audit log: %w", err)
	}
	return nil
}

const auditColumns = "id, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, address, user_agent, request_id, detail"

// AuditFilter says which entries to list; what is empty excludes nothing.
type AuditFilter struct {
	// Before lists only ids below it, 0 for the newest.
	Before int64
	// Action is the whole of one, or the noun that it begins with.
	Action string
	// Actor is a part of who did it, in any case.
	Actor string
	// From and Until bound when it was done; Until itself is not included.
	From, Until time.Time
	Limit       int
}

// AuditLog lists what was done in a tenant, newest first, before an id (0: from
// the newest).
func (db *DB) AuditLog(ctx context.Context, tenant events.TenantID, before int64, limit int) (list []AuditEntry, err error) {
	return db.FindAudit(ctx, tenant, AuditFilter{Before: before, Limit: limit})
}

// FindAudit lists what was done in a tenant, newest first, as far as the filter
// lets it.
func (db *DB) FindAudit(ctx context.Context, tenant events.TenantID, f AuditFilter) (list []AuditEntry, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `SELECT `+auditColumns+`
			FROM parley_audit_log WHERE ($1 = 0 OR id < $1)
			AND ($3 = '' OR action = $3 OR starts_with(action, $3 || '.')) AND ($4 = '' OR strpos(lower(actor_name), lower($4)) > 0)
			AND ($5::timestamptz IS NULL OR at >= $5) AND ($6::timestamptz IS NULL OR at < $6)
			ORDER BY tenant_id, id DESC LIMIT $2`, f.Before, f.Limit, f.Action, f.Actor, bound(f.From), bound(f.Until))
		list, err = pgx.CollectRows(rows, pgx.RowToStructByName[AuditEntry])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	return list, nil
}

// bound is a time for a query, nil where there is none.
func bound(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// AuditSince is what an export reads next.
type AuditSince struct {
	// After is the id of the last entry that was read, 0 from the first on.
	After int64
	// From and Until bound when it was done; zero times bound nothing. Until
	// itself is not included.
	From, Until time.Time
	Limit       int
}

// AuditLogSince lists what was done in a tenant, oldest first. Ids are given in
// the order in which transactions began to write: one that commits late may come
// with an id that was passed already, so who follows the log starts a little
// before where they ended.
func (db *DB) AuditLogSince(ctx context.Context, tenant events.TenantID, s AuditSince) (list []AuditEntry, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `SELECT `+auditColumns+`
			FROM parley_audit_log WHERE id > $1 AND ($2::timestamptz IS NULL OR at >= $2) AND ($3::timestamptz IS NULL OR at < $3)
			ORDER BY tenant_id, id LIMIT $4`, s.After, bound(s.From), bound(s.Until), s.Limit)
		list, err = pgx.CollectRows(rows, pgx.RowToStructByName[AuditEntry])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	return list, nil
}
