package main

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestAdminPagesAreAccessible looks at each page beside the inbox in both themes and
// sizes, and whether it fits a small phone. They are those of an office with one
// client, one template and so on.
func TestAdminPagesAreAccessible(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	o.says(t, "Anna", "Hello")
	o.logIn(t, ctx)
	do(t, ctx,
		shows(".rows .name", "Anna"),
		chromedp.Navigate(o.Pages+"/templates/new"), chromedp.WaitVisible(`#name-field`),
		chromedp.SendKeys(`#name-field`, "Greeting"), chromedp.SendKeys(`#text-field`, "Hello {{first_name}}"), click(`main button.primary`),
		shows(".done", "was added"),
	)
	var webhook string
	do(t, ctx,
		chromedp.Navigate(o.Pages+"/webhooks"), chromedp.WaitVisible(`#url-field`),
		chromedp.SendKeys(`#url-field`, "https://example.com/parley"), click(`main button.primary`), chromedp.WaitVisible(`[data-secret]`),
	)
	inBothThemes(t, ctx, "a webhook's secret")
	do(t, ctx, chromedp.Navigate(o.Pages+"/webhooks"), chromedp.WaitVisible(`.items a`), chromedp.Evaluate(`document.querySelector(".items a").pathname`, &webhook))
	channels, err := o.Desk.Channels(t.Context(), o.tenant(t))
	if err != nil || len(channels) != 1 {
		t.Fatal(channels, err)
	}
	for _, path := range []string{
		"/clients", "/clients/new", "/clients/1", "/clients/1/delete", "/templates", "/templates/new", "/templates/1?chat=1", "/deliveries", "/quarantine",
		"/channels", "/channels/" + string(channels[0].ID), "/connect/telegram", "/connect/sms", "/connect/whatsapp", "/connect/email",
		"/users", "/users/1", "/tokens", "/webhooks", webhook, "/audit-log", "/profile", "/messages/1/journey", "/inbox/1/client/merge",
	} {
		do(t, ctx, chromedp.Navigate(o.Pages+path), chromedp.WaitVisible(`main h1`))
		var broken bool
		do(t, ctx, chromedp.Evaluate(`document.body.classList.contains("plain")`, &broken))
		if broken {
			t.Errorf("%s is no page", path)
		}
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
