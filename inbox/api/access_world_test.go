package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/events/jetstream/natstest"
	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/api"
	"parley/inbox/desk"
	"parley/inbox/media"
	"parley/store"
	"parley/store/storetest"
)

const password = "correct horse battery"

// publicWorld is the API as strangers reach it, with two tenants.
type publicWorld struct {
	*testing.T
	url    string
	db     *store.DB
	desk   *desk.Desk
	guard  *access.Guard
	server *httptest.Server
	files  store.Blobs
	now    time.Time
	// statements are those sent to the database.
	statements *storetest.Statements
	lease      *store.PartitionLease
	a, b       *tenantWorld
}

// tenantWorld is one tenant with an owner, and one of everything else.
type tenantWorld struct {
	tenant                                                       store.Tenant
	owner                                                        store.Account
	session                                                      string
	channel                                                      store.Channel
	chat, message, upload, delivery, client, template, scheduled int64
	webhook                                                      string
	block                                                        int64
	invitation, token, tokenSecret, plainText, resumable         string
	label, team, note, contact, quarantined                      int64
}

func newPublicWorld(t *testing.T) *publicWorld {
	t.Helper()
	w := &publicWorld{T: t, url: storetest.NewDatabase(t), now: time.Now(), statements: new(storetest.Statements)}
	var err error
	if w.db, err = store.Open(t.Context(), w.url, &store.Options{Tracer: w.statements}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.db.Close)
	keys, err := inbox.ParseKey(inbox.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := store.OpenBlobFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	w.files = blobs
	w.desk = &desk.Desk{
		Files: media.NewLibrary(media.LibraryOptions{DB: w.db, Blobs: blobs, TempDir: t.TempDir(), MaxBytes: 1 << 20}),
		Store: w.db, Bus: natstest.Start(t), Keyring: keys, Adapters: map[events.Transport]desk.Adapter{
			events.Telegram: {
				Secrets: []string{"token"}, Mode: events.Polling,
				Reach: func(_ events.Channel, to string) (desk.Reach, error) {
					return desk.Reach{Person: events.Person{Identity: events.Identity{Kind: events.TelegramUser, Value: to}, Address: to}}, nil
				},
				Validate: func(events.Channel, map[string]string) error { return nil },
				Check: func(_ context.Context, _ events.Channel, secrets map[string]string) (desk.Report, error) {
					return desk.Report{Account: "@" + secrets["token"]}, nil
				},
				Abilities: func(events.Channel, map[string]string) (inbox.Abilities, error) {
					return inbox.Abilities{Edits: true, Reactions: true, Replies: true, Typing: true}, nil
				},
			},
		},
	}
	w.guard = access.NewGuard(access.GuardOptions{
		DB: w.db, Keyring: keys, Cost: access.Cost{MemoryKiB: 8, Time: 1, Threads: 1}, Now: func() time.Time { return w.now },
	})
	stop, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w.server = httptest.NewServer(api.Public(api.Options{
		Desk: w.desk, Guard: w.guard, URL: "https://inbox.example.com", Stop: stop, Version: "1.2.3",
		Status:     func(context.Context) api.Status { return api.Status{Roles: []string{}, Missing: []string{}} },
		Audit:      func(context.Context) (api.Audit, error) { return api.Audit{}, nil },
		Quarantine: kept{w.db},
	}))
	t.Cleanup(w.server.Close)
	if err := w.db.EnsurePartitions(t.Context(), func(context.Context) ([]store.PartitionStream, error) {
		return []store.PartitionStream{{Name: "TEST", Identity: "1", First: 1}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if w.lease, err = w.db.TakePartition(t.Context(), t.Name(), time.Hour); err != nil || w.lease == nil {
		t.Fatal("no partition to take: ", err)
	}
	w.a, w.b = w.tenant("Acme"), w.tenant("Bakery")
	for all := false; !all; { // what can be searched
		if _, all, err = w.db.IndexWords(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// kept replays what is in quarantine as the router does where no adapter reads it
// anew.
type kept struct{ *store.DB }

func (k kept) Preview(ctx context.Context, scope store.QuarantineScope, id int64) (store.ReplayPreview, error) {
	return k.PreviewQuarantined(ctx, scope, id, oneEvent)
}

func (k kept) Replay(ctx context.Context, scope store.QuarantineScope, id int64) (store.BatchResult, error) {
	return k.ReplayQuarantined(ctx, scope, id, oneEvent)
}

func oneEvent(data []byte) ([]events.Inbound, error) {
	var ev events.Inbound
	err := json.Unmarshal(data, &ev)
	return []events.Inbound{ev}, err
}

var byTest = inbox.Actor{Kind: inbox.Operator, Name: "test"}

// tenant makes a business and one of everything in it.
func (w *publicWorld) tenant(name string) *tenantWorld {
	w.Helper()
	ctx, tw := w.Context(), &tenantWorld{plainText: "only " + name + " may read this"}
	must := func(err error) {
		w.Helper()
		if err != nil {
			w.Fatal(err)
		}
	}
	var err error
	tw.tenant, err = w.db.CreateTenant(ctx, name)
	must(err)
	tw.owner = w.join(tw, "owner@"+strings.ToLower(name)+".example", inbox.Owner)
	tw.session = w.logIn(tw, tw.owner.Email)
	tw.channel, err = w.desk.ChannelAdd(ctx, desk.NewChannel{
		Tenant: tw.tenant.ID, Transport: events.Telegram, Name: "Support", Secrets: map[string]string{"token": name},
	})
	must(err)
	seq := w.lease.LastSeq + 1
	res, err := w.db.StoreBatch(ctx, w.lease, []store.InboundRecord{{Seq: seq, Event: &events.Inbound{
		ID: events.EventID(uuid.Must(uuid.NewV7()).String()), Tenant: tw.tenant.ID, Channel: tw.channel.ID, Transport: events.Telegram,
		AcceptedAt: time.Now().UTC(), Kind: events.Message,
		// Both tenants have the same client.
		Person:  events.Person{Identity: events.Identity{Kind: events.TelegramUser, Value: "7"}, Address: "7", FirstName: "Client"},
		Key:     events.MessageKey{Chat: "7", Message: "1"},
		Content: &events.Content{Type: events.Text, Text: tw.plainText}, Raw: json.RawMessage(`{}`),
	}}})
	must(err)
	if res.Count(store.Persisted) != 1 {
		w.Fatal(res)
	}
	chats, _, err := w.db.Chats(ctx, tw.tenant.ID, store.ChatPage{})
	must(err)
	tw.chat, tw.client = chats[0].ID, chats[0].Client.ID
	ms, _, err := w.db.Messages(ctx, tw.tenant.ID, tw.chat, store.MessagePage{})
	must(err)
	tw.message = ms[0].ID
	up, err := w.desk.Upload(ctx, tw.tenant.ID, "", "secret.txt", "text/plain", strings.NewReader(tw.plainText))
	must(err)
	tw.upload = up.ID
	unfinished, err := w.desk.BeginUpload(ctx, tw.tenant.ID, tw.owner.ID, store.NewResumable{Name: tw.plainText, Size: 10})
	must(err)
	tw.resumable = unfinished.ID
	var reply inbox.Message
	w.ask(tw.session, "POST", fmt.Sprintf("/api/v1/chats/%d/messages", tw.chat), `{"text":"Hello.","seen":1}`, 201, &reply)
	tw.delivery = reply.Delivery.ID
	var template inbox.MessageTemplate
	w.ask(tw.session, "POST", "/api/v1/templates", fmt.Sprintf(`{"name":"Hello","text":%q}`, tw.plainText), 201, &template)
	tw.template = template.ID
	var scheduled inbox.Scheduled
	w.ask(tw.session, "POST", fmt.Sprintf("/api/v1/chats/%d/scheduled", tw.chat), fmt.Sprintf(`{"text":%q,"seen":2,"send_at":%q}`,
		tw.plainText, time.Now().Add(time.Hour).Format(time.RFC3339)), 201, &scheduled)
	tw.scheduled = scheduled.ID
	var made struct{ ID int64 }
	w.ask(tw.session, "POST", "/api/v1/labels", `{"name":"urgent"}`, 201, &made)
	tw.label = made.ID
	w.ask(tw.session, "PUT", fmt.Sprintf("/api/v1/chats/%d/labels/%d", tw.chat, tw.label), "", 200, nil)
	w.ask(tw.session, "POST", "/api/v1/teams", fmt.Sprintf(`{"name":"Sales","members":[%d]}`, tw.owner.ID), 201, &made)
	tw.team = made.ID
	w.ask(tw.session, "POST", fmt.Sprintf("/api/v1/chats/%d/notes", tw.chat), `{"text":"Pays late."}`, 201, &made)
	tw.note = made.ID
	var card inbox.ClientCard
	w.ask(tw.session, "GET", fmt.Sprintf("/api/v1/clients/%d", tw.client), "", 200, &card)
	tw.contact = card.Contacts[0].ID
	var rule inbox.BlockRule
	w.ask(tw.session, "POST", "/api/v1/blocks", `{"kind":"domain","value":"spam.example"}`, 201, &rule)
	tw.block = rule.ID
	var link api.Link
	w.ask(tw.session, "POST", "/api/v1/invitations", `{"email":"next@example.com","role":"agent"}`, 201, &link)
	tw.invitation = link.ID
	var tok api.MadeToken
	w.ask(tw.session, "POST", "/api/v1/tokens", `{"name":"bot","role":"agent","scopes":["chats:read","chats:write"]}`, 201, &tok)
	tw.token, tw.tokenSecret = tok.ID, tok.Secret
	var hook api.MadeWebhook
	w.ask(tw.session, "POST", "/api/v1/webhooks", `{"url":"https://`+strings.ToLower(name)+`.example/told","types":["message.received"]}`, 201, &hook)
	tw.webhook = hook.ID
	tw.quarantined = w.quarantine(tw, tw.tenant.ID, tw.channel.ID, "2")
	return tw
}

// quarantine puts a message of a tenant's client aside; it names whose it is and
// by which channel it came.
func (w *publicWorld) quarantine(tw *tenantWorld, names events.TenantID, channel events.ChannelID, message string) int64 {
	w.Helper()
	ev, err := json.Marshal(events.Inbound{
		ID: events.EventID(uuid.Must(uuid.NewV7()).String()), Tenant: names, Channel: channel, Transport: events.Telegram,
		AcceptedAt: time.Now().UTC(), Kind: events.Message,
		Person:  events.Person{Identity: events.Identity{Kind: events.TelegramUser, Value: "7"}, Address: "7", FirstName: "Client"},
		Key:     events.MessageKey{Chat: "7", Message: message},
		Content: &events.Content{Type: events.Text, Text: tw.plainText}, Raw: json.RawMessage(`{}`),
	})
	if err != nil {
		w.Fatal(err)
	}
	return storetest.Int(w.T, w.url, `INSERT INTO parley_quarantine (tenant_id, stream_partition, stream_seq, event, reason)
		VALUES ($1, $2, 1000 + nextval('parley_quarantine_id_seq'), $3, 'test') RETURNING id`, string(tw.tenant.ID), w.lease.Partition, ev)
}

// join makes a user with the password.
func (w *publicWorld) join(tw *tenantWorld, email string, role inbox.Role) store.Account {
	w.Helper()
	c, err := access.NewCredential(access.InvitationKind, tw.tenant.ID)
	if err != nil {
		w.Fatal(err)
	}
	if _, _, err := w.db.Invite(w.Context(), tw.tenant.ID, byTest, inbox.Owner, store.NewInvitation{
		Email: email, Role: role, Hash: c.Hash(), Life: time.Hour,
	}); err != nil {
		w.Fatal(err)
	}
	var account store.Account
	w.ask("", "POST", "/api/v1/invitations/accept", fmt.Sprintf(`{"invitation":%q,"name":"Ann","password":%q}`, c.Text, password), 200, &account)
	return account
}

// logIn returns the session's cookie.
func (w *publicWorld) logIn(tw *tenantWorld, email string) string {
	w.Helper()
	res := w.ask("", "POST", "/api/v1/session", fmt.Sprintf(`{"tenant":%q,"email":%q,"password":%q}`, tw.tenant.ID, email, password), 201, nil)
	cookies := res.Cookies()
	if len(cookies) != 1 {
		w.Fatal("no cookie: ", res.Header)
	}
	return cookies[0].Name + "=" + cookies[0].Value
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
}

// send makes a request as who: a cookie, a token, or nobody.
func (w *publicWorld) send(who, method, path, body string, header ...string) answer {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, w.server.URL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		w.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if method == http.MethodPatch || method == http.MethodPut {
		req.Header.Set("If-Match", "*") // unless the test says otherwise
	}
	switch {
	case strings.HasPrefix(who, "parley_"):
		req.Header.Set("Authorization", "Bearer "+who)
	case who != "":
		req.Header.Set("Cookie", who)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := w.server.Client().Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	if method != http.MethodHead && strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		line := make([]byte, len(": parley\n\n")) // the rest never ends
		if _, err := io.ReadFull(res.Body, line); err != nil {
			w.Fatal(err)
		}
		return answer{res, string(line)}
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answer{res, string(data)}
}

// ask sends a request that must be answered with a status.
func (w *publicWorld) ask(who, method, path, body string, status int, out any, header ...string) answer {
	w.Helper()
	res := w.send(who, method, path, body, header...)
	if res.StatusCode != status {
		w.Fatalf("%s %s: %d, want %d: %s", method, path, res.StatusCode, status, res.body)
	}
	if out != nil {
		if err := json.Unmarshal([]byte(res.body), out); err != nil {
			w.Fatalf("%s %s: %v: %s", method, path, err, res.body)
		}
	}
	return res
}
