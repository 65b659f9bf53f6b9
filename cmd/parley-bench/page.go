package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"parley/transports/sandbox"
)

const (
	// pageThread is how many messages the long thread has; it is chat 1's.
	pageThread = 50_000
	// pageLoads is how often each page is opened.
	pageLoads = 15
	// pagePace is how often a client writes into the open page.
	pagePace = 100 * time.Millisecond
	// What the pages may be at most.
	pageWeight, pagePaint, pageLive = 150_000, 300 * time.Millisecond, 250 * time.Millisecond
)

// pageBench measures what agents' pages are in a real browser.
type pageBench struct {
	settings
	*deskWorld
	report *report
}

func benchPage(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parseSettings("page", args)
	if err != nil {
		return err
	}
	dir, remove, err := workFolder(s)
	if err != nil {
		return err
	}
	defer remove()
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // PostgreSQL's own user passes through
		return err
	}
	r, err := newReport(s, "bench-page", out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	db, err := newCluster(ctx, dir, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close()) }()
	b := &pageBench{settings: s, report: r, deskWorld: &deskWorld{
		seeding: &seeding{db: db, chats: s.chats, messages: s.messages, tenants: s.tenants, thread: pageThread}, run: "page",
		client: &http.Client{Timeout: time.Minute},
	}}
	if b.bot, err = db.addBot(ctx, sandbox.DefaultTelegramToken, "http://127.0.0.1:9"); err != nil {
		return err
	}
	if err := b.deskWorld.seed(ctx); err != nil {
		return err
	}
	if err := b.start(ctx, dir, s, ""); err != nil {
		return err
	}
	defer b.server.stop()
	r.say("# The page\n")
	r.machine(ctx, db)
	r.say("%s chats with %s messages; one thread has %s. The server is the real one with all roles, on PostgreSQL's settings of `parley serve`; fsync is on.",
		thousands(s.chats), thousands(s.messages), thousands(pageThread))
	if err := b.browse(ctx); err != nil || !b.profile {
		return err
	}
	return r.statements(ctx, db)
}

// browse opens the pages and then lets a client write.
func (b *pageBench) browse(ctx context.Context) error {
	profile, err := os.MkdirTemp("", "parley-bench-chromium-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(profile) }() // in the system's folder for such
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.UserDataDir(profile), chromedp.WindowSize(1280, 800),
		chromedp.NoSandbox) // root, in containers; the pages are ours
	path, err := lookFor("chromium", "chromium-browser", "google-chrome")
	if err != nil {
		return err
	}
	opts = append(opts, chromedp.ExecPath(path))
	ctx, cancel := chromedp.NewExecAllocator(ctx, opts...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // it complains of events newer than it
	defer cancel()
	site := strings.TrimSuffix(b.api, "/api/v1")
	name, value, _ := strings.Cut(b.big.cookie, "=")
	if err := chromedp.Run(ctx, network.Enable(), network.SetCookie(name, value).WithURL(site)); err != nil {
		return fmt.Errorf("starting Chromium: %w", err)
	}
	loads := pageLoads
	if b.quick {
		loads = 5
	}
	var lines [][]string
	for _, p := range []struct{ name, path string }{
		{"inbox", "/inbox"}, {"short thread", "/inbox/2"}, {"thread of " + thousands(pageThread), "/inbox/1"}, {"its oldest messages", "/inbox/1?before=51"},
	} {
		for _, cold := range []bool{true, false} {
			v := visits{name: p.name + ", again"}
			if cold {
				v.name = p.name + ", first time"
			}
			for range loads {
				if err := v.visit(ctx, site+p.path, cold); err != nil {
					return fmt.Errorf("%s: %w", v.name, err)
				}
			}
			lines = append(lines, v.line())
			if cold {
				b.report.holds(quantile(sorted(v.weight), 0.5) < pageWeight, "%s weighs %d bytes", p.name, quantile(sorted(v.weight), 0.5))
				b.report.holds(quantile(sorted(v.paint), 0.5) < pagePaint, "%s is painted after %s ms", p.name, ms(quantile(sorted(v.paint), 0.5)))
			}
		}
	}
	b.report.say("\nEach page is opened %d times in Chromium, first without anything kept by the browser, then with. Server: from the request to the answer's\n"+
		"first byte. Bytes are what came over the wire. Painted and ready count from the beginning of the navigation; ready is when all scripts have run.\n"+
		"Milliseconds, median (and slowest).", loads)
	b.report.table([]string{"page", "server", "page bytes", "all bytes", "requests", "first paint", "ready"}, lines)
	return b.live(ctx, site)
}

// live has a client write into the open thread, and times each message from the
// webhook's request until the browser has painted it.
func (b *pageBench) live(ctx context.Context, site string) error {
	if err := chromedp.Run(ctx, chromedp.Navigate(site+"/inbox/1"), chromedp.Poll(`document.querySelector(".live")?.textContent === "Live"`, nil),
		chromedp.Evaluate(watchPaint, nil)); err != nil {
		return err
	}
	n := int(b.seconds / pagePace)
	tick := time.NewTicker(pagePace)
	defer tick.Stop()
	began := time.Now()
	for i := range n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := b.write(ctx, update{run: 77, sender: firstPerson + 1, counter: i + 1, sent: time.Now()}); err != nil {
			return err
		}
	}
	wrote := time.Since(began)
	var took []float64
	if err := chromedp.Run(ctx, chromedp.Poll(fmt.Sprintf(`painted.length >= %d && painted`, n), &took, chromedp.WithPollingTimeout(time.Minute))); err != nil {
		return fmt.Errorf("waiting for %d messages to be painted: %w", n, err)
	}
	all := make([]time.Duration, len(took))
	for i, t := range took {
		all[i] = time.Duration(t * float64(time.Millisecond))
	}
	slices.Sort(all)
	b.report.say("\nA client writes %d messages, %.0f a second, into the open thread: from the webhook's request to the frame that shows the message,\n"+
		"p50 %s ms, p99 %s ms, slowest %s ms.", n, float64(n)/wrote.Seconds(), ms(quantile(all, 0.5)), ms(quantile(all, 0.99)), ms(all[len(all)-1]))
	b.report.holds(len(took) == n, "%d messages were painted, %d written", len(took), n)
	b.report.holds(quantile(all, 0.99) < pageLive, "p99 of webhook to paint is above %s ms", ms(pageLive))
	return nil
}

// watchPaint notes how old each new message is after the frame that shows it: the
// message after a frame's callbacks comes once that frame is done.
const watchPaint = `var painted = [];
new MutationObserver((changes) => {
	for (const { addedNodes } of changes) for (const item of addedNodes) {
		const sent = item.querySelector?.(".text")?.textContent.match(/^r77 \d+ \d+ (\d+) /)?.[1];
		if (!sent) continue;
		requestAnimationFrame(() => {
			const after = new MessageChannel();
			after.port1.onmessage = () => painted.push(performance.timeOrigin + performance.now() - Number(sent) / 1e6);
			after.port2.postMessage(0);
		});
	}
}).observe(document.querySelector("[data-thread]"), { childList: true }); 0`

func (b *pageBench) write(ctx context.Context, u update) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.server.webhook(b.bot), bytes.NewReader(u.body(nil)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(telegramSecret, b.bot.secret)
	res, err := b.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body) // it is empty
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("a webhook was answered with %s", res.Status)
	}
	return nil
}
