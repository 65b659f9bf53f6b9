package store_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/store/storetest"
)

// accessWorld is two tenants without anybody in them.
type accessWorld struct {
	*testing.T
	url  string
	db   *store.DB
	a, b events.TenantID
}

var byOperator = inbox.Actor{Kind: inbox.Operator, Address: "192.0.2.1", RequestID: "r1"}

const someHash = "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func newAccessWorld(t *testing.T) *accessWorld {
	t.Helper()
	w := &accessWorld{T: t, url: storetest.NewDatabase(t)}
	var err error
	if w.db, err = store.Open(t.Context(), w.url, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.db.Close)
	for id, name := range map[*events.TenantID]string{&w.a: "A", &w.b: "B"} {
		tenant, err := w.db.CreateTenant(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		*id = tenant.ID
	}
	return w
}

func (w *accessWorld) user(tenant events.TenantID, email string, role inbox.Role) store.Account {
	w.Helper()
	a, err := w.db.AddAccount(w.Context(), tenant, byOperator, store.NewAccount{Name: "Ann", Email: email, Role: role, PasswordHash: someHash})
	if err != nil {
		w.Fatal(err)
	}
	return a
}

func (w *accessWorld) code(err error, want inbox.Code) {
	w.Helper()
	if inbox.CodeOf(err) != want {
		w.Errorf("error is %v, want code %q", err, want)
	}
}

func TestAccountsStayInTheirTenant(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	a := w.user(w.a, "Ann@Example.com", inbox.Owner)
	b := w.user(w.b, "ann@example.com", inbox.Owner) // the same person, elsewhere
	if a.Email != "ann@example.com" || a.Role != inbox.Owner || a.SecondFactor {
		t.Errorf("account is %+v", a)
	}
	list, err := w.db.Accounts(t.Context(), w.a, 0, 10)
	if err != nil || len(list) != 1 || list[0].ID != a.ID {
		t.Errorf("accounts are %+v, %v", list, err)
	}
	_, err = w.db.Account(t.Context(), w.a, b.ID)
	w.code(err, inbox.NotFound)
	_, err = w.db.ChangeAccount(t.Context(), w.a, byOperator, inbox.Owner, b.ID, store.AccountChange{Disabled: new(true)})
	w.code(err, inbox.NotFound)
	w.code(w.db.SetTOTP(t.Context(), w.a, byOperator, b.ID, []byte("x"), 0), inbox.NotFound)
	_, err = w.db.AddAccount(t.Context(), w.a, byOperator, store.NewAccount{Name: "Ann", Email: "ANN@example.com", Role: inbox.Agent})
	w.code(err, inbox.Conflict)
	if l, found, err := w.db.LoginOf(t.Context(), w.b, " ANN@example.com"); err != nil || !found || l.ID != b.ID {
		t.Errorf("log-in is %+v, %v, %v", l, found, err)
	}
}

func TestKeyAddsOneAccount(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	n := store.NewAccount{Name: "Bob", Email: "bob@example.com", Role: inbox.Agent, Key: "k"}
	first, err := w.db.AddAccount(t.Context(), w.a, byOperator, n)
	again, err2 := w.db.AddAccount(t.Context(), w.a, byOperator, n)
	if err != nil || err2 != nil || first.ID != again.ID {
		t.Errorf("%+v, %v and %+v, %v", first, err, again, err2)
	}
	n.Name = "Bobby"
	_, err = w.db.AddAccount(t.Context(), w.a, byOperator, n)
	w.code(err, inbox.Conflict)
	n.Name = "Bob"
	if other, err := w.db.AddAccount(t.Context(), w.b, byOperator, n); err != nil || other.ID == first.ID {
		t.Errorf("another tenant's key: %+v, %v", other, err)
	}
}

func TestLastOwnerStays(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	one, two := w.user(w.a, "one@example.com", inbox.Owner), w.user(w.a, "two@example.com", inbox.Owner)
	w.user(w.b, "one@example.com", inbox.Owner) // helps nobody in A
	_, err := w.db.ChangeAccount(t.Context(), w.a, byOperator, inbox.Admin, one.ID, store.AccountChange{Role: new(inbox.Agent)})
	w.code(err, inbox.Forbidden)
	// Each demotes the other at the same time: one of them wins.
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, id := range []int64{one.ID, two.ID} {
		wg.Go(func() {
			_, errs[i] = w.db.ChangeAccount(t.Context(), w.a, byOperator, inbox.Owner, id, store.AccountChange{Role: new(inbox.Agent)})
		})
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || inbox.CodeOf(errors.Join(errs...)) != inbox.Conflict {
		t.Errorf("errors are %v", errs)
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	a := w.user(w.a, "ann@example.com", inbox.Owner)
	w.user(w.a, "other@example.com", inbox.Owner)
	start := func(b byte, life, idle time.Duration) (store.SecretHash, string) {
		t.Helper()
		hash := store.SecretHash{b}
		id, err := w.db.StartSession(t.Context(), w.a, byOperator, store.NewSession{User: a.ID, Hash: hash, Life: life, Idle: idle, UserAgent: "Browser"})
		if err != nil {
			t.Fatal(err)
		}
		return hash, id
	}
	alive := func(what string, tenant events.TenantID, hash store.SecretHash, want bool) {
		t.Helper()
		s, found, err := w.db.SessionOf(t.Context(), tenant, hash)
		if err != nil || found != want || found && s.User.ID != a.ID {
			t.Errorf("%s: %+v, %v, %v", what, s, found, err)
		}
	}
	hash, id := start(1, time.Hour, time.Hour)
	alive("a new one", w.a, hash, true)
	alive("in another tenant", w.b, hash, false)
	alive("in no tenant", "nobody", hash, false)
	alive("another hash", w.a, store.SecretHash{9}, false)
	expired, _ := start(2, -time.Second, time.Hour)
	alive("expired", w.a, expired, false)
	idle, _ := start(3, time.Hour, time.Hour)
	storetest.Exec(t, w.url, "UPDATE parley_sessions SET last_used_at = now() - interval '2 hours' WHERE hash = $1", idle[:])
	alive("idle", w.a, idle, false)
	w.code(w.db.EndSession(t.Context(), w.b, byOperator, id), inbox.NotFound)
	alive("ended by another tenant", w.a, hash, true)
	if err := w.db.EndSession(t.Context(), w.a, byOperator, id); err != nil {
		t.Error(err)
	}
	alive("ended", w.a, hash, false)
	// Enabling a user again brings no session back.
	hash, _ = start(4, time.Hour, time.Hour)
	for _, disabled := range []bool{true, false} {
		if _, err := w.db.ChangeAccount(t.Context(), w.a, byOperator, inbox.Owner, a.ID, store.AccountChange{Disabled: &disabled}); err != nil {
			t.Fatal(err)
		}
		alive("of a disabled user", w.a, hash, false)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	n := store.NewToken{
		Name: "bot", Role: inbox.Agent, Scopes: []string{"chats:read"}, Hash: store.SecretHash{1}, Prefix: "parley_tok_x", Life: time.Hour, Key: "k",
	}
	tok, made, err := w.db.AddToken(t.Context(), w.a, byOperator, n)
	if err != nil || !made || !tok.User.Service || tok.User.Role != inbox.Agent || tok.LastUsedAt != nil {
		t.Fatalf("%+v, %v, %v", tok, made, err)
	}
	n.Hash = store.SecretHash{2}
	if again, made, err := w.db.AddToken(t.Context(), w.a, byOperator, n); err != nil || made || again.ID != tok.ID {
		t.Errorf("again: %+v, %v, %v", again, made, err)
	}
	n.Scopes = []string{"users:write"}
	_, _, err = w.db.AddToken(t.Context(), w.a, byOperator, n)
	w.code(err, inbox.Conflict)
	valid := func(what string, tenant events.TenantID, want bool) {
		t.Helper()
		if _, found, err := w.db.TokenOf(t.Context(), tenant, store.SecretHash{1}); err != nil || found != want {
			t.Errorf("%s: %v, %v", what, found, err)
		}
	}
	valid("new", w.a, true)
	valid("in another tenant", w.b, false)
	if list, err := w.db.Tokens(t.Context(), w.a, "", 10); err != nil || len(list) != 1 || list[0].LastUsedAt == nil {
		t.Errorf("tokens are %+v, %v", list, err)
	}
	if list, err := w.db.Tokens(t.Context(), w.b, "", 10); err != nil || len(list) != 0 {
		t.Errorf("B's tokens are %+v, %v", list, err)
	}
	w.code(w.db.RevokeToken(t.Context(), w.b, byOperator, tok.ID), inbox.NotFound)
	valid("revoked by another tenant", w.a, true)
	storetest.Exec(t, w.url, "UPDATE parley_tokens SET expires_at = now()")
	valid("expired", w.a, false)
	storetest.Exec(t, w.url, "UPDATE parley_tokens SET expires_at = now() + interval '1 hour'")
	if err := w.db.RevokeToken(t.Context(), w.a, byOperator, tok.ID); err != nil {
		t.Error(err)
	}
	valid("revoked", w.a, false)
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	hash := store.SecretHash{1}
	made, err := w.db.InviteFirstOwner(t.Context(), w.a, byOperator, hash, time.Hour)
	again, err2 := w.db.InviteFirstOwner(t.Context(), w.a, byOperator, store.SecretHash{2}, time.Hour)
	if err != nil || err2 != nil || !made || again {
		t.Fatalf("first owner: %v, %v and %v, %v", made, err, again, err2)
	}
	acc := store.Acceptance{Name: "Ann", Email: "ann@example.com", PasswordHash: someHash}
	_, err = w.db.Accept(t.Context(), w.b, byOperator, hash, acc)
	w.code(err, inbox.Unauthorized)
	// Ten at once: it works once.
	var wg sync.WaitGroup
	errs := make([]error, 10)
	for i := range errs {
		wg.Go(func() { _, errs[i] = w.db.Accept(t.Context(), w.a, byOperator, hash, acc) })
	}
	wg.Wait()
	accepted := 0
	for _, err := range errs {
		if err == nil {
			accepted++
		} else {
			w.code(err, inbox.Unauthorized)
		}
	}
	if accepted != 1 {
		t.Errorf("accepted %d times", accepted)
	}
	if made, err := w.db.InviteFirstOwner(t.Context(), w.a, byOperator, store.SecretHash{3}, time.Hour); err != nil || made {
		t.Errorf("with an owner there: %v, %v", made, err)
	}
	_, _, err = w.db.Invite(t.Context(), w.a, byOperator, inbox.Admin, store.NewInvitation{Role: inbox.Owner, Hash: store.SecretHash{4}, Life: time.Hour})
	w.code(err, inbox.Forbidden)
	v, _, err := w.db.Invite(t.Context(), w.a, byOperator, inbox.Admin, store.NewInvitation{Role: inbox.Agent, Email: "x@example.com", Hash: store.SecretHash{5}, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	w.code(w.db.RevokeInvitation(t.Context(), w.b, byOperator, v.ID), inbox.NotFound)
	if err := w.db.RevokeInvitation(t.Context(), w.a, byOperator, v.ID); err != nil {
		t.Error(err)
	}
	_, err = w.db.Accept(t.Context(), w.a, byOperator, store.SecretHash{5}, acc)
	w.code(err, inbox.Unauthorized)
	if _, _, err := w.db.Invite(t.Context(), w.a, byOperator, inbox.Admin, store.NewInvitation{Role: inbox.Agent, Email: "y@example.com", Hash: store.SecretHash{6}, Life: time.Hour}); err != nil {
		t.Fatal(err)
	}
	storetest.Exec(t, w.url, "UPDATE parley_invitations SET expires_at = now() WHERE email = 'y@example.com'")
	_, err = w.db.Accept(t.Context(), w.a, byOperator, store.SecretHash{6}, acc)
	w.code(err, inbox.Unauthorized)
}

// A link is worth no more than who made it is by then, and does not grow with whom it
// is for.
func TestInvitationsDoNotOutliveTheirMakers(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	w.user(w.a, "first@example.com", inbox.Owner)
	n := byte(0)
	link := func(by inbox.Actor, role inbox.Role, to store.NewInvitation) store.SecretHash {
		t.Helper()
		n++
		to.Hash, to.Life = store.SecretHash{n}, time.Hour
		if _, _, err := w.db.Invite(t.Context(), w.a, by, role, to); err != nil {
			t.Fatal(err)
		}
		return to.Hash
	}
	accept := func(hash store.SecretHash) error {
		_, err := w.db.Accept(t.Context(), w.a, byOperator, hash, store.Acceptance{Name: "Eve", PasswordHash: someHash})
		return err
	}
	change := func(id int64, c store.AccountChange) {
		t.Helper()
		if _, err := w.db.ChangeAccount(t.Context(), w.a, byOperator, inbox.Owner, id, c); err != nil {
			t.Fatal(err)
		}
	}
	person := func(a store.Account) inbox.Actor {
		return inbox.Actor{Kind: inbox.UserActor, ID: strconv.FormatInt(a.ID, 10), Name: a.Name}
	}

	eve := w.user(w.a, "eve@example.com", inbox.Owner)
	owner, agent := link(person(eve), inbox.Owner, store.NewInvitation{Email: "back@example.com", Role: inbox.Owner}),
		link(person(eve), inbox.Owner, store.NewInvitation{Email: "friend@example.com", Role: inbox.Agent})
	change(eve.ID, store.AccountChange{Role: new(inbox.Agent)})
	w.code(accept(owner), inbox.Unauthorized)
	change(eve.ID, store.AccountChange{Disabled: new(true)})
	w.code(accept(agent), inbox.Unauthorized)
	change(eve.ID, store.AccountChange{Disabled: new(false)})
	if err := accept(agent); err != nil {
		t.Errorf("who invited is in again: %v", err)
	}

	// An admin keeps the reset link of an agent who then becomes an owner.
	admin, rising := w.user(w.a, "admin@example.com", inbox.Admin), w.user(w.a, "rising@example.com", inbox.Agent)
	reset := link(person(admin), inbox.Admin, store.NewInvitation{User: rising.ID})
	change(rising.ID, store.AccountChange{Role: new(inbox.Owner)})
	w.code(accept(reset), inbox.Unauthorized)
	change(rising.ID, store.AccountChange{Role: new(inbox.ReadOnly)})
	if err := accept(reset); err != nil {
		t.Errorf("the reset of who is less by now: %v", err)
	}

	// A token that leaked and was revoked leaves nothing behind.
	token, _, err := w.db.AddToken(t.Context(), w.a, byOperator, store.NewToken{
		Name: "bot", Role: inbox.Admin, Scopes: []string{"users:write"}, Hash: store.SecretHash{200}, Life: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	program := inbox.Actor{Kind: inbox.TokenUser, ID: token.ID, Name: token.Name}
	left, used := link(program, inbox.Admin, store.NewInvitation{Email: "left@example.com", Role: inbox.Admin}),
		link(program, inbox.Admin, store.NewInvitation{Email: "used@example.com", Role: inbox.Admin})
	if err := accept(used); err != nil {
		t.Errorf("a program's invitation: %v", err)
	}
	if err := w.db.RevokeToken(t.Context(), w.a, byOperator, token.ID); err != nil {
		t.Fatal(err)
	}
	w.code(accept(left), inbox.Unauthorized)
}

// A reset sets the password, ends the sessions and takes the lost phone away.
func TestReset(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	a := w.user(w.a, "ann@example.com", inbox.Agent)
	if err := w.db.SetTOTP(t.Context(), w.a, byOperator, a.ID, []byte("sealed"), 0); err != nil {
		t.Fatal(err)
	}
	// Nobody with an open session replaces it.
	w.code(w.db.SetTOTP(t.Context(), w.a, byOperator, a.ID, []byte("another"), 0), inbox.Conflict)
	session := store.SecretHash{1}
	if _, err := w.db.StartSession(t.Context(), w.a, byOperator, store.NewSession{User: a.ID, Hash: session, Life: time.Hour, Idle: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.db.Invite(t.Context(), w.a, byOperator, inbox.Owner, store.NewInvitation{User: a.ID, Hash: store.SecretHash{2}, Life: time.Hour}); err != nil {
		t.Fatal(err)
	}
	forgotten := func(b byte) {
		t.Helper()
		if _, _, err := w.db.Invite(t.Context(), w.a, byOperator, inbox.Owner, store.NewInvitation{User: a.ID, Hash: store.SecretHash{b}, Life: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	forgotten(3)
	other := someHash[:len(someHash)-2] + "BA"
	if _, err := w.db.Accept(t.Context(), w.a, byOperator, store.SecretHash{2}, store.Acceptance{PasswordHash: other}); err != nil {
		t.Fatal(err)
	}
	l, found, err := w.db.LoginOf(t.Context(), w.a, a.Email)
	if err != nil || !found || l.PasswordHash != other || l.TOTP != nil {
		t.Errorf("%+v, %v, %v", l, found, err)
	}
	if _, found, err := w.db.SessionOf(t.Context(), w.a, session); err != nil || found {
		t.Errorf("the session lives: %v", err)
	}
	// Another link, sent before, undoes neither that nor what the user chooses later.
	_, err = w.db.Accept(t.Context(), w.a, byOperator, store.SecretHash{3}, store.Acceptance{PasswordHash: someHash})
	w.code(err, inbox.Unauthorized)
	forgotten(4)
	if err := w.db.SetPassword(t.Context(), w.a, byOperator, a.ID, someHash, ""); err != nil {
		t.Fatal(err)
	}
	_, err = w.db.Accept(t.Context(), w.a, byOperator, store.SecretHash{4}, store.Acceptance{PasswordHash: other})
	w.code(err, inbox.Unauthorized)
	// Several at once: one works, and none waits for ever.
	var all sync.WaitGroup
	errs := make([]error, 5)
	for i := range errs {
		forgotten(byte(10 + i))
	}
	for i := range errs {
		all.Go(func() {
			_, errs[i] = w.db.Accept(t.Context(), w.a, byOperator, store.SecretHash{byte(10 + i)}, store.Acceptance{PasswordHash: other})
		})
	}
	all.Wait()
	worked := 0
	for _, err := range errs {
		if err == nil {
			worked++
		} else {
			w.code(err, inbox.Unauthorized)
		}
	}
	if worked != 1 {
		t.Errorf("%d of %d resets at once worked", worked, len(errs))
	}
}

func TestCodeWorksOnce(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	a := w.user(w.a, "ann@example.com", inbox.Agent)
	for _, tt := range []struct {
		tenant events.TenantID
		step   int64
		want   bool
	}{{w.b, 7, false}, {w.a, 7, true}, {w.a, 7, false}, {w.a, 6, false}, {w.a, 8, true}} {
		if first, err := w.db.UseTOTP(t.Context(), tt.tenant, a.ID, tt.step); err != nil || first != tt.want {
			t.Errorf("%+v: %v, %v", tt, first, err)
		}
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	key, other := [32]byte{1}, [32]byte{2}
	var counts []int
	delay := func(n int) time.Duration { counts = append(counts, n); return time.Duration(n-1) * time.Hour }
	waits := func(what string, want time.Duration, keys ...[32]byte) {
		t.Helper()
		if wait, err := w.db.LoginWait(t.Context(), keys...); err != nil || wait > want || wait < want-time.Minute {
			t.Errorf("%s: %v, %v, want about %v", what, wait, err, want)
		}
	}
	fail := func() {
		t.Helper()
		if err := w.db.LoginFailed(t.Context(), key, delay); err != nil {
			t.Fatal(err)
		}
	}
	waits("at first", 0, key, other)
	fail()
	waits("after one", 0, key, other)
	fail()
	fail()
	waits("after three", 2*time.Hour, key, other)
	waits("another", 0, other)
	storetest.Exec(t, w.url, "UPDATE parley_throttle SET failed_at = now() - interval '25 hours'")
	fail()
	if len(counts) != 4 || counts[2] != 3 || counts[3] != 1 {
		t.Errorf("failures counted are %v", counts)
	}
	if err := w.db.LoginSucceeded(t.Context(), key); err != nil || storetest.Int(t, w.url, "SELECT count(*) FROM parley_throttle") != 0 {
		t.Error("not forgotten: ", err)
	}
}

func TestAuditLogTellsWhoDidWhat(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	a := w.user(w.a, "ann@example.com", inbox.Owner)
	if err := w.db.AppendAudit(t.Context(), w.a, inbox.Actor{Kind: inbox.UserActor, ID: "1", Name: "Ann"}, store.NewAuditEntry{Action: "x.y"}); err != nil {
		t.Fatal(err)
	}
	list, err := w.db.AuditLog(t.Context(), w.a, 0, 10)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	e := list[1]
	if e.Action != "user.add" || e.TargetID == "" || e.ActorKind != inbox.Operator || e.Address != "192.0.2.1" || e.RequestID != "r1" || a.ID == 0 {
		t.Errorf("entry is %+v", e)
	}
	if before, err := w.db.AuditLog(t.Context(), w.a, list[0].ID, 10); err != nil || len(before) != 1 || before[0].ID != e.ID {
		t.Errorf("before: %+v, %v", before, err)
	}
	if other, err := w.db.AuditLog(t.Context(), w.b, 0, 10); err != nil || len(other) != 0 {
		t.Errorf("B sees %+v, %v", other, err)
	}
}
