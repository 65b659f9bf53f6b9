package api_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"parley/events"
	"parley/inbox/access"
	"parley/inbox/api"
	"parley/inbox/desk"
	"parley/store"
	"parley/store/storetest"
)

// operator makes requests as the command line does.
func (w *publicWorld) operator() func(method, path, body string, status int, out any, header ...string) answer {
	w.Helper()
	srv := httptest.NewServer(api.New(api.Options{
		Desk: w.desk, Guard: w.guard, URL: "https://inbox.example.com", Stop: w.Context(), Version: "1.2.3",
	}))
	w.Cleanup(srv.Close)
	as := *w
	as.server = srv
	return func(method, path, body string, status int, out any, header ...string) answer {
		w.Helper()
		return as.ask("", method, path, body, status, out, header...)
	}
}

func TestTenantsAreAddedAndRenamed(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	ask := w.operator()
	var made api.MadeTenant
	ask("POST", "/api/v1/tenants", `{"name":" Café "}`, 201, &made, "Idempotency-Key", "k")
	if made.Name != "Café" || made.SuspendedAt != nil || !strings.HasPrefix(made.Link, "https://inbox.example.com/invite#parley_inv_") {
		t.Errorf("%+v", made)
	}
	var again api.MadeTenant
	ask("POST", "/api/v1/tenants", `{"name":"Café"}`, 201, &again, "Idempotency-Key", "k")
	if again.ID != made.ID || again.Link != "" {
		t.Errorf("the same key made %+v", again)
	}
	ask("POST", "/api/v1/tenants", `{"name":"Other"}`, 409, nil, "Idempotency-Key", "k")
	ask("POST", "/api/v1/tenants", `{"name":"cAFÉ"}`, 409, nil)
	ask("POST", "/api/v1/tenants", `{"name":"  "}`, 422, nil)

	// The link makes its owner, who sees that tenant only.
	_, secret, _ := strings.Cut(made.Link, "#")
	w.ask("", "POST", "/api/v1/invitations/accept", fmt.Sprintf(`{"invitation":%q,"name":"Zoë","email":"zoe@cafe.example","password":%q}`, secret, password), 200, nil)
	session := w.logIn(&tenantWorld{tenant: made.Tenant}, "zoe@cafe.example")
	var me api.Me
	if w.ask(session, "GET", "/api/v1/me", "", 200, &me); me.Tenant != made.ID || me.Role != "owner" {
		t.Errorf("%+v", me)
	}
	if body := w.ask(session, "GET", "/api/v1/chats", "", 200, nil).body; !strings.Contains(body, `"items":[]`) {
		t.Errorf("a new tenant has %s", body)
	}

	path := "/api/v1/tenants/" + string(made.ID)
	read := ask("GET", path, "", 200, nil).Header.Get("ETag")
	ask("PATCH", path, `{"name":"Acme"}`, 409, nil)
	ask("PATCH", path, `{"name":"Cafeteria"}`, 428, nil, "If-Match", "")
	ask("PATCH", path, `{"name":"Cafeteria"}`, 200, nil, "If-Match", read)
	ask("PATCH", path, `{"name":"Lost"}`, 412, nil, "If-Match", read)
	ask("GET", "/api/v1/tenants/cafeteria", "", 200, nil)
	ask("GET", "/api/v1/tenants/Nobody", "", 404, nil)
	var log api.List[store.AuditEntry]
	ask("GET", "/api/v1/audit-log", "", 200, &log, "Parley-Tenant", string(made.ID))
	var actions []string
	for _, e := range log.Items {
		actions = append(actions, e.Action)
	}
	if text := strings.Join(actions, " "); !strings.HasPrefix(text, "tenant.rename ") || !strings.HasSuffix(text, " tenant.add") {
		t.Errorf("the log says %s", text)
	}
	for _, path := range []string{path, "/api/v1/tenants"} {
		w.ask(w.a.session, "GET", path, "", 403, nil) // nobody else's business
	}
}

// Nobody of a suspended tenant gets in by whatever they have, at once; others go on.
func TestSuspendedTenantsAreKeptOut(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	ask := w.operator()
	watching := make(chan struct{}, 1)
	go w.guard.Watch(t.Context(), slog.New(slog.DiscardHandler), func() { watching <- struct{}{} })
	<-watching
	ended, stays := w.open(w.server, w.a.session, ""), w.open(w.server, w.b.session, "")
	invitation, err := access.NewCredential(access.InvitationKind, w.a.tenant.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.db.Invite(t.Context(), w.a.tenant.ID, byTest, "owner", store.NewInvitation{
		Email: "late@acme.example", Role: "agent", Hash: invitation.Hash(), Life: access.InvitationLife,
	}); err != nil {
		t.Fatal(err)
	}
	logIn := func(tw *tenantWorld, password string) answer {
		return w.send("", "POST", "/api/v1/session", fmt.Sprintf(`{"tenant":%q,"email":%q,"password":%q}`, tw.tenant.ID, tw.owner.Email, password))
	}
	accept := fmt.Sprintf(`{"invitation":%q,"name":"Late","password":%q}`, invitation.Text, password)

	var suspended store.Tenant
	ask("POST", "/api/v1/tenants/Acme/suspend", "", 200, &suspended)
	ask("POST", "/api/v1/tenants/Acme/suspend", "", 200, nil) // it is
	if suspended.SuspendedAt == nil {
		t.Errorf("%+v", suspended)
	}
	if line := ended(); line != "end" {
		t.Errorf("its stream goes on with %q", line)
	}
	w.ask(w.a.session, "GET", "/api/v1/chats", "", 401, nil)
	w.ask(w.a.tokenSecret, "GET", "/api/v1/chats", "", 401, nil)
	w.ask("", "POST", "/api/v1/invitations/accept", accept, 401, nil)
	if res := logIn(w.a, password); res.StatusCode != 409 && res.StatusCode != 403 && res.StatusCode != 422 || !strings.Contains(res.body, "suspended") || len(res.Cookies()) > 0 {
		t.Errorf("logging in: %d %s", res.StatusCode, res.body)
	}
	if res := logIn(w.a, "not the password"); res.StatusCode != 401 || strings.Contains(res.body, "suspended") {
		t.Errorf("who knows no password is told %d %s", res.StatusCode, res.body)
	}
	paused := func() (all map[events.ChannelID]bool) {
		t.Helper()
		all = map[events.ChannelID]bool{}
		list, err := w.desk.Bus.Channels(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, ch := range list {
			all[ch.ID] = ch.Paused
		}
		return all
	}
	if on := paused(); !on[w.a.channel.ID] || on[w.b.channel.ID] {
		t.Errorf("the gateways are told of %v", on)
	}
	if list, err := w.db.WorkerChannels(t.Context()); err != nil || len(list) != 2 || list[0].Paused == list[1].Paused {
		t.Errorf("dispatchers are told %+v, %v", list, err)
	}
	// Resuming its channel by hand does not take the suspension back.
	ask("POST", "/api/v1/channels/Support/resume", "", 200, nil, "Parley-Tenant", "Acme")
	if !paused()[w.a.channel.ID] {
		t.Error("a suspended tenant's channel goes on")
	}

	w.publish(aFact(1, w.b.tenant.ID, "message"))
	if _, f := w.event(stays); f.ID != 1 {
		t.Errorf("the other one got fact %d", f.ID)
	}
	w.ask(w.b.session, "GET", "/api/v1/chats", "", 200, nil)

	ask("POST", "/api/v1/tenants/Acme/resume", "", 200, nil)
	w.ask(w.a.session, "GET", "/api/v1/chats", "", 200, nil)
	w.ask(w.a.tokenSecret, "GET", "/api/v1/chats", "", 200, nil)
	w.ask("", "POST", "/api/v1/invitations/accept", accept, 200, nil)
	if paused()[w.a.channel.ID] {
		t.Error("the channel stays paused")
	}
}

// A tenant that is removed is in no table any more, its files are gone, and of the
// other one nothing is.
func TestRemovedTenantsAreGone(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	ask := w.operator()
	ask("POST", "/api/v1/tenants/Bakery/remove", `{"name":"bakery"}`, 422, nil)
	ask("POST", "/api/v1/tenants/Bakery/remove", `{"name":""}`, 422, nil)
	before := w.readings(w.a)
	rows := func(tenant events.TenantID) map[string]int64 {
		t.Helper()
		all := map[string]int64{}
		for table := range strings.FieldsSeq(storetest.Text(t, w.url, `SELECT string_agg(DISTINCT table_name, ' ') FROM information_schema.columns
			WHERE table_schema = 'public' AND column_name = 'tenant_id'`)) {
			all[table] = storetest.Int(t, w.url, "SELECT count(*) FROM "+table+" WHERE tenant_id = $1", string(tenant))
		}
		return all
	}
	mine := rows(w.a.tenant.ID)
	had := rows(w.b.tenant.ID)

	var gone desk.RemovedTenant
	ask("POST", "/api/v1/tenants/Bakery/remove", `{"name":"Bakery"}`, 200, &gone)
	if gone.ID != w.b.tenant.ID || gone.Name != "Bakery" || !gone.Done || gone.Files < 1 || gone.Rows["crm_clients"] != 1 || gone.Rows["core_users"] < 1 {
		t.Errorf("%+v", gone)
	}
	for table, n := range had {
		// The suspension that comes first is noted, too.
		if said := gone.Rows[table]; said != n && table != "parley_audit_log" {
			t.Errorf("%s had %d rows, removed are %d", table, n, said)
		}
	}
	for table, n := range rows(w.b.tenant.ID) {
		if n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
	for table, n := range rows(w.a.tenant.ID) {
		if n != mine[table] {
			t.Errorf("%s of the other tenant had %d rows and has %d", table, mine[table], n)
		}
	}
	for id, body := range w.readings(w.a) {
		if body != before[id] {
			t.Errorf("what %s shows of the other tenant was\n%s\nand is\n%s", id, before[id], body)
		}
	}
	w.ask(w.b.session, "GET", "/api/v1/chats", "", 401, nil)
	w.ask(w.b.tokenSecret, "GET", "/api/v1/chats", "", 401, nil)
	if n := len(w.blobs("only Bakery may read this")); n != 0 {
		t.Errorf("%d files are left", n)
	}
	if n := len(w.blobs("only Acme may read this")); n == 0 {
		t.Error("the other tenant's file is gone")
	}
	list, err := w.desk.Bus.Channels(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != w.a.channel.ID {
		t.Errorf("the gateways know %+v, %v", list, err)
	}
	ask("GET", "/api/v1/tenants/Bakery", "", 404, nil)
	ask("POST", "/api/v1/tenants/"+string(w.b.tenant.ID)+"/remove", `{"name":"Bakery"}`, 404, nil)
	if err := w.desk.FinishErasures(t.Context(), 0); err != nil {
		t.Error(err)
	}
	if n := storetest.Int(t, w.url, "SELECT count(*) FROM parley_removed_tenants WHERE todo IS NOT NULL"); n != 0 {
		t.Errorf("%d removals are not finished", n)
	}
}

// blobs are the keys of the files with a text.
func (w *publicWorld) blobs(text string) (keys []string) {
	w.Helper()
	ctx := context.WithoutCancel(w.Context())
	err := w.files.List(ctx, "", func(b store.BlobInfo) error {
		r, err := w.files.Open(ctx, b.Key)
		if err != nil {
			return err
		}
		defer func() { _ = r.Close() }()
		data, err := io.ReadAll(r)
		if err == nil && strings.Contains(string(data), text) {
			keys = append(keys, b.Key)
		}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return keys
}
