package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// phoneWorld is a desk with a channel of phone numbers.
func phoneWorld(t *testing.T) *deskWorld {
	w := newDeskWorld(t)
	ch := w.newChannel("SMS")
	ch.Transport = events.SMS
	stored, err := w.db.CreateChannel(t.Context(), ch, "+4930", "")
	if err != nil {
		t.Fatal(err)
	}
	w.channel = stored.ID
	return w
}

func (w *deskWorld) start(number, text string) store.Start {
	return store.Start{
		Reply:  store.Reply{Tenant: w.tenant, Channel: w.channel, Text: text, User: w.operator},
		Person: events.Person{Identity: events.Identity{Kind: events.Phone, Value: number}, Address: number, FirstName: "Ada"},
	}
}

// texts lets a phone write, and returns the error as the router would see it.
func (w *deskWorld) texts(number, text string) error {
	seq := w.lease.LastSeq + 1
	_, err := w.db.StoreBatch(w.t.Context(), w.lease, []store.InboundRecord{{Seq: seq, Event: &events.Inbound{
		ID: events.EventID(uuid.Must(uuid.NewV7()).String()), Tenant: w.tenant, Channel: w.channel, Transport: events.SMS,
		AcceptedAt: time.Now().UTC(), Kind: events.Message,
		Person:  events.Person{Identity: events.Identity{Kind: events.Phone, Value: number}, Address: number},
		Key:     events.MessageKey{Chat: number, Message: fmt.Sprint("m", seq)},
		Content: &events.Content{Type: events.Text, Text: text},
	}}})
	return err
}

// Who is written to first is a client with a chat, and their answer comes there.
func TestStartAndAnswer(t *testing.T) {
	t.Parallel()
	w := phoneWorld(t)
	s := w.start("+4915112345678", "Your lamp is ready.")
	s.Key = "k"
	m, err := w.db.Start(t.Context(), s)
	if err != nil || m.Seq != 1 || m.Delivery == nil || m.Direction != inbox.Out {
		t.Fatalf("%+v, %v", m, err)
	}
	if again, err := w.db.Start(t.Context(), s); err != nil || again.ID != m.ID {
		t.Errorf("repeated it is message %d, %v", again.ID, err)
	}
	if err := w.texts("+4915112345678", "Thank you!"); err != nil {
		t.Fatal(err)
	}
	c := w.chat(m.ChatID)
	if c.LastSeq != 2 || c.Last != "Thank you!" || c.Client.FirstName != "Ada" || c.Client.Phone != "+4915112345678" || c.Unread != 1 {
		t.Errorf("the chat is %+v", c)
	}
	// Whoever writes to them as if they were new has not seen what they wrote.
	s.Key, s.Text = "", "Hello?"
	_, err = w.db.Start(t.Context(), s)
	if missed, ok := errorOf(t, err, inbox.Stale).Detail.(*store.Missed); !ok || missed.Messages[len(missed.Messages)-1].Text != "Thank you!" {
		t.Errorf("%v", err)
	}
	s.Force = true
	if again, err := w.db.Start(t.Context(), s); err != nil || again.ChatID != m.ChatID || again.Seq != 3 {
		t.Errorf("forced it is %+v, %v", again, err)
	}
	// A client who is known by the number only has no second one.
	w.exec("INSERT INTO crm_clients (tenant_id, first_name, phone_number) VALUES ($1, 'Bo', '+4915100000000')", string(w.tenant))
	known, err := w.db.Start(t.Context(), w.start("+4915100000000", "Hello Bo"))
	if err != nil {
		t.Fatal(err)
	}
	if c := w.chat(known.ChatID); c.Client.FirstName != "Bo" {
		t.Errorf("it is in the chat of %+v", c.Client)
	}
	if n := w.int("SELECT count(*) FROM crm_clients"); n != 2 {
		t.Errorf("there are %d clients", n)
	}
}

func TestStartThatIsRefusedLeavesNothing(t *testing.T) {
	t.Parallel()
	w := phoneWorld(t)
	s := w.start("+4915112345678", "hello")
	s.Can = map[events.ChannelID]inbox.Abilities{w.channel: {ReplyWindow: 24 * time.Hour, Templates: true}}
	_, err := w.db.Start(t.Context(), s)
	wantCode(t, err, inbox.Refused)
	s.KnownOnly = true
	_, err = w.db.Start(t.Context(), s)
	wantCode(t, err, inbox.Refused)
	if n := w.int("SELECT (SELECT count(*) FROM crm_clients) + (SELECT count(*) FROM parley_identities) + (SELECT count(*) FROM parley_facts)"); n != 0 {
		t.Errorf("%d rows stay", n)
	}
	s.KnownOnly, s.Approved = false, map[events.ChannelID]*inbox.Template{"": {ID: "HX1"}}
	m, err := w.db.Start(t.Context(), s)
	if err != nil || w.int("SELECT count(*) FROM parley_deliveries WHERE message_id = $1 AND template->>'id' = 'HX1'", m.ID) != 1 {
		t.Errorf("with an approved template it is %+v, %v", m, err)
	}
	s.Person.Identity.Value = ""
	_, err = w.db.Start(t.Context(), s)
	wantCode(t, err, inbox.Invalid)
}

// Somebody who writes while they are written to is one client with one chat.
func TestStartAgainstInbound(t *testing.T) {
	t.Parallel()
	w := phoneWorld(t)
	for i := range 15 {
		number := fmt.Sprintf("+49151000000%02d", i)
		var wg sync.WaitGroup
		for n := range 3 {
			wg.Go(func() {
				s := w.start(number, fmt.Sprint("hello ", n))
				s.Force = true
				if _, err := w.db.Start(t.Context(), s); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			err := w.texts(number, "hi")
			for tries := 0; store.IsConstraintError(err) && tries < 5; tries++ {
				err = w.texts(number, "hi") // as the router does
			}
			if err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
	}
	if n := w.int("SELECT count(*) FROM crm_clients"); n != 15 {
		t.Errorf("15 people are %d clients", n)
	}
	if n := w.int("SELECT count(*) FROM crm_chats WHERE last_seq = 4"); n != 15 {
		t.Errorf("%d of 15 chats have all four messages", n)
	}
}
