package main

import (
	"context"
	"strings"
	"testing"

	"parley/events"
	"parley/store/storetest"
	"parley/transports/sandbox"
)

// A template goes as text while the client may be written to, and as the provider's
// approved one afterwards: the whole way, to the stand-in of the provider.
func TestTemplateOutsideTheWindow(t *testing.T) {
	t.Parallel()
	p, dir, twilio := startWithTwilio(t)
	anna, err := twilio.Person("anna").WhatsApp()
	if err == nil {
		_, err = anna.Say("hello")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := await(t.Context(), dir, fact("received", "hello")); err != nil {
		t.Fatal(err)
	}
	const approved = "HX00000000000000000000000000000001"
	out := parley(t, dir, "template", "add", "shipped", "Hello {{first_name|there}}, your {{order}} left.",
		"--approved", approved, "--approved-var", "1={{order}}")
	if !strings.Contains(out, "order: asked") || !strings.Contains(out, approved) {
		t.Errorf("it says %s", out)
	}
	if out := parley(t, dir, "template", "preview", "shipped", "1"); !strings.Contains(out, "no value for order") {
		t.Errorf("the preview says %s", out)
	}
	if out := parley(t, dir, "template", "preview", "shipped", "1", "--var", "order=lamp"); !strings.Contains(out, "your lamp left.") || !strings.Contains(out, "1 message") {
		t.Errorf("the preview says %s", out)
	}
	parley(t, dir, "chat", "show", "1")
	if out, err := parleyFails(t, dir, "chat", "reply", "1", "--use", "shipped"); err == nil || !strings.Contains(out, "no value for order") {
		t.Errorf("without its variable it says %s", out)
	}
	parley(t, dir, "chat", "reply", "1", "--use", "shipped", "--var", "order=lamp")
	awaitFacts(t, dir, 1, "message", "delivered", 1)

	storetest.Exec(t, p.DatabaseURL, "UPDATE crm_chat_messages SET sent_at = sent_at - interval '25 hours' WHERE direction = 'in'")
	if out := parley(t, dir, "template", "preview", "shipped", "1", "--var", "order=chair"); !strings.Contains(out, "as the approved template "+approved) {
		t.Errorf("the preview says %s", out)
	}
	parley(t, dir, "chat", "reply", "1", "--use", "shipped", "--var", "order=chair")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := twilio.Await(ctx, func(e sandbox.TwilioEntry) bool { return e.What == sandbox.LogSent && e.Template == approved }); err != nil {
		t.Fatal("the approved template was not sent: ", err)
	}
	if err := await(t.Context(), dir, func(f events.Fact) bool { return f.Chat == 1 && f.Verb == "delivered" }); err != nil {
		t.Fatal(err)
	}
	if out := parley(t, dir, "chat", "show", "1"); !strings.Contains(out, "your chair left.") {
		t.Errorf("the chat shows %s", out)
	}
	parley(t, dir, "template", "edit", "shipped", "--name", "sent")
	parley(t, dir, "template", "remove", "sent")
	if out := parley(t, dir, "template", "list"); !strings.Contains(out, "No templates yet") {
		t.Errorf("left are %s", out)
	}
}
