package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// pagePatience is far above what a page needs; it only ends tests that hang.
const pagePatience = time.Minute

// browser starts Chromium and fails the test when a page logs an error or breaks
// its content security policy.
func browser(t *testing.T) context.Context {
	t.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		t.Fatal("there is no Chromium: make test installs it")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(profile(t)), chromedp.WindowSize(1280, 800),
		chromedp.Flag("lang", "en-GB"),
		// Root, in containers; the pages are ours.
		chromedp.NoSandbox,
	)
	if os.Getenv("PARLEY_SHOTS") != "" { // pictures are of a desktop with a mouse
		opts = append(opts, chromedp.Flag("blink-settings", "primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"))
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	return tab(t, ctx)
}

// profile is a folder for Chromium, whose processes may write to it for a moment
// after the first of them has ended.
func profile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "parley-test-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for end := time.Now().Add(pagePatience); ; time.Sleep(20 * time.Millisecond) {
			if err = os.RemoveAll(dir); err == nil {
				return
			}
			if time.Now().After(end) {
				t.Error(err)
				return
			}
		}
	})
	return dir
}

// tab opens a further one, with cookies of its own when ctx is not a tab's.
func tab(t *testing.T, ctx context.Context) context.Context {
	t.Helper()
	// It complains of events that are newer than it.
	ctx, _ = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}))
	// Waits until nothing writes to the profile's folder any more.
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) })
	chromedp.ListenTarget(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *cdpruntime.EventExceptionThrown:
			t.Errorf("a script failed: %s", ev.ExceptionDetails.Error())
		case *cdpruntime.EventConsoleAPICalled:
			if ev.Type == cdpruntime.APITypeError {
				t.Errorf("the console says: %s", ev.Args[0].Value)
			}
		case *network.EventResponseReceived:
			if ev.Response.Status >= 500 {
				t.Errorf("%s: %d", ev.Response.URL, ev.Response.Status)
			}
		}
	})
	// The tab lives as long as the context of its first action.
	if err := chromedp.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// do runs actions, each of which waits for what it needs.
func do(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, pagePatience)
	defer cancel()
	for i, a := range actions {
		if err := chromedp.Run(ctx, steady(a)); err != nil {
			var where, text string
			look, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			_ = chromedp.Run(look, chromedp.Location(&where), chromedp.Text("body", &text, chromedp.ByQuery))
			cancel()
			t.Fatalf("step %d: %v\nat %s:\n%s", i, err, where, text)
		}
	}
}

// steady does an action again whose element was replaced between being found and
// being used, as those of a page that has just come and live parts of it are. The
// browser refuses such an action before it had an effect; what it says where there
// may have been one, or where the selector is wrong, is an error at once.
func steady(a chromedp.Action) chromedp.Action {
	if all, ok := a.(chromedp.Tasks); ok {
		each := make(chromedp.Tasks, len(all))
		for i, one := range all {
			each[i] = steady(one)
		}
		return each
	}
	return chromedp.ActionFunc(func(ctx context.Context) error {
		for {
			err := a.Do(ctx)
			var gone *cdproto.Error
			if !errors.As(err, &gone) || gone.Code != -32000 || final.MatchString(gone.Message) {
				return err
			}
			select {
			case <-ctx.Done():
				return err
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

// final are the words of the browser's answers that must not be tried again.
var final = regexp.MustCompile(`destroyed|navigated|DOM Error`)

// shows waits until an element that matches selector has text in it, over however
// many pages.
func shows(selector, text string) chromedp.Action {
	return holds(fmt.Sprintf(`[...document.querySelectorAll(%s)].some((e) => e.innerText.includes(%s))`, strconv.Quote(selector), strconv.Quote(text)))
}

// holds waits until an expression is true, over however many pages, and in a page
// that nobody sees, too, whose frames and timers stand still.
func holds(js string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		for {
			var so bool
			// A page that is being left answers with an error.
			if err := chromedp.Evaluate(js, &so).Do(ctx); err == nil && so {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("never was %s: %w", js, ctx.Err())
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

// click clicks the first element that matches selector.
func click(selector string) chromedp.Action {
	return chromedp.Click(selector, chromedp.ByQuery)
}

// shot keeps a picture of the page where PARLEY_SHOTS says.
func shot(name string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		dir := os.Getenv("PARLEY_SHOTS")
		if dir == "" {
			return nil
		}
		var png []byte
		if err := chromedp.CaptureScreenshot(&png).Do(ctx); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600)
	})
}

// looks are how people look at pages.
func dark(on bool) chromedp.Action {
	scheme := "light"
	if on {
		scheme = "dark"
	}
	return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}})
}

// accessible fails the test for each thing on the page that somebody cannot use.
func accessible(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	axe, err := os.ReadFile(filepath.Join("..", "..", "bin", "axe.min.js"))
	if err != nil {
		t.Fatal("make test fetches axe-core: ", err)
	}
	var found []string
	do(t, ctx,
		chromedp.Evaluate(string(axe), nil),
		chromedp.Evaluate(`axe.run().then((r) => {
			if (r.passes.length < 5) return ["axe looked at nothing"];
			return r.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.html).join(" "));
		})`, &found, func(p *cdpruntime.EvaluateParams) *cdpruntime.EvaluateParams { return p.WithAwaitPromise(true) }),
	)
	for _, v := range found {
		t.Errorf("%s: %s", name, v)
	}
	t.Logf("axe: %s: %d violations", name, len(found))
}

// inBothThemes looks at the page in light and dark, on a desktop and on a phone. Its
// lines in the log are what docs/performance.md counts.
func inBothThemes(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	desktop, phone := emulation.ClearDeviceMetricsOverride(), emulation.SetDeviceMetricsOverride(390, 844, 2, true)
	for _, look := range []struct {
		name string
		size chromedp.Action
		dark bool
	}{
		{"desktop, light", desktop, false},
		{"desktop, dark", desktop, true},
		{"phone, light", phone, false}, // the colours are the same there
	} {
		// The change of colours is over at once.
		do(t, ctx, look.size, dark(look.dark), chromedp.Evaluate(`document.getAnimations().forEach((a) => a.finish())`, nil))
		accessible(t, ctx, name+", "+look.name)
	}
	do(t, ctx, emulation.ClearDeviceMetricsOverride(), dark(false))
}
