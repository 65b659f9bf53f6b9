package access_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
	"parley/store/storetest"
)

const password = "correct horse battery"

// guardWorld is a tenant with users who log in, or cannot.
type guardWorld struct {
	testing.TB
	url    string
	db     *store.DB
	guard  *access.Guard
	tenant events.TenantID
}

func newGuardWorld(tb testing.TB, cost access.Cost) *guardWorld {
	tb.Helper()
	w := &guardWorld{TB: tb, url: storetest.NewDatabase(tb)}
	var err error
	if w.db, err = store.Open(tb.Context(), w.url, nil); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(w.db.Close)
	keys, err := inbox.ParseKey(inbox.NewKey())
	if err != nil {
		tb.Fatal(err)
	}
	w.guard = access.NewGuard(access.GuardOptions{DB: w.db, Keyring: keys, Cost: cost})
	w.tenant = w.newTenant("Acme")
	return w
}

func (w *guardWorld) newTenant(name string) events.TenantID {
	w.Helper()
	made, err := w.db.CreateTenant(w.Context(), name)
	if err != nil {
		w.Fatal(err)
	}
	return made.ID
}

var byTest = inbox.Actor{Kind: inbox.Operator, Name: "test"}

// invite makes an invitation for an owner.
func (w *guardWorld) invite(email string) access.Credential {
	w.Helper()
	c, err := access.NewCredential(access.InvitationKind, w.tenant)
	if err != nil {
		w.Fatal(err)
	}
	if _, _, err := w.db.Invite(w.Context(), w.tenant, byTest, inbox.Owner, store.NewInvitation{Email: email, Role: inbox.Owner, Hash: c.Hash(), Life: time.Hour}); err != nil {
		w.Fatal(err)
	}
	return c
}

// join makes a user with the password.
func (w *guardWorld) join(email string) store.Account {
	w.Helper()
	a, err := w.guard.Accept(w.Context(), byTest, w.invite(email).Text, store.Acceptance{Name: "Ann"}, password)
	if err != nil {
		w.Fatal(err)
	}
	return a
}

func (w *guardWorld) try(email, password, code string) error {
	_, _, err := w.guard.LogIn(w.Context(), access.Attempt{Tenant: w.tenant, Email: email, Password: password, Code: code, By: inbox.Actor{Address: "192.0.2.1"}})
	return err
}

// tryAt is a log-in of ann's at another tenant.
func (w *guardWorld) tryAt(tenant events.TenantID, password string) error {
	_, _, err := w.guard.LogIn(w.Context(), access.Attempt{Tenant: tenant, Email: "ann@acme.example", Password: password, By: inbox.Actor{Address: "192.0.2.1"}})
	return err
}

// strangers are log-ins that fail for different reasons, which nobody may be told.
func (w *guardWorld) strangers() map[string]func() error {
	w.Helper()
	w.join("ann@acme.example")
	second := w.join("second@acme.example")
	sealed, err := w.guard.SealTOTP(w.tenant, second.ID, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
	if err != nil {
		w.Fatal(err)
	}
	if err := w.db.SetTOTP(w.Context(), w.tenant, inbox.Actor{Kind: inbox.Operator}, second.ID, sealed, 0); err != nil {
		w.Fatal(err)
	}
	storetest.Exec(w, w.url, `UPDATE core_users SET disabled_at = now() WHERE id = $1`, w.join("gone@acme.example").ID)
	// Signs in by a provider only.
	storetest.Exec(w, w.url, `UPDATE core_users SET password_hash = NULL WHERE id = $1`, w.join("sso@acme.example").ID)
	storetest.Exec(w, w.url, `UPDATE core_users SET service = true, password_hash = NULL WHERE id = $1`, w.join("program@acme.example").ID)
	acme, suspended, removed := w.tenant, w.newTenant("Suspended"), w.newTenant("Removed")
	for _, w.tenant = range []events.TenantID{suspended, removed} {
		w.join("ann@acme.example")
	}
	w.tenant = acme
	if _, err := w.db.SuspendTenant(w.Context(), suspended, byTest, true); err != nil {
		w.Fatal(err)
	}
	storetest.Exec(w, w.url, "DELETE FROM tenants WHERE id = $1", removed)
	return map[string]func() error{
		"wrong password":       func() error { return w.try("ann@acme.example", "not the password", "") },
		"no such account":      func() error { return w.try("nobody@acme.example", password, "") },
		"disabled":             func() error { return w.try("gone@acme.example", password, "") },
		"no password":          func() error { return w.try("sso@acme.example", password, "") },
		"an empty password":    func() error { return w.try("sso@acme.example", "", "") },
		"second factor, wrong": func() error { return w.try("second@acme.example", "not the password", "123456") },
		"no text":              func() error { return w.try("ann\x00@acme.example", password, "") },
		"broken text":          func() error { return w.try("ann\xff@acme.example", password, "") },
		"too long to be one":   func() error { return w.try("ann@acme.example", strings.Repeat("x", 1<<16), "") },
		"a program":            func() error { return w.try("program@acme.example", password, "") },
		"suspended tenant":     func() error { return w.tryAt(suspended, "not the password") },
		"removed tenant":       func() error { return w.tryAt(removed, password) },
		"the operator":         func() error { return w.try("operator@parley.invalid", "", "") },
		"no such tenant": func() error {
			return w.tryAt("0000000a-0000-4000-8000-000000000099", password)
		},
	}
}

// The time of a log-in is that of its hash; BenchmarkLogInThatFails measures it.
func TestFailedLogInsTakeOneHashEach(t *testing.T) {
	t.Parallel()
	w := newGuardWorld(t, cheap)
	strangers := w.strangers()
	var n atomic.Int64
	var cost access.Cost
	access.CountChecks(w.guard, &n, func(c access.Cost) { cost = c })
	for name, try := range strangers {
		n.Store(0)
		cost = access.Cost{}
		if err := try(); inbox.CodeOf(err) != inbox.Unauthorized {
			t.Errorf("%s: %v", name, err)
		}
		if n.Load() != 1 || cost != cheap {
			t.Errorf("%s: %d hashes, the last of cost %+v", name, n.Load(), cost)
		}
	}
	if err := w.try("ann@acme.example", password, ""); err != nil || n.Load() != 2 {
		t.Errorf("the right password: %d hashes, %v", n.Load(), err)
	}
}

// Nor does the time tell what is wrong with an invitation.
func TestInvitationsTakeOneHashEach(t *testing.T) {
	t.Parallel()
	w := newGuardWorld(t, cheap)
	good, used, revoked, late := w.invite("good@acme.example"), w.invite("used@acme.example"), w.invite("revoked@acme.example"), w.invite("late@acme.example")
	accept := func(text string, said store.Acceptance) error {
		_, err := w.guard.Accept(t.Context(), inbox.Actor{Kind: inbox.Anonymous, Address: "192.0.2.1"}, text, said, password)
		return err
	}
	if err := accept(used.Text, store.Acceptance{Name: "Ann"}); err != nil {
		t.Fatal(err)
	}
	storetest.Exec(t, w.url, "UPDATE parley_invitations SET revoked_at = now() WHERE email = 'revoked@acme.example'")
	storetest.Exec(t, w.url, "UPDATE parley_invitations SET expires_at = now() WHERE email = 'late@acme.example'")
	unknown, err := access.NewCredential(access.InvitationKind, w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	nowhere, err := access.NewCredential(access.InvitationKind, "0000000a-0000-4000-8000-000000000099")
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	var cost access.Cost
	access.CountChecks(w.guard, &n, func(c access.Cost) { cost = c })
	check := func(name string, err error, want inbox.Code) {
		t.Helper()
		if inbox.CodeOf(err) != want || n.Load() != 1 || cost != cheap {
			t.Errorf("%s: %d hashes, the last of cost %+v, %v", name, n.Load(), cost, err)
		}
		n.Store(0)
	}
	for name, text := range map[string]string{
		"used": used.Text, "revoked": revoked.Text, "late": late.Text, "unknown": unknown.Text, "of no tenant": nowhere.Text, "empty": "", "no text": "\x00\xff",
	} {
		check(name, accept(text, store.Acceptance{Name: "Eve"}), inbox.Unauthorized)
	}
	check("with what is no name", accept(good.Text, store.Acceptance{Name: "E\x00ve"}), inbox.Invalid)
	check("good", accept(good.Text, store.Acceptance{Name: "Gus"}), "")
}

// Who has another's open session must know the password, and takes as long to be
// told that they do not.
func TestChangingAPasswordTakesTwoHashes(t *testing.T) {
	t.Parallel()
	w := newGuardWorld(t, cheap)
	ann, sso := w.join("ann@acme.example"), w.join("sso@acme.example")
	storetest.Exec(t, w.url, "UPDATE core_users SET password_hash = NULL WHERE id = $1", sso.ID)
	var n atomic.Int64
	access.CountChecks(w.guard, &n, func(access.Cost) {})
	change := func(who store.Account, old, next string) error {
		n.Store(0)
		return w.guard.ChangePassword(t.Context(), access.Principal{Tenant: w.tenant, User: who.ID, Actor: inbox.Actor{Kind: inbox.UserActor, ID: "1"}}, old, next)
	}
	const next = "another battery staple"
	for name, try := range map[string]func() error{
		"wrong":       func() error { return change(ann, "not the password", next) },
		"no password": func() error { return change(sso, "", next) },
	} {
		if err := try(); inbox.CodeOf(err) != inbox.Invalid || n.Load() != 2 {
			t.Errorf("%s: %d hashes, %v", name, n.Load(), err)
		}
	}
	for range 10 { // who mistypes the new one guesses nothing
		if err := change(ann, password, "short"); inbox.CodeOf(err) != inbox.Invalid || n.Load() != 0 {
			t.Fatalf("a short one: %d hashes, %v", n.Load(), err)
		}
	}
	if err := change(ann, password, next); err != nil || n.Load() != 2 {
		t.Errorf("right: %d hashes, %v", n.Load(), err)
	}
}

// Tries at the same time must not all find that none has failed so far.
func TestGuessesAtOnceAreCounted(t *testing.T) {
	t.Parallel()
	w := newGuardWorld(t, cheap)
	w.join("ann@acme.example")
	var checked atomic.Int64
	access.CountChecks(w.guard, &checked, func(access.Cost) {})
	var all sync.WaitGroup
	var refused atomic.Int64
	const guesses = 40
	for i := range guesses {
		all.Go(func() {
			// Each from a network of its own.
			_, _, err := w.guard.LogIn(t.Context(), access.Attempt{
				Tenant: w.tenant, Email: "ann@acme.example", Password: fmt.Sprint("guess number ", i), By: inbox.Actor{Address: fmt.Sprintf("2001:db8:%d::1", i)},
			})
			switch inbox.CodeOf(err) {
			case inbox.Refused:
				refused.Add(1)
			case inbox.Unauthorized:
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	// Five are free; the waits after them are seconds, which a slow machine may take.
	if n := checked.Load(); n < 5 || n+refused.Load() != guesses || n > 12 {
		t.Errorf("%d of %d guesses were checked, %d refused", n, guesses, refused.Load())
	}
}

func BenchmarkLogInThatFails(b *testing.B) {
	w := newGuardWorld(b, access.DefaultCost())
	tries := w.strangers()
	for _, name := range slices.Sorted(maps.Keys(tries)) {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for range b.N {
				b.StopTimer()
				storetest.Exec(b, w.url, "DELETE FROM parley_throttle")
				b.StartTimer()
				began := time.Now()
				if err := tries[name](); inbox.CodeOf(err) != inbox.Unauthorized {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(took[len(took)/2].Seconds()*1000, "median-ms")
		})
	}
}
