package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"parley/inbox"
	"parley/transports/sandbox"
)

// TestAlbumJoinsWhatCameBefore sends an album whose files come one by one, while
// somebody looks at the first of them.
func TestAlbumJoinsWhatCameBefore(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	anna := o.telegram.Person("Anna")
	photo := func(text string) sandbox.Post {
		return sandbox.Post{Text: text, Kind: "photo", Group: "13000000777", File: &sandbox.File{Name: "a.png", MIME: "image/png", Content: aPicture(t, 60, 40)}}
	}
	for _, p := range []sandbox.Post{photo("The roof"), photo("")} {
		if _, err := anna.Post(p); err != nil {
			t.Fatal(err)
		}
	}
	o.logIn(t, ctx)
	do(t, ctx, click(`.rows a`), shows(".message .text", "The roof"), shows(".message.joined .meta time", ":"))
	for range 2 {
		if _, err := anna.Post(photo("")); err != nil {
			t.Fatal(err)
		}
	}
	joined := `[...document.querySelectorAll(".message[data-album] + .message.joined.grouped")].length === 3`
	do(t, ctx, chromedp.Poll(joined, nil), chromedp.Reload(), chromedp.Poll(joined, nil), shot("album"))
}

// TestRecipientsAreEditable answers a mail to others than who got it.
func TestRecipientsAreEditable(t *testing.T) {
	t.Parallel()
	p, dir, box := startWithMail(t)
	o, ctx := employ(t, p, dir), browser(t)
	mail := fmt.Sprintf("From: Anna <anna@example.org>\r\nTo: %s\r\nCc: bo@example.org\r\nMessage-ID: <to-1@example.org>\r\nSubject: The roof\r\n\r\nWhen?\r\n", box.Address())
	if err := box.Deliver([]byte(mail)); err != nil {
		t.Fatal(err)
	}
	if err := await(t.Context(), dir, fact("received", "When?")); err != nil {
		t.Fatal(err)
	}
	o.logIn(t, ctx)
	do(t, ctx,
		click(`.rows a`), shows(".message .to", "bo@example.org"),
		click(`.recipients summary`),
		chromedp.SendKeys(`input[name=to]`, "anna@example.org, cleo@example.org", chromedp.ByQuery),
		chromedp.SendKeys(`input[name=cc]`, "dora@example.org", chromedp.ByQuery),
		chromedp.SendKeys(`#text`, "On Monday.", chromedp.ByQuery),
		click(`.composer button.primary`),
		shows(".message.out .tick", "Sent"), shows(".message.out .to", "cleo@example.org"),
	)
	sent := box.Sent()
	if len(sent) != 1 {
		t.Fatalf("%d mails were sent", len(sent))
	}
	got := slices.Sorted(slices.Values(sent[0].To))
	if want := []string{"anna@example.org", "cleo@example.org", "dora@example.org"}; !slices.Equal(got, want) {
		t.Errorf("it went to %q, want %q", got, want)
	}
}

// TestWhoOptedOutIsBlockedInTheComposer shows why nothing can be sent, before
// anybody has written it, and that all is well again.
func TestWhoOptedOutIsBlockedInTheComposer(t *testing.T) {
	t.Parallel()
	p, dir, twilio := startWithTwilio(t)
	o, ctx := employ(t, p, dir), browser(t)
	anna := twilio.Person("anna")
	says := func(text string) {
		t.Helper()
		if _, err := anna.Say(text); err != nil {
			t.Fatal(err)
		}
		if err := await(t.Context(), dir, fact("received", text)); err != nil {
			t.Fatal(err)
		}
	}
	says("Hello")
	says("STOP")
	route := func() (r inbox.Route) {
		t.Helper()
		var chat inbox.Chat
		if err := json.Unmarshal([]byte(parley(t, dir, "chat", "show", "1", "--json")), &chat); err != nil || len(chat.Routes) == 0 {
			t.Fatalf("%d routes, %v", len(chat.Routes), err)
		}
		return chat.Routes[0]
	}
	eventually(t, pagePatience, func() bool { return route().State != inbox.RouteOpen })
	o.logIn(t, ctx)
	do(t, ctx,
		click(`.rows a`), shows(".message .text", "STOP"),
		shows(".composer .warning", strings.TrimSuffix(route().Reason, ".")),
		chromedp.Poll(`document.querySelector("#channel option").disabled`, nil),
		shot("opted-out"),
	)
	says("START")
	eventually(t, pagePatience, func() bool { return route().State == inbox.RouteOpen })
	do(t, ctx, chromedp.Reload(), shows(".message .text", "START"), chromedp.Poll(`!document.querySelector("#channel option").disabled`, nil))
}
