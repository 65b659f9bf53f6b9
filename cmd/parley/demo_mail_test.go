package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"parley/events"
	"parley/inbox"
	"parley/inbox/api"
	"parley/transports/sandbox"
)

// TestDemoByMail lets a person write a mail, answers it, and lets her answer
// that.
func TestDemoByMail(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	kill := startDemo(t, dir)
	if out := parley(t, dir, "sandbox", "say", "--on", "email", "--subject", "Größe 40", "anna", "Do you have it by mail?"); !strings.Contains(out, "anna wrote a mail") {
		t.Errorf("it says %s", out)
	}
	if err := await(t.Context(), dir, fact("received", "Do you have it by mail?")); err != nil {
		t.Fatal(err)
	}
	// Nothing proves that the mail's Anna is the one on Telegram.
	var chat struct {
		inbox.Chat
		Messages api.Messages `json:"messages"`
	}
	if err := json.Unmarshal([]byte(parley(t, dir, "chat", "show", "2", "--json")), &chat); err != nil {
		t.Fatal(err)
	}
	if n := len(chat.Messages.Items); n != 1 || chat.Client.FirstName != "anna" {
		t.Fatalf("%d messages with %+v", n, chat.Client)
	}
	first := chat.Messages.Items[0]
	if first.Content == nil || first.Content.Mail == nil || first.Content.Mail.Subject != "Größe 40" || first.Content.Mail.DMARC != "pass" {
		t.Errorf("it has %+v", first.Content)
	}
	parley(t, dir, "chat", "show", "2")
	parley(t, dir, "chat", "reply", "2", "Yes, in blue.\nAnd in red.")
	if err := await(t.Context(), dir, func(f events.Fact) bool { return f.Chat == 2 && f.Verb == "sent" }); err != nil {
		t.Fatal(err)
	}
	mails := mailsOf(t, dir, "anna")
	if len(mails) != 2 || mails[0].Subject != "Größe 40" || mails[0].FromBusiness || !mails[1].FromBusiness || mails[1].Text != "Yes, in blue.\nAnd in red." {
		t.Fatalf("the mailbox has %+v", mails)
	}
	if shown := parley(t, dir, "sandbox", "phone", "--on", "email", "anna"); !strings.Contains(shown, "1. Größe 40") || !strings.Contains(shown, "And in red.") {
		t.Errorf("the mailbox shows %s", shown)
	}
	parley(t, dir, "sandbox", "say", "--on", "email", "anna", "The blue one, please.")
	if err := await(t.Context(), dir, fact("received", "The blue one, please.")); err != nil {
		t.Fatal(err)
	}
	if mails = mailsOf(t, dir, "anna"); len(mails) != 3 || mails[2].InReplyTo != mails[1].MessageID {
		t.Errorf("the mailbox has %+v", mails)
	}
	if people := parley(t, dir, "sandbox", "people", "--on", "email"); !strings.Contains(people, "anna@people.example") {
		t.Errorf("people are %s", people)
	}

	kill()
	startDemo(t, dir)
	parley(t, dir, "sandbox", "say", "--on", "email", "--subject", "Größe 40", "anna", "Is it on its way?")
	if err := await(t.Context(), dir, fact("received", "Is it on its way?")); err != nil {
		t.Fatal(err)
	}
	if out := parley(t, dir, "chats"); !strings.Contains(out, "Is it on its way?") || strings.Contains(out, "\n3 ") {
		t.Errorf("chats are %s", out)
	}
	if out := parley(t, dir, "audit"); !strings.Contains(out, "Clean") {
		t.Error(out)
	}
}

// TestDemoFaults sets what goes wrong at each stand-in.
func TestDemoFaults(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	startDemo(t, dir)
	for on, fault := range map[string]string{
		"telegram": `"redeliver": 0.5`, "sms": `"undelivered": 0.25`, "whatsapp": `"undelivered": 0.125`, "email": `"drop_idle_ms": 100`,
	} {
		parley(t, dir, "sandbox", "faults", "--on", on, "{"+fault+"}")
		if out := parley(t, dir, "sandbox", "faults", "--on", on); !strings.Contains(out, fault) {
			t.Errorf("%s: %s", on, out)
		}
	}
	if out, err := parleyFails(t, dir, "sandbox", "faults", "--on", "email", `{"redeliver": 0.5}`); err == nil || !strings.Contains(out, "redeliver") {
		t.Errorf("it says %q, %v", out, err)
	}
	// Mail comes although every connection in IDLE is cut.
	for i := range 3 {
		text := fmt.Sprintf("mail %d", i)
		parley(t, dir, "sandbox", "say", "--on", "email", "--subject", "Cut", "bo", text)
		if err := await(t.Context(), dir, fact("received", text)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := parleyFails(t, dir, "sandbox", "say", "--subject", "x", "bo", "y"); err == nil || !strings.Contains(out, "only a mail has a subject") {
		t.Errorf("it says %q, %v", out, err)
	}
}

func mailsOf(t *testing.T, dir, who string) (mails []sandbox.MailPhoneMessage) {
	t.Helper()
	if err := json.Unmarshal([]byte(parley(t, dir, "sandbox", "phone", "--on", "email", who, "--json")), &mails); err != nil {
		t.Fatal(err)
	}
	return mails
}
