package access

import (
	"net/http"
	"time"
)

// cookieName is the session's cookie. Over https the browser itself keeps other
// hosts and plain http from setting it (RFC 6265bis, section 4.1.3.2).
const (
	cookieName       = "parley"
	secureCookieName = "__Host-parley"
)

// CookieName is what a session's cookie is called where people come by https or
// by plain http.
func CookieName(https bool) string {
	if https {
		return secureCookieName
	}
	return cookieName
}

// SessionCookie is a session's cookie; an empty value ends it.
func SessionCookie(value string, https bool) *http.Cookie {
	c := &http.Cookie{ //nolint:gosec // Secure wherever people come by https; on loopback a browser would drop it
		Name: CookieName(https), Value: value, Path: "/", HttpOnly: true, Secure: https, SameSite: http.SameSiteLaxMode,
		MaxAge: int(SessionLife / time.Second),
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}
