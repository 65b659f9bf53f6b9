package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"parley/store"
)

// heard are the texts that a client of Telegram got.
func (o *office) heard(who string) (texts []string) {
	for _, m := range o.telegram.Person(who).Phone() {
		if m.FromBot {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

// TestComposerTemplates begins a reply with a template, by the keyboard alone.
func TestComposerTemplates(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	for name, text := range map[string]string{
		"Shipped": "Hello {{first_name}}, your {{order}} is on its way.", "Thanks": "Thank you!", "Refund": "Your money is on its way.",
	} {
		if _, err := o.Desk.Store.AddMessageTemplate(t.Context(), o.tenant(t), store.NewMessageTemplate{Name: name, Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	o.says(t, "Anna", "Where is my lamp?")
	o.logIn(t, ctx)
	do(t, ctx,
		press("j"), keys(kb.Enter), shows(".message .text", "Where is my lamp?"), shows(".live", "Live"),
		press("/"), chromedp.WaitVisible(`.templates[open] li`, chromedp.ByQuery), shot("templates"),
	)
	inBothThemes(t, ctx, "templates")
	do(t, ctx,
		keys("ship"), gone(`.templates li:not([hidden]) ~ li:not([hidden])`), keys(kb.Enter),
		shows(".asked", "order"), chromedp.Poll(`document.querySelector("#text").value === "Hello Anna, your {{order}} is on its way."`, nil),
		// What it lacks is asked for before it goes.
		click(`[data-send]`), shows("[data-refusal]", "needs a value for order"), shot("asked"),
	)
	inBothThemes(t, ctx, "a template's variables")
	do(t, ctx,
		chromedp.SendKeys(`[name="var.order"]`, "lamp", chromedp.ByQuery), click(`[data-send]`),
		shows(".message.out .text", "Hello Anna, your lamp is on its way."), shows(".message.out .tick", "Sent"), gone(`.asked`),
		// The same by links.
		chromedp.Navigate(o.Pages+"/inbox/1"), click(`.templates summary`), click(`.templates li:last-child a`),
		chromedp.Poll(`document.querySelector("#text").value === "Thank you!"`, nil),
	)
	if heard := o.heard("Anna"); len(heard) != 1 || heard[0] != "Hello Anna, your lamp is on its way." {
		t.Errorf("the phone shows %q", heard)
	}
}

// TestComposerUndoAndLater takes a reply back in time, and another before its time.
func TestComposerUndoAndLater(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	if err := o.Desk.Store.SetDeskSettings(t.Context(), o.tenant(t), store.DeskSettings{UndoSeconds: 60}); err != nil {
		t.Fatal(err)
	}
	o.says(t, "Anna", "Hello?")
	o.logIn(t, ctx)
	do(t, ctx,
		click(`.rows a`), shows(".message .text", "Hello?"),
		chromedp.SendKeys(`#text`, "Too early", chromedp.ByQuery), click(`[data-send]`),
		shows(".toast", "On its way."), shot("undo"),
	)
	inBothThemes(t, ctx, "undo")
	do(t, ctx,
		click(`.toast button`), shows(".message.out .tick", "Cancelled"),
		chromedp.Poll(`document.querySelector("#text").value === "Too early"`, nil),
		chromedp.SetValue(`#text`, "Tomorrow, then.", chromedp.ByQuery),
		click(`[data-menu=later] summary`), chromedp.WaitVisible(`[data-menu=later] button`, chromedp.ByQuery), shot("later"),
	)
	inBothThemes(t, ctx, "later")
	do(t, ctx,
		click(`[name=unless_answered]`), click(`[data-menu=later] .stack button:nth-of-type(2)`),
		shows(".scheduled .text", "Tomorrow, then."), shows(".scheduled", "unless the client writes before"), shot("scheduled"),
	)
	inBothThemes(t, ctx, "scheduled")
	do(t, ctx,
		chromedp.Reload(), shows(".scheduled .text", "Tomorrow, then."),
		click(`.scheduled button`), gone(`.scheduled`),
		// A time that is missing is said, and nothing is lost.
		chromedp.SendKeys(`#text`, "Some day", chromedp.ByQuery), click(`[data-menu=later] summary`), click(`[data-menu=later] button[value=other]`),
		shows("[data-refusal]", "Choose a date and a time."), chromedp.Poll(`document.querySelector("#text").value === "Some day"`, nil),
	)
	if heard := o.heard("Anna"); len(heard) > 0 {
		t.Errorf("the phone shows %q", heard)
	}
}

// TestDrafts keeps what was typed on the server, for another browser.
func TestDrafts(t *testing.T) {
	t.Parallel()
	o, ctx, other := openOffice(t), browser(t), browser(t)
	o.says(t, "Anna", "Hello?")
	o.logIn(t, ctx)
	do(t, ctx, click(`.rows a`), shows(".message .text", "Hello?"), chromedp.SendKeys(`#text`, "Half an ans", chromedp.ByQuery))
	o.logIn(t, other)
	do(t, other,
		// It is kept a second after the last key.
		until(func(ctx context.Context) error {
			var text string
			if err := chromedp.Run(ctx, chromedp.Navigate(o.Pages+"/inbox/1"), chromedp.Value(`#text`, &text, chromedp.ByQuery)); err != nil {
				return err
			}
			if text != "Half an ans" {
				return fmt.Errorf("the draft is %q", text)
			}
			return nil
		}),
		chromedp.SetValue(`#text`, "Half an answer.", chromedp.ByQuery), click(`[data-send]`), shows(".message.out .tick", "Sent"),
		// What was sent is no draft.
		chromedp.Reload(), shows(".message.out .text", "Half an answer."), chromedp.Poll(`document.querySelector("#text").value === ""`, nil),
	)
}

// TestEmoji picks an emoji by the arrow keys.
func TestEmoji(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	o.says(t, "Anna", "Hello?")
	o.logIn(t, ctx)
	do(t, ctx,
		click(`.rows a`), shows(".message .text", "Hello?"), chromedp.SendKeys(`#text`, "Hi ", chromedp.ByQuery),
		click(`[data-emoji] summary`), chromedp.Poll(`document.activeElement.textContent === "😀"`, nil), shot("emoji"),
	)
	inBothThemes(t, ctx, "emoji")
	var text string
	do(t, ctx, keys(kb.ArrowRight), keys(kb.ArrowDown), keys(kb.Enter), gone(`[data-emoji][open]`), chromedp.Value(`#text`, &text, chromedp.ByQuery))
	if !strings.HasPrefix(text, "Hi ") || text == "Hi " || strings.Contains(text, "😀") {
		t.Errorf("the text is %q", text)
	}
}
