package access

import (
	"context"
	"errors"

	"parley/inbox"
	"parley/store"
)

// ChangePassword gives somebody who is logged in another password, if they know
// the one they have, and logs them out everywhere else. It fails with
// Invalid when they do not, and with Refused while they have to wait: an
// open session is not enough to guess the password by.
func (g *Guard) ChangePassword(ctx context.Context, who Principal, old, password string) error {
	if err := CheckPassword(password); err != nil {
		return err // no guess
	}
	account, err := g.db.Account(ctx, who.Tenant, who.User)
	if err != nil {
		return err
	}
	key := AccountKey(who.Tenant, account.Email)
	if wait, err := g.db.LoginTry(ctx, key, AccountDelay); err != nil || wait > 0 {
		return errors.Join(err, mustWait(wait))
	}
	hash, err := g.hash(ctx, password)
	if err != nil {
		return err
	}
	l, found, err := g.db.LoginOf(ctx, who.Tenant, account.Email)
	if err != nil {
		return err
	}
	if !found {
		l.PasswordHash = g.decoy
	}
	right, err := g.verify(ctx, l.PasswordHash, old)
	if err != nil {
		return err
	}
	if !right || !found {
		return &inbox.Error{Code: inbox.Invalid, Message: "This is not your password so far.", Hint: "Who forgot it asks an owner for a reset link."}
	}
	if err := g.db.SetPassword(ctx, who.Tenant, who.Actor, who.User, hash, who.Session); err != nil {
		return err
	}
	return g.db.LoginSucceeded(ctx, key)
}

// AddTOTP sets a second factor for somebody who is logged in, once their app
// shows the right code for the secret. It fails with Conflict when there is one,
// and with Invalid when the code is wrong.
func (g *Guard) AddTOTP(ctx context.Context, who Principal, secret, code string) (store.Account, error) {
	account, err := g.db.Account(ctx, who.Tenant, who.User)
	if err != nil {
		return store.Account{}, err
	}
	if account.SecondFactor {
		return store.Account{}, store.ErrSecondFactor
	}
	step, ok := CheckTOTP(secret, code, g.now(), 0)
	if !ok {
		return store.Account{}, &inbox.Error{Code: inbox.Invalid, Message: "The code is not right for that secret.", Hint: "Check the clocks of the phone and of the server."}
	}
	sealed, err := g.SealTOTP(who.Tenant, who.User, secret)
	if err != nil {
		return store.Account{}, err
	}
	if err := g.db.SetTOTP(ctx, who.Tenant, who.Actor, who.User, sealed, step); err != nil {
		return store.Account{}, err
	}
	return g.db.Account(ctx, who.Tenant, who.User)
}
