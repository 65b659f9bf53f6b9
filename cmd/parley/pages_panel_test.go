package main

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"parley/inbox"
	"parley/store"
)

// TestClientPanel changes a client, merges and unmerges, blocks, and erases for
// good, from beside their chat.
func TestClientPanel(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	o.says(t, "Anna", "Hello?")
	o.says(t, "Bo", "It is me, Anna")
	o.logIn(t, ctx)
	do(t, ctx,
		chromedp.Navigate(o.Pages+"/inbox/1"), shows("#m1 .text", "Hello?"), shows(".live", "Live"), press("c"),
		shows(".panel h2", "Anna"), shows(".facts", "Anna"),
		click(`[data-edit] summary`), chromedp.SetValue(`.panel [name=email]`, "anna@example.com", chromedp.ByQuery), click(`[data-edit] button`),
		shows(".facts", "anna@example.com"), shot("panel"),
	)
	inBothThemes(t, ctx, "client panel")
	do(t, ctx,
		emulation.SetDeviceMetricsOverride(390, 844, 2, true), chromedp.WaitNotVisible(`main#thread`, chromedp.ByQuery), shot("panel-phone"),
		emulation.ClearDeviceMetricsOverride(),
		// What is wrong is said where it is.
		click(`[data-edit] summary`), chromedp.SetValue(`.panel [name=date_of_birth]`, "2999-01-01", chromedp.ByQuery), click(`[data-edit] button`),
		shows(".field.wrong", "no day that has been"),
		chromedp.Navigate(o.Pages+"/inbox/1/client"),
		click(`.panel details:has([name=type]) summary`), chromedp.SendKeys(`.panel [name=value]`, "+4915112345678", chromedp.ByQuery), click(`.panel details:has([name=type]) button`),
		shows(".panel .line", "+4915112345678"),
		click(`.panel .routed summary`), shows(".panel .routed", "They were new."),
	)
	// Somebody of the same name may be the same person; nothing merges by itself.
	for _, id := range []int64{1, 2} {
		c, err := o.Desk.Store.Client(t.Context(), o.tenant(t), id)
		if err != nil {
			t.Fatal(err)
		}
		same := store.ClientChange{FirstName: new("Anna"), LastName: new("Berg"), Address: new("Pier 1")}
		if _, err := o.Desk.ChangeClient(t.Context(), o.tenant(t), inbox.Actor{Kind: inbox.Operator}, id, c.Version, "", same); err != nil {
			t.Fatal(err)
		}
	}
	do(t, ctx,
		chromedp.Navigate(o.Pages+"/inbox/1/client"), shows("#panel-same", "Perhaps"), shot("suggestion"),
	)
	inBothThemes(t, ctx, "merge suggestion")
	do(t, ctx,
		click(`button[name=with]`), shows("#panel-merged", "Merged"), shows(".message .text", "It is me, Anna"),
		click(`button[name=undo]`), gone(`#panel-merged`),
		click(`button[name=block]`), shows(".panel .warning", "blocked"), shows(".composer .warning", "blocked"),
	)
	inBothThemes(t, ctx, "blocked")
	do(t, ctx,
		click(`.panel form[action$="/block"] button`), gone(`.panel .warning`),
		click(`.panel details:has(.danger) summary`), chromedp.SendKeys(`.panel [name=name]`, "Anna", chromedp.ByQuery), click(`.panel button.danger`),
		shows(".panel .flash", "Nothing was erased"),
		click(`.panel details:has(.danger) summary`), chromedp.SendKeys(`.panel [name=name]`, "Anna Berg", chromedp.ByQuery), click(`.panel button.danger`),
		shows(".done", "being erased"), gone(`.rows a[data-chat="1"]`), shows(".rows .last", "It is me, Anna"),
	)
}
