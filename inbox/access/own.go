package access

import (
	"context"

	"parley/inbox"
	"parley/store"
)

// ChangePassword gives somebody who is logged in another password, if they know
// the one they have, and logs them out everywhere else. It fails with
// Invalid when they do not, and with Refused while they have to wait: an
// open session is not enough to guess the password by.
func (g *Guard) ChangePassword(ctx context.Context, who Principal, old, password string) error {
	account, err := g.db.Account(ctx, who.Tenant, who.User)
	if err != nil {
		return err
	}
	key := AccountKey(who.Tenant, account.Email)
	if wait, err := g.db.LoginWait(ctx, key); err != nil || wait > 0 {
		if err == nil {
			err = &inbox.Error{Code: inbox.Refused, Message: "There were too many failed tries.", Hint: "Try again later.", Detail: RetryAfter{wait}}
		}
		return err
	}
	hash, err := g.hash(ctx, password)
	if err != nil {
		return err
	}
	l, found, err := g.db.LoginOf(ctx, who.Tenant, account.Email)
	if err != nil {
		return err
	}
	right := false
	if found {
		if right, err = g.verify(ctx, l.PasswordHash, old); err != nil {
			return err
		}
	}
	if !right {
		if err := g.db.LoginFailed(ctx, key, AccountDelay); err != nil {
			return err
		}
		return &inbox.Error{Code: inbox.Invalid, Message: "This is not your password so far.", Hint: "Who forgot it asks an owner for a reset link."}
	}
	return g.db.SetPassword(ctx, who.Tenant, who.Actor, who.User, hash, who.Session)
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
		return store.Account{}, &inbox.Error{Code: inbox.Conflict, Message: "There is a second factor already.", Hint: "Ask an owner for a reset link, which takes it away."}
	}
	if _, ok := CheckTOTP(secret, code, g.now(), 0); !ok {
		return store.Account{}, &inbox.Error{Code: inbox.Invalid, Message: "The code is not right for that secret.", Hint: "Check the clocks of the phone and of the server."}
	}
	sealed, err := g.SealTOTP(who.Tenant, who.User, secret)
	if err != nil {
		return store.Account{}, err
	}
	if err := g.db.SetTOTP(ctx, who.Tenant, who.Actor, who.User, sealed); err != nil {
		return store.Account{}, err
	}
	return g.db.Account(ctx, who.Tenant, who.User)
}
