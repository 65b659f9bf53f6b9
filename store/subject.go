package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Subject is somebody as an OpenID Connect provider knows them.
type Subject struct {
	Issuer, Subject string
	// Email is their address if the provider has verified it, empty otherwise; its
	// ASCII letters, and no others, in lower case.
	Email string
}

// AccountOfSubject finds who a subject is: the user whom it was linked to, or
// else the one with its verified address, to whom it is linked from now on. It
// makes no users. Whoever is kept out, and whoever another subject of the issuer
// is linked to, is not found.
func (db *DB) AccountOfSubject(ctx context.Context, tenant events.TenantID, by inbox.Actor, s Subject) (a Account, found bool, err error) {
	if validTenant(tenant) != nil || !isText(s.Subject) || !isText(s.Email) {
		return Account{}, false, nil
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		var user int64
		err := tx.QueryRow(ctx, "SELECT user_id FROM parley_subjects WHERE issuer = $1 AND subject = $2", s.Issuer, s.Subject).Scan(&user)
		if err == nil {
			a, err = oneAccount(ctx, tx, "u.id = $1 AND u.disabled_at IS NULL AND NOT u.service", user)
			return err
		}
		if s.Email == "" || !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if a, err = oneAccount(ctx, tx, "lower(u.email) = $1 AND u.email <> $2 AND u.disabled_at IS NULL AND NOT u.service",
			s.Email, operatorEmail); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, "INSERT INTO parley_subjects (issuer, subject, user_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", s.Issuer, s.Subject, a.ID)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return pgx.ErrNoRows // the address is now somebody else's there
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{
			Action: "user.link", TargetKind: "user", TargetID: strconv.FormatInt(a.ID, 10), Detail: map[string]any{"issuer": s.Issuer, "subject": s.Subject},
		})
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Account{}, false, nil
	case err != nil:
		return Account{}, false, fmt.Errorf("finding who signs in: %w", err)
	}
	return a, true, nil
}

// UseOnce reports whether nobody has used a key before, at whichever replica.
// Keys are remembered for at least a day.
func (db *DB) UseOnce(ctx context.Context, key [32]byte) (first bool, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "INSERT INTO parley_throttle (key, failures) VALUES ($1, 0) ON CONFLICT DO NOTHING", key[:])
		first = tag.RowsAffected() == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("noting a sign-in: %w", err)
	}
	return first, nil
}
