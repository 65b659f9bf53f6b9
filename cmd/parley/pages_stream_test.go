package main

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"
)

// gate stands between a page and its stream of events.
type gate struct {
	asked atomic.Int32 // how often the page asked for the stream
	waits chan fetch.RequestID
}

// guard has a gate hold each request for a stream.
func guard(t *testing.T, ctx context.Context) *gate {
	t.Helper()
	g := &gate{waits: make(chan fetch.RequestID, 10)}
	chromedp.ListenTarget(ctx, func(event any) {
		if ev, ok := event.(*fetch.EventRequestPaused); ok {
			g.asked.Add(1)
			g.waits <- ev.RequestID
		}
	})
	do(t, ctx, fetch.Enable().WithPatterns([]*fetch.RequestPattern{{URLPattern: "*/api/v1/stream*"}}))
	return g
}

// next waits for a request at the gate, and answers it.
func (g *gate) next(answer func(fetch.RequestID) chromedp.Action) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		select {
		case id := <-g.waits:
			return answer(id).Do(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func pass(id fetch.RequestID) chromedp.Action { return fetch.ContinueRequest(id) }

func refuse(id fetch.RequestID) chromedp.Action {
	return fetch.FulfillRequest(id, http.StatusTooManyRequests)
}

// TestPagesFollowFromWhereTheyWereRead has a client write after a page was read and
// before its stream of events began, and has the stream refused, after which a
// browser does not try again by itself.
func TestPagesFollowFromWhereTheyWereRead(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	o.says(t, "Anna", "Hello?")
	o.logIn(t, ctx)
	g := guard(t, ctx)
	do(t, ctx, click(`.rows a`), shows(".message .text", "Hello?"))
	o.says(t, "Anna", "Are you there?") // is stored when it returns
	do(t, ctx, g.next(refuse), shows(".live", "Not connected"))
	o.says(t, "Anna", "Answer me!")
	do(t, ctx, g.next(refuse))
	do(t, ctx,
		g.next(pass), shows(".live", "Live"),
		shows(".message .text", "Are you there?"), shows(".message .text", "Answer me!"),
	)
	if n := g.asked.Load(); n != 3 {
		t.Errorf("the page asked for the stream %d times", n)
	}
}
