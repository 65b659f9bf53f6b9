package twilio_test

import (
	"context"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"parley/events"
	"parley/transports/sandbox"
)

// TestReconcileFindsWhatAnOutageLost drops webhooks and callbacks.
func TestReconcileFindsWhatAnOutageLost(t *testing.T) {
	now := newClock(time.Now().Add(-time.Hour))
	tw, number, in := standIn(t, sandbox.TwilioOptions{Faults: sandbox.TwilioFaults{DropInbound: 1, DropStatus: 1}, Now: now.get}, events.SMS, nil)
	if err := number.Connect(t.Context(), in.url(t)); err != nil {
		t.Fatal(err)
	}
	who := tw.Person("anna")
	var want []string
	for _, words := range []string{"one", "two", "STOP", "START"} {
		want = append(want, must(who.Say(words)))
		now.set(now.get().Add(time.Second))
	}
	want = append(want, must(who.Post(sandbox.TwilioPost{Text: "look", Files: []sandbox.File{
		{MIME: "image/png", Content: []byte("PNG")}, {MIME: "application/pdf", Content: []byte("PDF")},
	}})))
	must(must(who.WhatsApp()).Say("on another channel"))
	receipt, err := number.Send(t.Context(), text(who.Number(), "an answer", "r"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tw.Await(t.Context(), func(e sandbox.TwilioEntry) bool { return e.Status == "delivered" }); err != nil {
		t.Fatal(err)
	}
	var got []events.Inbound
	emit := func(_ context.Context, evs []events.Inbound) error {
		got = append(got, evs...)
		return nil
	}
	if err := number.Reconcile(t.Context(), now.get().Add(-time.Minute), emit); err != nil {
		t.Fatal(err)
	}
	var messages []string
	var kinds []events.Kind
	for _, ev := range got {
		kinds = append(kinds, ev.Kind)
		if ev.Kind == events.Message {
			messages = append(messages, ev.Key.Message)
			if ev.Person.Identity.Value != who.Number() || ev.ProviderTime.IsZero() || len(ev.Notes) == 0 {
				t.Errorf("found %s", jsonOf(ev))
			}
		}
		again := must(number.Reparse(ev.Raw))
		if !slices.ContainsFunc(again, func(one events.Inbound) bool { return jsonOf(one) == jsonOf(ev) }) {
			t.Errorf("parsed again %s, was %s", jsonOf(again), jsonOf(ev))
		}
	}
	if !slices.Equal(messages, want) {
		t.Errorf("found %v, want %v", messages, want)
	}
	if !slices.Contains(kinds, events.Reachability) {
		t.Errorf("found %v, without that she opted out", kinds)
	}
	last := got[len(got)-1]
	if last.Kind != events.StatusChanged || last.Status.Name != events.Delivered || last.Key.Message != receipt.ProviderID || last.Key.Chat != receipt.Chat {
		t.Errorf("the last is %s", jsonOf(last))
	}
	for _, ev := range got {
		if ev.Content == nil || ev.Content.Text != "look" {
			continue
		}
		if len(ev.Content.Attachments) != 2 || ev.Content.Attachments[0].Kind != events.Photo {
			t.Fatalf("found %s", jsonOf(ev))
		}
		media, err := number.OpenMedia(t.Context(), ev.Content.Attachments[1].Ref)
		if err != nil {
			t.Fatal(err)
		}
		if content := must(io.ReadAll(media)); string(content) != "PDF" {
			t.Errorf("the file is %q", content)
		}
		_ = media.Close()
	}
	// Its webhook would have had the same keys.
	tw.SetFaults(sandbox.TwilioFaults{})
	sid := must(who.Say("three"))
	if ev := in.next(t); ev.Key != (events.MessageKey{Chat: who.Number(), Message: sid}) {
		t.Errorf("key %+v", ev.Key)
	}
	// What has just come is left to its webhook; what came before stays away.
	got = nil
	now.set(time.Now())
	must(who.Say("four"))
	in.next(t)
	if err := number.Reconcile(t.Context(), time.Now().Add(-30*time.Minute), emit); err != nil || len(got) > 0 {
		t.Errorf("found %s, %v", jsonOf(got), err)
	}
}

// clock is one that a test sets.
type clock struct{ at atomic.Pointer[time.Time] }

func newClock(at time.Time) *clock {
	var c clock
	c.set(at)
	return &c
}

func (c *clock) set(at time.Time) { c.at.Store(&at) }

func (c *clock) get() time.Time { return *c.at.Load() }

func TestReconcileStops(t *testing.T) {
	now := time.Now().Add(-time.Hour)
	tw, number, _ := standIn(t, sandbox.TwilioOptions{Now: func() time.Time { return now }}, events.SMS, nil)
	for range 250 {
		must(tw.Person("anna").Say("hello"))
	}
	calls := 0
	err := number.Reconcile(t.Context(), now.Add(-time.Minute), func(context.Context, []events.Inbound) error {
		if calls++; calls == 2 {
			return io.ErrUnexpectedEOF
		}
		return nil
	})
	if err != io.ErrUnexpectedEOF || calls != 2 { //nolint:errorlint // what emit said
		t.Errorf("%d calls, %v", calls, err)
	}
}
