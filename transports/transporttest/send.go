package transporttest

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/events"
	"parley/transports"
)

// sendable is a part by the name of what it is.
type sendable struct {
	name string
	part transports.Outbound
}

// parts are one of each thing that the account can send.
func (h Harness) parts(caps transports.Capabilities) []sendable {
	var all []sendable
	add := func(name string, part transports.Outbound) {
		part.To, part.Ref, part.Mail = h.To, "ref-1", h.Mail
		all = append(all, sendable{name, part})
	}
	if caps.MaxText > 0 {
		add("text", transports.Outbound{Part: transports.Part{Text: "hello"}})
	}
	if caps.MaxText > 0 && caps.Replies {
		add("reply", transports.Outbound{Part: transports.Part{Text: "hello"}, ReplyTo: "1"})
	}
	for _, kind := range slices.Sorted(maps.Keys(caps.Attachments)) {
		part := transports.Part{Attachment: file(kind)}
		if caps.MaxCaption > 0 && !slices.Contains(caps.Captionless, kind) {
			part.Text = "hello"
		}
		add(string(kind), transports.Outbound{Part: part})
	}
	if _, ok := caps.Attachments[events.Photo]; ok && caps.Album > 1 {
		add("album", transports.Outbound{Part: transports.Part{Attachment: file(events.Photo), Album: []transports.File{*file(events.Photo)}}})
	}
	return all
}

func file(kind events.ContentType) *transports.File {
	return &transports.File{
		Kind: kind, Name: "file.bin", MIME: "application/octet-stream", Size: 4, URL: "https://parley.example/media/file.bin",
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("data")), nil },
	}
}

// sendError wants an error as Send promises it.
func (h Harness) sendError(t *testing.T, err error) transports.SendError {
	t.Helper()
	h.redacted(t, err)
	var e *transports.SendError
	if !errors.As(err, &e) {
		t.Fatalf("failed with %v, which is no *SendError", err)
	}
	if e.Words == "" {
		t.Error("a failure without words for whoever reads it")
	}
	for _, secret := range h.Secrets {
		if strings.Contains(e.Words, secret) || strings.Contains(e.Code, secret) {
			t.Error("a secret is in the words of a failure")
		}
	}
	return *e
}

func (h Harness) send(t *testing.T) {
	account, _ := h.account(t, Offline)
	for _, s := range h.parts(account.Capabilities()) {
		t.Run(s.name, func(t *testing.T) { h.sendPart(t, s.part) })
	}
}

func (h Harness) sendPart(t *testing.T, part transports.Outbound) {
	t.Run("accepted by one request", func(t *testing.T) {
		sender, taken := h.sender(t, Working)
		receipt, err := sender.Send(t.Context(), part)
		if err != nil {
			h.redacted(t, err)
			t.Fatal(err)
		}
		if key := (events.MessageKey{Chat: receipt.Chat, Message: receipt.ProviderID}); !key.Valid() {
			t.Errorf("the receipt %+v names no message", receipt)
		}
		if n := len(receipt.Album); n != 0 && n != len(part.Album) {
			t.Errorf("%d ids of an album with %d files more", n, len(part.Album))
		}
		if n := taken(); n != 1 {
			t.Errorf("%d requests of one part", n)
		}
	})
	t.Run("unreachable is certain", func(t *testing.T) {
		sender, _ := h.sender(t, Unreachable)
		_, err := sender.Send(t.Context(), part)
		if e := h.sendError(t, err); e.Outcome != transports.Retry {
			t.Errorf("%v, want retry", e.Outcome)
		}
	})
	t.Run("cancelled before is certain", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		sender, _ := h.sender(t, Offline)
		_, err := sender.Send(ctx, part)
		if e := h.sendError(t, err); e.Outcome != transports.Retry {
			t.Errorf("%v, want retry", e.Outcome)
		}
	})
	t.Run("lost after is uncertain", func(t *testing.T) {
		sender, taken := h.sender(t, Lost)
		_, err := sender.Send(t.Context(), part)
		h.uncertain(t, err, taken())
	})
	t.Run("timeout after is uncertain", func(t *testing.T) {
		h.onAClock(t, func(t *testing.T, deadline time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			sender, taken := h.sender(t, Silent)
			began := time.Now()
			_, err := sender.Send(ctx, part)
			if took := time.Since(began); took > deadline+time.Second {
				t.Errorf("took %v of %v", took, deadline)
			}
			h.uncertain(t, err, taken())
		})
	})
}

func (h Harness) sender(t *testing.T, network Network) (transports.Sender, func() int) {
	t.Helper()
	account, taken := h.account(t, network)
	return account.(transports.Sender), taken
}

func (h Harness) uncertain(t *testing.T, err error, taken int) {
	t.Helper()
	if e := h.sendError(t, err); e.Outcome != transports.Unknown {
		t.Errorf("%v, want uncertain", e.Outcome)
	}
	if taken != 1 {
		t.Errorf("%d requests: one was blind", taken)
	}
}

// onAClock runs a test on a clock of its own, where the network is the suite's
// own too, and with a short deadline otherwise.
func (h Harness) onAClock(t *testing.T, f func(t *testing.T, deadline time.Duration)) {
	t.Helper()
	if h.On != nil {
		f(t, 300*time.Millisecond)
		return
	}
	synctest.Test(t, func(t *testing.T) { f(t, 10*time.Second) })
}

// split wants the account's own limits to hold for whatever is written.
func (h Harness) split(t *testing.T) {
	account, _ := h.account(t, Offline)
	caps := account.Capabilities()
	of := func(kind events.ContentType) transports.File {
		return transports.File{Kind: kind, Name: "a.bin", Size: 4}
	}
	long := min(caps.MaxText, 1<<16) // mail has room for books
	for name, text := range map[string]string{
		"words":  strings.Repeat("hello big wörld ", 3*long/16+1),
		"emoji":  strings.Repeat("👨‍👩‍👧🇩🇪", long/4+1),
		"one":    strings.Repeat("x", 2*long+1),
		"lines":  strings.Repeat("line\n\n", long/2),
		"nearly": strings.Repeat("x", long),
	} {
		for _, files := range [][]transports.File{
			nil, {of(events.Document), of(events.Document)}, slices.Repeat([]transports.File{of(events.Photo)}, 12), {of(events.VideoNote), of(events.Photo)},
		} {
			var all strings.Builder
			left := 0
			for i, part := range transports.Split(text, nil, files, caps) {
				limit := caps.MaxText
				if part.Attachment != nil {
					limit = caps.MaxCaption
					left += 1 + len(part.Album)
				}
				if n := caps.TextUnit.Count(part.Text); n > limit {
					t.Errorf("%s: part %d has %d units of %d", name, i, n, limit)
				}
				if n := 1 + len(part.Album); n > max(caps.Album, 1) {
					t.Errorf("%s: part %d has %d files of %d", name, i, n, caps.Album)
				}
				all.WriteString(part.Text)
			}
			if left != len(files) {
				t.Errorf("%s: %d of %d files are left", name, left, len(files))
			}
			squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
			if squeeze(all.String()) != squeeze(text) {
				t.Errorf("%s: the parts are not the text", name)
			}
		}
	}
}
