package store

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// liveSession is a session that still lets somebody in.
const liveSession = "s.revoked_at IS NULL AND s.expires_at > now() AND s.last_used_at > now() - s.idle"

// Sessions lists where a user is logged in, the last used first.
func (db *DB) Sessions(ctx context.Context, tenant events.TenantID, user int64) (list []Session, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `SELECT s.id::text, s.created_at, s.last_used_at, s.expires_at, s.user_agent, s.address
			FROM parley_sessions s WHERE s.user_id = $1 AND `+liveSession+` ORDER BY s.last_used_at DESC, s.id`, user)
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Session, err error) {
			return s, row.Scan(&s.ID, &s.CreatedAt, &s.LastUsedAt, &s.ExpiresAt, &s.UserAgent, &s.Address)
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing sessions: %w", err)
	}
	return list, nil
}

// EndOtherSessions logs a user out everywhere but in one session, or with an empty
// id everywhere, and says in how many places that was.
func (db *DB) EndOtherSessions(ctx context.Context, tenant events.TenantID, by inbox.Actor, user int64, but string) (n int, err error) {
	if err := validTenant(tenant); err != nil {
		return 0, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		n, err = endSessions(ctx, tx, user, but)
		if err != nil || n == 0 {
			return err
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{
			Action: "session.revoke_others", TargetKind: "user", TargetID: strconv.FormatInt(user, 10), Detail: map[string]any{"sessions": n},
		})
	})
	return n, err
}

func endSessions(ctx context.Context, tx pgx.Tx, user int64, but string) (int, error) {
	tag, err := tx.Exec(ctx, "UPDATE parley_sessions s SET revoked_at = now() WHERE s.user_id = $1 AND s.id::text <> $2 AND "+liveSession, user, but)
	if err != nil {
		return 0, fmt.Errorf("ending sessions: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

// SetPassword gives a user another password, logs them out everywhere but in one
// session, and ends the links that would set another. It fails with NotFound for whoever cannot log in.
func (db *DB) SetPassword(ctx context.Context, tenant events.TenantID, by inbox.Actor, user int64, hash, but string) error {
	if err := validTenant(tenant); err != nil {
		return err
	}
	return db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE core_users SET password_hash = $2 WHERE id = $1 AND password_hash IS NOT NULL", user, hash)
		if err != nil {
			return fmt.Errorf("changing a password: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return noAccount(user, pgx.ErrNoRows)
		}
		if _, err := endSessions(ctx, tx, user, but); err != nil {
			return err
		}
		if err := revokeResets(ctx, tx, user); err != nil {
			return err
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{Action: "user.password", TargetKind: "user", TargetID: strconv.FormatInt(user, 10)})
	})
}
