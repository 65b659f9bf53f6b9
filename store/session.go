package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// SecretHash is the SHA-256 of a credential. The credential itself is stored
// nowhere.
type SecretHash [32]byte

// Session is somebody who logged in.
type Session struct {
	ID string `json:"id"`
	// User is who, as they are now.
	User       Account   `json:"user"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	UserAgent  string    `json:"user_agent"`
	Address    string    `json:"address"`
}

// NewSession is a session to begin.
type NewSession struct {
	User int64
	Hash SecretHash
	// Life is how long it lasts at most, Idle how long unused.
	Life, Idle time.Duration
	UserAgent  string
}

// touchEvery is how exactly the last use of a session or token is known.
const touchEvery = "1 minute"

// sqlNotSuspended is for queries within a tenant, which see that one only.
const sqlNotSuspended = "NOT EXISTS (SELECT FROM tenants WHERE suspended_at IS NOT NULL)"

// StartSession begins a session and notes the log-in. It fails with Refused while
// the tenant is suspended.
func (db *DB) StartSession(ctx context.Context, tenant events.TenantID, by inbox.Actor, n NewSession) (id string, err error) {
	if err := validTenant(tenant); err != nil {
		return "", err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		var open bool
		if err := tx.QueryRow(ctx, "SELECT "+sqlNotSuspended).Scan(&open); err != nil {
			return err
		}
		if !open {
			return &inbox.Error{Code: inbox.Refused, Message: "This business is suspended: nobody of it can log in.", Hint: "Ask whoever runs this installation of Parley."}
		}
		// What ended long ago is of no use to anybody.
		if _, err := tx.Exec(ctx, "DELETE FROM parley_sessions WHERE user_id = $1 AND expires_at < now() - interval '30 days'", n.User); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `INSERT INTO parley_sessions (user_id, hash, user_agent, address, expires_at, idle)
			VALUES ($1, $2, $3, $4, now() + $5, $6) RETURNING id::text`,
			n.User, n.Hash[:], CutUserAgent(n.UserAgent), by.Address, n.Life, n.Idle).Scan(&id); err != nil {
			return err
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{Action: "session.start", TargetKind: "user", TargetID: strconv.FormatInt(n.User, 10)})
	})
	if err != nil {
		return "", fmt.Errorf("starting a session: %w", err)
	}
	return id, nil
}

// SessionOf returns the living session of a hash, and notes that it is used. A
// session that ended, was revoked, or whose user is disabled is not found.
func (db *DB) SessionOf(ctx context.Context, tenant events.TenantID, hash SecretHash) (s Session, found bool, err error) {
	if validTenant(tenant) != nil {
		return Session{}, false, nil
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		var user int64
		err := tx.QueryRow(ctx, `SELECT id::text, user_id, created_at, last_used_at, expires_at, user_agent, address
			  FROM parley_sessions WHERE hash = $1 AND revoked_at IS NULL AND expires_at > now() AND last_used_at + idle > now() AND `+sqlNotSuspended,
			hash[:]).Scan(&s.ID, &user, &s.CreatedAt, &s.LastUsedAt, &s.ExpiresAt, &s.UserAgent, &s.Address)
		if err != nil {
			return err
		}
		if s.User, err = oneAccount(ctx, tx, "u.id = $1 AND u.disabled_at IS NULL", user); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE parley_sessions SET last_used_at = now() WHERE id = $1 AND last_used_at < now() - interval '"+touchEvery+"'", s.ID)
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Session{}, false, nil
	case err != nil:
		return Session{}, false, fmt.Errorf("reading a session: %w", err)
	}
	return s, true, nil
}

// EndSession ends one of a user's sessions; it fails with NotFound.
func (db *DB) EndSession(ctx context.Context, tenant events.TenantID, by inbox.Actor, id string) error {
	if err := validTenant(tenant); err != nil {
		return err
	}
	return db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		return revoke(ctx, tx, by, "session", "parley_sessions", id)
	})
}

// revoke ends what a row of a table allows; it fails with NotFound. What ended
// before stays as it is.
func revoke(ctx context.Context, tx pgx.Tx, by inbox.Actor, noun, table, id string) error {
	missing := &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no %s %s.", noun, id)}
	if _, err := uuid.Parse(id); err != nil {
		return missing
	}
	tag, err := tx.Exec(ctx, "UPDATE "+table+" SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1", id)
	if err != nil {
		return fmt.Errorf("revoking a %s: %w", noun, err)
	}
	if tag.RowsAffected() == 0 {
		return missing
	}
	return appendAudit(ctx, tx, by, NewAuditEntry{Action: noun + ".revoke", TargetKind: noun, TargetID: id})
}
