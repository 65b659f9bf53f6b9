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
		(actor_kind, actor_id, actor_name, action, target_kind, target_id, address, request_id, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		by.Kind, by.ID, by.Name, e.Action, e.TargetKind, e.TargetID, by.Address, by.RequestID, e.Detail)
	if err != nil {
		return fmt.Errorf("noting it in the audit log: %w", err)
	}
	return nil
}

// AuditLog lists what was done in a tenant, newest first, before an id (0: from
// the newest).
func (db *DB) AuditLog(ctx context.Context, tenant events.TenantID, before int64, limit int) (list []AuditEntry, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `SELECT id, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, address, request_id, detail
			FROM parley_audit_log WHERE $1 = 0 OR id < $1 ORDER BY tenant_id, id DESC LIMIT $2`, before, limit)
		list, err = pgx.CollectRows(rows, pgx.RowToStructByName[AuditEntry])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	return list, nil
}
