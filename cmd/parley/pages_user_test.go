package main

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"
)

// TestUsersPages invites a colleague who only looks on: they see what that role
// may see, and what it may not is refused; then they are kept out.
func TestUsersPages(t *testing.T) {
	t.Parallel()
	o, ctx, guest := openOffice(t), browser(t), browser(t)
	var link string
	do(t, ctx,
		emulation.SetScriptExecutionDisabled(true), o.logInTo("/users"),
		chromedp.WaitVisible(`#email-field`), chromedp.SendKeys(`#email-field`, "gast@example.com"), chromedp.SetValue(`#role-field`, "read_only"),
		click(`main button.primary`), chromedp.WaitVisible(`[data-link]`), chromedp.Text(`[data-link]`, &link), shot("users"),
		shows("#waiting ~ ul", "gast@example.com"),
	)
	const password = "a password of a guest"
	do(t, guest,
		chromedp.Navigate(strings.TrimSpace(link)), chromedp.WaitVisible(`input[name=name]`),
		chromedp.SendKeys(`input[name=name]`, "Gast"), chromedp.SendKeys(`input[name=email]`, "gast@example.com"),
		chromedp.SendKeys(`input[name=password]`, password), chromedp.Submit(`form`),
		shows(".flash", "ready"),
		chromedp.SendKeys(`input[name=email]`, "gast@example.com"), chromedp.SendKeys(`input[name=password]`, password), chromedp.Submit(`form`),
		shows(".live", "Live"),
		chromedp.WaitNotPresent(`a[href="/tokens"]`), chromedp.WaitNotPresent(`a[href="/audit-log"]`),
		chromedp.Navigate(o.Pages+"/clients"), shows("h1", "Clients"), chromedp.WaitNotPresent(`a[href="/clients/new"]`),
	)
	for _, path := range []string{"/clients/new", "/templates/new", "/tokens", "/webhooks", "/audit-log", "/users/1", "/connect/telegram", "/clients/1/delete"} {
		do(t, guest, chromedp.Navigate(o.Pages+path), shows("h1", "did not work"), shows(".flash", "role"))
	}
	do(t, ctx,
		chromedp.Navigate(o.Pages+"/users"), shows("tbody", "Gast"), click(`tbody tr:last-child a`),
		shows("h1", "Gast"), click(`input[name=disabled]`), click(`main button.primary`),
		shows(".done", "was changed"), shows("tbody", "Kept out"),
		// The last owner stays one.
		click(`tbody tr:first-child a`), gone(`tbody`), chromedp.SetValue(`#role-field`, "agent"), click(`main button.primary`), shows("#role-wrong", "last owner"),
	)
	do(t, guest, chromedp.Navigate(o.Pages+"/clients"), chromedp.WaitVisible(`input[name=password]`))
}

// TestProfilePage changes a password, is logged out elsewhere, and sets up a
// second factor by its QR code's secret.
func TestProfilePage(t *testing.T) {
	t.Parallel()
	o, ctx, elsewhere := openOffice(t), browser(t), browser(t)
	do(t, elsewhere, o.logInTo("/profile"), shows("h1", "profile"))
	const password = "another password for tests"
	var secret string
	do(t, ctx,
		emulation.SetScriptExecutionDisabled(true), o.logInTo("/profile"), shows("h1", "profile"),
		chromedp.SendKeys(`#old-field`, "wrong"), chromedp.SendKeys(`#new-field`, password), click(`section[aria-labelledby=password] button`),
		shows("#old-wrong", "not your password"),
		chromedp.SendKeys(`#old-field`, o.password), chromedp.SendKeys(`#new-field`, "short"), click(`section[aria-labelledby=password] button`),
		shows("#new-wrong", "12 characters"),
		chromedp.SendKeys(`#old-field`, o.password), chromedp.SendKeys(`#new-field`, password), click(`section[aria-labelledby=password] button`),
		shows(".done", "was changed"),
		click(`section[aria-labelledby=factor] button`), chromedp.WaitVisible(`svg.qr`), shot("second-factor"),
		chromedp.Text(`[data-secret]`, &secret),
		chromedp.SendKeys(`#code-field`, "000000"), click(`section[aria-labelledby=factor] button`), shows("#code-wrong", "not right"),
	)
	code, err := totp.GenerateCode(strings.TrimSpace(secret), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	do(t, ctx, chromedp.SendKeys(`#code-field`, code), click(`section[aria-labelledby=factor] button`), shows(".done", "a code is asked for"))
	do(t, elsewhere, chromedp.Navigate(o.Pages+"/profile"), chromedp.WaitVisible(`input[name=password]`))
}
