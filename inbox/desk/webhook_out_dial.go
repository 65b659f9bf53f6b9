package desk

import (
	"net"
	"net/http"
	"time"

	"parley/transports"
)

// webhookTimeout is how long one call may take; the scheme suggests 15 to 30 s.
const webhookTimeout = 20 * time.Second

// webhookClient calls what a tenant asks for, and neither follows redirects nor uses
// a proxy. The address is judged when it is dialled, so that no name that means
// something else by then gets past.
func webhookClient(allowPrivate bool) *http.Client {
	dialer := transports.PublicDialer()
	if allowPrivate {
		dialer = &net.Dialer{Timeout: dialer.Timeout}
	}
	return &http.Client{
		Timeout: webhookTimeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: webhooksEach, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
