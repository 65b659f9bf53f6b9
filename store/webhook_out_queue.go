package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// LiveWebhook is a webhook that is told of facts, with whose it is.
type LiveWebhook struct {
	Webhook
	Tenant events.TenantID
}

// LiveWebhooks lists the webhooks of all tenants that are not disabled.
func (db *DB) LiveWebhooks(ctx context.Context) (list []LiveWebhook, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `SELECT id::text, tenant_id::text, types, place FROM parley_webhooks WHERE disabled_at IS NULL`)
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (w LiveWebhook, err error) {
			err = row.Scan(&w.ID, &w.Tenant, &w.Types, &w.Place)
			return w, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing webhooks: %w", err)
	}
	return list, nil
}

// WebhookFact is a fact to tell.
type WebhookFact struct {
	ID, Chat int64
	Type     string
	Body     string
}

// QueueWebhookFacts queues facts for a webhook and moves its place from one to the
// next. It reports false, and queues nothing, when the webhook is gone, disabled, or
// not at from any more: another process went on.
func (db *DB) QueueWebhookFacts(ctx context.Context, id, from, to string, facts []WebhookFact) (ok bool, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE parley_webhooks SET place = $3 WHERE id = $1 AND place = $2 AND disabled_at IS NULL", id, from, to)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		ok = true
		var ids, chats []int64
		var types, bodies []string
		for _, f := range facts {
			ids, chats, types, bodies = append(ids, f.ID), append(chats, f.Chat), append(types, f.Type), append(bodies, f.Body)
		}
		_, err = tx.Exec(ctx, `INSERT INTO parley_webhook_deliveries (tenant_id, webhook_id, fact_id, chat_id, type, body)
			SELECT w.tenant_id, w.id, f.* FROM parley_webhooks w, unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[]) AS f
			 WHERE w.id = $1 ON CONFLICT (webhook_id, fact_id) DO NOTHING`, id, ids, chats, types, bodies)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("queueing for webhook %s: %w", id, err)
	}
	return ok, nil
}

// DueWebhook is a delivery to make now.
type DueWebhook struct {
	ID            int64
	Webhook       string
	Tenant        events.TenantID
	FactID        int64
	Attempts      int
	Body          string
	URL           string
	Sealed        []byte
	PreviousUntil *time.Time
}

// ClaimWebhooks returns deliveries that are due, at most limit, each of one webhook
// and none of the busy ones, and puts them off for hold: until then nobody else has
// them.
func (db *DB) ClaimWebhooks(ctx context.Context, limit, each int, busy []string, hold time.Duration) (list []DueWebhook, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			WITH due AS MATERIALIZED (
				SELECT d.id FROM parley_webhooks w CROSS JOIN LATERAL (
					SELECT d.id, d.due_at FROM parley_webhook_deliveries d WHERE d.webhook_id = w.id AND d.due_at <= clock_timestamp()
					 ORDER BY d.due_at LIMIT $2 FOR UPDATE SKIP LOCKED) d
				 WHERE w.disabled_at IS NULL AND w.id <> ALL ($3::uuid[]) ORDER BY d.due_at LIMIT $1
			)
			UPDATE parley_webhook_deliveries d SET due_at = clock_timestamp() + $4::interval
			  FROM due, parley_webhooks w WHERE d.id = due.id AND w.id = d.webhook_id
			RETURNING d.id, w.id::text, d.tenant_id::text, d.fact_id, d.attempts, d.body, w.url, w.sealed, w.previous_until`, limit, each, busy, hold)
		list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[DueWebhook])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for webhooks to call: %w", err)
	}
	return list, nil
}

// WebhookOutcome is what came of a try.
type WebhookOutcome struct {
	Status int
	Took   time.Duration
	// Error is why it did not count as accepted.
	Error string
	// Again is after how long it is tried again; 0 is never.
	Again time.Duration
	// Disable is why nothing more is sent there, empty when it goes on; it counts
	// where nothing was accepted for Failing.
	Disable string
	Failing time.Duration
}

// SettleWebhook notes a try. When that disables the webhook, the fact (webhook,
// disabled) and the audit log say so.
func (db *DB) SettleWebhook(ctx context.Context, d DueWebhook, o WebhookOutcome) error {
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		state := "queued"
		switch {
		case o.Error == "":
			state = "sent"
		case o.Again == 0:
			state = "failed"
		}
		// Before the delivery, as whoever deletes or changes the webhook does. Where
		// nothing of it changes, calls of one webhook need not wait for each other.
		if _, err := tx.Exec(ctx, "SELECT FROM parley_webhooks WHERE id = $1 AND ($2 OR failing_since IS NOT NULL) FOR NO KEY UPDATE", d.Webhook, o.Error != ""); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE parley_webhook_deliveries SET state = $2, attempts = attempts + 1,
			due_at = CASE WHEN $2 = 'queued' THEN clock_timestamp() + $3::interval END WHERE id = $1 AND state = 'queued'`, d.ID, state, o.Again)
		if err != nil || tag.RowsAffected() == 0 {
			return err // deleted, or settled by another
		}
		if _, err := tx.Exec(ctx, `INSERT INTO parley_webhook_attempts (tenant_id, webhook_delivery_id, status, took_ms, error) VALUES ($1, $2, $3, $4, $5)`,
			string(d.Tenant), d.ID, o.Status, o.Took.Milliseconds(), o.Error); err != nil {
			return err
		}
		if o.Error == "" {
			_, err := tx.Exec(ctx, "UPDATE parley_webhooks SET failing_since = NULL WHERE id = $1 AND failing_since IS NOT NULL", d.Webhook)
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE parley_webhooks SET failing_since = coalesce(failing_since, now()) WHERE id = $1", d.Webhook); err != nil || o.Disable == "" {
			return err
		}
		tag, err = tx.Exec(ctx, "UPDATE parley_webhooks SET disabled_at = now(), disabled_why = $2 WHERE id = $1 AND disabled_at IS NULL AND failing_since <= now() - $3::interval", d.Webhook, o.Disable, o.Failing)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE parley_webhook_deliveries SET state = 'failed', due_at = NULL WHERE webhook_id = $1 AND state = 'queued'", d.Webhook); err != nil {
			return err
		}
		data, err := json.Marshal(map[string]any{"webhook_id": d.Webhook, "url": d.URL, "why": o.Disable})
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO parley_facts (tenant_id, noun, verb, data) VALUES ($1, 'webhook', 'disabled', $2)", string(d.Tenant), data); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO parley_audit_log (tenant_id, actor_kind, actor_name, action, target_kind, target_id, detail)
			VALUES ($1, 'operator', 'parley', 'webhook.disable', 'webhook', $2, $3)`, string(d.Tenant), d.Webhook, data)
		return err
	})
	if err != nil {
		return fmt.Errorf("noting what a webhook answered: %w", err)
	}
	return nil
}

// SweepWebhooks deletes some of the deliveries that ended longer ago than age, and
// reports how many.
func (db *DB) SweepWebhooks(ctx context.Context, age time.Duration) (int64, error) {
	var n int64
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM parley_webhook_deliveries WHERE id IN (
			SELECT id FROM parley_webhook_deliveries WHERE created_at < clock_timestamp() - $1::interval AND state <> 'queued' ORDER BY created_at LIMIT 1000)`, age)
		n = tag.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sweeping the log of webhooks: %w", err)
	}
	return n, nil
}
