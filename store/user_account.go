package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Account is a user as those see them who manage access.
type Account struct {
	ID    int64      `json:"id"`
	Name  string     `json:"name"`
	Email string     `json:"email,omitempty"`
	Role  inbox.Role `json:"role" enum:"owner,admin,agent,read_only"`
	// Service is set for programs, which have tokens and cannot log in.
	Service      bool       `json:"service" doc:"A program: it has tokens and cannot log in."`
	SecondFactor bool       `json:"second_factor" doc:"Whether a code is asked for at log-in."`
	CreatedAt    time.Time  `json:"created_at"`
	DisabledAt   *time.Time `json:"disabled_at,omitempty"`
	Version      int64      `json:"version" doc:"Raised with each change of role or access; the ETag of the user."`
}

const accountColumns = `u.id, u.name, coalesce(u.email, '') AS email, u.role, u.service, u.totp IS NOT NULL AS second_factor,
	u.created_at, u.disabled_at, u.version`

// Login is what a log-in is checked against. It never leaves the server.
type Login struct {
	Account
	PasswordHash string
	// TOTP is the sealed secret of the second factor, nil without one; TOTPStep
	// the time step of the last code that was used.
	TOTP     []byte
	TOTPStep int64
}

// NewAccount is a user to add.
type NewAccount struct {
	Name, Email string
	Role        inbox.Role
	Service     bool
	// PasswordHash is empty for those who cannot log in.
	PasswordHash string
	// Key makes a repeated request add one user only; optional.
	Key string
}

func oneAccount(ctx context.Context, tx pgx.Tx, where string, args ...any) (Account, error) {
	rows, _ := tx.Query(ctx, "SELECT "+accountColumns+" FROM core_users u WHERE u.channel_id IS NULL AND "+where, args...)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Account])
}

func noAccount(id int64, err error) error {
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	return &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no user %d.", id), Hint: "List the users to see who there is."}
}

// Accounts lists a tenant's users by id, after an id, without the operator and
// those who stand in for whoever answered elsewhere.
func (db *DB) Accounts(ctx context.Context, tenant events.TenantID, after int64, limit int) (list []Account, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, "SELECT "+accountColumns+` FROM core_users u
			WHERE u.id > $1 AND u.email IS DISTINCT FROM $2 AND u.channel_id IS NULL ORDER BY u.id LIMIT $3`, after, operatorEmail, limit)
		list, err = pgx.CollectRows(rows, pgx.RowToStructByName[Account])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing users: %w", err)
	}
	return list, nil
}

// Account returns one of the tenant's users, or NotFound.
func (db *DB) Account(ctx context.Context, tenant events.TenantID, id int64) (a Account, err error) {
	if err := validTenant(tenant); err != nil {
		return Account{}, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		a, err = oneAccount(ctx, tx, "u.id = $1", id)
		return noAccount(id, err)
	})
	return a, err
}

// AddAccount adds a user. The same Key returns the user that it made before. It
// fails with Conflict when the email is taken.
func (db *DB) AddAccount(ctx context.Context, tenant events.TenantID, by inbox.Actor, n NewAccount) (a Account, err error) {
	if err := validTenant(tenant); err != nil {
		return Account{}, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		a, err = addAccount(ctx, tx, by, n)
		return err
	})
	return a, err
}

func addAccount(ctx context.Context, tx pgx.Tx, by inbox.Actor, n NewAccount) (Account, error) {
	if !n.Role.Valid() {
		return Account{}, &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("There is no role %q.", n.Role), Hint: "The roles are owner, admin, agent and read_only."}
	}
	n.Email = strings.ToLower(strings.TrimSpace(n.Email))
	if !isText(n.Name) || !isText(n.Email) {
		return Account{}, &inbox.Error{Code: inbox.Invalid, Message: "The name or the address holds what is no text.", Hint: "Type it anew."}
	}
	if n.Email == operatorEmail {
		return Account{}, &inbox.Error{Code: inbox.Conflict, Message: "That address is the operator's.", Hint: "Use another one."}
	}
	var id int64
	err := tx.QueryRow(ctx, `INSERT INTO core_users (name, email, role, service, password_hash, idempotency_key)
		VALUES ($1, nullif($2, ''), $3, $4, nullif($5, ''), nullif($6, ''))
		ON CONFLICT (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id`,
		n.Name, n.Email, n.Role, n.Service, n.PasswordHash, n.Key).Scan(&id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		a, err := oneAccount(ctx, tx, "u.idempotency_key = $1", n.Key)
		if err == nil && (a.Name != n.Name || a.Email != n.Email || a.Role != n.Role || a.Service != n.Service) {
			err = keyReused()
		}
		return a, err
	case violates(err, "parley_users_email"):
		return Account{}, &inbox.Error{
			Code: inbox.Conflict, Message: fmt.Sprintf("There is a user with the address %s already.", n.Email),
			Hint: "Use another address, or enable that user again.", Err: err,
		}
	case sqlState(err) == sqlStateCheck:
		return Account{}, &inbox.Error{Code: inbox.Invalid, Message: "A user needs a name.", Err: err}
	case err != nil:
		return Account{}, fmt.Errorf("adding a user: %w", err)
	}
	a, err := oneAccount(ctx, tx, "u.id = $1", id)
	if err != nil {
		return Account{}, err
	}
	return a, appendAudit(ctx, tx, by, NewAuditEntry{
		Action: "user.add", TargetKind: "user", TargetID: strconv.FormatInt(id, 10),
		Detail: map[string]any{"name": a.Name, "role": a.Role, "service": a.Service},
	})
}

func keyReused() error {
	return &inbox.Error{
		Code: inbox.Conflict, Message: "This Idempotency-Key was used for another request.",
		Hint: "Use a new key for a new request.",
	}
}

// AccountChange is what to change of a user; nil fields stay.
type AccountChange struct {
	Role     *inbox.Role
	Disabled *bool
	// Version is the one that was read, 0 for any; another fails with Changed.
	Version int64
}

// ChangeAccount changes a user's role, or disables or enables them. The last
// owner who can log in stays one (Conflict); only owners, and the operator, touch
// owners or make some: byRole is the role of who asks.
func (db *DB) ChangeAccount(ctx context.Context, tenant events.TenantID, by inbox.Actor, byRole inbox.Role, id int64, c AccountChange) (a Account, err error) {
	if err := validTenant(tenant); err != nil {
		return Account{}, err
	}
	if c.Role != nil && !c.Role.Valid() {
		return Account{}, &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("There is no role %q.", *c.Role), Hint: "The roles are owner, admin, agent and read_only."}
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		// All owners, so that two who demote each other wait for one another.
		if _, err := tx.Exec(ctx, "SELECT FROM core_users WHERE role = 'owner' OR id = $1 ORDER BY id FOR NO KEY UPDATE", id); err != nil {
			return err
		}
		was, err := oneAccount(ctx, tx, "u.id = $1", id)
		if err != nil {
			return noAccount(id, err)
		}
		if err := sameVersion(c.Version, was.Version, "The user"); err != nil {
			return err
		}
		if (was.Role == inbox.Owner || c.Role != nil && *c.Role == inbox.Owner) && byRole != inbox.Owner {
			return &inbox.Error{Code: inbox.Forbidden, Message: "Only an owner may change who is an owner.", Hint: "Ask an owner."}
		}
		role, disabled := was.Role, was.DisabledAt != nil
		if c.Role != nil {
			role = *c.Role
		}
		if c.Disabled != nil {
			disabled = *c.Disabled
		}
		if _, err := tx.Exec(ctx, `UPDATE core_users SET role = $2, version = version + 1,
			disabled_at = CASE WHEN $3 THEN coalesce(disabled_at, now()) END WHERE id = $1`, id, role, disabled); err != nil {
			return err
		}
		// What an owner loses, somebody else must have.
		if was.Role == inbox.Owner && was.DisabledAt == nil && (role != inbox.Owner || disabled) {
			var others bool
			if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM core_users
				WHERE role = 'owner' AND disabled_at IS NULL AND password_hash IS NOT NULL)`).Scan(&others); err != nil {
				return err
			}
			if !others {
				return &inbox.Error{Code: inbox.Conflict, Message: "This is the last owner.", Hint: "Make somebody else an owner first."}
			}
		}
		if disabled {
			if _, err := tx.Exec(ctx, "UPDATE parley_sessions SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL", id); err != nil {
				return err
			}
		}
		if a, err = oneAccount(ctx, tx, "u.id = $1", id); err != nil {
			return err
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{
			Action: "user.change", TargetKind: "user", TargetID: strconv.FormatInt(id, 10),
			Detail: map[string]any{"role": a.Role, "was": was.Role, "disabled": disabled},
		})
	})
	return a, err
}

// LoginOf returns what a log-in with an email address is checked against, or
// found false when nobody of that address can log in.
func (db *DB) LoginOf(ctx context.Context, tenant events.TenantID, email string) (l Login, found bool, err error) {
	if err := validTenant(tenant); err != nil {
		return Login{}, false, err
	}
	if !isText(email) {
		return Login{}, false, nil
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, "SELECT "+accountColumns+`, u.password_hash, u.totp, u.totp_step FROM core_users u
			WHERE lower(u.email) = lower($1) AND u.password_hash IS NOT NULL AND u.disabled_at IS NULL AND u.channel_id IS NULL`, strings.TrimSpace(email))
		l, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Login])
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Login{}, false, nil
	}
	if err != nil {
		return Login{}, false, fmt.Errorf("reading a log-in: %w", err)
	}
	return l, true, nil
}

// UseTOTP notes that a code of a time step was used, and reports whether it was
// the first of that step or a later one: each code works once.
func (db *DB) UseTOTP(ctx context.Context, tenant events.TenantID, id, step int64) (first bool, err error) {
	if err := validTenant(tenant); err != nil {
		return false, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE core_users SET totp_step = $2 WHERE id = $1 AND totp_step < $2", id, step)
		first = tag.RowsAffected() == 1
		return err
	})
	return first, err
}

// ErrSecondFactor is why nobody with an open session replaces a second factor.
var ErrSecondFactor = &inbox.Error{
	Code: inbox.Conflict, Message: "There is a second factor already.", Hint: "Ask an owner for a reset link, which takes it away.",
}

// SetTOTP sets the sealed secret of a user's second factor. Step is the time step of
// the code that confirmed it, which works no second time. It fails with Conflict
// where there is one already.
func (db *DB) SetTOTP(ctx context.Context, tenant events.TenantID, by inbox.Actor, id int64, sealed []byte, step int64) error {
	if err := validTenant(tenant); err != nil {
		return err
	}
	return db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE core_users SET totp = $2, totp_step = greatest(totp_step, $3) WHERE id = $1 AND totp IS NULL", id, sealed, step)
		if err != nil {
			return fmt.Errorf("changing a second factor: %w", err)
		}
		if tag.RowsAffected() == 0 {
			if _, err := oneAccount(ctx, tx, "u.id = $1", id); err != nil {
				return noAccount(id, err)
			}
			return ErrSecondFactor
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{
			Action: "user.second_factor", TargetKind: "user", TargetID: strconv.FormatInt(id, 10), Detail: map[string]any{"on": true},
		})
	})
}
