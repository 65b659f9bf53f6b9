package twilio

import (
	"encoding/base64"

	"parley/transports"
)

// newRedactor knows the auth tokens, plain and as they travel, and the webhook's
// path, which is part of the status callback's URL.
func newRedactor(accountSID string, tokens []string, path string) transports.Redactor {
	r := transports.NewRedactor("twilio: ", path)
	for _, token := range tokens {
		r = r.With(token, base64.StdEncoding.EncodeToString([]byte(accountSID+":"+token)))
	}
	return r
}
