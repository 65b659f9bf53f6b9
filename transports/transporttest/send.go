package transporttest

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parley/events"
	"parley/transports"
)

// parts are one of each thing that the account can send.
func (h Harness) parts(caps transports.Capabilities) []transports.Outbound {
	var out []transports.Outbound
	if caps.MaxText > 0 {
		out = append(out, transports.Outbound{To: h.To, Part: transports.Part{Text: "hello"}, Ref: "ref-1"})
	}
	for kind := range caps.Attachments {
		out = append(out, transports.Outbound{To: h.To, Part: transports.Part{Attachment: &transports.File{
			Kind: kind, Name: "file.bin", MIME: "application/octet-stream", Size: 4,
			Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("data")), nil },
		}}, Ref: "ref-2"})
	}
	return out
}

func (h Harness) sendError(t *testing.T, err error) transports.SendError {
	t.Helper()
	h.redacted(t, err)
	var e *transports.SendError
	if !errors.As(err, &e) {
		t.Fatalf("Send failed with %v, which is no *SendError", err)
	}
	if e.Words == "" {
		t.Error("a failure without words for whoever reads it")
	}
	return *e
}

func (h Harness) send(t *testing.T) {
	caps := h.New(t, noNetwork(t)).Capabilities()
	for _, part := range h.parts(caps) {
		name := "text"
		if part.Attachment != nil {
			name = string(part.Attachment.Kind)
		}
		t.Run(name, func(t *testing.T) { h.sendPart(t, part) })
	}
}

func (h Harness) sendPart(t *testing.T, part transports.Outbound) {
	t.Run("accepted by one request", func(t *testing.T) {
		var n atomic.Int64
		sender := h.New(t, counting(h.Provider, &n)).(transports.Sender)
		receipt, err := sender.Send(t.Context(), part)
		if err != nil {
			h.redacted(t, err)
			t.Fatal(err)
		}
		if key := (events.MessageKey{Chat: receipt.Chat, Message: receipt.ProviderID}); !key.Valid() {
			t.Errorf("the receipt %+v names no message", receipt)
		}
		if n.Load() != 1 {
			t.Errorf("%d requests of one part", n.Load())
		}
	})
	t.Run("unreachable is certain", func(t *testing.T) {
		_, err := h.New(t, unreachable()).(transports.Sender).Send(t.Context(), part)
		if e := h.sendError(t, err); e.Outcome != transports.Retry {
			t.Errorf("%v, want retry", e.Outcome)
		}
	})
	t.Run("cancelled before is certain", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := h.New(t, noNetwork(t)).(transports.Sender).Send(ctx, part)
		if e := h.sendError(t, err); e.Outcome != transports.Retry {
			t.Errorf("%v, want retry", e.Outcome)
		}
	})
	t.Run("lost after is uncertain", func(t *testing.T) {
		var n atomic.Int64
		_, err := h.New(t, lost(&n)).(transports.Sender).Send(t.Context(), part)
		if e := h.sendError(t, err); e.Outcome != transports.Unknown {
			t.Errorf("%v, want uncertain", e.Outcome)
		}
		if n.Load() != 1 {
			t.Errorf("%d requests: one was blind", n.Load())
		}
	})
	t.Run("timeout after is uncertain", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var n atomic.Int64
			const deadline = 10 * time.Second
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			began := time.Now()
			_, err := h.New(t, silent(&n)).(transports.Sender).Send(ctx, part)
			if took := time.Since(began); took > deadline+time.Second {
				t.Errorf("took %v of %v", took, deadline)
			}
			if e := h.sendError(t, err); e.Outcome != transports.Unknown {
				t.Errorf("%v, want uncertain", e.Outcome)
			}
			if n.Load() != 1 {
				t.Errorf("%d requests: one was blind", n.Load())
			}
		})
	})
}

// split wants the account's own limits to hold for whatever is written.
func (h Harness) split(t *testing.T) {
	caps := h.New(t, noNetwork(t)).Capabilities()
	file := transports.File{Kind: events.Document, Name: "a.pdf", Size: 4}
	for name, text := range map[string]string{
		"words":  strings.Repeat("hello big wörld ", 3*caps.MaxText/16+1),
		"emoji":  strings.Repeat("👨‍👩‍👧🇩🇪", caps.MaxText/4+1),
		"one":    strings.Repeat("x", 2*caps.MaxText+1),
		"lines":  strings.Repeat("line\n\n", caps.MaxText/2),
		"nearly": strings.Repeat("x", caps.MaxText),
	} {
		for _, files := range [][]transports.File{nil, {file, file}} {
			var all strings.Builder
			for i, part := range transports.Split(text, files, caps) {
				limit := caps.MaxText
				if part.Attachment != nil {
					limit = caps.MaxCaption
				}
				if n := caps.TextUnit.Count(part.Text); n > limit {
					t.Errorf("%s: part %d has %d units of %d", name, i, n, limit)
				}
				all.WriteString(part.Text)
			}
			squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
			if squeeze(all.String()) != squeeze(text) {
				t.Errorf("%s: the parts are not the text", name)
			}
		}
	}
}

// poll ends when told to, whatever the provider does.
func (h Harness) poll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		poller := h.New(t, silent(&n)).(transports.Poller)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() {
			done <- poller.Poll(ctx, "", func(context.Context, []events.Inbound, string) error {
				t.Error("events out of nothing")
				return nil
			})
		}()
		synctest.Wait() // until it polls
		if n.Load() == 0 {
			t.Error("nothing was asked for")
		}
		began := time.Now()
		cancel()
		h.redacted(t, <-done)
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v to stop", took)
		}
	})
}
