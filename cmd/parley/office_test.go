package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"parley/inbox"
	"parley/store"
	"parley/transports/sandbox"
)

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
