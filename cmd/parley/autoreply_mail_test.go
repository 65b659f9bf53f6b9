package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/events"
)

// By mail, an automatic answer says that it is one, and a program that answers
// that is not answered again: two of them never talk to each other (RFC 3834).
func TestAutomaticMailIsNotAnswered(t *testing.T) {
	t.Parallel()
	_, dir, office := startWithMail(t)
	file := filepath.Join(t.TempDir(), "hours.json")
	if err := os.WriteFile(file, []byte(`{"enabled":true,"time_zone":"Europe/Berlin","away":"We are closed."}`), 0o600); err != nil {
		t.Fatal(err)
	}
	parley(t, dir, "hours", "set", file)
	write := func(from, header, text string) {
		t.Helper()
		mail := fmt.Sprintf("From: %s\r\nTo: %s\r\nMessage-ID: <%s@example.org>\r\nSubject: Hello\r\n%s\r\n%s\r\n", from, office.Address(), strings.ReplaceAll(text, " ", "-"), header, text)
		if err := office.Deliver([]byte(mail)); err != nil {
			t.Fatal(err)
		}
		if err := await(t.Context(), dir, fact("received", text)); err != nil {
			t.Fatal(err)
		}
	}
	// Written first, so that they would be answered first.
	write("robot@example.org", "Auto-Submitted: auto-replied\r\n", "I am away myself")
	write("list@example.org", "List-Id: <all.example.org>\r\n", "News of the list")
	write("no-reply@example.org", "", "Your parcel")
	write("anna@example.org", "", "Are you there")
	if err := await(t.Context(), dir, func(f events.Fact) bool { return f.Chat == 4 && f.Verb == "sent" }); err != nil {
		t.Fatal(err)
	}
	// Her program answers: hers is the last word.
	write("anna@example.org", "Auto-Submitted: auto-generated\r\n", "And so am I")
	write("bo@example.org", "", "Hello from Bo")
	if err := await(t.Context(), dir, func(f events.Fact) bool { return f.Chat == 5 && f.Verb == "sent" }); err != nil {
		t.Fatal(err)
	}
	sent := office.Sent()
	if len(sent) != 2 {
		t.Fatalf("%d mails were sent: %+v", len(sent), sent)
	}
	for _, s := range sent {
		head, _, _ := strings.Cut(string(s.Raw), "\r\n\r\n")
		if !strings.Contains(head, "\r\nAuto-Submitted: auto-replied\r\n") || !strings.Contains(head, "\r\nIn-Reply-To: <") {
			t.Errorf("an automatic mail begins with\n%s", head)
		}
	}
	if out := parley(t, dir, "audit"); !strings.Contains(out, "Clean") {
		t.Error(out)
	}
}
