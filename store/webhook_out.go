package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Webhook is where a tenant is told of facts by HTTP.
type Webhook struct {
	ID          string   `json:"id"`
	URL         string   `json:"url"`
	Description string   `json:"description,omitempty"`
	Types       []string `json:"types" nullable:"false" doc:"Of facts, such as message.received; none are all."`
	// PreviousUntil is how long requests also bear a signature of the secret before.
	PreviousUntil *time.Time `json:"previous_until,omitempty" doc:"Until then requests also bear a signature of the secret before."`
	CreatedAt     time.Time  `json:"created_at"`
	FailingSince  *time.Time `json:"failing_since,omitempty" doc:"Since when nothing was accepted; absent while it works."`
	DisabledAt    *time.Time `json:"disabled_at,omitempty"`
	DisabledWhy   string     `json:"disabled_why,omitempty"`
	Version       int64      `json:"version"`
	Sealed        []byte     `json:"-"`
	Place         string     `json:"-"`
}

const sqlWebhooks = `SELECT id::text, url, description, types, previous_until, created_at, failing_since, disabled_at, disabled_why, version, sealed, place FROM parley_webhooks `

func scanWebhook(row pgx.CollectableRow) (w Webhook, err error) {
	err = row.Scan(&w.ID, &w.URL, &w.Description, &w.Types, &w.PreviousUntil, &w.CreatedAt, &w.FailingSince, &w.DisabledAt, &w.DisabledWhy, &w.Version, &w.Sealed, &w.Place)
	return w, err
}

func oneWebhook(ctx context.Context, tx pgx.Tx, where string, args ...any) (Webhook, error) {
	rows, _ := tx.Query(ctx, sqlWebhooks+where, args...)
	return pgx.CollectExactlyOneRow(rows, scanWebhook)
}

func noWebhook(id string) error {
	return &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no webhook %s.", id), Hint: "List them with: parley webhook list"}
}

// webhookChange runs f in the tenant, with the webhook locked; it fails with
// NotFound.
func (db *DB) webhookChange(ctx context.Context, tenant events.TenantID, id string, f func(tx pgx.Tx, w Webhook) error) error {
	if err := validTenant(tenant); err != nil {
		return err
	}
	if _, err := uuid.Parse(id); err != nil {
		return noWebhook(id)
	}
	err := db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		w, err := oneWebhook(ctx, tx, "WHERE id = $1 FOR UPDATE", id)
		if errors.Is(err, pgx.ErrNoRows) {
			return noWebhook(id)
		}
		if err != nil {
			return err
		}
		return f(tx, w)
	})
	if err != nil && inbox.CodeOf(err) == "" {
		err = fmt.Errorf("webhook %s: %w", id, err)
	}
	return err
}

// AddWebhook stores a webhook with the id that its secrets are sealed for. Made is
// false when the key had made it before.
func (db *DB) AddWebhook(ctx context.Context, tenant events.TenantID, by inbox.Actor, w Webhook, key string) (out Webhook, made bool, err error) {
	if err := validTenant(tenant); err != nil {
		return Webhook{}, false, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO parley_webhooks (id, url, description, types, sealed, place, idempotency_key)
			VALUES ($1, $2, $3, $4, $5, $6, nullif($7, ''))
			ON CONFLICT (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING`,
			w.ID, w.URL, w.Description, w.Types, w.Sealed, w.Place, key)
		if err != nil {
			return err
		}
		if made = tag.RowsAffected() == 1; !made {
			out, err = oneWebhook(ctx, tx, "WHERE idempotency_key = $1", key)
			if err == nil && (out.URL != w.URL || !slices.Equal(out.Types, w.Types)) {
				err = keyReused()
			}
			return err
		}
		if out, err = oneWebhook(ctx, tx, "WHERE id = $1", w.ID); err != nil {
			return err
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{
			Action: "webhook.add", TargetKind: "webhook", TargetID: w.ID, Detail: map[string]any{"url": w.URL, "types": w.Types},
		})
	})
	if err != nil && inbox.CodeOf(err) == "" {
		err = fmt.Errorf("adding a webhook: %w", err)
	}
	return out, made && err == nil, err
}

// Webhooks lists a tenant's webhooks by id, after an id.
func (db *DB) Webhooks(ctx context.Context, tenant events.TenantID, after string, limit int) (list []Webhook, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	if after == "" {
		after = uuid.Nil.String()
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, sqlWebhooks+"WHERE id > $1 ORDER BY id LIMIT $2", after, limit)
		list, err = pgx.CollectRows(rows, scanWebhook)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing webhooks: %w", err)
	}
	return list, nil
}

// WebhookChange is what to change of a webhook; nil fields stay.
type WebhookChange struct {
	URL, Description *string
	Types            *[]string
	// Enabled takes it up again, behind what happened meanwhile, or stops it.
	Enabled *bool
	// IfVersion is the version that was read, 0 for any; another fails with
	// Changed.
	IfVersion int64
}

// ChangeWebhook changes a webhook; it fails with NotFound. Place is where it goes on
// when it is enabled.
func (db *DB) ChangeWebhook(ctx context.Context, tenant events.TenantID, by inbox.Actor, id string, c WebhookChange, place string) (w Webhook, err error) {
	err = db.webhookChange(ctx, tenant, id, func(tx pgx.Tx, old Webhook) error {
		if err := sameVersion(c.IfVersion, old.Version, "The webhook"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE parley_webhooks SET version = version + 1, url = coalesce($2, url), description = coalesce($3, description), types = coalesce($4, types) WHERE id = $1`,
			id, c.URL, c.Description, c.Types); err != nil {
			return err
		}
		if c.Enabled != nil && *c.Enabled != (old.DisabledAt == nil) {
			if err := enableWebhook(ctx, tx, id, *c.Enabled, place); err != nil {
				return err
			}
		}
		if w, err = oneWebhook(ctx, tx, "WHERE id = $1", id); err != nil {
			return err
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{
			Action: "webhook.change", TargetKind: "webhook", TargetID: id,
			Detail: map[string]any{"url": w.URL, "types": w.Types, "enabled": w.DisabledAt == nil},
		})
	})
	return w, err
}

func enableWebhook(ctx context.Context, tx pgx.Tx, id string, enabled bool, place string) error {
	if enabled {
		_, err := tx.Exec(ctx, "UPDATE parley_webhooks SET disabled_at = NULL, disabled_why = '', failing_since = NULL, place = $2 WHERE id = $1", id, place)
		return err
	}
	if _, err := tx.Exec(ctx, "UPDATE parley_webhooks SET disabled_at = now(), disabled_why = 'by hand' WHERE id = $1", id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "UPDATE parley_webhook_deliveries SET state = 'failed', due_at = NULL WHERE webhook_id = $1 AND state = 'queued'", id)
	return err
}

// RotateWebhook replaces a webhook's secrets; what seal makes of those it has is
// kept, and requests bear two signatures for so long; when it makes nothing, all
// stays. It fails with NotFound.
func (db *DB) RotateWebhook(ctx context.Context, tenant events.TenantID, by inbox.Actor, id string, both time.Duration, seal func(old []byte) ([]byte, error)) (w Webhook, err error) {
	err = db.webhookChange(ctx, tenant, id, func(tx pgx.Tx, old Webhook) error {
		sealed, err := seal(old.Sealed)
		if err != nil {
			return err
		}
		if w, err = oneWebhook(ctx, tx, "WHERE id = $1", id); err != nil || sealed == nil {
			return err
		}
		if err := tx.QueryRow(ctx, "UPDATE parley_webhooks SET sealed = $2, previous_until = now() + $3::interval WHERE id = $1 RETURNING previous_until",
			id, sealed, both).Scan(&w.PreviousUntil); err != nil {
			return err
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{Action: "webhook.rotate", TargetKind: "webhook", TargetID: id})
	})
	return w, err
}

// DeleteWebhook deletes a webhook and its log; it fails with NotFound.
func (db *DB) DeleteWebhook(ctx context.Context, tenant events.TenantID, by inbox.Actor, id string) error {
	return db.webhookChange(ctx, tenant, id, func(tx pgx.Tx, w Webhook) error {
		if _, err := tx.Exec(ctx, "DELETE FROM parley_webhooks WHERE id = $1", id); err != nil {
			return err
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{Action: "webhook.delete", TargetKind: "webhook", TargetID: id, Detail: map[string]any{"url": w.URL}})
	})
}
