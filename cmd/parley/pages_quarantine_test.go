package main

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"parley/store"
)

// limitStrangers lets the office's channels bring so many new clients an hour.
func (o *office) limitStrangers(t *testing.T, limit string) {
	t.Helper()
	list, err := o.Desk.Channels(t.Context(), o.tenant(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		settings := map[string]string{store.SettingNewClients: limit}
		for k, v := range c.Settings {
			if k != store.SettingNewClients {
				settings[k] = v
			}
		}
		if _, err := o.Desk.Store.UpdateChannel(t.Context(), o.tenant(t), c.ID, store.ChannelChange{Settings: settings}); err != nil {
			t.Fatal(err)
		}
	}
}

// quarantined waits until so many events are in the office's quarantine.
func (o *office) quarantined(t *testing.T, n int) {
	t.Helper()
	eventually(t, pagePatience, func() bool {
		list, err := o.Desk.Store.QuarantineList(t.Context(), store.QuarantineScope{Tenant: o.tenant(t)}, store.QuarantinePage{Limit: 10})
		return err == nil && len(list) == n
	})
}

// TestQuarantinePage looks at what could not be stored, sees what trying again
// would change, and does.
func TestQuarantinePage(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	o.limitStrangers(t, "0")
	const evil = `<img src=x onerror=alert(1)> שלום`
	if _, err := o.telegram.Person("Anna").Say(evil); err != nil {
		t.Fatal(err)
	}
	o.quarantined(t, 1)
	o.logIn(t, ctx)
	do(t, ctx,
		shows(".top nav .count", "1"),
		click(`.top nav a[href="/quarantine"]`), shows(".items .trouble", "new clients"),
	)
	inBothThemes(t, ctx, "quarantine")
	do(t, ctx,
		click(`.items a.button`), shows(".items .text", evil), shows(".items", "somebody new"), shows(".items b", "Anna"), shows("pre", "onerror"),
		shot("quarantine"),
	)
	inBothThemes(t, ctx, "quarantined event")
	var wide int
	var chats int
	do(t, ctx,
		emulation.SetDeviceMetricsOverride(360, 780, 2, true),
		chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &wide),
		emulation.ClearDeviceMetricsOverride(),
		// Looking changes nothing.
		chromedp.Navigate(o.Pages+"/inbox"), shows(".empty", "No client has written yet"),
		chromedp.Evaluate(`document.querySelectorAll(".rows li").length`, &chats),
		chromedp.Navigate(o.Pages+"/quarantine"), click(`.items a.button`),
		click(`main button.primary`), shows(".done", "It is stored"), shows(".tag", "Stored"),
		click(`.items a[href^="/inbox/"]`), shows(".message .text", evil), shows(".message .meta", "late"),
		chromedp.Navigate(o.Pages+"/quarantine"), shows(".empty", "Nothing is in quarantine"),
		chromedp.Navigate(o.Pages+"/quarantine?all=1"), shows(".items .tag", "Stored"),
		chromedp.Navigate(o.Pages+"/audit-log?action=quarantine"), shows("tbody", "quarantine.replay"),
	)
	if wide > 0 || chats != 0 {
		t.Errorf("%d pixels wider than a phone, %d chats before", wide, chats)
	}
	// What it is about decides; not even its number tells that there is another's.
	for _, path := range []string{"/quarantine/999999", "/quarantine/x"} {
		do(t, ctx, chromedp.Navigate(fmt.Sprint(o.Pages, path)), shows("h1", "did not work"))
	}
}
