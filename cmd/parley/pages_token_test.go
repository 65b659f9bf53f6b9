package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestTokensPage makes a token, which works until it is revoked, and finds both in
// the audit log.
func TestTokensPage(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	var secret string
	do(t, ctx,
		emulation.SetScriptExecutionDisabled(true), o.logInTo("/tokens"), shows(".empty", "No program"),
		chromedp.SendKeys(`#name-field`, "Shop"), click(`input[value="chats:read"]`), click(`main button.primary`),
		shows(".trouble", "at least one scope"),
		click(`input[value="chats:read"]`), click(`main button.primary`),
		chromedp.WaitVisible(`[data-secret]`), chromedp.Text(`[data-secret]`, &secret), shot("tokens"),
	)
	ask := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.Pages+"/api/v1/chats", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(secret))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	if status := ask(); status != http.StatusOK {
		t.Errorf("the token gets %d", status)
	}
	do(t, ctx,
		chromedp.Navigate(o.Pages+"/tokens"), chromedp.WaitNotPresent(`[data-secret]`),
		click(`.items form button`), shows(".done", "no longer works"), shows(".tag", "Revoked"),
		chromedp.Navigate(o.Pages+"/audit-log?action=token"), shows("tbody", "token.add"), shows("tbody", "token.revoke"), shot("audit-log"),
		chromedp.Navigate(o.Pages+"/audit-log?action=token.add&actor=olga"), shows("tbody", "token.add"),
		chromedp.Navigate(o.Pages+"/audit-log?actor=nobody"), shows(".empty", "Nothing"),
		chromedp.Navigate(o.Pages+"/audit-log?until=2001-01-01"), shows(".empty", "Nothing"),
	)
	if status := ask(); status != http.StatusUnauthorized {
		t.Errorf("the revoked token gets %d", status)
	}
}

// TestWebhooksPage tells another system what happens, shows what it answered, and
// tells it again.
func TestWebhooksPage(t *testing.T) {
	t.Parallel()
	told := make(chan string, 100)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- r.Header.Get("webhook-id") }))
	t.Cleanup(other.Close)
	dir := dataFolder(t)
	o, ctx := employ(t, start(t, shared(t, Config{DataDir: dir, APIListen: "127.0.0.1:0", PrivateWebhooks: true})), dir), browser(t)
	do(t, ctx,
		emulation.SetScriptExecutionDisabled(true), o.logInTo("/webhooks"), shows(".empty", "No system"),
		chromedp.SendKeys(`#url-field`, other.URL), chromedp.SendKeys(`#types-field`, "Message received"), click(`main button.primary`),
		shows("#types-wrong", "type"),
		chromedp.SetValue(`#types-field`, "message.received"), click(`main button.primary`),
		chromedp.WaitVisible(`[data-secret]`), click(`form[action$="/test"] button`), shows(".done", "on its way"),
	)
	<-told
	do(t, ctx,
		chromedp.Navigate(o.Pages+"/webhooks"), click(`.items a`), shows(".items li b", "webhook.test"), shot("webhook"),
		click(`.items li form button`), shows(".done", "sent again"),
	)
	<-told
	do(t, ctx,
		chromedp.SendKeys(`#description-field`, "The shop"), click(`section[aria-labelledby=settings] button.primary`), shows(".done", "Saved"),
		click(`form[action$="/disable"] button`), shows(".tag", "Disabled"),
		click(`form[action$="/enable"] button`), shows(".tag", "Enabled"),
		click(`button.danger`), shows(".done", "was deleted"), shows(".empty", "No system"),
	)
}
