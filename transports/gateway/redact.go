package gateway

import (
	"net/url"
	"strings"

	"parley/events"
	"parley/transports"
)

// redactor takes a channel's secrets and its opaque path out of words that
// others wrote: errors of adapters and SDKs, which like to quote the URL.
type redactor struct{ transports.Redactor }

// shortestSecret is the length in bytes below which a value is not worth hiding
// and would only tear holes into sentences ("1", "eu").
const shortestSecret = 6

// newRedactor hides every secret in the forms in which it gets into text: plain,
// URL-escaped as path and as query, and the halves of "id:secret" tokens.
func newRedactor(ch events.Channel, secrets map[string]string) *redactor {
	var hide []string
	add := func(s string) {
		if len(s) < shortestSecret {
			return
		}
		hide = append(hide, s, url.PathEscape(s), url.QueryEscape(s))
	}
	add(ch.WebhookPath)
	for _, s := range secrets {
		add(s)
		if _, after, ok := strings.Cut(s, ":"); ok {
			add(after)
		}
	}
	return &redactor{transports.NewRedactor("", hide...)}
}

// words is what err says, without secrets and cut to a length people read.
func (r *redactor) words(err error) string {
	return cut(r.Words(err.Error()), longestWords)
}

// longestWords is how many bytes of somebody else's error are kept.
const longestWords = 500

// cut shortens s to at most n bytes of valid UTF-8.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
