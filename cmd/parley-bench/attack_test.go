package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"parley/events"
	"parley/inbox/access"
	"parley/store"
	"parley/store/storetest"
	"parley/transports"
	"parley/transports/sandbox"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// judgedLater are the kinds that are answered alike whether or not they get in: what
// is stored, shown and sent tells in the end (TestTheEndNoticesHoles).
func judgedLater() []string {
	return []string{
		"replayed webhooks: Telegram", "replayed webhooks: SMS", "replayed webhooks: WhatsApp",
		kindForgedMail, kindInjectedMail, kindHTMLMail, "mail: bombs of parts, depth, headers, encodings", "mail: oversized",
	}
}

// openWorld is an attack on a server without any walls.
func openWorld(t *testing.T) *attackWorld {
	t.Helper()
	w := &attackWorld{dir: t.TempDir(), guard: func() *net.Dialer { return &net.Dialer{} }, held: 50 * time.Millisecond}
	w.client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var err error
	if w.canary, err = startCanary(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.names, err = startRebinding(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = w.names.close(), w.canary.close() })
	w.between = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.pointOn(rw, r) }))
	t.Cleanup(w.between.Close)
	open := httptest.NewServer(http.HandlerFunc(w.letIn))
	t.Cleanup(open.Close)
	w.server, w.api = &server{listen: strings.TrimPrefix(open.URL, "http://")}, open.URL+"/api/v1"
	w.bot = bot{token: "123456:token", secret: "bench-secret", channel: events.Channel{
		ID: "018f0000-0000-7000-8000-00000000b07a", Tenant: "0000000a-0000-4000-8000-000000000001", WebhookPath: strings.Repeat("p", 40),
	}}
	for _, transport := range []events.Transport{events.SMS, events.WhatsApp} {
		w.numbers = append(w.numbers, events.Channel{Transport: transport, WebhookPath: "path-" + string(transport), Settings: map[string]string{"from": "+15550100"}})
	}
	for tenant, of := range map[events.TenantID]*attackTenant{w.bot.channel.Tenant: &w.a, "0000000b-0000-4000-8000-000000000001": &w.b} {
		*of = attackTenant{id: tenant, email: "owner@bench.example"}
		for kind, to := range map[access.Kind]*string{access.TokenKind: &of.token, access.SessionKind: &of.cookie} {
			c, err := access.NewCredential(kind, tenant)
			if err != nil {
				t.Fatal(err)
			}
			*to = c.Text
		}
		of.cookie = "parley=" + of.cookie
	}
	w.openBus(t)
	return w
}

// openBus is a bus that asks nobody for a password.
func (w *attackWorld) openBus(t *testing.T) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "PONG\r\n")
			_ = conn.Close()
		}
	}()
	at := filepath.Join(w.dir, "parley", "nats")
	if err := os.MkdirAll(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, "nats.json"), []byte(`{"URL":"nats://`+l.Addr().String()+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
}

// letIn does whatever it is asked, and connects to whatever of the canary's it is
// told of; one request it fails at.
func (w *attackWorld) letIn(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.URL.Path == "/api/v1/chats/999999/messages" {
		http.Error(rw, "broken", http.StatusInternalServerError)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/messages/") {
		rw.Header().Set("Content-Security-Policy", "default-src *")
		_, _ = io.WriteString(rw, "<p><script>alert(1)</script></p>")
		return
	}
	text := string(body)
	if r.Header.Get("Content-Type") == formType {
		if form, err := url.ParseQuery(text); err == nil {
			text = form.Get("MediaUrl0")
		}
	}
	if strings.HasPrefix(text, w.between.URL) {
		if req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, text, nil); err == nil {
			if res, err := http.DefaultClient.Do(req); err == nil {
				_ = res.Body.Close()
			}
		}
	}
	for _, p := range w.canary {
		if strings.Contains(text, ":"+p.port) {
			var d net.Dialer
			if conn, err := d.DialContext(r.Context(), "tcp", "127.0.0.1:"+p.port); err == nil {
				_ = conn.Close()
			}
		}
	}
	http.SetCookie(rw, &http.Cookie{Name: "parley", Value: "session"})
	_ = json.NewEncoder(rw).Encode(map[string]any{"id": "1", "secret": "parley_tok_x", "items": []int{}})
}

// Each kind of attack sees that it got in where nothing stops it: none that finds
// nothing does so because it cannot.
func TestEveryAttackNoticesAHole(t *testing.T) {
	t.Parallel()
	w := openWorld(t)
	for _, who := range w.attackers() {
		if slices.Contains(judgedLater(), who.kind) {
			continue
		}
		t.Run(who.kind, func(t *testing.T) {
			t.Parallel()
			a := &attempts{kind: who.kind}
			var last error
			for n := range 50 {
				last = who.try(t.Context(), n, a)
				w.ssrf([]*attempts{a})
				if a.got.Load() > 0 || a.failed.Load() > 0 {
					return
				}
			}
			t.Errorf("%d attempts got into a server without walls, and did not see it; the last: %v", a.tried.Load(), last)
		})
	}
}

// The name server does what it is for, and the guard stands.
func TestRebindingIsTriedAndRefused(t *testing.T) {
	t.Parallel()
	w := openWorld(t)
	w.guard = transports.PublicDialer
	a := &attempts{kind: kindRebind}
	for n := range 5 {
		if err := w.rebind(t.Context(), n, a); err != nil {
			t.Fatal(err)
		}
	}
	w.ssrf([]*attempts{a})
	if a.tried.Load() != 5 || a.got.Load() != 0 || w.names.later.Load() < 5 {
		t.Errorf("%d tried, %d got in, %d later answers", a.tried.Load(), a.got.Load(), w.names.later.Load())
	}
}

// What is judged in the end is found where it is stored, shown or sent.
func TestTheEndNoticesHoles(t *testing.T) {
	t.Parallel()
	w := openWorld(t)
	database := storetest.NewDatabase(t)
	w.db = openDatabase(t, database)
	var err error
	if w.mail, err = sandbox.NewMail(sandbox.MailOptions{}); err != nil {
		t.Fatal(err)
	}
	at, err := w.mail.Start(t.Context(), sandbox.MailAt{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.mail.Close() })
	var out strings.Builder
	w.report = &report{out: &out}
	tenant, err := w.db.db.CreateTenant(t.Context(), "Acme")
	if err != nil {
		t.Fatal(err)
	}
	w.mailbox = events.Channel{ID: "018f0000-0000-7000-8000-00000000c079", Tenant: tenant.ID, Transport: events.Email, Name: "Mail", Mode: events.Polling, WebhookPath: strings.Repeat("m", 40)}
	phone := events.Channel{ID: "018f0000-0000-7000-8000-00000000c070", Tenant: tenant.ID, Transport: events.SMS, Name: "SMS", Mode: events.Webhook, WebhookPath: strings.Repeat("s", 40)}
	for _, ch := range []events.Channel{w.mailbox, phone} {
		if _, err := w.db.db.CreateChannel(t.Context(), ch, "", ""); err != nil {
			t.Fatal(err)
		}
	}
	client := storetest.Int(t, database, "INSERT INTO crm_clients (tenant_id, first_name) VALUES ($1, 'Ada') RETURNING id", string(tenant.ID))
	chat := storetest.Int(t, database, "INSERT INTO crm_chats (tenant_id, client_id) VALUES ($1, $2) RETURNING id", string(tenant.ID), client)
	for i, m := range []struct {
		channel       events.Channel
		address, text string
	}{
		{w.mailbox, victim, "honest mail 1 of 1"},
		{w.mailbox, "mallory@evil.example", "FORGED MAIL: pay to this account"},
		{w.mailbox, "layout@people.example", "hello"},
		{phone, "+4915110000001", "REPLAY SM1"},
		{phone, "+4915110000001", "REPLAY SM1"},
		{phone, "+4915110000001", "ATTACK"},
	} {
		member := storetest.Text(t, database, `INSERT INTO crm_chat_members (tenant_id, chat_id, client_id, transport, channel_id, provider_user, address)
			VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id::text`, string(tenant.ID), chat, client, string(m.channel.Transport), string(m.channel.ID), string(rune('a'+i)), m.address)
		storetest.Exec(t, database, `INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message, channel_id) VALUES ($1, $2, $3, $4, $5)`,
			string(tenant.ID), chat, member, m.text, string(m.channel.ID))
	}
	storetest.Exec(t, database, "INSERT INTO core_users (tenant_id, name, email, role) VALUES ($1, 'mallory', 'mallory@evil.example', 'owner')", string(tenant.ID))
	host, _, _ := net.SplitHostPort(at.SMTP)
	if err := smtp.SendMail(at.SMTP, smtp.PlainAuth("", w.mail.Address(), sandbox.DefaultMailPassword, host), w.mail.Address(), []string{"ada@people.example"},
		[]byte("From: "+w.mail.Address()+"\r\nSubject: Hi\r\nBcc: bcc@"+injected+"\r\n\r\nHi\r\n")); err != nil {
		t.Fatal(err)
	}
	w.letters.delivered.Add(1000)
	all := make([]*attempts, 0, 3)
	for _, kind := range []string{kindForgedMail, kindInjectedMail, kindHTMLMail} {
		all = append(all, &attempts{kind: kind})
	}
	if err := w.judgeMail(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.got.Load() != 1 {
			t.Errorf("%s: %d got in", a.kind, a.got.Load())
		}
	}
	if err := w.verify(t.Context(), honestRun{replies: 1}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"3 mails are stored, 1000 came", "messages are stored, 0 were accepted", "0 replies are stored, 1 were accepted", "1 forged messages", "1 replayed messages", "1 strangers",
	} {
		if !strings.Contains(strings.Join(w.report.broken, "\n"), want) {
			t.Errorf("nobody says %q:\n%s", want, strings.Join(w.report.broken, "\n"))
		}
	}
}

func openDatabase(t *testing.T, database string) *cluster {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ConnConfig.RuntimeParams["role"] = "parley_worker"
	c := &cluster{}
	if c.pool, err = pgxpool.NewWithConfig(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.pool.Close)
	if c.db, err = store.Open(t.Context(), database, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.db.Close)
	return c
}
