package main

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// The API's page reads well in a browser, breaks no policy of its own, and can be
// used by everybody.
func TestAPIPage(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	ctx := browser(t)
	var font string
	do(t, ctx,
		chromedp.Navigate(o.Pages+"/api"),
		shows("main h1", "Parley's API"),
		shows("#add-label .who", "With the role"),
		shows("#add-label pre", "curl -H \"Authorization: Bearer $PARLEY_TOKEN\""),
		// The style sheet was allowed.
		chromedp.Evaluate(`getComputedStyle(document.body).display`, &font),
		click(`nav a[href="#reply"]`),
		shows("#reply:target h3", ""),
	)
	if font != "grid" {
		t.Errorf("the page is shown as %q", font)
	}
	inBothThemes(t, ctx, "the API's page")
	do(t, ctx, shot("api"))
}
