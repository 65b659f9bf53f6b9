package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"parley/transports/sandbox"
)

// evil are strings that do something where they are taken for markup or script.
// Whatever they make has the attribute data-evil, or sets window.evil.
func evil() []string {
	return []string{
		`<script data-evil>window.evil=1</script>`,
		`"><img data-evil src=x onerror="window.evil=1">`,
		`' data-evil onmouseover='window.evil=1`,
		`</textarea></title></template><svg data-evil onload="window.evil=1">`,
		`</script><script data-evil>window.evil=1</script>`,
		`<iframe data-evil srcdoc="<script>parent.evil=1</script>"></iframe>`,
		`javascript:window.evil=1//`,
		`https://a.example/"data-evil="1"onclick="window.evil=1`,
		`<a data-evil href="javascript:window.evil=1">x</a><base data-evil href="//evil.example/"><style data-evil>*{display:none}</style>`,
		"{{.Evil}}{{template \"error\" .}}${window.evil=1}",
		"\u202e<b data-evil>gnp.exe</b>\u2066",
	}
}

// harmless visits every page that links lead to, and fails the test for each on
// which something of a client is more than text.
func harmless(t *testing.T, o *office, seeds ...string) {
	t.Helper()
	ctx := browser(t)
	chromedp.ListenTarget(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *log.EventEntryAdded:
			if ev.Entry.Source == log.SourceSecurity || strings.Contains(ev.Entry.Text, "Content Security Policy") {
				t.Errorf("%s: %s", ev.Entry.URL, ev.Entry.Text)
			}
		case *page.EventJavascriptDialogOpening:
			t.Errorf("%s opens %q", ev.URL, ev.Message)
		}
	})
	o.logIn(t, ctx)
	todo := append([]string{"/inbox"}, seeds...)
	seen := map[string]bool{}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		if seen[at] {
			continue
		}
		seen[at] = true
		var found struct {
			Evil  []string
			Links []string
		}
		do(t, ctx,
			chromedp.Navigate(o.Pages+at), chromedp.WaitReady("body", chromedp.ByQuery),
			// Everything is unfolded, and frames load.
			chromedp.Evaluate(`document.querySelectorAll("details").forEach((d) => (d.open = true))`, nil),
			chromedp.Evaluate(`({
				Evil: [...document.querySelectorAll("[data-evil], script:not([src]), [onerror], [onload], [onclick], [onmouseover], base, a[href^='javascript:' i], a[href^='data:' i]")]
					.map((e) => e.outerHTML).concat(window.evil ? ["a script ran"] : []),
				Links: [...document.querySelectorAll("a[href], iframe[src]")].map((e) => new URL(e.href ?? e.src))
					.filter((u) => u.origin === location.origin && !/^\/(static|api)\//.test(u.pathname) && !/reply_to|again|cursor|filter|folder|at=/.test(u.search))
					.map((u) => u.pathname + u.search),
			})`, &found),
		)
		for _, e := range found.Evil {
			t.Errorf("%s has %s", at, e)
		}
		todo = append(todo, found.Links...)
	}
	if len(seen) < 10 {
		t.Errorf("only these pages were seen: %v", seen)
	}
	t.Logf("%d pages", len(seen))
}

// TestInjectionByTelegram puts markup into everything that a client of Telegram
// decides.
func TestInjectionByTelegram(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	for i, e := range evil() {
		who := o.telegram.AddPerson(fmt.Sprint("evil", i), sandbox.PersonOptions{FirstName: e, LastName: e, Username: "evil" + fmt.Sprint(i)})
		for _, p := range []sandbox.Post{
			{Text: e},
			{Text: e, ForwardFrom: e},
			{Contact: &[2]string{"4915112345678", e}},
			{Poll: []string{e, e, e}},
			{Location: &[2]float64{1, 2}, Venue: &[2]string{e, e}},
			{Kind: "document", File: &sandbox.File{Name: e + ".html", MIME: "text/html", Content: []byte(e)}, Text: e},
		} {
			if _, err := who.Post(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	awaitFacts(t, o.dir, int64(len(evil())), "attachment", "stored", 1)
	harmless(t, o, "/inbox?q=evil", "/inbox?q=script")
}

// TestInjectionByTwilio does so by SMS and WhatsApp.
func TestInjectionByTwilio(t *testing.T) {
	t.Parallel()
	p, dir, twilio := startWithTwilio(t)
	o := employ(t, p, dir)
	for i, e := range evil() {
		who := twilio.Person(fmt.Sprint("evil", i))
		if _, err := who.Say(e); err != nil {
			t.Fatal(err)
		}
		who.Change(func(o *sandbox.TwilioPersonOptions) { o.Profile = e })
		chat, err := who.WhatsApp()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := chat.Post(sandbox.TwilioPost{Text: e, Button: &[2]string{e, e}}); err != nil {
			t.Fatal(err)
		}
		if err := awaitChats(t, o, i+1); err != nil {
			t.Fatal(err)
		}
	}
	harmless(t, o, "/inbox?q=evil")
}

// awaitChats waits until there are so many clients.
func awaitChats(t *testing.T, o *office, n int) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		counts, err := o.Desk.Store.ChatCounts(ctx, o.tenant(t), 0)
		if err != nil || counts.Open.Chats >= int64(n) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestInjectionByMail does so by heads, texts, layouts and files of mails.
func TestInjectionByMail(t *testing.T) {
	t.Parallel()
	p, dir, box := startWithMail(t)
	o := employ(t, p, dir)
	for i, e := range evil() {
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(e)
		raw := fmt.Sprintf("Return-Path: <evil%d@people.example>\r\nFrom: \"%s\" <evil%d@people.example>\r\nTo: office@sandbox.example\r\n"+
			"Date: %s\r\nMessage-ID: <evil%d@people.example>\r\nSubject: %s\r\nMIME-Version: 1.0\r\n", i, quoted, i, time.Now().Format(time.RFC1123Z), i, e) +
			multipart("mixed", "outer",
				multipart("alternative", "inner",
					mailPart([]byte(e+"\n> "+e+"\n"), "Content-Type: text/plain; charset=utf-8"),
					mailPart([]byte("<p>"+e+"</p><form action='/logout' method=post data-evil><button>x</button></form><p>evil</p>"), "Content-Type: text/html; charset=utf-8")),
				mailPart([]byte(e), "Content-Type: text/html", `Content-Disposition: attachment; filename="`+quoted+`.html"`))
		if err := box.Deliver([]byte(raw)); err != nil {
			t.Fatal(err)
		}
	}
	if err := awaitChats(t, o, len(evil())); err != nil {
		t.Fatal(err)
	}
	awaitFacts(t, o.dir, int64(len(evil())), "attachment", "stored", 2)
	harmless(t, o, "/inbox?q=evil", "/messages/1/html")
}
