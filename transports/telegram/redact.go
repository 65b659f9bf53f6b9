package telegram

import (
	"strings"

	"parley/transports"
)

// newRedactor knows the token (and its secret half, for URLs may escape the
// colon), the webhook's secret and its path.
func newRedactor(token, secret, path string) transports.Redactor {
	r := transports.NewRedactor("telegram ", token, secret, path)
	// A half too short to be anything but made up would only mangle words.
	if _, half, ok := strings.Cut(token, ":"); ok && len(half) >= 8 {
		r = r.With(half)
	}
	return r
}
