package main

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// adminPages are the pages beside the inbox, of an office with one client, one
// template and so on.
func adminPages() []string {
	return []string{
		"/clients", "/clients/new", "/clients/1", "/clients/1/delete", "/templates", "/templates/new", "/templates/1?chat=1",
		"/channels", "/channels/telegram", "/connect/telegram", "/connect/sms", "/connect/whatsapp", "/connect/email",
		"/users", "/users/1", "/tokens", "/webhooks", "/audit-log", "/profile", "/messages/1/journey",
	}
}

// TestAdminPagesAreAccessible looks at each page beside the inbox in both themes,
// and whether it fits a phone.
func TestAdminPagesAreAccessible(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	if _, err := o.telegram.Person("Anna").Say("Hello"); err != nil {
		t.Fatal(err)
	}
	o.logIn(t, ctx)
	do(t, ctx,
		shows(".rows .name", "Anna"),
		chromedp.Navigate(o.Pages+"/templates/new"), chromedp.WaitVisible(`#name-field`),
		chromedp.SendKeys(`#name-field`, "Greeting"), chromedp.SendKeys(`#text-field`, "Hello {{first_name}}"), click(`main button.primary`),
		shows(".done", "was added"),
	)
	for _, path := range adminPages() {
		do(t, ctx, chromedp.Navigate(o.Pages+path), chromedp.WaitVisible(`main h1`))
		inBothThemes(t, ctx, path)
		var wide int
		do(t, ctx,
			emulation.SetDeviceMetricsOverride(360, 780, 2, true),
			chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &wide),
			emulation.ClearDeviceMetricsOverride(),
		)
		if wide > 0 {
			t.Errorf("%s is %d pixels wider than a phone", path, wide)
		}
	}
}
