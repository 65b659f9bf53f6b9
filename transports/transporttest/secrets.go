package transporttest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"parley/events"
	"parley/transports"
)

// redacted wants no secret in an error or in anything it unwraps to.
func (h Harness) redacted(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, format := range []string{"%v", "%+v", "%#v"} {
		words := fmt.Sprintf(format, err)
		for _, secret := range h.Secrets {
			if strings.Contains(words, secret) {
				t.Errorf("a secret is in the error, as %s", format)
			}
		}
	}
	var inner []error
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		inner = many.Unwrap()
	} else {
		inner = []error{errors.Unwrap(err)}
	}
	for _, e := range inner {
		h.redacted(t, e)
	}
}

// secrets lets every call of every role fail in several ways, the provider's
// answer repeating the secrets among them.
func (h Harness) secrets(t *testing.T) {
	var n atomic.Int64
	echo := strings.Join(h.Secrets, " ")
	for name, network := range map[string]*http.Client{
		"unreachable":     unreachable(),
		"lost":            lost(&n),
		"refused":         saying(http.StatusBadRequest, fmt.Sprintf(`{"ok":false,"error_code":400,"code":400,"description":%q,"message":%q}`, echo, echo)),
		"unauthorised":    saying(http.StatusUnauthorized, echo),
		"internal error":  saying(http.StatusInternalServerError, echo),
		"no answer of it": saying(http.StatusOK, echo),
	} {
		t.Run(name, func(t *testing.T) {
			account := h.New(t, network)
			ctx := t.Context()
			if c, ok := account.(transports.Connector); ok {
				_, err := c.Check(ctx)
				for _, err := range []error{err, c.Connect(ctx, "https://parley.example/hook"), c.Connect(ctx, "")} {
					if err == nil {
						t.Error("no error of Connect or Check")
					}
					h.redacted(t, err)
				}
			}
			if p, ok := account.(transports.Poller); ok {
				err := p.Poll(ctx, "", func(context.Context, []events.Inbound, string) error { return nil })
				if err == nil {
					t.Error("no error of Poll")
				}
				h.redacted(t, err)
			}
			if m, ok := account.(transports.MediaOpener); ok {
				media, err := m.OpenMedia(ctx, "ref")
				if err == nil {
					_ = media.Close()
					t.Error("no error of OpenMedia")
				}
				h.redacted(t, err)
			}
			if s, ok := account.(transports.Sender); ok {
				for _, part := range h.parts(account.Capabilities()) {
					_, err := s.Send(ctx, part)
					h.sendError(t, err)
				}
			}
		})
	}
}
