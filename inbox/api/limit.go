package api

import (
	"crypto/sha256"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"parley/inbox"
	"parley/inbox/access"
)

// tooFastFor counts a request of somebody known, as their token's or as their
// user's, and answers it when it is one too many.
func tooFastFor(w http.ResponseWriter, limits *access.Limits, p access.Principal) bool {
	if p.Tenant == "" {
		return false // of nobody known: their address counts
	}
	if p.Kind == inbox.TokenUser {
		return tooFast(w, limits.Token, sha256.Sum256([]byte("token\x00"+p.ID)))
	}
	return tooFast(w, limits.User, sha256.Sum256(fmt.Appendf(nil, "user\x00%s\x00%d", p.Tenant, p.User)))
}

// tooFast counts a request, says what is left, and answers it with 429 when it is
// one too many.
func tooFast(w http.ResponseWriter, l *access.Limiter, key [32]byte) bool {
	a := l.Take(key)
	policy, now := a.Headers()
	header := w.Header()
	header.Set("RateLimit-Policy", policy)
	header.Set("RateLimit", now)
	if a.OK {
		return false
	}
	header.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(a.Wait.Seconds())))))
	p := problem(http.StatusTooManyRequests, "There were too many requests in a short time.", "Wait as long as Retry-After says, and send fewer at once.")
	p.Code = inbox.Refused
	writeProblem(w, p)
	return true
}
