package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
	"parley/inbox"
	"parley/inbox/desk"
	"parley/inbox/media"
	"parley/inbox/router"
	"parley/store"
	"parley/store/storetest"
)

// erasureWorld is a business with a Telegram bot and two mailboxes.
type erasureWorld struct {
	*testing.T
	ctx                context.Context
	url                string
	db                 *store.DB
	bus                *jetstream.Bus
	blobs              store.Blobs
	desk               *desk.Desk
	router             *router.Router
	tenant             events.TenantID
	bot, first, second events.ChannelID
}

func newErasureWorld(t *testing.T, adjust ...func(*jetstream.Options)) *erasureWorld {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w := &erasureWorld{T: t, ctx: ctx, url: storetest.NewServer(t).URL(), bus: natstest.Start(t, adjust...)}
	var err error
	w.db, err = store.Open(ctx, w.url, &store.Options{ErasureKey: []byte("key")})
	w.must(err)
	t.Cleanup(w.db.Close)
	w.blobs, err = store.OpenBlobFolder(t.TempDir())
	w.must(err)
	t.Cleanup(func() { _ = w.blobs.Close() })
	w.desk = &desk.Desk{
		Store: w.db, Bus: w.bus, Files: media.NewLibrary(media.LibraryOptions{DB: w.db, Blobs: w.blobs, TempDir: t.TempDir()}),
	}
	tenant, err := w.db.CreateTenant(ctx, "Bakery")
	w.must(err)
	w.tenant = tenant.ID
	for to, transport := range map[*events.ChannelID]events.Transport{&w.bot: events.Telegram, &w.first: events.Email, &w.second: events.Email} {
		ch, err := w.db.CreateChannel(ctx, events.Channel{
			ID: events.ChannelID(uuid.NewString()), Tenant: w.tenant, Transport: transport,
			Name: uuid.NewString(), Mode: events.Polling, WebhookPath: uuid.NewString(),
		}, "", "")
		w.must(err)
		*to = ch.ID
	}
	return w
}

func (w *erasureWorld) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// route runs a router until stop.
func (w *erasureWorld) route() (stop func()) {
	w.Helper()
	w.router = router.New(router.Options{Store: w.db, Bus: w.bus, Owner: uuid.NewString(), LeaseTTL: 2 * time.Second, Registerer: prometheus.NewRegistry()})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.router.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	}
}

// drained waits until everything published is stored, and every fact told.
func (w *erasureWorld) drained() {
	w.Helper()
	for {
		streams, err := w.bus.Streams(w.ctx)
		w.must(err)
		parts, err := w.db.Partitions(w.ctx)
		w.must(err)
		behind := len(parts) != len(streams)
		for i := range parts {
			behind = behind || uint64(parts[i].LastSeq) < streams[i].LastSeq
		}
		waiting, _, err := w.db.FactBacklog(w.ctx)
		w.must(err)
		if !behind && waiting == 0 {
			return
		}
		select {
		case <-w.ctx.Done():
			w.Fatal("still behind")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// text is a message by Telegram, mail one by mail that is proven.
func (w *erasureWorld) text(user, message, text string) events.Inbound {
	return events.Inbound{
		ID: store.NewEventID(), Tenant: w.tenant, Channel: w.bot, Transport: events.Telegram, Kind: events.Message,
		AcceptedAt: time.Now().UTC(), ProviderTime: time.Now().UTC().Truncate(time.Second),
		Person: events.Person{Identity: events.Identity{Kind: events.TelegramUser, Value: user}, Address: user, FirstName: "Name of " + user},
		Key:    events.MessageKey{Chat: user, Message: message}, ProviderEvent: user + message,
		Content: &events.Content{Type: events.Text, Text: text}, Raw: []byte(`{"of":"` + user + `"}`),
	}
}

func (w *erasureWorld) mail(box events.ChannelID, from, text string) events.Inbound {
	ev := w.text(from, "mail", text)
	ev.Channel, ev.Transport, ev.ProviderEvent = box, events.Email, ""
	ev.Person.Identity.Kind = events.EmailAddress
	ev.Key = events.MessageKey{Chat: "INBOX", Message: "<1@example.com>"}
	ev.Content = &events.Content{Type: events.Letter, Text: text, Mail: &events.Mail{
		From: events.MailAddress{Address: from}, MessageID: "<1@example.com>", BodyHash: "hash", DMARC: "pass",
	}}
	return ev
}

func (w *erasureWorld) clientOf(value string) int64 {
	w.Helper()
	return storetest.Int(w.T, w.url, `SELECT coalesce(max(client_id), 0) FROM parley_identities WHERE value = $1`, value)
}

// everywhere finds what of the database, the bus and the blob store has a word in
// it.
func (w *erasureWorld) everywhere(word string) (found []string) {
	w.Helper()
	if tables := storetest.Text(w.T, w.url, `
		SELECT coalesce(string_agg(relname, ' '), '') FROM pg_class
		 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND has_table_privilege(oid, 'SELECT')
		   AND (xpath('//n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I t WHERE position(%L IN t::text) > 0', relname, $1::text), false, true, '')))[1]::text <> '0'`,
		word); tables != "" {
		found = append(found, "tables "+tables)
	}
	if n := storetest.Int(w.T, w.url, `SELECT count(*) FROM parley_quarantine WHERE position(convert_to($1, 'UTF8') IN event) > 0`, word); n > 0 {
		found = append(found, "quarantine")
	}
	streams, err := w.bus.Streams(w.ctx)
	w.must(err)
	for _, s := range streams {
		w.must(w.bus.Scan(w.ctx, s.Partition, 1, 0, func(r jetstream.Record) error {
			if bytes.Contains(r.Data, []byte(word)) {
				found = append(found, fmt.Sprint(s.Name, " ", r.Seq))
			}
			return nil
		}))
	}
	facts, err := w.bus.Facts(w.ctx, jetstream.FactOptions{Tenant: w.tenant})
	w.must(err)
	defer facts.Close()
	for {
		ctx, cancel := context.WithTimeout(w.ctx, 300*time.Millisecond) // no more come
		recs, err := facts.Next(ctx, 100)
		cancel()
		if err != nil {
			break
		}
		for _, r := range recs {
			if bytes.Contains(r.Fact.Data, []byte(word)) {
				found = append(found, fmt.Sprintf("fact %s.%s", r.Fact.Noun, r.Fact.Verb))
			}
		}
	}
	w.must(w.blobs.List(w.ctx, "", func(b store.BlobInfo) error {
		r, err := w.blobs.Open(w.ctx, b.Key)
		if err != nil {
			return err
		}
		defer func() { _ = r.Close() }()
		var data bytes.Buffer
		if _, err := data.ReadFrom(r); err == nil && strings.Contains(data.String(), word) {
			found = append(found, "blob "+b.Key)
		}
		return nil
	}))
	return found
}

func TestErasedClientsDoNotComeBack(t *testing.T) {
	t.Parallel()
	w := newErasureWorld(t)
	stop := w.route()
	defer func() { stop() }()
	w.must(w.blobs.Put(w.ctx, "raw/large", strings.NewReader("large anna-secret")))

	// Anna by Telegram and by mail, Ben by Telegram: in the same frames of the bus.
	large := w.text("7700431001", "2", "with a large payload of anna-secret")
	large.Raw, large.RawRef = nil, "raw/large"
	broken := w.text("7700431001", "3", "anna-secret")
	broken.Content = nil
	broken.Raw = []byte(`"anna-secret"`)
	mail := w.mail(w.first, "anna@example.com", "anna-secret by mail")
	sent := []events.Inbound{w.text("7700431001", "1", "anna-secret"), w.text("2002", "1", "of Ben"), large, broken, mail}
	for i := range 20 { // facts of a batch share a row
		sent = append(sent, w.text([]string{"7700431001", "2002"}[i%2], fmt.Sprint(10+i), []string{"anna-secret", "of Ben"}[i%2]))
	}
	w.must(w.bus.Publish(w.ctx, sent...))
	w.drained()
	anna, byMail := w.clientOf("7700431001"), w.clientOf("anna@example.com")
	_, err := w.db.MergeClients(w.ctx, w.tenant, inbox.Actor{Kind: inbox.Operator}, anna, byMail)
	w.must(err)
	// Written while she was blocked, and twice.
	storetest.Exec(t, w.url, `UPDATE crm_clients SET blocked_at = now() WHERE id = $1`, anna)
	blocked := w.text("7700431001", "4", "anna-secret while blocked")
	w.must(w.bus.Publish(w.ctx, blocked, sent[0]))
	w.drained()
	storetest.Exec(t, w.url, `UPDATE crm_clients SET blocked_at = NULL`)
	chat := storetest.Int(t, w.url, `SELECT id FROM crm_chats WHERE client_id = $1`, anna)
	operator, err := w.db.EnsureOperator(w.ctx, w.tenant)
	w.must(err)
	_, err = w.db.Reply(w.ctx, store.Reply{Tenant: w.tenant, Chat: chat, Text: "Dear anna-secret", User: operator.ID, Force: true})
	w.must(err)
	file, err := w.desk.Upload(w.ctx, w.tenant, "", "anna-secret.txt", "text/plain", strings.NewReader("a file of anna-secret"))
	w.must(err)
	_, err = w.db.Reply(w.ctx, store.Reply{Tenant: w.tenant, Chat: chat, Text: "Take this.", User: operator.ID, Force: true, Uploads: []int64{file.ID}})
	w.must(err)
	w.drained()
	if found := w.everywhere("anna-secret"); len(found) < 6 {
		t.Fatalf("she is only in %q", found)
	}
	quarantined := storetest.Int(t, w.url, `SELECT id FROM parley_quarantine`)

	_, err = w.desk.Erase(w.ctx, w.tenant, inbox.Actor{Kind: inbox.Operator}, byMail)
	if inbox.CodeOf(err) != inbox.Conflict {
		t.Error(err)
	}
	e, err := w.desk.Erase(w.ctx, w.tenant, inbox.Actor{Kind: inbox.Operator}, anna)
	w.must(err)
	if e.Messages != 15 || e.Files != 1 {
		t.Errorf("%+v", e)
	}
	w.must(w.desk.FinishErasures(w.ctx, 0))
	gone := func(when string) {
		t.Helper()
		for _, word := range []string{"anna-secret", "anna@example.com", "7700431001"} {
			if found := w.everywhere(word); len(found) > 0 {
				t.Errorf("%s: %s is in %q", when, word, found)
			}
		}
		if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_clients`); n != 1 {
			t.Errorf("%s: %d clients", when, n)
		}
		if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_chat_messages`); n != 11 {
			t.Errorf("%s: %d messages", when, n)
		}
	}
	audit := func(when string) {
		t.Helper()
		report, err := router.Audit(w.ctx, w.db, w.bus)
		w.must(err)
		if !report.Clean {
			t.Errorf("%s: %q", when, report.Findings)
		}
	}
	gone("erased")
	audit("erased")
	if l, err := w.db.Erasures(w.ctx, w.tenant, time.Time{}, 10); err != nil || len(l) != 1 || !l[0].Done {
		t.Errorf("%+v, %v", l, err)
	}

	// The provider again; its list, which has other times of acceptance; the same
	// mail in another mailbox, and one that was never here but is older; an edit,
	// and a status of what was sent to her.
	older, edit := w.mail(w.second, "anna@example.com", "anna-secret from before"), w.text("7700431001", "10", "anna-secret edited")
	older.Key.Message, older.Content.Mail.MessageID = "<0@example.com>", "<0@example.com>"
	older.ProviderTime = older.ProviderTime.Add(-240 * time.Hour)
	edit.Kind, edit.ProviderTime = events.Edit, time.Time{}
	again := append([]events.Inbound{w.mail(w.second, "anna@example.com", "anna-secret by mail"), older, edit, blocked}, sent...)
	for i := range again {
		again[i].ID, again[i].AcceptedAt = store.NewEventID(), time.Now().UTC()
		if i%3 == 0 && again[i].Kind == events.Message && again[i].Content != nil && again[i].Content.Mail == nil && again[i].Key.Message != "4" {
			again[i].ProviderTime = time.Time{} // only the key tells
		}
	}
	again = append(again[:len(again)-22], again[len(again)-21:]...) // but the broken one, which is quarantined for good
	w.must(w.bus.Publish(w.ctx, again...))
	w.drained()
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_ignored WHERE event IS NOT NULL`); n != 0 {
		t.Errorf("%d events were kept", n)
	}
	audit("redelivered")
	w.must(w.desk.FinishErasures(w.ctx, 0))
	if _, err := w.router.Replay(w.ctx, store.QuarantineScope{Whole: true}, quarantined); err == nil {
		t.Error("an erased event is replayed")
	}
	w.sweep()
	gone("redelivered")
	audit("swept")

	// She may write again: somebody new.
	fresh := w.text("7700431001", "99", "hello again")
	fresh.ProviderTime = time.Now().UTC().Add(time.Second)
	w.must(w.bus.Publish(w.ctx, fresh))
	w.drained()
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_clients c JOIN parley_identities i ON i.client_id = c.id WHERE i.value = '7700431001' AND c.id <> $1`, anna); n != 1 {
		t.Error("she cannot write any more")
	}
}

// sweep removes from the bus what came again of who was erased before.
func (w *erasureWorld) sweep() {
	w.Helper()
	storetest.Exec(w.T, w.url, `UPDATE parley_erased SET todo = '{"chats":[],"identities":[],"frames":{"0":[],"1":[],"2":[],"3":[]}}'`)
	w.must(w.desk.FinishErasures(w.ctx, 0))
}

// A database from before the erasure: its rows are there again, and the bus gives
// what was stored since once more.
func TestErasureOutlivesARestoredBackup(t *testing.T) {
	t.Parallel()
	w := newErasureWorld(t, func(o *jetstream.Options) { o.Partitions = 1 })
	stop := w.route()
	// In frames of their own: a stream whose beginning is gone takes an operator.
	w.must(w.bus.Publish(w.ctx, w.text("2002", "1", "of Ben")))
	w.must(w.bus.Publish(w.ctx, w.text("7700431001", "1", "anna-secret")))
	w.drained()
	anna := w.clientOf("7700431001")
	stop()
	// The backup, as far as it matters here.
	backup := storetest.Text(t, w.url, `SELECT json_build_object(
		'client', (SELECT row_to_json(c) FROM crm_clients c WHERE id = $1), 'identity', (SELECT row_to_json(i) FROM parley_identities i WHERE client_id = $1),
		'chat', (SELECT row_to_json(h) FROM crm_chats h WHERE client_id = $1))::text`, anna)
	_, err := w.desk.Erase(w.ctx, w.tenant, inbox.Actor{Kind: inbox.Operator}, anna)
	w.must(err)
	stop = w.route()
	w.must(w.bus.Publish(w.ctx, w.text("7700431001", "1", "anna-secret"))) // on the bus once more
	w.drained()
	stop()
	for _, sql := range []string{
		`INSERT INTO crm_clients SELECT (json_populate_record(NULL::crm_clients, $1::json->'client')).*`,
		`INSERT INTO parley_identities SELECT (json_populate_record(NULL::parley_identities, $1::json->'identity')).*`,
		`INSERT INTO crm_chats (id, tenant_id, client_id) SELECT id, tenant_id, client_id FROM json_populate_record(NULL::crm_chats, $1::json->'chat')`,
	} {
		storetest.Exec(t, w.url, sql, backup)
	}
	storetest.Exec(t, w.url, `DELETE FROM parley_erased`)
	storetest.Exec(t, w.url, `DELETE FROM parley_tombstones`)
	storetest.Exec(t, w.url, `DELETE FROM parley_ignored`)
	storetest.Exec(t, w.url, `UPDATE parley_partitions SET last_seq = base_seq, frames = 0, events = 0, persisted = 0, duplicate = 0, ignored = 0, lease_until = '-infinity', owner = NULL`)

	w.must(w.desk.RepeatErasures(w.ctx)) // as at each start
	stop = w.route()
	defer stop()
	w.drained()
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_clients`); n != 1 {
		t.Errorf("%d clients", n)
	}
	w.must(w.desk.FinishErasures(w.ctx, 0))
	if found := w.everywhere("anna-secret"); len(found) > 0 {
		t.Error(found)
	}
	if unknown, err := w.db.Unapplied(w.ctx, nil); err != nil || len(unknown) != 0 {
		t.Error(unknown, err)
	}
}
