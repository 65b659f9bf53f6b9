package main

import (
	"strings"
	"testing"
)

// Somebody who never wrote is written to, and their answer comes to the same chat.
func TestStartAConversation(t *testing.T) {
	t.Parallel()
	_, dir, twilio := startWithTwilio(t)
	anna := twilio.Person("anna")
	out := parley(t, dir, "chat", "start", anna.Number(), "Your lamp is ready.", "--via", "SMS", "--first-name", "Anna", "--key", "k")
	if !strings.Contains(out, "message 1 of chat 1 by sms") {
		t.Errorf("it says %s", out)
	}
	parley(t, dir, "chat", "start", anna.Number(), "Your lamp is ready.", "--via", "SMS", "--first-name", "Anna", "--key", "k")
	awaitFacts(t, dir, 1, "message", "delivered", 1)
	if texts, _ := arrived(t, anna); len(texts) != 1 {
		t.Errorf("the phone shows %q", texts)
	}
	if _, err := anna.Say("thank you"); err != nil {
		t.Fatal(err)
	}
	if err := await(t.Context(), dir, fact("received", "thank you")); err != nil {
		t.Fatal(err)
	}
	if show := parley(t, dir, "chat", "show", "1"); !strings.Contains(show, "Chat 1 with Anna") || !strings.Contains(show, "thank you") {
		t.Errorf("the chat shows %s", show)
	}
	for refused, args := range map[string][]string{
		"on 2 channels":          {"+4915199999999", "hello"},
		"only an approved templ": {"+4915199999999", "hello", "--via", "WhatsApp"},
		"with its country":       {"nobody", "hello", "--via", "SMS"},
	} {
		if out, err := parleyFails(t, dir, append([]string{"chat", "start"}, args...)...); err == nil || !strings.Contains(out, refused) {
			t.Errorf("%v: %s", args, out)
		}
	}
	if out := parley(t, dir, "audit"); !strings.Contains(out, "Clean") {
		t.Error(out)
	}
}
