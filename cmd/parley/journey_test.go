package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"parley/inbox"
)

// A message that came in and one that went out: everything that happened to them,
// in the order of its times, with why and with what the provider said.
func TestJourneyOfAMessage(t *testing.T) {
	t.Parallel()
	p, dir, twilio := startWithTwilio(t)
	anna := twilio.Person("anna")
	if _, err := anna.Say("hello"); err != nil {
		t.Fatal(err)
	}
	awaitFacts(t, dir, 1, "message", "received", 1)
	parley(t, dir, "chat", "show", "1")
	parley(t, dir, "chat", "reply", "1", "good morning")
	awaitFacts(t, dir, 1, "message", "delivered", 1)
	journey := func(args ...string) (j inbox.Journey) {
		t.Helper()
		if err := json.Unmarshal([]byte(parley(t, dir, append([]string{"message", "show", "--json"}, args...)...)), &j); err != nil {
			t.Fatal(err)
		}
		for i, s := range j.Steps {
			if i > 0 && s.At.Before(j.Steps[i-1].At) {
				t.Errorf("%s at %s is behind %s at %s", s.What, s.At, j.Steps[i-1].What, j.Steps[i-1].At)
			}
			if s.Words == "" || s.At.IsZero() {
				t.Errorf("a step says nothing: %+v", s)
			}
		}
		return j
	}
	has := func(j inbox.Journey, want ...string) {
		t.Helper()
		var whats []string
		for _, s := range j.Steps {
			whats = append(whats, s.What)
		}
		at := -1
		for _, w := range want {
			next := slices.Index(whats[at+1:], w)
			if next < 0 {
				t.Fatalf("%s is not in its place among %v", w, whats)
			}
			at += 1 + next
		}
	}

	in := journey("1", "1")
	has(in, "accepted", "stored")
	has(in, "accepted", "on_bus")
	if in.EventID == "" || in.RoutedBy != "new" || in.Bus == nil || !in.Bus.Kept || len(in.Missing) != 0 || in.ProviderMessage == "" || in.DeliveryID != 0 {
		t.Errorf("what came in is %+v", in)
	}
	i := slices.IndexFunc(in.Steps, func(s inbox.JourneyStep) bool { return s.What == "stored" })
	if !strings.Contains(in.Steps[i].Words, "nobody knew its sender") {
		t.Errorf("why it is there: %q", in.Steps[i].Words)
	}

	out := journey("1", "2")
	has(out, "written", "attempt", "answer")
	has(out, "queued", "attempt", "status")
	if out.DeliveryID == 0 || out.EventID != "" || out.Bus != nil || len(out.Missing) != 0 {
		t.Errorf("what went out is %+v", out)
	}
	for _, s := range out.Steps {
		switch s.What {
		case "answer":
			if s.Outcome != "sent" || s.ProviderID == "" || s.Ref == "" || s.Attempt != 1 {
				t.Errorf("the provider's answer is %+v", s)
			}
		case "status":
			if s.Outcome == "" || s.EventID == "" {
				t.Errorf("a status is %+v", s)
			}
		}
	}
	if text := parley(t, dir, "message", "show", "1", "1"); !strings.Contains(text, "event="+string(in.EventID)) || !strings.Contains(text, "On disk on the bus.") {
		t.Errorf("people read %s", text)
	}

	// What is gone is said to be gone.
	tenant, err := p.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Desk.Bus.EraseFrame(t.Context(), in.Bus.Partition, uint64(in.Bus.Seq)); err != nil {
		t.Fatal(err)
	}
	if err := p.Desk.Bus.PurgeFacts(t.Context(), tenant.ID, 1); err != nil {
		t.Fatal(err)
	}
	old := journey("1", "1")
	has(old, "accepted")
	if old.Bus.Kept || len(old.Missing) != 2 || slices.ContainsFunc(old.Steps, func(s inbox.JourneyStep) bool { return s.What == "stored" || s.What == "on_bus" }) {
		t.Errorf("once the bus forgot, it is %+v", old)
	}
	if old := journey("1", "2"); len(old.Missing) != 1 {
		t.Errorf("once the bus forgot, the answer is %+v", old)
	}
}
