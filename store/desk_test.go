package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/store/storetest"
)

// deskWorld is a tenant with an agent and a channel, and a router's lease to let
// clients write.
type deskWorld struct {
	t        *testing.T
	url      string
	db       *store.DB
	tenant   events.TenantID
	operator int64
	channel  events.ChannelID

	lease *store.PartitionLease
	sent  int
}

func newDeskWorld(t *testing.T) *deskWorld {
	t.Helper()
	w := &deskWorld{t: t, url: storetest.NewDatabase(t)}
	var err error
	if w.db, err = store.Open(t.Context(), w.url, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.db.Close)
	tenant, err := w.db.EnsureTenant(t.Context(), "Acme")
	if err != nil {
		t.Fatal(err)
	}
	w.tenant = tenant.ID
	operator, err := w.db.EnsureOperator(t.Context(), w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	w.operator = operator.ID
	w.channel = w.addChannel("Support").ID
	if err := w.db.EnsurePartitions(t.Context(), func(context.Context) ([]store.PartitionStream, error) {
		return []store.PartitionStream{{Name: "TEST", Identity: "1", First: 1}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if w.lease, err = w.db.TakePartition(t.Context(), t.Name(), time.Hour); err != nil || w.lease == nil {
		t.Fatal("no partition to take: ", err)
	}
	return w
}

func (w *deskWorld) newChannel(name string) events.Channel {
	return events.Channel{
		ID: events.ChannelID(uuid.NewString()), Tenant: w.tenant, Transport: events.Telegram, Name: name,
		Mode: events.Polling, WebhookPath: uuid.NewString(), Sealed: []byte("sealed"),
	}
}

func (w *deskWorld) addChannel(name string) store.Channel {
	w.t.Helper()
	ch, err := w.db.CreateChannel(w.t.Context(), w.newChannel(name), "@"+name, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return ch
}

// says lets a client write on the world's channel and returns the chat's id.
func (w *deskWorld) says(who int64, text string) int64 {
	w.t.Helper()
	return w.saysOn(w.channel, who, text)
}

func (w *deskWorld) saysOn(channel events.ChannelID, who int64, text string) int64 {
	w.t.Helper()
	w.sent++
	id := fmt.Sprint(who)
	ev := &events.Inbound{
		ID: events.EventID(uuid.Must(uuid.NewV7()).String()), Tenant: w.tenant, Channel: channel, Transport: events.Telegram,
		AcceptedAt: time.Now().UTC(), Kind: events.Message,
		Person:  events.Person{Identity: events.Identity{Kind: events.TelegramUser, Value: id}, Address: id, FirstName: "Client " + id},
		Key:     events.MessageKey{Chat: id, Message: fmt.Sprint(w.sent)},
		Content: &events.Content{Type: events.Text, Text: text},
		Raw:     json.RawMessage(`{}`),
	}
	res, err := w.db.StoreBatch(w.t.Context(), w.lease, []store.InboundRecord{{Seq: w.lease.LastSeq + 1, Event: ev}})
	if err != nil || res.Count(store.Persisted) != 1 {
		w.t.Fatal(res, err)
	}
	return w.int(`SELECT chat_id FROM crm_chat_messages WHERE event_id = $1`, string(ev.ID))
}

func (w *deskWorld) int(sql string, args ...any) int64 {
	w.t.Helper()
	return storetest.Int(w.t, w.url, sql, args...)
}

func (w *deskWorld) exec(sql string, args ...any) int64 {
	w.t.Helper()
	return storetest.Exec(w.t, w.url, sql, args...)
}

func (w *deskWorld) chat(id int64) inbox.Chat {
	w.t.Helper()
	c, err := w.db.Chat(w.t.Context(), w.tenant, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// reply answers having seen everything.
func (w *deskWorld) reply(chat int64, text string) store.Reply {
	return store.Reply{Tenant: w.tenant, Chat: chat, Text: text, User: w.operator, Seen: w.chat(chat).LastSeq}
}

func (w *deskWorld) mustReply(r store.Reply) inbox.Message {
	w.t.Helper()
	m, err := w.db.Reply(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// wantCode fails unless err is an *inbox.Error of that code with words.
func wantCode(t *testing.T, err error, code inbox.Code) {
	t.Helper()
	t.Log(errorOf(t, err, code))
}

// errorOf is wantCode for those who look further.
func errorOf(t *testing.T, err error, code inbox.Code) *inbox.Error {
	t.Helper()
	var e *inbox.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got error %v, want code %s", err, code)
	}
	if e.Message == "" {
		t.Fatalf("error of code %s says nothing", code)
	}
	return e
}
