package main

import (
	"context"
	"slices"
	"testing"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"parley/inbox/desk"
)

// allow has the browser's owner answer whether the pages may notify them.
func (o *office) allow(setting cdpbrowser.PermissionSetting) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		// It is the browser that keeps it, not the tab.
		ctx = cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser)
		return cdpbrowser.SetPermission(&cdpbrowser.PermissionDescriptor{Name: "notifications"}, setting).WithOrigin(o.Pages).Do(ctx)
	})
}

// hears has the pages keep what they notify about, beside notifying about it.
func hears() chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(`window.told = [];
			window.Notification = class extends Notification {
				constructor(title, options) {
					super(title, options);
					window.told.push(title + ": " + options.body);
				}
			};`).Do(ctx)
		return err
	})
}

// elsewhere puts another tab in front.
func elsewhere() chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		ctx = cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser)
		_, err := target.CreateTarget("about:blank").Do(ctx)
		return err
	})
}

// TestNotifications tells an agent who looks elsewhere, and allowed it, that a
// client has written: not what they themselves or colleagues write, and not while
// they look.
func TestNotifications(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	o.says(t, "Anna", "Hello?")
	do(t, ctx, o.allow(cdpbrowser.PermissionSettingGranted), hears())
	o.logIn(t, ctx)
	told := func() (all []string) {
		t.Helper()
		do(t, ctx, chromedp.Evaluate(`window.told`, &all))
		return all
	}
	do(t, ctx,
		shows(".rows .last", "Hello?"), holds(`document.title.startsWith("(1) ")`),
		click(`.rows a`), shows(".message .text", "Hello?"), shows(".live", "Live"),
		holds(`!document.title.startsWith("(")`), // read
	)
	o.says(t, "Anna", "Somebody there?")
	do(t, ctx, shows(".rows .last", "Somebody there?"), shows(".message .text", "Somebody there?"))
	if all := told(); len(all) != 0 {
		t.Errorf("somebody who looks was told %q", all)
	}
	do(t, ctx, elsewhere(), holds(`document.visibilityState === "hidden"`))
	chat, err := o.Desk.Chat(t.Context(), o.tenant(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Desk.Reply(t.Context(), desk.Reply{Tenant: o.tenant(t), Chat: chat.ID, Text: "I am.", Seen: chat.LastSeq}); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, shows(".message.out .tick", "Sent"))
	o.says(t, "Bo", "Me, too")
	o.says(t, "Anna", "Good!")
	do(t, ctx,
		holds(`window.told.length >= 2`), shows(".rows .last", "Good!"),
		holds(`document.title.startsWith("(2) ")`),
	)
	// A name, and nothing of what was said: the screen may be anybody's.
	if all, want := slices.Sorted(slices.Values(told())), []string{"Anna: A client has written.", "Bo: A client has written."}; !slices.Equal(all, want) {
		t.Errorf("somebody who looks elsewhere was told %q, want %q", all, want)
	}
}
