package twilio

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what Twilio signs with
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"slices"
)

// signed reports whether a request was signed with one of the auth tokens, over
// the URL that Twilio was told and the query it was called with
// (https://www.twilio.com/docs/usage/webhooks/webhooks-security). Without a public
// URL nothing can be.
//
// It does what the SDK's RequestValidator does, but in time that grows with the
// body only: that one copies all parameters once for each of them, which whoever
// forges a request could make last for minutes.
func (n *Number) signed(r *http.Request, body []byte) bool {
	given := r.Header.Values(signatureHeader)
	if n.webhook == "" || len(given) != 1 || given[0] == "" {
		return false
	}
	called := n.webhook
	if r.URL.RawQuery != "" {
		called += "?" + r.URL.RawQuery
	}
	var params []string
	if digest := r.URL.Query().Get("bodySHA256"); digest != "" {
		sum := sha256.Sum256(body)
		if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(digest)) != 1 {
			return false
		}
	} else {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return false
		}
		params = signedParams(form)
	}
	ok := false
	for _, token := range n.tokens {
		// Twilio is of two minds about a default port, and so every form is tried,
		// and every token, for the time to tell nothing.
		for _, form := range withPorts(called) {
			want := signature(token, form, params)
			ok = subtle.ConstantTimeCompare([]byte(want), []byte(given[0])) == 1 || ok
		}
	}
	return ok
}

// signedParams are the parameters in the order they are signed in: name, value,
// name, value.
func signedParams(form url.Values) []string {
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	params := make([]string, 0, 2*len(names))
	for _, name := range names {
		params = append(params, name, form[name][0])
	}
	return params
}

func signature(token, called string, params []string) string {
	mac := hmac.New(sha1.New, []byte(token))
	_, _ = io.WriteString(mac, called) // never fails
	for _, one := range params {
		_, _ = io.WriteString(mac, one)
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// withPorts are a URL as it is, and with its scheme's default port added or taken
// away.
func withPorts(called string) []string {
	u, err := url.Parse(called)
	if err != nil {
		return []string{called}
	}
	other := *u
	standard := map[string]string{"https": "443", "http": "80"}[u.Scheme]
	switch u.Port() {
	case "":
		other.Host = u.Host + ":" + standard
	case standard:
		other.Host = u.Host[:len(u.Host)-len(":"+standard)]
	default:
		return []string{called}
	}
	return []string{called, other.String()}
}
