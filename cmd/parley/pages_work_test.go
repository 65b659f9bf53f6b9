package main

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"parley/events"
	"parley/inbox"
)

// tenant is the office's business.
func (o *office) tenant(t *testing.T) events.TenantID {
	t.Helper()
	tenant, err := o.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return tenant.ID
}

// gone waits until no element matches selector, over however many pages.
func gone(selector string) chromedp.Action {
	return holds(fmt.Sprintf(`!document.querySelector(%s)`, strconv.Quote(selector)))
}

// keys types on the page as it is, wherever the focus is.
func keys(text string) chromedp.Action { return chromedp.KeyEvent(text) }

// press presses a key as a keyboard does: what the page makes of it itself is not
// typed as well.
func press(key string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		if err := input.DispatchKeyEvent(input.KeyDown).WithKey(key).WithText(key).Do(ctx); err != nil {
			return err
		}
		return input.DispatchKeyEvent(input.KeyUp).WithKey(key).Do(ctx)
	})
}

// says is said and awaited by a client.
func (o *office) says(t *testing.T, who string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := o.telegram.Person(who).Say(text); err != nil {
			t.Fatal(err)
		}
		if err := await(t.Context(), o.dir, fact("received", text)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestChatWork assigns, labels, annotates, snoozes and closes a chat.
func TestChatWork(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	tenant := o.tenant(t)
	for _, l := range [][2]string{{"VIP", "#cc0000"}, {"Late", "#0000cc"}} {
		if _, err := o.Desk.Store.AddLabel(t.Context(), tenant, inbox.Actor{Kind: inbox.Operator}, l[0], l[1], ""); err != nil {
			t.Fatal(err)
		}
	}
	o.says(t, "Anna", "Where is my parcel?")
	o.says(t, "Bo", "Hello from Bo")
	o.logIn(t, ctx)
	do(t, ctx,
		shows(".rows .name", "Anna"), shows("[data-folder=''] .count", "2"), shows("[data-folder=unassigned] .count", "2"),
		click(`.rows li:nth-child(2) a`), shows(".message .text", "Where is my parcel?"),
		click(`[data-menu=assign] summary`), click(`[data-menu=assign] button`),
		shows("[data-menu=assign] summary", "Olga Agent"), shows(".rows .whose", "Olga Agent"), shows("[data-folder=mine] .count", "1"),
		click(`[data-menu=label] summary`), chromedp.WaitVisible(`[data-menu=label] form`, chromedp.ByQuery), shot("menu"),
	)
	inBothThemes(t, ctx, "label menu")
	do(t, ctx,
		click(`[data-menu=label] li:last-child button`), chromedp.WaitVisible(`.rows .dot[aria-label=VIP]`, chromedp.ByQuery),
		shows(".labels", "VIP"), gone(`[data-menu=label][open]`),
	)
	// A note is for colleagues: nothing of it leaves.
	do(t, ctx,
		chromedp.Evaluate(`document.activeElement.blur()`, nil),
		press("n"), shows("[data-send]", "Keep the note"), keys("She called twice."), shot("noting"),
	)
	inBothThemes(t, ctx, "writing a note")
	do(t, ctx,
		chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(input.ModifierCtrl)),
		shows(".private .text", "She called twice."), shows("[data-send]", "Send"),
		click(`.private summary`), chromedp.SetValue(`.private textarea`, "She called twice. Twice!", chromedp.ByQuery), click(`.private .verbs button`),
		shows(".private .text", "She called twice. Twice!"), shot("note"),
	)
	inBothThemes(t, ctx, "note and label")
	for _, m := range o.telegram.Person("Anna").Phone() {
		if m.FromBot {
			t.Errorf("the phone shows %+v", m)
		}
	}
	// Snoozed, it is out of the list; opened again, it is back.
	do(t, ctx,
		click(`[data-menu=snooze] summary`), click(`[data-menu=snooze] button`),
		shows(".who .state", "Snoozed until"), shows("[data-folder=snoozed] .count", "1"), gone(`.rows li:nth-child(2)`),
		click(`[data-folder=snoozed]`), shows(".rows .name", "Anna"), click(`.rows a`),
		click(`[data-close] button`), gone(`.who .state`), shows("[data-folder=mine] .count", "1"),
	)
	// Closed by a key; her next message opens it.
	do(t, ctx,
		chromedp.Evaluate(`document.activeElement.blur()`, nil),
		press("e"), shows(".who .state", "Closed"), shows("[data-folder=closed] .count", "1"),
	)
	o.says(t, "Anna", "It has arrived!")
	do(t, ctx,
		shows(".message .text", "It has arrived!"), gone(`.who .state`), gone(`[data-folder=closed] .count`),
		// What the list shows can be narrowed, and is still so behind a chat.
		chromedp.Navigate(o.Pages+"/inbox?folder=mine&transport=telegram"), shows(".rows .name", "Anna"), gone(`.rows li:nth-child(2)`),
		click(`.rows a`), shows(".message .text", "It has arrived!"), chromedp.WaitVisible(`[data-folder=mine][aria-current]`, chromedp.ByQuery),
		chromedp.Navigate(o.Pages+"/inbox?transport=sms"), shows(".empty", "no such chat"),
	)
	inBothThemes(t, ctx, "nothing in a list")
}

// TestChatWorkWithoutScripts does the same by forms alone.
func TestChatWorkWithoutScripts(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	o.says(t, "Anna", "Where is my parcel?")
	o.logIn(t, ctx)
	do(t, ctx,
		emulation.SetScriptExecutionDisabled(true),
		chromedp.Navigate(o.Pages+"/inbox/1"), chromedp.WaitVisible(`#m1 .text`),
		click(`[name=mode][value=note]`), chromedp.SendKeys(`#text`, "For us", chromedp.ByQuery), click(`[data-send]`),
		chromedp.WaitVisible(`.private .text`),
		click(`[data-menu=assign] summary`), click(`[data-menu=assign] button`), chromedp.WaitVisible(`.rows .whose`),
		click(`.bar [data-menu=later] summary`), chromedp.SendKeys(`#text`, "Later", chromedp.ByQuery), click(`[data-menu=later] button`),
		chromedp.WaitVisible(`.scheduled .text`), click(`.scheduled button`), chromedp.WaitNotPresent(`.scheduled`),
		click(`[data-close] button`), chromedp.WaitVisible(`.who .state`),
		chromedp.SendKeys(`[data-search]`, "parcel", chromedp.ByQuery), chromedp.Submit(`.search`),
		chromedp.WaitVisible(`.group`),
		// Words are found once they are indexed, a moment after they came.
		until(func(ctx context.Context) error {
			if err := chromedp.Reload().Do(ctx); err != nil {
				return err
			}
			wait, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return chromedp.WaitVisible(`.excerpt mark`, chromedp.ByQuery).Do(wait)
		}),
	)
}

// until does something again until it succeeds.
func until(f func(context.Context) error) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		for {
			err := f(ctx)
			if err == nil || ctx.Err() != nil {
				return err
			}
		}
	})
}

// TestSearchPage finds a message among many and opens the thread there.
func TestSearchPage(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	o.says(t, "Anna", "The <b>lighthouse</b> lamp is broken")
	for i := range 60 {
		if _, err := o.telegram.Person("Anna").Say(fmt.Sprintf("More %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := await(t.Context(), o.dir, fact("received", "More 59")); err != nil {
		t.Fatal(err)
	}
	o.logIn(t, ctx)
	do(t, ctx,
		until(func(ctx context.Context) error {
			if err := chromedp.Navigate(o.Pages + "/inbox?q=lighthouse").Do(ctx); err != nil {
				return err
			}
			wait, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return chromedp.WaitVisible(`.excerpt mark`, chromedp.ByQuery).Do(wait)
		}),
		chromedp.Navigate(o.Pages+"/inbox"), shows(".rows .name", "Anna"),
		press("s"), keys("lighthouse"), keys(kb.Enter),
		shows(".excerpt mark", "lighthouse"), shows(".excerpt", "The <b>lighthouse</b> lamp"), shot("search"),
	)
	inBothThemes(t, ctx, "search")
	do(t, ctx,
		click(`a:has(.excerpt)`), shows("#m1 .text", "lighthouse"), shows(".more", "Newest messages"),
		chromedp.Navigate(o.Pages+"/inbox?q=ann"), shows(".group", "Clients"), shows(".rows .name", "Anna"),
		chromedp.Navigate(o.Pages+"/inbox?q=nowherefound"), shows(".empty", "Nothing was found"),
		chromedp.Navigate(o.Pages+"/inbox?q=%22"), shows(".warning", "no word"),
	)
}
