package main

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// pointAt puts the pointer on the first element that matches selector, and keeps it there.
func pointAt(selector string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		var at []float64
		js := fmt.Sprintf(`{ const r = document.querySelector(%q).getBoundingClientRect(); [r.x + r.width / 2, r.y + r.height / 2] }`, selector)
		if err := chromedp.Evaluate(js, &at).Do(ctx); err != nil {
			return err
		}
		return input.DispatchMouseEvent(input.MouseMoved, at[0], at[1]).Do(ctx)
	})
}

// TestListKeepsStill has chats arrive while the pointer is on a row: what is under it
// stays, only its words change, until the pointer leaves.
func TestListKeepsStill(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	for _, name := range []string{"Anna", "Bo", "Carla"} {
		o.says(t, name, "Hello from "+name)
	}
	o.logIn(t, ctx)
	listed := func() (names []string) {
		t.Helper()
		do(t, ctx, chromedp.Evaluate(`[...document.querySelectorAll(".rows .name")].map((e) => e.innerText.trim())`, &names))
		return names
	}
	do(t, ctx,
		shows(".rows li:last-child .name", "Anna"), pointAt(`.rows li:nth-child(2) a`),
		holds(`document.querySelector("[data-rows]").matches(":hover")`),
		chromedp.Evaluate(`void (window.under = document.querySelector(".rows a:hover"))`, nil),
	)
	o.says(t, "Dora", "I am new")
	o.says(t, "Anna", "I am back")
	do(t, ctx, shows(".rows .last", "I am back")) // where she was
	if names, want := listed(), []string{"Carla", "Bo", "Anna"}; !slices.Equal(names, want) {
		t.Errorf("under the pointer the list shows %q, want %q", names, want)
	}
	var same bool
	do(t, ctx, chromedp.Evaluate(`window.under.isConnected && window.under === document.querySelector(".rows a:hover")`, &same))
	if !same {
		t.Error("the row under the pointer is another one")
	}
	// Elsewhere, the list is as it should be, and follows again.
	do(t, ctx, pointAt(`.top .brand`), shows(".rows li:first-child .name", "Anna"))
	if names, want := listed(), []string{"Anna", "Dora", "Carla", "Bo"}; !slices.Equal(names, want) {
		t.Errorf("afterwards the list shows %q, want %q", names, want)
	}
	o.says(t, "Bo", "So am I")
	do(t, ctx, shows(".rows li:first-child .name", "Bo"))
}
