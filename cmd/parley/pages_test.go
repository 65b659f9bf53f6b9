package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"parley/inbox/desk"
	"parley/store"
	"parley/transports"
	"parley/transports/sandbox"
)

// TestPages has a client write, and an agent answer in a real browser.
func TestPages(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	if os.Getenv("PARLEY_SHOTS") != "" {
		o.furnish(t)
	}
	anna := o.telegram.Person("Anna")
	if _, err := anna.Say("Do you ship to Norway? https://example.com/ships <b>bold</b>"); err != nil {
		t.Fatal(err)
	}
	o.logIn(t, ctx)
	do(t, ctx,
		shows(".rows .unread .name", "Anna"), shot("inbox"),
		click(`.rows a`),
		shows(".message.in .text", "https://example.com/ships <b>bold</b>"),
		chromedp.WaitVisible(`.message.in .text a[href="https://example.com/ships"]`),
		chromedp.SendKeys(`#text`, "We do.\nIt takes three days.", chromedp.ByQuery),
		click(`.composer button.primary`),
		shows(".message.out .text", "It takes three days."),
		shows(".message.out .tick", "Sent"),
		shot("thread"),
	)
	phone := anna.Phone()
	if last := phone[len(phone)-1]; !last.FromBot || last.Text != "We do.\nIt takes three days." {
		t.Errorf("the phone shows %+v", phone)
	}
	// It comes live, and is read because somebody looks at it.
	if _, err := anna.Say("Thank you! שלום"); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, shows(".message.in .text", "Thank you! שלום"))
	// Somebody else writes; the list moves.
	if _, err := o.telegram.Person("Bo").Say("Hello from Bo"); err != nil {
		t.Fatal(err)
	}
	do(t, ctx,
		shows(".rows li:first-child .name", "Bo"),
		dark(true), shot("thread-dark"), dark(false),
		emulation.SetDeviceMetricsOverride(390, 844, 2, true), emulation.SetTouchEmulationEnabled(true), shot("thread-phone"),
		chromedp.Navigate(o.Pages+"/inbox"), shows(".rows .name", "Bo"), shot("inbox-phone"),
		emulation.ClearDeviceMetricsOverride(), emulation.SetTouchEmulationEnabled(false),
	)
}

// TestPagesAreAccessible looks at each page in both themes.
func TestPagesAreAccessible(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	do(t, ctx, chromedp.Navigate(o.Pages+"/login"), chromedp.WaitVisible(`input[name=email]`))
	inBothThemes(t, ctx, "log-in")
	do(t, ctx, chromedp.Navigate(o.Pages+"/invite"), chromedp.WaitVisible(`input[name=name]`))
	inBothThemes(t, ctx, "invitation")
	do(t, ctx, chromedp.Navigate(o.Pages+"/nowhere"), shows("h1", "did not work"))
	inBothThemes(t, ctx, "error")
	if _, err := o.telegram.Person("Anna").Say("Hello? https://example.com"); err != nil {
		t.Fatal(err)
	}
	o.logIn(t, ctx)
	do(t, ctx, shows(".rows .name", "Anna"))
	inBothThemes(t, ctx, "inbox")
	do(t, ctx, click(`.rows a`), shows(".message .text", "Hello?"))
	inBothThemes(t, ctx, "thread")
	do(t, ctx, chromedp.Evaluate(`document.querySelector("dialog.keys").showModal()`, nil), chromedp.WaitVisible(`dialog.keys`))
	inBothThemes(t, ctx, "keyboard sheet")
}

// TestPagesWithoutScripts logs in, reads and answers by links and forms alone.
func TestPagesWithoutScripts(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	anna := o.telegram.Person("Anna")
	if _, err := anna.Say("Anybody there?"); err != nil {
		t.Fatal(err)
	}
	if err := await(t.Context(), o.dir, fact("received", "Anybody there?")); err != nil {
		t.Fatal(err)
	}
	do(t, ctx,
		emulation.SetScriptExecutionDisabled(true),
		chromedp.Navigate(o.Pages+"/inbox/1"),
		chromedp.WaitVisible(`input[name=email]`),
		chromedp.SendKeys(`input[name=email]`, agentEmail),
		chromedp.SendKeys(`input[name=password]`, "wrong, at first"),
		chromedp.Submit(`form`),
		chromedp.WaitVisible(`.flash`),
		chromedp.SendKeys(`input[name=password]`, o.password),
		chromedp.Submit(`form`),
		chromedp.WaitVisible(`#m1 .text`), // it goes on where it was going
		chromedp.SendKeys(`#text`, "Yes!", chromedp.ByQuery),
		click(`.composer button.primary`),
		chromedp.WaitVisible(`.message.out`),
	)
	if err := await(t.Context(), o.dir, fact("sent", "")); err != nil {
		t.Fatal(err)
	}
	phone := anna.Phone()
	if last := phone[len(phone)-1]; !last.FromBot || last.Text != "Yes!" {
		t.Errorf("the phone shows %+v", phone)
	}
}

// TestReplyWithAFile sends a file in answer to one message in particular.
func TestReplyWithAFile(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	anna := o.telegram.Person("Anna")
	for _, text := range []string{"What does it look like?", "And what does it cost?"} {
		if _, err := anna.Say(text); err != nil {
			t.Fatal(err)
		}
	}
	picture := filepath.Join(t.TempDir(), "boat.png")
	if err := os.WriteFile(picture, aPicture(t, 400, 300), 0o600); err != nil {
		t.Fatal(err)
	}
	o.logIn(t, ctx)
	do(t, ctx,
		shows(".rows .last", "And what does it cost?"), click(`.rows a`),
		shows("#m1 .text", "What does it look like?"), shows(".live", "Live"),
		chromedp.Evaluate(`document.querySelector("#m1 [data-answer]").click()`, nil),
		shows("[data-answers] q", "What does it look like?"),
		chromedp.SetUploadFiles(`[data-files]`, []string{picture}),
		chromedp.WaitVisible(`[data-uploads] [data-id]`),
		chromedp.SendKeys(`#text`, "Like this.", chromedp.ByQuery),
		click(`.composer button.primary`),
		chromedp.WaitVisible(`.message.out .picture img`),
		shows(".message.out .tick", "Sent"),
		shot("picture"),
	)
	phone := anna.Phone()
	last := phone[len(phone)-1]
	if last.Kind != "photo" || last.Text != "Like this." || last.ReplyTo != phone[0].MessageID {
		t.Errorf("the phone shows %+v, the first was %d", last, phone[0].MessageID)
	}
	// Both sides' answers say what they answer, and lead there.
	if _, err := anna.Post(sandbox.Post{Text: "Lovely!", ReplyTo: last.MessageID}); err != nil {
		t.Fatal(err)
	}
	do(t, ctx,
		shows(".message.out .answered", "What does it look like?"), shows(".message.in:last-child .answered", "Like this."), shot("answers"),
		// Pictures come in meanwhile, and move what a pointer would aim at.
		chromedp.Evaluate(`document.querySelector(".message.out .answered a").click()`, nil), holds(`location.hash === "#m1" && document.querySelector("#m1").matches(":target")`),
	)
}

// TestComposerCounts holds the page's counter of SMS against the adapter's, and
// shows how long a WhatsApp window stays open.
func TestComposerCounts(t *testing.T) {
	t.Parallel()
	p, dir, twilio := startWithTwilio(t)
	o, ctx := employ(t, p, dir), browser(t)
	bo, err := twilio.Person("bo").WhatsApp()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bo.Say("Hello"); err != nil {
		t.Fatal(err)
	}
	o.logIn(t, ctx)
	do(t, ctx,
		click(`.rows a`),
		shows(".message .text", "Hello"),
		shows("[data-counter]", "Free text for 23 h"),
	)
	for _, text := range []string{
		"a", strings.Repeat("a", 160), strings.Repeat("a", 161), strings.Repeat("€", 80), strings.Repeat("€", 81), strings.Repeat("ä", 307),
		strings.Repeat("я", 70), strings.Repeat("я", 71), strings.Repeat("😀", 35), strings.Repeat("😀", 36), "{}[]~\\^|", "`",
	} {
		var parts int
		do(t, ctx, chromedp.Evaluate(fmt.Sprintf(`import(document.querySelector("script[type=module]").src.replace("parley.js", "sms.js"))
			.then((m) => m.count(%s).segments)`, strconv.Quote(text)), &parts,
			func(p *cdpruntime.EvaluateParams) *cdpruntime.EvaluateParams { return p.WithAwaitPromise(true) }))
		if want := transports.CountSegments(text).Count; parts != want {
			t.Errorf("%q: the page counts %d SMS, the adapter %d", text, parts, want)
		}
	}
}

// TestMailIsShown opens a mail's layout, with its picture and nothing else of it.
func TestMailIsShown(t *testing.T) {
	t.Parallel()
	p, dir, box := startWithMail(t)
	o, ctx := employ(t, p, dir), browser(t)
	if err := box.Deliver(illustrated("shown-1", aPicture(t, 80, 60), noise(pdf, 2000))); err != nil {
		t.Fatal(err)
	}
	awaitFacts(t, dir, 1, "attachment", "stored", 3)
	o.logIn(t, ctx)
	do(t, ctx,
		click(`.rows a`), shows(".message .subject", "The roof"),
		shows(".message .file", "plan.pdf"),
		click(`.mail summary`),
		chromedp.WaitVisible(`.mail iframe`, chromedp.ByQuery),
	)
	inBothThemes(t, ctx, "mail")
	do(t, ctx,
		chromedp.Navigate(o.Pages+"/messages/1/html"),
		shows("b", "this"),
		chromedp.Poll(`document.querySelector("img").naturalWidth === 80`, nil),
		shot("mail"),
	)
}

// TestUncertainIsAskedAbout has the provider's answer get lost: a person says what
// became of the message.
func TestUncertainIsAskedAbout(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	anna := o.telegram.Person("Anna")
	if _, err := anna.Say("Hello?"); err != nil {
		t.Fatal(err)
	}
	o.telegram.SetFaults(sandbox.TelegramFaults{Next: []string{"reset_after"}})
	o.logIn(t, ctx)
	do(t, ctx,
		shows(".rows .name", "Anna"), click(`.rows a`), shows(".message .text", "Hello?"),
		chromedp.SendKeys(`#text`, "Hello!", chromedp.ByQuery), click(`.composer button.primary`),
		shows(".message.out .tick", "Uncertain"),
		chromedp.Navigate(o.Pages+"/deliveries"), shows(".items .text", "Hello!"), shot("deliveries"),
	)
	inBothThemes(t, ctx, "deliveries")
	do(t, ctx,
		click(`button[formaction$="/sent"]`),
		shows(".message.out .tick", "Sent"),
		chromedp.Navigate(o.Pages+"/deliveries"), shows(".empty", "Nothing failed"),
	)
	heard := 0
	for _, m := range anna.Phone() {
		if m.FromBot {
			heard++
		}
	}
	if heard != 1 {
		t.Errorf("the phone shows %d answers, want 1", heard)
	}
}

// TestTwoAgents has a colleague answer while a reply is being written: it is not
// sent before its writer has seen that.
func TestTwoAgents(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	if _, err := o.telegram.Person("Anna").Say("Is the shop open?"); err != nil {
		t.Fatal(err)
	}
	o.logIn(t, ctx)
	do(t, ctx,
		shows(".rows .name", "Anna"), click(`.rows a`), shows(".message .text", "Is the shop open?"),
		chromedp.SendKeys(`#text`, "Yes, until six.", chromedp.ByQuery),
		// The page does not hear of what follows.
		network.EmulateNetworkConditions(true, 0, 0, 0),
	)
	tenant, err := o.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	chats, _, err := o.Desk.Chats(t.Context(), tenant.ID, store.ChatPage{})
	if err != nil || len(chats) != 1 {
		t.Fatal(chats, err)
	}
	if _, err := o.Desk.Reply(t.Context(), desk.Reply{Tenant: tenant.ID, Chat: chats[0].ID, Text: "Until five today!", Seen: chats[0].LastSeq}); err != nil {
		t.Fatal(err)
	}
	do(t, ctx,
		click(`.composer button.primary`),
		shows("[data-refusal]", "Your text is kept"), // offline: nothing was lost
		network.EmulateNetworkConditions(false, 0, -1, -1),
	)
	var kept string
	do(t, ctx, chromedp.Value(`#text`, &kept, chromedp.ByQuery))
	if kept != "Yes, until six." {
		t.Errorf("after being offline the text is %q", kept)
	}
}
