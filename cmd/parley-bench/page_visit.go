package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// visits are how one page was opened, again and again.
type visits struct {
	name string
	// server is until the first byte of the page, paint and ready from the beginning
	// of the navigation.
	server, paint, ready []time.Duration
	// page is the document's bytes on the wire, weight all of them.
	page, weight []int64
	requests     int
}

// visit opens the page, cold without anything that the browser keeps.
func (v *visits) visit(ctx context.Context, url string, cold bool) error {
	ctx, cancel := chromedp.NewContext(ctx) // a tab of its own, with the same cookies
	defer cancel()
	w := wire{kept: map[network.RequestID]bool{}}
	chromedp.ListenTarget(ctx, w.hear)
	if cold {
		if err := chromedp.Run(ctx, network.ClearBrowserCache()); err != nil {
			return err
		}
	}
	var times struct {
		Server, Paint, Ready float64
	}
	if err := chromedp.Run(ctx, network.Enable(), chromedp.Navigate(url),
		chromedp.Poll(`performance.getEntriesByName("ready").length && performance.getEntriesByName("first-paint").length`, nil, chromedp.WithPollingTimeout(time.Minute)),
		chromedp.Evaluate(`(() => {
			const page = performance.getEntriesByType("navigation")[0], at = (name) => performance.getEntriesByName(name)[0].startTime;
			return { Server: page.responseStart - page.requestStart, Paint: at("first-paint"), Ready: at("ready") };
		})()`, &times)); err != nil {
		return err
	}
	ms := func(f float64) time.Duration { return time.Duration(f * float64(time.Millisecond)) }
	v.server, v.paint, v.ready = append(v.server, ms(times.Server)), append(v.paint, ms(times.Paint)), append(v.ready, ms(times.Ready))
	page, all, n := w.sum()
	v.page, v.weight, v.requests = append(v.page, page), append(v.weight, all), max(v.requests, n)
	return nil
}

func (v *visits) line() []string {
	both := func(list []time.Duration) string {
		s := sorted(list)
		return fmt.Sprintf("%s (%s)", ms(quantile(s, 0.5)), ms(s[len(s)-1]))
	}
	return []string{
		v.name, both(v.server), thousands(quantile(sorted(v.page), 0.5)), thousands(quantile(sorted(v.weight), 0.5)), fmt.Sprint(v.requests), both(v.paint), both(v.ready),
	}
}

func sorted[T cmp.Ordered](list []T) []T { return slices.Sorted(slices.Values(list)) }

// wire counts what a page brings over the network.
type wire struct {
	mu       sync.Mutex
	document network.RequestID
	// kept are requests that the browser answered itself.
	kept        map[network.RequestID]bool
	page, bytes int64
	requests    int
}

func (w *wire) hear(ev any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		if ev.Type == network.ResourceTypeDocument && w.document == "" {
			w.document = ev.RequestID
		}
	case *network.EventRequestServedFromCache:
		w.kept[ev.RequestID] = true
	case *network.EventLoadingFinished:
		if w.kept[ev.RequestID] || ev.EncodedDataLength == 0 {
			return
		}
		w.requests++
		w.bytes += int64(ev.EncodedDataLength)
		if ev.RequestID == w.document {
			w.page = int64(ev.EncodedDataLength)
		}
	}
}

func (w *wire) sum() (page, all int64, requests int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.page, w.bytes, w.requests
}

// lookFor is the first of some programs that is installed.
func lookFor(names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("none of these is installed: " + fmt.Sprint(names))
}
