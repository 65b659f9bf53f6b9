package main

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestChannelsPages is told what is wrong with an account before it is connected,
// and looks after one that is; by forms alone.
func TestChannelsPages(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	do(t, ctx,
		emulation.SetScriptExecutionDisabled(true), o.logInTo("/channels"),
		shows(".items", "Sandbox"), shot("channels"),
		click(`a[href="/connect/email"]`), chromedp.WaitVisible(`#set_address-field`), shot("connect"),
		chromedp.SendKeys(`#name-field`, "Office"), chromedp.SendKeys(`#set_address-field`, "help@example.com"),
		chromedp.SendKeys(`#set_password-field`, "secret"),
		// What the server of the demo's machine has is no business of who comes by the network.
		chromedp.SendKeys(`#set_imap-field`, "127.0.0.1:1"), chromedp.SendKeys(`#set_smtp-field`, "127.0.0.1:1"),
		click(`button[name=only_ask]`), shows("form .flash, .trouble", "could not be asked"),
	)
	var kept, secret string
	do(t, ctx, chromedp.Value(`#set_address-field`, &kept), chromedp.Value(`#set_password-field`, &secret))
	if kept != "help@example.com" || secret != "" {
		t.Errorf("the form has the address %q and the password %q", kept, secret)
	}
	do(t, ctx,
		chromedp.Navigate(o.Pages+"/connect/telegram"), chromedp.WaitVisible(`#name-field`),
		chromedp.SendKeys(`#name-field`, "Second"), chromedp.SendKeys(`#set_token-field`, "no token"), click(`main button.primary`),
		shows(".wrong .trouble", "token"),
		chromedp.Navigate(o.Pages+"/channels"), click(`.items a`), shows("h1", "Sandbox"),
		click(`form[action$="/check"] button`), shows(".done", "The provider knows us as"), shot("channel"),
		click(`form[action$="/pause"] button`), shows(".tag", "Paused"),
		click(`form[action$="/resume"] button`), shows(".done", "goes on"),
		chromedp.SetValue(`#name-field`, "Support"), click(`section[aria-labelledby=settings] button.primary`),
		shows(".done", "Saved"), shows("h1", "Support"),
		chromedp.SendKeys(`#set_token-field`, "wrong"), click(`section[aria-labelledby=secrets] button.primary`),
		shows(".wrong .trouble, .flash", "token"),
	)
}
