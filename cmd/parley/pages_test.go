package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"parley/inbox"
	"parley/inbox/desk"
	"parley/store"
	"parley/transports"
	"parley/transports/sandbox"
)

// pagePatience is far above what a page needs; it only ends tests that hang.
const pagePatience = time.Minute

// browser starts Chromium and fails the test when a page logs an error or breaks
// its content security policy.
func browser(t *testing.T) context.Context {
	t.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		t.Fatal("there is no Chromium: make test installs it")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(profile(t)), chromedp.WindowSize(1280, 800),
		chromedp.Flag("lang", "en-GB"),
		// Root, in containers; the pages are ours.
		chromedp.NoSandbox,
	)
	if os.Getenv("PARLEY_SHOTS") != "" { // pictures are of a desktop with a mouse
		opts = append(opts, chromedp.Flag("blink-settings", "primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"))
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	return tab(t, ctx)
}

// profile is a folder for Chromium, whose processes may write to it for a moment
// after the first of them has ended.
func profile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "parley-test-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for end := time.Now().Add(pagePatience); ; time.Sleep(20 * time.Millisecond) {
			if err = os.RemoveAll(dir); err == nil {
				return
			}
			if time.Now().After(end) {
				t.Error(err)
				return
			}
		}
	})
	return dir
}

// tab opens a further one, with cookies of its own when ctx is not a tab's.
func tab(t *testing.T, ctx context.Context) context.Context {
	t.Helper()
	// It complains of events that are newer than it.
	ctx, _ = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}))
	// Waits until nothing writes to the profile's folder any more.
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) })
	chromedp.ListenTarget(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *cdpruntime.EventExceptionThrown:
			t.Errorf("a script failed: %s", ev.ExceptionDetails.Error())
		case *cdpruntime.EventConsoleAPICalled:
			if ev.Type == cdpruntime.APITypeError {
				t.Errorf("the console says: %s", ev.Args[0].Value)
			}
		case *network.EventResponseReceived:
			if ev.Response.Status >= 500 {
				t.Errorf("%s: %d", ev.Response.URL, ev.Response.Status)
			}
		}
	})
	// The tab lives as long as the context of its first action.
	if err := chromedp.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// do runs actions, each of which waits for what it needs.
func do(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, pagePatience)
	defer cancel()
	for i, a := range actions {
		if err := chromedp.Run(ctx, steady(a)); err != nil {
			var where, text string
			look, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			_ = chromedp.Run(look, chromedp.Location(&where), chromedp.Text("body", &text, chromedp.ByQuery))
			cancel()
			t.Fatalf("step %d: %v\nat %s:\n%s", i, err, where, text)
		}
	}
}

// steady does an action again whose element was replaced between being found and
// being used, as those of a page that has just come and live parts of it are. The
// browser refuses such an action before it had an effect; what it says where there
// may have been one, or where the selector is wrong, is an error at once.
func steady(a chromedp.Action) chromedp.Action {
	if all, ok := a.(chromedp.Tasks); ok {
		each := make(chromedp.Tasks, len(all))
		for i, one := range all {
			each[i] = steady(one)
		}
		return each
	}
	return chromedp.ActionFunc(func(ctx context.Context) error {
		for {
			err := a.Do(ctx)
			var gone *cdproto.Error
			if !errors.As(err, &gone) || gone.Code != -32000 || final.MatchString(gone.Message) {
				return err
			}
			select {
			case <-ctx.Done():
				return err
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

// final are the words of the browser's answers that must not be tried again.
var final = regexp.MustCompile(`destroyed|navigated|DOM Error`)

// shows waits until an element that matches selector has text in it, over however
// many pages.
func shows(selector, text string) chromedp.Action {
	return holds(fmt.Sprintf(`[...document.querySelectorAll(%s)].some((e) => e.innerText.includes(%s))`, strconv.Quote(selector), strconv.Quote(text)))
}

// holds waits until an expression is true, over however many pages, and in a page
// that nobody sees, too, whose frames and timers stand still.
func holds(js string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		for {
			var so bool
			// A page that is being left answers with an error.
			if err := chromedp.Evaluate(js, &so).Do(ctx); err == nil && so {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("never was %s: %w", js, ctx.Err())
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

// click clicks the first element that matches selector.
func click(selector string) chromedp.Action {
	return chromedp.Click(selector, chromedp.ByQuery)
}

// shot keeps a picture of the page where PARLEY_SHOTS says.
func shot(name string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		dir := os.Getenv("PARLEY_SHOTS")
		if dir == "" {
			return nil
		}
		var png []byte
		if err := chromedp.CaptureScreenshot(&png).Do(ctx); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600)
	})
}

// looks are how people look at pages.
func dark(on bool) chromedp.Action {
	scheme := "light"
	if on {
		scheme = "dark"
	}
	return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}})
}

// accessible fails the test for each thing on the page that somebody cannot use.
func accessible(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	axe, err := os.ReadFile(filepath.Join("..", "..", "bin", "axe.min.js"))
	if err != nil {
		t.Fatal("make test fetches axe-core: ", err)
	}
	var found []string
	do(t, ctx,
		chromedp.Evaluate(string(axe), nil),
		chromedp.Evaluate(`axe.run().then((r) => {
			if (r.passes.length < 5) return ["axe looked at nothing"];
			return r.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.html).join(" "));
		})`, &found, func(p *cdpruntime.EvaluateParams) *cdpruntime.EvaluateParams { return p.WithAwaitPromise(true) }),
	)
	for _, v := range found {
		t.Errorf("%s: %s", name, v)
	}
	t.Logf("axe: %s: %d violations", name, len(found))
}

// inBothThemes looks at the page in light and dark, on a desktop and on a phone. Its
// lines in the log are what docs/performance.md counts.
func inBothThemes(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	desktop, phone := emulation.ClearDeviceMetricsOverride(), emulation.SetDeviceMetricsOverride(390, 844, 2, true)
	for _, look := range []struct {
		name string
		size chromedp.Action
		dark bool
	}{
		{"desktop, light", desktop, false},
		{"desktop, dark", desktop, true},
		{"phone, light", phone, false}, // the colours are the same there
	} {
		// The change of colours is over at once.
		do(t, ctx, look.size, dark(look.dark), chromedp.Evaluate(`document.getAnimations().forEach((a) => a.finish())`, nil))
		accessible(t, ctx, name+", "+look.name)
	}
	do(t, ctx, emulation.ClearDeviceMetricsOverride(), dark(false))
}

// office is a server with pages and an agent who may log in.
type office struct {
	*program
	dir      string
	telegram *sandbox.Telegram
	password string
}

const agentEmail = "agent@example.com"

func openOffice(t *testing.T) *office {
	t.Helper()
	dir := dataFolder(t)
	telegram, address := startTelegram(t)
	o := employ(t, start(t, shared(t, Config{DataDir: dir, APIListen: "127.0.0.1:0"})), dir)
	o.telegram = telegram
	o.connect(t, address)
	return o
}

// employ gives a program its agent.
func employ(t *testing.T, p *program, dir string) *office {
	t.Helper()
	o := &office{program: p, dir: dir, password: "a password for tests"}
	tenant, err := o.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	link, err := o.Guard.FirstOwner(t.Context(), tenant.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(link, "#")
	acc := store.Acceptance{Name: "Olga Agent", Email: agentEmail}
	if _, err := o.Guard.Accept(t.Context(), inbox.Actor{Kind: inbox.Anonymous}, code, acc, o.password); err != nil {
		t.Fatal(err)
	}
	return o
}

// logIn takes a browser to the inbox.
func (o *office) logIn(t *testing.T, ctx context.Context) {
	t.Helper()
	do(t, ctx,
		chromedp.Navigate(o.Pages),
		chromedp.WaitVisible(`input[name=email]`),
		chromedp.SendKeys(`input[name=email]`, agentEmail),
		chromedp.SendKeys(`input[name=password]`, o.password),
		chromedp.Submit(`form`),
		shows(".live", "Live"),
	)
}

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

// furnish fills the office with what a picture should show.
func (o *office) furnish(t *testing.T) {
	t.Helper()
	by, tenant := inbox.Actor{Kind: inbox.Operator}, o.tenant(t)
	labels := make(map[string]int64)
	for name, colour := range map[string]string{"Order": "#2f6fde", "Wholesale": "#b04ad8", "Urgent": "#d8402c"} {
		l, err := o.Desk.Store.AddLabel(t.Context(), tenant, by, name, colour, "")
		if err != nil {
			t.Fatal(err)
		}
		labels[name] = l.ID
	}
	for i, c := range []struct{ first, last, says, label string }{
		{"Dev", "Patel", "Two hundred of the small ones, please. What would that be?", "Wholesale"},
		{"נועה", "לוי", "שלום, מתי אתם פתוחים בשישי?", ""},
		{"Carla", "Ruiz", "The second parcel has not arrived yet.", "Urgent"},
		{"Maja", "Lind", "Thank you, that was quick!", "Order"},
	} {
		who := o.telegram.AddPerson(fmt.Sprint("client", i), sandbox.PersonOptions{FirstName: c.first, LastName: c.last})
		if _, err := who.Say(c.says); err != nil {
			t.Fatal(err)
		}
		if err := await(t.Context(), o.dir, fact("received", c.says)); err != nil {
			t.Fatal(err)
		}
		if c.label == "" {
			continue
		}
		if _, err := o.Desk.Store.LabelChat(t.Context(), tenant, by, int64(i+1), labels[c.label], true); err != nil {
			t.Fatal(err)
		}
	}
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
