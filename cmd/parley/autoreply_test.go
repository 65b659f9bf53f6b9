package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who writes outside the hours is answered once, on the network they wrote on.
func TestAwayReply(t *testing.T) {
	t.Parallel()
	_, dir, twilio := startWithTwilio(t)
	file := filepath.Join(t.TempDir(), "hours.json")
	if err := os.WriteFile(file, []byte(`{"enabled":true,"time_zone":"Europe/Berlin","away":"Hello {{first_name|there}}, we are closed."}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := parley(t, dir, "hours", "set", file); !strings.Contains(out, "we are closed") {
		t.Errorf("it says %s", out)
	}
	anna := twilio.Person("anna")
	if _, err := anna.Say("hello"); err != nil {
		t.Fatal(err)
	}
	awaitFacts(t, dir, 1, "message", "delivered", 1)
	if _, err := anna.Say("are you there?"); err != nil {
		t.Fatal(err)
	}
	if err := await(t.Context(), dir, fact("received", "are you there?")); err != nil {
		t.Fatal(err)
	}
	parley(t, dir, "chat", "show", "1")
	parley(t, dir, "chat", "reply", "1", "I am.")
	awaitFacts(t, dir, 1, "message", "delivered", 2)
	if texts, _ := arrived(t, anna); strings.Join(texts, "|") != "Hello there, we are closed. +0 delivered|I am. +0 delivered" {
		t.Errorf("the phone shows %q", texts)
	}
}
