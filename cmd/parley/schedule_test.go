package main

import (
	"strings"
	"testing"
	"time"
)

func TestWhen(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("there", 3600)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, zone)
	for text, want := range map[string]time.Time{
		"90m": now.Add(90 * time.Minute), "15:30": time.Date(2026, 3, 1, 15, 30, 0, 0, zone), "09:00": time.Date(2026, 3, 2, 9, 0, 0, 0, zone),
		"2026-12-24 09:00": time.Date(2026, 12, 24, 9, 0, 0, 0, zone), "2026-12-24T09:00:00Z": time.Date(2026, 12, 24, 9, 0, 0, 0, time.UTC),
	} {
		if got, err := parseWhen(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s is %s, %v, want %s", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "soon", "-5m", "25:00"} {
		if _, err := parseWhen(bad, now); err == nil {
			t.Errorf("%q is a time", bad)
		}
	}
}

// A scheduled reply leaves when it is due, behind nothing and before nothing that
// was written meanwhile; one that is taken back never does.
func TestScheduledReplyLeavesWhenItIsDue(t *testing.T) {
	t.Parallel()
	_, dir, twilio := startWithTwilio(t)
	anna := twilio.Person("anna")
	if _, err := anna.Say("hello"); err != nil {
		t.Fatal(err)
	}
	if err := await(t.Context(), dir, fact("received", "hello")); err != nil {
		t.Fatal(err)
	}
	parley(t, dir, "chat", "show", "1")
	if out := parley(t, dir, "chat", "reply", "1", "never", "--at", "5h"); !strings.Contains(out, "Scheduled as 1") {
		t.Errorf("it says %s", out)
	}
	parley(t, dir, "chat", "reply", "1", "later", "--at", "4h")
	parley(t, dir, "chat", "reply", "1", "now")
	awaitFacts(t, dir, 1, "message", "delivered", 1)
	if out := parley(t, dir, "chat", "scheduled"); !strings.Contains(out, "never") || !strings.Contains(out, "later") {
		t.Errorf("scheduled are %s", out)
	}
	if out := parley(t, dir, "chat", "scheduled", "--cancel", "1"); !strings.Contains(out, "Taken back") {
		t.Errorf("it says %s", out)
	}
	parley(t, dir, "chat", "scheduled", "--move", "2", "--at", "1s")
	awaitFacts(t, dir, 1, "message", "delivered", 2)
	texts, _ := arrived(t, anna)
	if strings.Join(texts, "|") != "now +0 delivered|later +0 delivered" {
		t.Errorf("the phone shows %q", texts)
	}
	if out := parley(t, dir, "chat", "scheduled", "--all"); !strings.Contains(out, "cancelled") || !strings.Contains(out, "sent") {
		t.Errorf("scheduled were %s", out)
	}
}
