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

// Token is what a program shows instead of a password, without the secret.
type Token struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Prefix string   `json:"prefix" doc:"How the token begins, to tell it by."`
	Scopes []string `json:"scopes" nullable:"false"`
	// User is in whose name it acts, as they are now.
	User       Account    `json:"user"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
	RevokedAt  *time.Time `json:"revoked_at,omitempty"`
}

// NewToken is a token to make. It acts as a service user of its own.
type NewToken struct {
	Name   string
	Role   inbox.Role
	Scopes []string
	Hash   SecretHash
	Prefix string
	Life   time.Duration
	// Key makes a repeated request make one token only; optional.
	Key string
}

const sqlTokens = `SELECT t.id::text, t.name, t.prefix, t.scopes, t.created_at, t.expires_at, t.last_used_at, t.revoked_at, ` +
	accountColumns + ` FROM parley_tokens t JOIN core_users u ON u.tenant_id = t.tenant_id AND u.id = t.user_id WHERE `

func scanToken(row pgx.CollectableRow) (t Token, err error) {
	u := &t.User
	err = row.Scan(&t.ID, &t.Name, &t.Prefix, &t.Scopes, &t.CreatedAt, &t.ExpiresAt, &t.LastUsedAt, &t.RevokedAt,
		&u.ID, &u.Name, &u.Email, &u.Role, &u.Service, &u.SecondFactor, &u.CreatedAt, &u.DisabledAt, &u.Version)
	return t, err
}

func oneToken(ctx context.Context, tx pgx.Tx, where string, args ...any) (Token, error) {
	rows, _ := tx.Query(ctx, sqlTokens+where, args...)
	return pgx.CollectExactlyOneRow(rows, scanToken)
}

// AddToken makes a token and its service user. Made is false when the Key had
// made it before: nobody can show its secret again.
func (db *DB) AddToken(ctx context.Context, tenant events.TenantID, by inbox.Actor, n NewToken) (t Token, made bool, err error) {
	if err := validTenant(tenant); err != nil {
		return Token{}, false, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if n.Key != "" {
			// Two at once: the second waits here for the first.
			if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", string(tenant)+" token "+n.Key); err != nil {
				return err
			}
			t, err = oneToken(ctx, tx, "t.idempotency_key = $1", n.Key)
			if err == nil && (t.Name != n.Name || t.User.Role != n.Role || !slices.Equal(t.Scopes, n.Scopes)) {
				err = keyReused()
			}
			if !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
		}
		made = true
		user, err := addAccount(ctx, tx, by, NewAccount{Name: n.Name, Role: n.Role, Service: true})
		if err != nil {
			return err
		}
		var id string
		if err := tx.QueryRow(ctx, `INSERT INTO parley_tokens (user_id, name, prefix, hash, scopes, expires_at, idempotency_key)
			VALUES ($1, $2, $3, $4, $5, now() + $6, nullif($7, '')) RETURNING id::text`,
			user.ID, n.Name, n.Prefix, n.Hash[:], n.Scopes, n.Life, n.Key).Scan(&id); err != nil {
			return fmt.Errorf("making a token: %w", err)
		}
		if t, err = oneToken(ctx, tx, "t.id = $1", id); err != nil {
			return err
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{
			Action: "token.add", TargetKind: "token", TargetID: id,
			Detail: map[string]any{"name": n.Name, "role": n.Role, "scopes": n.Scopes, "expires_at": t.ExpiresAt},
		})
	})
	return t, made && err == nil, err
}

// Tokens lists a tenant's tokens by id, after an id.
func (db *DB) Tokens(ctx context.Context, tenant events.TenantID, after string, limit int) (list []Token, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	if after == "" {
		after = uuid.Nil.String()
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, sqlTokens+"t.id > $1 ORDER BY t.id LIMIT $2", after, limit)
		list, err = pgx.CollectRows(rows, scanToken)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing tokens: %w", err)
	}
	return list, nil
}

// TokenOf returns the valid token of a hash, and notes that it is used. One that
// expired, was revoked, or whose user is disabled is not found.
func (db *DB) TokenOf(ctx context.Context, tenant events.TenantID, hash SecretHash) (t Token, found bool, err error) {
	if validTenant(tenant) != nil {
		return Token{}, false, nil
	}
	err = db.inTenantPlanned(ctx, tenant, func(tx pgx.Tx) error {
		if t, err = oneToken(ctx, tx, "t.hash = $1 AND t.revoked_at IS NULL AND t.expires_at > now() AND u.disabled_at IS NULL AND "+sqlNotSuspended, hash[:]); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE parley_tokens SET last_used_at = now()
			WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '`+touchEvery+"')", t.ID)
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Token{}, false, nil
	case err != nil:
		return Token{}, false, fmt.Errorf("reading a token: %w", err)
	}
	return t, true, nil
}

// RevokeToken ends a token at once; it fails with NotFound.
func (db *DB) RevokeToken(ctx context.Context, tenant events.TenantID, by inbox.Actor, id string) error {
	if err := validTenant(tenant); err != nil {
		return err
	}
	return db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		return revoke(ctx, tx, by, "token", "parley_tokens", id)
	})
}
