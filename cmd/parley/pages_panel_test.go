package main

import (
	"fmt"
	"slices"
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
		emulation.SetDeviceMetricsOverride(390, 844, 2, true), chromedp.WaitNotVisible(`.composer`, chromedp.ByQuery), shot("panel-phone"),
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

// TestClientPanelIsLive has a colleague change what an open panel shows: it follows,
// and what is being typed into it stays, and does not undo the change.
func TestClientPanelIsLive(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	o.says(t, "Anna", "Hello?")
	o.says(t, "Bo", "Hello from Bo")
	colleague := inbox.Actor{Kind: inbox.Operator}
	db, tenant := o.Desk.Store, o.tenant(t)
	label, err := db.AddLabel(t.Context(), tenant, colleague, "Important", "#cc0000", "")
	if err != nil {
		t.Fatal(err)
	}
	change := func(c store.ClientChange) {
		t.Helper()
		card, err := db.Client(t.Context(), tenant, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Desk.ChangeClient(t.Context(), tenant, colleague, 1, card.Version, "", c); err != nil {
			t.Fatal(err)
		}
	}
	o.logIn(t, ctx)
	do(t, ctx,
		chromedp.Navigate(o.Pages+"/inbox/1/client"), shows(".panel h2", "Anna"), shows(".live", "Live"),
		chromedp.SendKeys(`#text`, "Half an ans", chromedp.ByQuery),
	)
	change(store.ClientChange{LastName: new("Lindqvist")})
	do(t, ctx,
		shows(".panel h2", "Anna Lindqvist"), shows(".who h1", "Anna Lindqvist"), shows(".rows .name", "Anna Lindqvist"),
		// A form that nobody has typed into follows, too.
		holds(`document.querySelector(".panel [name=last_name]").value === "Lindqvist"`),
	)
	// Labels and the assignment are above the thread.
	if _, err := db.LabelChat(t.Context(), tenant, colleague, 1, label.ID, true); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, shows(".labels", "Important"))
	// While somebody types, facts follow and the form stays as it is.
	do(t, ctx,
		click(`[data-edit] summary`), chromedp.SendKeys(`.panel [name=comments]`, "Prefers mornings", chromedp.ByQuery),
		click(`.panel details:has([name=type]) summary`), chromedp.SendKeys(`.panel [name=value]`, "+4915112", chromedp.ByQuery),
	)
	if _, err := db.AddContact(t.Context(), tenant, colleague, 1, store.NewContact{Type: inbox.ContactPhone, Value: "+493012345678"}, ""); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, shows(".panel .line", "+493012345678"))
	change(store.ClientChange{Comments: new("Prefers evenings")})
	do(t, ctx, shows(".facts", "Prefers evenings"))
	card, err := db.Client(t.Context(), tenant, 1)
	if err != nil {
		t.Fatal(err)
	}
	two, err := db.Client(t.Context(), tenant, 2)
	if err != nil {
		t.Fatal(err)
	}
	noted := card.Contacts[len(card.Contacts)-1].ID
	if err := db.MoveContact(t.Context(), tenant, colleague, noted, two.ID); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, gone(fmt.Sprintf(`#contact-%d`, noted)))
	if err := db.BlockClient(t.Context(), tenant, colleague, 1, true); err != nil {
		t.Fatal(err)
	}
	do(t, ctx,
		shows(".panel .warning", "blocked"), shows("[data-closed]", "blocked"), holds(`document.querySelector("#channel").selectedOptions[0]?.disabled ?? true`),
	)
	if err := db.BlockClient(t.Context(), tenant, colleague, 1, false); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, gone(`.panel .warning`), gone(`[data-closed] > *`), holds(`!document.querySelector("#channel").selectedOptions[0].disabled`))
	var typed []string
	do(t, ctx, chromedp.Evaluate(`["#text", ".panel [name=comments]", ".panel [name=value]"].map((s) => document.querySelector(s).value)`, &typed))
	if want := []string{"Half an ans", "Prefers mornings", "+4915112"}; !slices.Equal(typed, want) {
		t.Errorf("what was typed is now %q, want %q", typed, want)
	}
	// It was written without having seen the colleague's words.
	do(t, ctx, click(`[data-edit] button`), shows("[data-edit] .flash", "changed"))
	if card, err = db.Client(t.Context(), tenant, 1); err != nil || card.Comments != "Prefers evenings" {
		t.Errorf("the comments are %q, %v", card.Comments, err)
	}
	// A merge moves messages: the page is new, and the draft is there.
	if _, err := db.MergeClients(t.Context(), tenant, colleague, 1, 2); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, shows(".message .text", "Hello from Bo"), holds(`document.querySelector("#text").value === "Half an ans"`))
}

// TestPickAClient moves a contact to another client, who is searched for, and
// merges with one: by a window of the page, and by links and forms alone.
func TestPickAClient(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	o.says(t, "Anna", "Hello?")
	o.says(t, "Bo", "Hello from Bo")
	o.says(t, "Carla", "Hello from Carla")
	db, tenant := o.Desk.Store, o.tenant(t)
	card, err := db.AddContact(t.Context(), tenant, inbox.Actor{Kind: inbox.Operator}, 1, store.NewContact{Type: inbox.ContactPhone, Value: "+493012345678"}, "")
	if err != nil {
		t.Fatal(err)
	}
	noted := fmt.Sprintf("#contact-%d", card.Contacts[len(card.Contacts)-1].ID)
	found := func(search string) chromedp.Action {
		return holds(fmt.Sprintf(`location.search === %q && document.querySelectorAll(".picked button").length === 1`, search))
	}
	o.logIn(t, ctx)
	do(t, ctx,
		chromedp.Navigate(o.Pages+"/inbox/1/client"), shows(".panel h2", "Anna"), shows(".live", "Live"),
		chromedp.SendKeys(`#text`, "Half an ans", chromedp.ByQuery),
		click(noted+` summary`), click(noted+` [data-pick]`), shows(".picker h1", "+493012345678"), shows(".picked", "Bo"), shows(".picked", "Carla"),
		keys("carl"), holds(`document.querySelectorAll(".picked button").length === 1`), shot("picker"),
	)
	inBothThemes(t, ctx, "picker")
	do(t, ctx,
		click(`.picked button`), gone(`.picker[open]`), gone(noted), holds(`document.querySelector("#text").value === "Half an ans"`),
		// Without scripts it is a page; by the number she is found, too.
		emulation.SetScriptExecutionDisabled(true),
		chromedp.Navigate(o.Pages+"/inbox/3/client"), chromedp.WaitVisible(noted),
		click(noted+` summary`), click(noted+` [data-pick]`), chromedp.WaitVisible(`body.page .picked`), // after the last step of a page, what only the next one has
		chromedp.SendKeys(`#pick-search`, "bo"), click(`[data-pick-search] button`), found("?search=bo"), shot("picker-page"),
		click(`.picked button`), holds(`document.querySelector(".panel") && !document.querySelector("`+noted+`")`),
		click(`.panel [href$="/merge"]`), holds(`location.pathname.endsWith("/merge")`),
		chromedp.SendKeys(`#pick-search`, "+49 30 12345678"), click(`[data-pick-search] button`), found("?search=%2B49+30+12345678"), click(`.picked button`),
		chromedp.WaitVisible(`#panel-merged`),
		emulation.SetScriptExecutionDisabled(false),
		chromedp.Navigate(o.Pages+"/inbox/3/client"), shows("#panel-merged + ul", "Bo"), shows(".message .text", "Hello from Bo"),
		chromedp.Navigate(o.Pages+"/inbox/3/client/contacts/999999/move"), shows("h1", "did not work"),
	)
}
