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

// WebhookDelivery is one fact for one webhook, in its log.
type WebhookDelivery struct {
	ID        int64            `json:"id"`
	Type      string           `json:"type"`
	FactID    int64            `json:"fact_id"`
	State     string           `json:"state" enum:"queued,sent,failed"`
	Attempts  int              `json:"attempts"`
	CreatedAt time.Time        `json:"created_at"`
	DueAt     *time.Time       `json:"due_at,omitempty" doc:"When it is tried next."`
	Tries     []WebhookAttempt `json:"tries" nullable:"false" doc:"The last tries, the newest first."`
	Body      json.RawMessage  `json:"body" doc:"What is sent, a CloudEvent."`
}

// WebhookAttempt is one try.
type WebhookAttempt struct {
	At     time.Time `json:"at"`
	Status int       `json:"status" doc:"The HTTP status, 0 when there was none."`
	TookMS int       `json:"took_ms"`
	Error  string    `json:"error,omitempty" doc:"Why it did not count as accepted."`
}

// WebhookDeliveries lists what a webhook was or is to be told, newest first, before
// an id (0: from the newest); state "" is every state. It fails with NotFound.
func (db *DB) WebhookDeliveries(ctx context.Context, tenant events.TenantID, id, state string, before int64, limit int) (list []WebhookDelivery, err error) {
	err = db.webhookChange(ctx, tenant, id, func(tx pgx.Tx, _ Webhook) error {
		rows, _ := tx.Query(ctx, `
			SELECT d.id, d.type, d.fact_id, d.state, d.attempts, d.created_at, d.due_at, d.body::json,
			       coalesce((SELECT json_agg(json_build_object('at', a.at, 'status', a.status, 'took_ms', a.took_ms, 'error', a.error))
			          FROM (SELECT * FROM parley_webhook_attempts a WHERE a.webhook_delivery_id = d.id ORDER BY a.id DESC LIMIT 20) a), '[]')
			  FROM parley_webhook_deliveries d
			 WHERE d.webhook_id = $1 AND ($2 = 0 OR d.id < $2) AND ($3 = '' OR d.state = $3) ORDER BY d.tenant_id DESC, d.webhook_id DESC, d.id DESC LIMIT $4`,
			id, before, state, limit)
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (d WebhookDelivery, err error) {
			err = row.Scan(&d.ID, &d.Type, &d.FactID, &d.State, &d.Attempts, &d.CreatedAt, &d.DueAt, &d.Body, &d.Tries)
			return d, err
		})
		return err
	})
	return list, err
}

// ReplayWebhook sends again: one delivery, whatever became of it, or with delivery 0
// all since then that failed. It reports how many; NotFound when there is no such
// webhook or delivery, Conflict while the webhook is disabled.
func (db *DB) ReplayWebhook(ctx context.Context, tenant events.TenantID, by inbox.Actor, id string, delivery int64, since time.Time) (n int64, err error) {
	err = db.webhookChange(ctx, tenant, id, func(tx pgx.Tx, w Webhook) error {
		if w.DisabledAt != nil {
			return &inbox.Error{Code: inbox.Conflict, Message: "The webhook is disabled.", Hint: "Enable it first: parley webhook enable " + id}
		}
		tag, err := tx.Exec(ctx, `UPDATE parley_webhook_deliveries SET state = 'queued', attempts = 0, due_at = now()
			WHERE webhook_id = $1 AND CASE WHEN $2 > 0 THEN id = $2 ELSE state = 'failed' AND created_at >= $3 END`, id, delivery, since)
		if err != nil {
			return err
		}
		if n = tag.RowsAffected(); n == 0 && delivery > 0 {
			return &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no delivery %d of that webhook.", delivery)}
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{Action: "webhook.replay", TargetKind: "webhook", TargetID: id, Detail: map[string]any{"deliveries": n}})
	})
	return n, err
}

// QueueWebhook queues a delivery that is about no fact: a test. It fails with
// NotFound.
func (db *DB) QueueWebhook(ctx context.Context, tenant events.TenantID, by inbox.Actor, id, body, typ string) error {
	return db.webhookChange(ctx, tenant, id, func(tx pgx.Tx, _ Webhook) error {
		// Facts have positive ids.
		if _, err := tx.Exec(ctx, `INSERT INTO parley_webhook_deliveries (webhook_id, fact_id, chat_id, type, body)
			SELECT $1, least(0, coalesce(min(fact_id), 0)) - 1, 0, $2, $3 FROM parley_webhook_deliveries WHERE webhook_id = $1`, id, typ, body); err != nil {
			return err
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{Action: "webhook.test", TargetKind: "webhook", TargetID: id})
	})
}
