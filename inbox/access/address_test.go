package access_test

import (
	"net/http"
	"net/netip"
	"testing"

	"parley/inbox"
	"parley/inbox/access"
)

func TestClientBehindProxies(t *testing.T) {
	t.Parallel()
	proxies, err := access.ParseProxies(" 10.0.0.0/8, 192.0.2.7,2001:db8::/32 ")
	if err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		peer, xff, forwarded, want string
	}{
		{"203.0.113.9:1", "1.2.3.4", "", "203.0.113.9"}, // no proxy of ours: not believed
		{"203.0.113.9:1", "", "for=1.2.3.4", "203.0.113.9"},
		{"10.1.1.1:1", "", "", "10.1.1.1"},
		{"10.1.1.1:1", "203.0.113.9", "", "203.0.113.9"},
		{"10.1.1.1:1", "1.2.3.4, 203.0.113.9", "", "203.0.113.9"}, // what the client made up
		{"10.1.1.1:1", "203.0.113.9, 192.0.2.7, 10.2.2.2", "", "203.0.113.9"},
		{"10.1.1.1:1", "10.3.3.3, 10.2.2.2", "", "10.3.3.3"},
		{"10.1.1.1:1", "203.0.113.9, nonsense", "", "10.1.1.1"},
		{"10.1.1.1:1", "203.0.113.9, nonsense, 10.2.2.2", "", "10.2.2.2"},
		{"10.1.1.1:1", "203.0.113.9:4711", "", "203.0.113.9"},
		{"[::ffff:10.1.1.1]:1", "[2001:db9::1]:443", "", "2001:db9::1"},
		{"10.1.1.1:1", "", `for=1.2.3.4, for="[2001:db9::1]:80";proto=https, for=10.2.2.2`, "2001:db9::1"},
		{"10.1.1.1:1", "", "for=unknown", "10.1.1.1"},
		{"10.1.1.1:1", "", "proto=https", "10.1.1.1"},
		{"10.1.1.1:1", "203.0.113.9", "for=1.2.3.4", "10.1.1.1"}, // which one did the proxy write?
		{"@", "203.0.113.9", "", "@"},
	} {
		r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{}}
		if tt.xff != "" {
			r.Header.Set("X-Forwarded-For", tt.xff)
		}
		if tt.forwarded != "" {
			r.Header.Set("Forwarded", tt.forwarded)
		}
		if got := proxies.Client(r); got != tt.want {
			t.Errorf("%d: %s, want %s", i, got, tt.want)
		}
		if got := access.Proxies(nil).Client(r); got == "203.0.113.9" && tt.peer[0] != '2' {
			t.Errorf("%d: without proxies %s", i, got)
		}
	}
	for _, bad := range []string{"x", "10.0.0.0/33", "10.0.0.1,,y", "::ffff:10.0.0.0/100"} {
		if _, err := access.ParseProxies(bad); inbox.CodeOf(err) != inbox.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzClientBehindProxies(f *testing.F) {
	proxies, err := access.ParseProxies("10.0.0.0/8")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("1.2.3.4, 10.0.0.1", "")
	f.Add("", `for="[2001:db8::1]:80";by=x, for=_hidden`)
	f.Fuzz(func(t *testing.T, xff, forwarded string) {
		r := &http.Request{RemoteAddr: "10.1.1.1:1", Header: http.Header{"X-Forwarded-For": {xff}, "Forwarded": {forwarded}}}
		if forwarded == "" {
			r.Header.Del("Forwarded")
		}
		if got := proxies.Client(r); !netip.MustParseAddr(got).IsValid() {
			t.Error(got)
		}
	})
}
