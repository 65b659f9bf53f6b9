package dispatcher_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"parley/events"
	"parley/inbox/dispatcher"
	"parley/store"
	"parley/store/outboundtest"
	"parley/transports"
)

// senderHealth is how a channel fares as a sender, as everybody can read it.
func senderHealth(w *outboundtest.World, ch events.ChannelID) store.SenderHealth {
	w.T.Helper()
	all, err := w.DB.SenderHealth(context.Background())
	if err != nil {
		w.T.Fatal(err)
	}
	for _, h := range all {
		if h.Channel == ch {
			return h
		}
	}
	return store.SenderHealth{}
}

// Whoever replies can know that the provider refuses a channel, and that it does
// no more once the channel was changed.
func TestRefusedCredentialsAreKnownToEverybody(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 2)
	w.Queue(ch.ID, "hello", "p1")
	p := newProvider()
	var mended atomic.Bool
	p.script = func(context.Context, transports.Outbound) error {
		if mended.Load() {
			return nil
		}
		return &transports.SendError{Outcome: transports.Rejected, Credentials: true, Words: "The token is wrong."}
	}
	dispatch(w, p, func(o *dispatcher.Options) { o.ProbeEvery = time.Hour })
	w.Until("the refusal is known", func() bool { return senderHealth(w, ch.ID).State == events.NeedsAttention })
	if h := senderHealth(w, ch.ID); h.Words != "The token is wrong." || h.Since.IsZero() {
		t.Errorf("health is %+v", h)
	}
	mended.Store(true)
	w.Exec("UPDATE parley_channels SET version = version + 1 WHERE id = $1", string(ch.ID))
	w.Until("it is sent after all", func() bool { return w.States()["sent"] == 1 })
	w.Until("that is known, too", func() bool { return senderHealth(w, ch.ID).State == events.Connected })
}

// An adapter that cannot be built is the channel's trouble until it is changed.
func TestAChannelThatCannotBeBuiltIsKnownToEverybody(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	p := newProvider()
	dispatch(w, p, func(o *dispatcher.Options) {
		o.Factories = map[events.Transport]transports.Factory{events.Telegram: func(a transports.Account) (transports.Transport, error) {
			if a.Channel.Version < 2 {
				return nil, context.DeadlineExceeded
			}
			return p, nil
		}}
	})
	w.Until("it is known", func() bool { return senderHealth(w, ch.ID).State == events.NeedsAttention })
	w.Exec("UPDATE parley_channels SET version = 2 WHERE id = $1", string(ch.ID))
	w.Until("it is forgotten", func() bool { return senderHealth(w, ch.ID).State == "" })
}

// Outside of the reply window a template goes out, and nothing else; a channel
// without templates refuses one.
func TestTemplatesGoOutOutsideOfTheWindow(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 2)
	w.Exec("UPDATE crm_chat_messages SET sent_at = now() - interval '25 hours'")
	text := w.Queue(ch.ID, "text", "p1")[0]
	template := w.Queue(ch.ID, "Dear Ada", "p2")[0]
	w.Exec(`UPDATE parley_deliveries SET template = '{"id": "HX1", "variables": {"1": "Ada"}}' WHERE id = $1`, template)
	p := newProvider()
	p.caps.ReplyWindow, p.caps.Templates = 24*time.Hour, true
	r := dispatch(w, p)
	w.Until("both have ended", func() bool { return w.State(text) == "failed" && w.State(template) == "sent" })
	r.end()
	p.mu.Lock()
	got := p.got[0]
	p.mu.Unlock()
	if len(p.got) != 1 || got.Template == nil || got.Template.ID != "HX1" || got.Template.Variables["1"] != "Ada" || got.To != "p2" {
		t.Errorf("sent %+v", p.got)
	}
	p.caps.Templates = false
	another := w.Queue(ch.ID, "Dear Bob", "p1")[0]
	w.Exec(`UPDATE parley_deliveries SET template = '{"id": "HX1"}' WHERE id = $1`, another)
	dispatch(w, p)
	w.Until("it is refused", func() bool { return w.State(another) == "failed" })
	var code string
	w.Row("SELECT code FROM parley_deliveries WHERE id = $1", []any{another}, &code)
	if code != "no_templates" {
		t.Errorf("refused as %s", code)
	}
}
