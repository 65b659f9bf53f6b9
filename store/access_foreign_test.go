package store_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/store/storetest"
)

// foreign are another tenant's rows, and the tenant that tries to reach them.
type foreign struct {
	*testing.T
	db     *store.DB
	tenant events.TenantID // who tries
	owner  events.TenantID // whose rows they are
	url    string

	channel                             events.ChannelID
	chat, message, delivery, upload     int64
	client, contact, block              int64
	template, scheduled                 int64
	user, quarantined                   int64
	session, token, invitation, webhook string
	resumable                           string
	hash                                store.SecretHash
	email                               string
	team, label, note                   int64
}

// none expects that nothing came back: found is how many things did.
func (f *foreign) none(what string, found int, err error) {
	f.Helper()
	if found != 0 || err != nil && inbox.CodeOf(err) != inbox.NotFound {
		f.Errorf("%s finds %d, %v", what, found, err)
	}
}

// third is a tenant without anything.
func (f *foreign) third() events.TenantID {
	f.Helper()
	t, err := f.db.CreateTenant(f.Context(), uuid.NewString())
	if err != nil {
		f.Fatal(err)
	}
	return t.ID
}

// missing expects that the named row is not found.
func (f *foreign) missing(what string, err error) {
	f.Helper()
	if inbox.CodeOf(err) != inbox.NotFound {
		f.Errorf("%s: %v, want not found", what, err)
	}
}

func count(found bool) int {
	if found {
		return 1
	}
	return 0
}

// takesTenant reports whether a method is called for one tenant: by an argument,
// or by a field of one.
func takesTenant(m reflect.Method) bool {
	tenant := reflect.TypeFor[events.TenantID]()
	for i := range m.Type.NumIn() {
		in := m.Type.In(i)
		if in == tenant {
			return true
		}
		if in.Kind() == reflect.Struct {
			if field, ok := in.FieldByName("Tenant"); ok && field.Type == tenant {
				return true
			}
		}
	}
	return false
}

// Every method of the store that is called for a tenant, by reflection, with
// another tenant's ids: nothing is found and nothing changes. A new method that is
// not in reaches fails.
func TestNoMethodReachesAnotherTenant(t *testing.T) {
	t.Parallel()
	calls := reaches()
	methods := map[string]bool{}
	for m := range reflect.TypeFor[*store.DB]().Methods() {
		// Explain… are this package's tests' own.
		if takesTenant(m) && !strings.HasPrefix(m.Name, "Explain") {
			methods[m.Name] = true
			if calls[m.Name] == nil {
				t.Errorf("%s takes a tenant: add a call with another tenant's ids to reaches", m.Name)
			}
		}
	}
	for name := range calls {
		if !methods[name] {
			t.Errorf("reaches calls %s, which takes no tenant", name)
		}
	}
	f, url := newForeign(t)
	before := census(t, url, f.owner)
	for name, call := range calls {
		if methods[name] {
			call(f)
		}
	}
	if after := census(t, url, f.owner); after != before {
		t.Errorf("rows were changed from another tenant: the sum is %d, and was %d", after, before)
	}
	t.Logf("%d methods", len(methods))
}

// census sums up the rows of a tenant, of every table of tenants: with another
// tenant's ids nothing of them may change.
func census(t *testing.T, url string, tenant events.TenantID) int64 {
	t.Helper()
	tables := strings.Fields(storetest.Text(t, url, `SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE p.polname = 'parley_tenant'`))
	if len(tables) < 30 {
		t.Fatalf("only %d tables have tenants: %v", len(tables), tables)
	}
	sums := make([]string, len(tables))
	for i, table := range tables {
		column := "tenant_id"
		if table == "tenants" {
			column = "id"
		}
		sums[i] = fmt.Sprintf("(SELECT %d * coalesce(sum(hashtext(t::text)), 0)::bigint FROM %s t WHERE %s = $1)", i+1, table, column)
	}
	return storetest.Int(t, url, "SELECT "+strings.Join(sums, " + "), string(tenant))
}

// What the operator does to a tenant is done, and changes no row of another one,
// in any table.
func TestOperatorTouchesOneTenant(t *testing.T) {
	t.Parallel()
	f, url := newForeign(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// The other one has a few things, too.
	f.tenant, f.owner = f.owner, f.tenant
	other := f.owner
	must(f.db.SetDeskSettings(t.Context(), other, store.DeskSettings{UndoSeconds: 9}))
	_, err := f.db.AddAccount(t.Context(), other, byOperator, store.NewAccount{Name: "Bob", Email: f.email, Role: inbox.Owner, PasswordHash: someHash})
	must(err)
	_, err = f.db.CreateUpload(t.Context(), other, store.NewUpload{BlobKey: store.NewMediaKey(other), Name: "f", MIME: "text/plain", Size: 1, SHA256: f.hash})
	must(err)
	ch, err := f.db.CreateChannel(t.Context(), events.Channel{
		ID: events.ChannelID(uuid.NewString()), Tenant: other, Transport: events.Telegram, Name: "Shop", Mode: events.Polling, WebhookPath: strings.Repeat("o", 40), Sealed: []byte("s"),
	}, "", "key")
	must(err)
	client := storetest.Int(t, url, "INSERT INTO crm_clients (tenant_id, first_name) VALUES ($1, 'Cy') RETURNING id", string(other))
	storetest.Exec(t, url, "INSERT INTO crm_chats (tenant_id, client_id) VALUES ($1, $2)", string(other), client)
	storetest.Exec(t, url, "INSERT INTO parley_facts (tenant_id, noun, verb, data) VALUES ($1, 'chat', 'read', '{}')", string(other))
	before, mine := census(t, url, other), census(t, url, f.tenant)

	for _, step := range []struct {
		name string
		do   func() error
		// gone says that no row of the tenant is left.
		gone bool
	}{
		{name: "RenameTenant", do: func() error {
			_, err := f.db.RenameTenant(t.Context(), f.tenant, byOperator, "Renamed", 0)
			return err
		}},
		{name: "SuspendTenant", do: func() error {
			_, err := f.db.SuspendTenant(t.Context(), f.tenant, byOperator, true)
			return err
		}},
		{name: "SuspendTenant, taken back", do: func() error {
			_, err := f.db.SuspendTenant(t.Context(), f.tenant, byOperator, false)
			return err
		}},
		{name: "RemoveTenant", gone: true, do: func() error {
			_, err := f.db.RemoveTenant(t.Context(), f.tenant)
			return err
		}},
		{name: "FinishTenantRemoval", gone: true, do: func() error { return f.db.FinishTenantRemoval(t.Context(), f.tenant) }},
	} {
		must(step.do())
		now := census(t, url, f.tenant)
		switch {
		case step.gone && now != 0:
			t.Errorf("%s leaves rows of the tenant", step.name)
		case !step.gone && now == mine:
			t.Errorf("%s does nothing", step.name)
		}
		mine = now
		if after := census(t, url, other); after != before {
			t.Errorf("%s changes rows of another tenant", step.name)
		}
	}
	left, err := f.db.Channel(t.Context(), other, ch.ID)
	if err != nil || left.Paused || left.Version != ch.Version {
		t.Errorf("the other's channel is paused %v, at version %d, %v", left.Paused, left.Version, err)
	}
	// Nothing is named that is not there.
	if _, err := f.db.RemoveTenant(t.Context(), f.tenant); inbox.CodeOf(err) != inbox.NotFound {
		t.Errorf("removing it twice: %v", err)
	}
}

// newForeign makes a tenant with one of everything, and one with nothing.
func newForeign(t *testing.T) (*foreign, string) {
	t.Helper()
	w := newAccessWorld(t)
	f := &foreign{T: t, db: w.db, url: w.url, tenant: w.b, owner: w.a, hash: store.SecretHash{42}, email: "ann@example.com"}
	f.user = w.user(w.a, f.email, inbox.Owner).ID
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	f.session, err = f.db.StartSession(t.Context(), w.a, byOperator, store.NewSession{User: f.user, Hash: f.hash, Life: time.Hour, Idle: time.Hour})
	must(err)
	tok, _, err := f.db.AddToken(t.Context(), w.a, byOperator, store.NewToken{
		Name: "bot", Role: inbox.Agent, Scopes: []string{"chats:read"}, Hash: f.hash, Prefix: "x", Life: time.Hour,
	})
	must(err)
	f.token = tok.ID
	v, _, err := f.db.Invite(t.Context(), w.a, byOperator, inbox.Owner, store.NewInvitation{Email: "x@example.com", Role: inbox.Agent, Hash: f.hash, Life: time.Hour})
	must(err)
	f.invitation = v.ID
	_, linked, err := f.db.AccountOfSubject(t.Context(), w.a, byOperator, store.Subject{Issuer: "https://id.example.com", Subject: "ann", Email: f.email})
	if must(err); !linked {
		t.Fatal("nobody is linked")
	}
	up, err := f.db.CreateUpload(t.Context(), w.a, store.NewUpload{BlobKey: store.NewMediaKey(w.a), Name: "f", MIME: "text/plain", Size: 1, SHA256: f.hash})
	must(err)
	f.upload = up.ID
	unfinished, err := f.db.CreateResumable(t.Context(), w.a, f.user, store.NewResumable{Name: "f", Size: 10})
	must(err)
	f.resumable = unfinished.ID
	ch, err := f.db.CreateChannel(t.Context(), events.Channel{
		ID: events.ChannelID(uuid.NewString()), Tenant: w.a, Transport: events.Telegram, Name: "Shop", Mode: events.Polling, WebhookPath: strings.Repeat("w", 40), Sealed: []byte("s"),
	}, "", "key")
	must(err)
	f.channel = ch.ID
	id := func(sql string, args ...any) int64 {
		t.Helper()
		return storetest.Int(t, w.url, sql+" RETURNING id", args...)
	}
	f.quarantined = id("INSERT INTO parley_quarantine (tenant_id, stream_partition, stream_seq, event, reason) VALUES ($1, 0, 1, '{}', 'x')", string(w.a))
	client := id("INSERT INTO crm_clients (tenant_id, first_name) VALUES ($1, 'Cy')", string(w.a))
	f.client = client
	rule, err := f.db.AddBlock(t.Context(), w.a, byOperator, inbox.BlockRule{Kind: inbox.BlockValue, Value: "x"})
	must(err)
	f.block = rule.ID
	f.contact = id("INSERT INTO crm_client_contacts (tenant_id, client_id, contact_type, contact_value) VALUES ($1, $2, 'phone', '+4930')", string(w.a), client)
	f.chat = id("INSERT INTO crm_chats (tenant_id, client_id) VALUES ($1, $2)", string(w.a), client)
	storetest.Exec(t, w.url, `INSERT INTO crm_chat_members (tenant_id, chat_id, client_id, transport, channel_id, provider_user, address)
		VALUES ($1, $2, $3, 'telegram', $4, '7', '7')`, string(w.a), f.chat, client, string(f.channel))
	team, err := f.db.AddTeam(t.Context(), w.a, byOperator, "Sales", []int64{f.user}, "")
	must(err)
	label, err := f.db.AddLabel(t.Context(), w.a, byOperator, "urgent", "", "")
	must(err)
	_, err = f.db.LabelChat(t.Context(), w.a, byOperator, f.chat, label.ID, true)
	must(err)
	note, err := f.db.AddNote(t.Context(), w.a, byOperator, f.chat, f.user, "Pays late.", "")
	must(err)
	f.team, f.label, f.note = team.ID, label.ID, note.ID
	m, err := f.db.Reply(t.Context(), store.Reply{Tenant: w.a, Chat: f.chat, Channel: f.channel, Text: "Hello.", User: f.user})
	must(err)
	f.message, f.delivery = m.ID, m.Delivery.ID
	hook, _, err := f.db.AddWebhook(t.Context(), w.a, byOperator, store.Webhook{ID: uuid.NewString(), URL: "https://example.com", Types: []string{}, Sealed: []byte("s"), Place: "0"}, "")
	must(err)
	f.webhook = hook.ID
	for all := false; !all; { // what can be searched
		_, all, err = f.db.IndexWords(t.Context(), 0)
		must(err)
	}
	tmpl, err := f.db.AddMessageTemplate(t.Context(), w.a, store.NewMessageTemplate{Name: "Hello", Text: "Hello."})
	must(err)
	f.template = tmpl.ID
	later, err := f.db.Schedule(t.Context(), store.NewScheduled{
		Reply: store.Reply{Tenant: w.a, Chat: f.chat, Text: "Later.", User: f.user, Force: true}, DueAt: time.Now().Add(time.Hour),
	})
	must(err)
	f.scheduled = later.ID
	storetest.Exec(t, w.url, "UPDATE parley_scheduled SET due_at = now()")
	must(f.db.SetDeskSettings(t.Context(), w.a, store.DeskSettings{UndoSeconds: 7}))
	return f, w.url
}
