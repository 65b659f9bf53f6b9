package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Invitation lets somebody join, or choose a new password, once. The link itself
// is stored nowhere.
type Invitation struct {
	ID string `db:"id" json:"id"`
	// User is whose password it resets, nil for an invitation to join.
	User      *int64     `db:"user_id" json:"user_id,omitempty" doc:"Whose password it resets; absent for an invitation to join."`
	Email     string     `db:"email" json:"email,omitempty"`
	Role      inbox.Role `db:"role" json:"role" enum:"owner,admin,agent,read_only"`
	CreatedAt time.Time  `db:"created_at" json:"created_at"`
	ExpiresAt time.Time  `db:"expires_at" json:"expires_at"`
	UsedAt    *time.Time `db:"used_at" json:"used_at,omitempty"`
	RevokedAt *time.Time `db:"revoked_at" json:"revoked_at,omitempty"`
}

const sqlInvitations = `SELECT id::text, user_id::bigint, coalesce(email, '') AS email, role, created_at, expires_at, used_at, revoked_at
	FROM parley_invitations WHERE `

// NewInvitation is an invitation to make.
type NewInvitation struct {
	// User is whose password to reset, 0 for an invitation to join; then Email
	// and Role say who as what.
	User  int64
	Email string
	Role  inbox.Role
	Hash  SecretHash
	Life  time.Duration
	// Key makes a repeated request make one invitation only; optional.
	Key string
}

func oneInvitation(ctx context.Context, tx pgx.Tx, where string, args ...any) (Invitation, error) {
	rows, _ := tx.Query(ctx, sqlInvitations+where, args...)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Invitation])
}

// Invite makes an invitation. Made is false when the Key had made it before. Only
// who is at least as much as the invited may invite them: byRole is the role of
// who asks.
func (db *DB) Invite(ctx context.Context, tenant events.TenantID, by inbox.Actor, byRole inbox.Role, n NewInvitation) (v Invitation, made bool, err error) {
	if err := validTenant(tenant); err != nil {
		return Invitation{}, false, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		v, made, err = invite(ctx, tx, by, byRole, n)
		return err
	})
	return v, made && err == nil, err
}

func invite(ctx context.Context, tx pgx.Tx, by inbox.Actor, byRole inbox.Role, n NewInvitation) (v Invitation, made bool, err error) {
	n.Email = strings.ToLower(strings.TrimSpace(n.Email))
	if n.User != 0 {
		user, err := oneAccount(ctx, tx, "u.id = $1 AND NOT u.service AND u.email IS NOT NULL", n.User)
		if err != nil {
			return v, false, noAccount(n.User, err)
		}
		n.Email, n.Role = user.Email, user.Role
	}
	if !isText(n.Email) {
		return v, false, &inbox.Error{Code: inbox.Invalid, Message: "The address holds what is no text.", Hint: "Type it anew."}
	}
	if !n.Role.Valid() {
		return v, false, &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("There is no role %q.", n.Role), Hint: "The roles are owner, admin, agent and read_only."}
	}
	if !byRole.AtLeast(n.Role) {
		return v, false, &inbox.Error{Code: inbox.Forbidden, Message: fmt.Sprintf("An %s may not do this to an %s.", byRole, n.Role), Hint: "Ask an owner."}
	}
	var id string
	err = tx.QueryRow(ctx, `INSERT INTO parley_invitations (user_id, email, role, hash, expires_at, idempotency_key, made_by)
		VALUES (nullif($1::bigint, 0), nullif($2, ''), $3, $4, now() + $5, nullif($6, ''),
		        CASE $7 WHEN 'user' THEN $8::text::integer WHEN 'token' THEN (SELECT user_id FROM parley_tokens WHERE id = $8::text::uuid) END)
		ON CONFLICT (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id::text`,
		n.User, n.Email, n.Role, n.Hash[:], n.Life, n.Key, string(by.Kind), by.ID).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		v, err = oneInvitation(ctx, tx, "idempotency_key = $1", n.Key)
		if err == nil && (v.Email != n.Email || v.Role != n.Role || (v.User == nil) != (n.User == 0)) {
			err = keyReused()
		}
		return v, false, err
	}
	if err != nil {
		return v, false, fmt.Errorf("making an invitation: %w", err)
	}
	if v, err = oneInvitation(ctx, tx, "id = $1", id); err != nil {
		return v, false, err
	}
	return v, true, appendAudit(ctx, tx, by, NewAuditEntry{
		Action: "invitation.add", TargetKind: "invitation", TargetID: id, Detail: map[string]any{"role": n.Role, "email": n.Email, "reset": n.User != 0},
	})
}

// InviteFirstOwner makes an invitation for an owner where nobody can log in yet
// and no such invitation waits. Replicas that start at once make one.
func (db *DB) InviteFirstOwner(ctx context.Context, tenant events.TenantID, by inbox.Actor, hash SecretHash, life time.Duration) (made bool, err error) {
	if err := validTenant(tenant); err != nil {
		return false, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", string(tenant)+" first owner"); err != nil {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM core_users WHERE password_hash IS NOT NULL)
			OR EXISTS (SELECT FROM parley_invitations WHERE role = 'owner' AND used_at IS NULL AND revoked_at IS NULL AND expires_at > now())`).
			Scan(&there); err != nil || there {
			return err
		}
		_, made, err = invite(ctx, tx, by, inbox.Owner, NewInvitation{Role: inbox.Owner, Hash: hash, Life: life})
		return err
	})
	return made && err == nil, err
}

// Invitations lists a tenant's invitations by id, after an id.
func (db *DB) Invitations(ctx context.Context, tenant events.TenantID, after string, limit int) (list []Invitation, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	if after == "" {
		after = uuid.Nil.String()
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, sqlInvitations+"id > $1 ORDER BY id LIMIT $2", after, limit)
		list, err = pgx.CollectRows(rows, pgx.RowToStructByName[Invitation])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing invitations: %w", err)
	}
	return list, nil
}

// RevokeInvitation ends an invitation; it fails with NotFound.
func (db *DB) RevokeInvitation(ctx context.Context, tenant events.TenantID, by inbox.Actor, id string) error {
	if err := validTenant(tenant); err != nil {
		return err
	}
	return db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		return revoke(ctx, tx, by, "invitation", "parley_invitations", id)
	})
}

// Acceptance is what who accepts an invitation says. Name and Email are for
// those who join; an invitation's own address outranks Email.
type Acceptance struct {
	Name, Email  string
	PasswordHash string
}

// Accept uses an invitation up: it makes the user, or sets their password, ends
// their sessions and other resets and takes their second factor away, whose device
// they may have lost. It fails with Unauthorized, always in the same words, when the
// invitation is not valid, or no longer.
func (db *DB) Accept(ctx context.Context, tenant events.TenantID, by inbox.Actor, hash SecretHash, acc Acceptance) (a Account, err error) {
	refused := &inbox.Error{
		Code: inbox.Unauthorized, Message: "This invitation is not valid: it was used, it has expired, or it is not complete.",
		Hint: "Ask for a new one.",
	}
	if validTenant(tenant) != nil {
		return Account{}, refused
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		var v Invitation
		var maker *int64
		// Whom it resets is locked first: two resets of theirs at once would otherwise
		// wait for each other.
		if _, err := tx.Exec(ctx, "SELECT FROM core_users WHERE id = (SELECT user_id FROM parley_invitations WHERE hash = $1) FOR NO KEY UPDATE", hash[:]); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `UPDATE parley_invitations SET used_at = now()
			WHERE hash = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > now() AND `+sqlNotSuspended+`
			RETURNING id::text, user_id::bigint, coalesce(email, ''), role, made_by::bigint`, hash[:]).Scan(&v.ID, &v.User, &v.Email, &v.Role, &maker)
		holds := false
		if err == nil {
			holds, err = invitationHolds(ctx, tx, v, maker)
		}
		switch {
		case errors.Is(err, pgx.ErrNoRows), err == nil && !holds:
			return refused
		case err != nil:
			return fmt.Errorf("accepting an invitation: %w", err)
		}
		if v.User == nil {
			if v.Email == "" {
				v.Email = acc.Email
			}
			if v.Email == "" {
				return &inbox.Error{Code: inbox.Invalid, Message: "An email address is needed to log in with.", Hint: "Give one."}
			}
			a, err = addAccount(ctx, tx, by, NewAccount{Name: acc.Name, Email: v.Email, Role: v.Role, PasswordHash: acc.PasswordHash})
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE core_users SET password_hash = $2, totp = NULL WHERE id = $1", *v.User, acc.PasswordHash); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE parley_sessions SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL", *v.User); err != nil {
			return err
		}
		if err := revokeResets(ctx, tx, *v.User); err != nil {
			return err
		}
		if a, err = oneAccount(ctx, tx, "u.id = $1", *v.User); err != nil {
			return err
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{Action: "user.reset", TargetKind: "user", TargetID: strconv.FormatInt(a.ID, 10)})
	})
	return a, err
}

// revokeResets ends the links that would set a user's password anew: whoever found an
// older one does not undo what the user just chose.
func revokeResets(ctx context.Context, tx pgx.Tx, user int64) error {
	_, err := tx.Exec(ctx, "UPDATE parley_invitations SET revoked_at = now() WHERE user_id = $1 AND used_at IS NULL AND revoked_at IS NULL", user)
	return err
}

// invitationHolds reports whether an invitation may do by now what it could when it
// was made: who made it is still in, and still as much as it makes others, and whose
// password it resets has not become more. Without that who is put out comes back by a
// link that they kept, and an admin takes over who was made an owner.
func invitationHolds(ctx context.Context, tx pgx.Tx, v Invitation, maker *int64) (bool, error) {
	if maker != nil {
		var role inbox.Role
		if err := tx.QueryRow(ctx, `SELECT role FROM core_users u WHERE id = $1 AND disabled_at IS NULL
			AND NOT EXISTS (SELECT FROM parley_tokens t WHERE t.user_id = u.id AND t.revoked_at IS NOT NULL)`, *maker).Scan(&role); err != nil {
			return false, err
		}
		if !role.AtLeast(v.Role) {
			return false, nil
		}
	}
	if v.User == nil {
		return true, nil
	}
	var role inbox.Role
	err := tx.QueryRow(ctx, "SELECT role FROM core_users WHERE id = $1", *v.User).Scan(&role)
	return v.Role.AtLeast(role), err
}
