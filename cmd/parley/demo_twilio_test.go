package main

import (
	"encoding/json"
	"strings"
	"testing"

	"parley/events"
	"parley/inbox"
)

// TestDemoOnSMSAndWhatsApp lets one person write on both, and answers.
func TestDemoOnSMSAndWhatsApp(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	startDemo(t, dir)
	for _, network := range []string{"sms", "whatsapp"} {
		if out := parley(t, dir, "sandbox", "say", "--on", network, "bo", "hello by "+network); !strings.Contains(out, "bo wrote on") {
			t.Errorf("it says %s", out)
		}
		if err := await(t.Context(), dir, fact("received", "hello by "+network)); err != nil {
			t.Fatal(err)
		}
	}
	var chats struct{ Items []inbox.Chat }
	if err := json.Unmarshal([]byte(parley(t, dir, "chats", "--json")), &chats); err != nil {
		t.Fatal(err)
	}
	if len(chats.Items) != 2 || chats.Items[0].Last != "hello by whatsapp" || chats.Items[0].Unread != 2 {
		t.Errorf("chats are %+v", chats.Items)
	}
	parley(t, dir, "chat", "show", "2")
	parley(t, dir, "chat", "reply", "2", "hello bo")
	if err := await(t.Context(), dir, func(f events.Fact) bool { return f.Chat == 2 && f.Verb == "delivered" }); err != nil {
		t.Fatal(err)
	}
	if phone := parley(t, dir, "sandbox", "phone", "--on", "whatsapp", "bo"); !strings.Contains(phone, "hello bo") || strings.Contains(phone, "by sms") {
		t.Errorf("the phone shows %s", phone)
	}
	if phone := parley(t, dir, "sandbox", "phone", "--on", "sms", "bo"); strings.Contains(phone, "hello bo") || !strings.Contains(phone, "by sms") {
		t.Errorf("the phone shows %s", phone)
	}
	if out, err := parleyFails(t, dir, "sandbox", "say", "--on", "pigeon", "bo", "x"); err == nil || !strings.Contains(out, "telegram, sms, whatsapp or email") {
		t.Errorf("it says %q, %v", out, err)
	}
	if out := parley(t, dir, "audit"); !strings.Contains(out, "Clean") {
		t.Error(out)
	}
}
