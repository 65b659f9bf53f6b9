package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// MaxLabels is how many labels a tenant has at most.
const MaxLabels = 500

// DefaultColour is a label's when nobody chose one.
const DefaultColour = "#888888"

const labelSelect = "SELECT id, name, colour, version FROM parley_labels"

func labelByID(ctx context.Context, tx pgx.Tx, id int64) (inbox.Label, error) {
	rows, _ := tx.Query(ctx, labelSelect+" WHERE id = $1", id)
	l, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[inbox.Label])
	if errors.Is(err, pgx.ErrNoRows) {
		return l, &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no label %d.", id), Hint: "List the labels to see which there are."}
	}
	return l, err
}

// Labels lists a tenant's labels by name, all of them: there are at most MaxLabels.
func (db *DB) Labels(ctx context.Context, tenant events.TenantID) (list []inbox.Label, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, labelSelect+" ORDER BY lower(name), id")
		list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[inbox.Label])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing labels: %w", err)
	}
	return list, nil
}

// AddLabel makes a label; its colour is DefaultColour when empty. The same key
// returns the label that it made before. It fails with Conflict when there is one
// of that name.
func (db *DB) AddLabel(ctx context.Context, tenant events.TenantID, by inbox.Actor, name, colour, key string) (l inbox.Label, err error) {
	if colour == "" {
		colour = DefaultColour
	}
	return db.changeLabel(ctx, tenant, by, "label.add", func(tx pgx.Tx) (id int64, err error) {
		if err := roomFor(ctx, tx, "parley_labels", "labels", MaxLabels); err != nil {
			return 0, err
		}
		err = tx.QueryRow(ctx, `INSERT INTO parley_labels (name, colour, idempotency_key) VALUES ($1, lower($2), nullif($3, ''))
			ON CONFLICT (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id`,
			strings.TrimSpace(name), colour, key).Scan(&id)
		if !errors.Is(err, pgx.ErrNoRows) {
			return id, err
		}
		var same bool
		if err := tx.QueryRow(ctx, "SELECT id, name = $2 AND colour = lower($3) FROM parley_labels WHERE idempotency_key = $1",
			key, strings.TrimSpace(name), colour).Scan(&id, &same); err != nil {
			return 0, err
		}
		if !same {
			return 0, keyReused()
		}
		return id, errRepeated
	})
}

// ChangeLabel renames a label or changes its colour; nil stays. It fails with Changed
// when the label is not at the version that was read, 0 for any.
func (db *DB) ChangeLabel(ctx context.Context, tenant events.TenantID, by inbox.Actor, id int64, name, colour *string, ifVersion int64) (inbox.Label, error) {
	return db.changeLabel(ctx, tenant, by, "label.change", func(tx pgx.Tx) (int64, error) {
		// Locked, so that whoever else changes it waits here.
		if _, err := tx.Exec(ctx, "SELECT FROM parley_labels WHERE id = $1 FOR NO KEY UPDATE", id); err != nil {
			return 0, err
		}
		was, err := labelByID(ctx, tx, id)
		if err != nil {
			return 0, err
		}
		if err := sameVersion(ifVersion, was.Version, "The label"); err != nil {
			return 0, err
		}
		if name != nil {
			trimmed := strings.TrimSpace(*name)
			name = &trimmed
		}
		_, err = tx.Exec(ctx, "UPDATE parley_labels SET name = coalesce($2, name), colour = coalesce(lower($3), colour), version = version + 1 WHERE id = $1", id, name, colour)
		return id, err
	})
}

func (db *DB) changeLabel(ctx context.Context, tenant events.TenantID, by inbox.Actor, action string, f func(pgx.Tx) (int64, error)) (l inbox.Label, err error) {
	if err := validTenant(tenant); err != nil {
		return inbox.Label{}, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		id, err := f(tx)
		repeated := errors.Is(err, errRepeated)
		if err != nil && !repeated {
			return err
		}
		if l, err = labelByID(ctx, tx, id); err != nil || repeated {
			return err
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{
			Action: action, TargetKind: "label", TargetID: strconv.FormatInt(id, 10), Detail: map[string]any{"name": l.Name},
		})
	})
	return l, namedError(err, "label", "parley_labels_name")
}

// DeleteLabel removes a label, from all its chats too.
func (db *DB) DeleteLabel(ctx context.Context, tenant events.TenantID, by inbox.Actor, id int64) error {
	return db.deleteNamed(ctx, tenant, by, "label", id, func(tx pgx.Tx) (string, error) {
		l, err := labelByID(ctx, tx, id)
		if err != nil {
			return "", err
		}
		_, err = tx.Exec(ctx, "DELETE FROM parley_labels WHERE id = $1", id)
		return l.Name, err
	})
}
