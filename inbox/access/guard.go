package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// How long things last.
const (
	SessionLife    = 30 * 24 * time.Hour
	SessionIdle    = 3 * 24 * time.Hour
	InvitationLife = 3 * 24 * time.Hour
	ResetLife      = 24 * time.Hour
	MaxTokenLife   = 366 * 24 * time.Hour
)

// hashesAtOnce bounds the memory that passwords take: each takes as much as its
// cost says.
const hashesAtOnce = 4

// Guard lets people and programs in. Make one with NewGuard.
type Guard struct {
	db   *store.DB
	keys *inbox.Keyring
	cost Cost
	now  func() time.Time
	// decoy is what unknown accounts are checked against, so that they take as long.
	decoy string
	turns chan struct{}
	// judge is VerifyPassword, and make HashPassword; tests count their calls.
	judge func(hash, password string) (bool, error)
	make  func(password string, cost Cost) string

	changes changes
}

// GuardOptions are what a Guard works with; DB and Keyring are required.
type GuardOptions struct {
	DB *store.DB
	// Keyring seals second factors.
	Keyring *inbox.Keyring
	// Cost is DefaultCost when zero.
	Cost Cost
	// Now is the clock, time.Now when nil.
	Now func() time.Time
}

// NewGuard makes a Guard.
func NewGuard(o GuardOptions) *Guard {
	g := &Guard{db: o.DB, keys: o.Keyring, cost: o.Cost, now: o.Now, turns: make(chan struct{}, hashesAtOnce), judge: VerifyPassword, make: HashPassword}
	if g.cost == (Cost{}) {
		g.cost = DefaultCost()
	}
	if g.now == nil {
		g.now = time.Now
	}
	g.decoy = decoyHash(g.cost)
	return g
}

// errLogin is every log-in that fails, whatever the reason.
func errLogin() error {
	return &inbox.Error{
		Code: inbox.Unauthorized, Message: "The log-in failed: the address, the password or the code is not right.",
		Hint: "Check them. Who forgot the password asks an owner for a reset link.",
	}
}

// Attempt is a try to log in.
type Attempt struct {
	Tenant          events.TenantID // where the account is; may be one that does not exist
	Email, Password string
	// Code is the second factor's, empty without one.
	Code      string
	UserAgent string
	// By says from where.
	By inbox.Actor
}

// LogIn begins a session. It fails with Unauthorized, always in the same words,
// and with Refused while the account or the address has to wait.
func (g *Guard) LogIn(ctx context.Context, a Attempt) (Credential, store.Account, error) {
	account, address := AccountKey(a.Tenant, a.Email), AddressKey(a.By.Address)
	wait, err := g.db.LoginWait(ctx, address)
	if err == nil && wait == 0 {
		// Counted before it is judged: many at once would all find that none failed.
		wait, err = g.db.LoginTry(ctx, account, AccountDelay)
	}
	if err != nil || wait > 0 {
		return Credential{}, store.Account{}, errors.Join(err, mustWait(wait))
	}
	l, ok, err := g.check(ctx, a)
	if err != nil {
		return Credential{}, store.Account{}, err
	}
	if !ok {
		return Credential{}, store.Account{}, cmp.Or(g.db.LoginFailed(ctx, address, AddressDelay), errLogin())
	}
	c, err := g.begin(ctx, a.Tenant, l.Account, a.By, a.UserAgent)
	if err != nil {
		return Credential{}, store.Account{}, err
	}
	return c, l.Account, g.db.LoginSucceeded(ctx, account)
}

// begin begins the session of somebody who proved who they are.
func (g *Guard) begin(ctx context.Context, tenant events.TenantID, who store.Account, by inbox.Actor, userAgent string) (Credential, error) {
	c, err := NewCredential(SessionKind, tenant)
	if err != nil {
		return Credential{}, err
	}
	by.Kind, by.ID, by.Name = inbox.UserActor, strconv.FormatInt(who.ID, 10), who.Name
	_, err = g.db.StartSession(ctx, tenant, by, store.NewSession{
		User: who.ID, Hash: c.Hash(), Life: SessionLife, Idle: SessionIdle, UserAgent: userAgent,
	})
	return c, err
}

// mustWait refuses a try before its time; nil when there is nothing to wait for.
func mustWait(wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	return &inbox.Error{
		Code: inbox.Refused, Message: "There were too many failed tries.",
		Hint: fmt.Sprintf("Try again in %s.", wait.Round(time.Second)+time.Second), Detail: RetryAfter{wait},
	}
}

// RetryAfter is the data of a refusal that time mends.
type RetryAfter struct {
	Wait time.Duration `json:"-"`
}

// check does the same work whoever asks.
func (g *Guard) check(ctx context.Context, a Attempt) (l store.Login, ok bool, err error) {
	l, found, err := g.db.LoginOf(ctx, a.Tenant, a.Email)
	if err != nil && inbox.CodeOf(err) != inbox.NotFound {
		return l, false, err
	}
	hash := l.PasswordHash
	if !found {
		hash = g.decoy
	}
	right, err := g.verify(ctx, hash, a.Password)
	if err != nil || !right || !found {
		return l, false, err
	}
	if l.TOTP == nil {
		return l, true, nil
	}
	secrets, err := g.keys.Open(inbox.SealedTOTP(a.Tenant, l.ID), l.TOTP)
	if err != nil {
		return l, false, err
	}
	step, right := CheckTOTP(secrets[totpSecret], a.Code, g.now(), l.TOTPStep)
	if !right {
		return l, false, nil
	}
	ok, err = g.db.UseTOTP(ctx, a.Tenant, l.ID, step)
	return l, ok, err
}

// verify waits for its turn: hashing takes memory.
func (g *Guard) verify(ctx context.Context, hash, password string) (bool, error) {
	select {
	case g.turns <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-g.turns }()
	return g.judge(hash, password)
}

func (g *Guard) hash(ctx context.Context, password string) (string, error) {
	if err := CheckPassword(password); err != nil {
		return "", err
	}
	select {
	case g.turns <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-g.turns }()
	return g.make(password, g.cost), nil
}

// Identify finds who a session's cookie or a token's text stands for. Ok is false
// when it stands for nobody, or nobody any more.
func (g *Guard) Identify(ctx context.Context, text string) (p Principal, ok bool, err error) {
	if c, is := ParseCredential(SessionKind, text); is {
		s, ok, err := g.db.SessionOf(ctx, c.Tenant, c.Hash())
		return Principal{
			Actor:  inbox.Actor{Kind: inbox.UserActor, ID: strconv.FormatInt(s.User.ID, 10), Name: s.User.Name},
			Tenant: c.Tenant, User: s.User.ID, Role: s.User.Role, Session: s.ID,
		}, ok, err
	}
	if c, is := ParseCredential(TokenKind, text); is {
		t, ok, err := g.db.TokenOf(ctx, c.Tenant, c.Hash())
		return Principal{
			Actor:  inbox.Actor{Kind: inbox.TokenUser, ID: t.ID, Name: t.Name},
			Tenant: c.Tenant, User: t.User.ID, Role: t.User.Role, Scopes: t.Scopes,
		}, ok, err
	}
	return Principal{}, false, nil
}

// Accept uses an invitation: its bearer joins, or has a new password. Guessing one
// is hopeless, so only the address is throttled. The password is hashed before
// the invitation is looked at, so that the time tells nothing.
func (g *Guard) Accept(ctx context.Context, by inbox.Actor, text string, acc store.Acceptance, password string) (store.Account, error) {
	address := AddressKey(by.Address)
	if wait, err := g.db.LoginWait(ctx, address); err != nil || wait > 0 {
		return store.Account{}, errors.Join(err, mustWait(wait))
	}
	hash, err := g.hash(ctx, password)
	if err != nil {
		return store.Account{}, err
	}
	acc.PasswordHash = hash
	c, _ := ParseCredential(InvitationKind, text) // one that is none has no tenant, and is refused alike
	a, err := g.db.Accept(ctx, c.Tenant, by, c.Hash(), acc)
	if inbox.CodeOf(err) == inbox.Unauthorized {
		return store.Account{}, errors.Join(err, g.db.LoginFailed(ctx, address, AddressDelay))
	}
	return a, err
}

// totpSecret is the secret's name among the sealed.
const totpSecret = "totp"

// SealTOTP seals a second factor's secret for one user.
func (g *Guard) SealTOTP(tenant events.TenantID, user int64, secret string) ([]byte, error) {
	return g.keys.Seal(inbox.SealedTOTP(tenant, user), map[string]string{totpSecret: secret})
}

// Tenant finds where somebody logs in, by id or name; empty is the only tenant.
// What is not found, or not one, is a tenant that does not exist: the log-in then
// fails like any other.
func (g *Guard) Tenant(ctx context.Context, name string) (events.TenantID, error) {
	all, err := g.db.Tenants(ctx)
	if err != nil {
		return "", err
	}
	var found []events.TenantID
	for _, t := range all {
		if name == "" || strings.EqualFold(t.Name, name) || strings.EqualFold(string(t.ID), name) {
			found = append(found, t.ID)
		}
	}
	if len(found) != 1 {
		return noTenant, nil
	}
	return found[0], nil
}

// noTenant is the id of no tenant: gen_random_uuid never makes it.
const noTenant events.TenantID = "00000000-0000-0000-0000-000000000000"

// InvitationLink is what to hand to who is invited. Browsers do not send what is
// after the #, so that no server's or proxy's log has it.
func InvitationLink(base string, c Credential) string { return base + "/invite#" + c.Text }

// FirstOwner makes the link for a tenant's first owner, where nobody can log in
// and no such link waits; empty otherwise.
func (g *Guard) FirstOwner(ctx context.Context, tenant events.TenantID, base string) (link string, err error) {
	c, err := NewCredential(InvitationKind, tenant)
	if err != nil {
		return "", err
	}
	made, err := g.db.InviteFirstOwner(ctx, tenant, inbox.Actor{Kind: inbox.Operator, Name: "first start"}, c.Hash(), InvitationLife)
	if err != nil || !made {
		return "", err
	}
	return InvitationLink(base, c), nil
}
