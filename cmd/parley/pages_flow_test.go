package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// arrives waits until a phone shows a text.
func arrives(t *testing.T, text string, phone func() []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		shown := phone()
		for _, s := range shown {
			if s == text {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the phone shows %q, not %q", shown, text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// answered has a client's words appear live, and an agent answer them.
func (o *office) answered(t *testing.T, ctx context.Context, say func(text string) error, phone func() []string) {
	t.Helper()
	if err := say("Hello there"); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, shows(".rows .last", "Hello there"), click(`.rows li:first-child a`), shows(".message .text", "Hello there"))
	if err := say("Are you there?"); err != nil {
		t.Fatal(err)
	}
	do(t, ctx,
		shows(".message .text", "Are you there?"), // live
		chromedp.SendKeys(`#text`, "We are.", chromedp.ByQuery), click(`[data-send]`),
		shows(".message.out .text", "We are."),
	)
	arrives(t, "We are.", phone)
	do(t, ctx, chromedp.Poll(`["sent", "delivered", "read"].some((s) => document.querySelector(".message.out .tick." + s))`, nil))
}

// TestFlowByTwilio is a conversation by SMS, and one by WhatsApp.
func TestFlowByTwilio(t *testing.T) {
	t.Parallel()
	p, dir, twilio := startWithTwilio(t)
	o, ctx := employ(t, p, dir), browser(t)
	o.logIn(t, ctx)
	sms := twilio.Person("anna")
	o.answered(t, ctx, func(text string) error { _, err := sms.Say(text); return err }, func() (texts []string) {
		for _, m := range sms.Phone() {
			if m.FromBusiness {
				texts = append(texts, m.Text)
			}
		}
		return texts
	})
	whatsapp, err := twilio.Person("bo").WhatsApp()
	if err != nil {
		t.Fatal(err)
	}
	do(t, ctx, chromedp.Navigate(o.Pages+"/inbox?transport=whatsapp"), shows(".empty", "no such chat"))
	o.answered(t, ctx, func(text string) error { _, err := whatsapp.Say(text); return err }, func() (texts []string) {
		for _, m := range whatsapp.Phone() {
			if m.FromBusiness {
				texts = append(texts, m.Text)
			}
		}
		return texts
	})
	p.keepsQuietAbout(t, "Hello there", "Are you there?", "We are.", sms.Number(), strings.TrimPrefix(sms.Number(), "+"), whatsapp.Number())
}

// TestFlowByMail is a conversation by mail, with a subject and a further
// recipient of one's own.
func TestFlowByMail(t *testing.T) {
	t.Parallel()
	p, dir, box := startWithMail(t)
	o, ctx := employ(t, p, dir), browser(t)
	o.logIn(t, ctx)
	anna, err := box.Person("anna")
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	o.answered(t, ctx, func(text string) error {
		said++
		_, err := anna.Write(fmt.Sprint("Question ", said), text)
		return err
	}, func() (texts []string) {
		for _, m := range anna.Phone() {
			if m.FromBusiness {
				texts = append(texts, firstLine(m.Text))
			}
		}
		return texts
	})
	do(t, ctx,
		chromedp.SendKeys(`#subject`, "Another matter", chromedp.ByQuery), click(`.recipients summary`),
		chromedp.SendKeys(`[name=cc]`, "Carla <carla@people.example>", chromedp.ByQuery), shot("mail-fields"),
	)
	inBothThemes(t, ctx, "a mail's fields")
	do(t, ctx, chromedp.SendKeys(`#text`, "By the way.", chromedp.ByQuery), click(`[data-send]`), shows(".message.out .subject", "Another matter"))
	carla, err := box.Person("carla")
	if err != nil {
		t.Fatal(err)
	}
	arrives(t, "By the way.", func() (texts []string) {
		for _, m := range carla.Phone() {
			if m.Subject == "Another matter" {
				texts = append(texts, firstLine(m.Text))
			}
		}
		return texts
	})
	p.keepsQuietAbout(t, "Hello there", "We are.", "Question 1", "Another matter", "By the way.", "people.example")
}

func firstLine(text string) string {
	for i, r := range text {
		if r == '\n' || r == '\r' {
			return text[:i]
		}
	}
	return text
}

// TestOfflineAndBack loses the network while somebody types and a client writes.
func TestOfflineAndBack(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	o.says(t, "Anna", "Hello?")
	o.logIn(t, ctx)
	do(t, ctx,
		click(`.rows a`), shows(".message .text", "Hello?"),
		chromedp.SendKeys(`#text`, "While you were away", chromedp.ByQuery),
		network.EmulateNetworkConditions(true, 0, 0, 0), // for what is asked for from now on
		click(`[data-send]`), shows("[data-refusal]", "Your text is kept"),
		network.EmulateNetworkConditions(false, 0, -1, -1),
		click(`[data-send]`), shows(".message.out .tick", "Sent"), gone(`[data-refusal] > *`),
		chromedp.Poll(`document.querySelector("#text").value === "" && !document.querySelector("[data-refusal]").textContent`, nil),
	)
	if heard := o.heard("Anna"); len(heard) != 1 {
		t.Errorf("the phone shows %q", heard)
	}
}

// TestKeyboardOnly reads and answers without a pointer.
func TestKeyboardOnly(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	o.says(t, "Anna", "Hello?")
	o.says(t, "Bo", "Me, too")
	o.logIn(t, ctx)
	do(t, ctx,
		shows(".rows .name", "Anna"), press("?"), chromedp.WaitVisible(`dialog.keys[open]`, chromedp.ByQuery), shot("keys"), keys(kb.Escape), gone(`dialog.keys[open]`),
		press("j"), press("j"), keys(kb.Enter), shows(".message .text", "Hello?"), shows(".live", "Live"),
		press("r"), keys("Good morning"), chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(input.ModifierCtrl)),
		shows(".message.out .tick", "Sent"),
		keys(kb.Escape), press("h"), keys(kb.Enter), shows(".who .state", "Snoozed"), shows(".live", "Live"),
		gone(`.rows a[aria-current]`), // the list follows a moment later
		press("k"), keys(kb.Enter), shows(".message .text", "Me, too"), shows(".live", "Live"),
		press("a"), keys(kb.Enter), shows(".rows .whose", "Olga Agent"),
		press("c"), shows(".panel h2", "Bo"),
	)
	if heard := o.heard("Anna"); len(heard) != 1 || heard[0] != "Good morning" {
		t.Errorf("the phone shows %q", heard)
	}
}
