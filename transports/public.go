package transports

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrNotPublic is why a guarded connection was not made.
var ErrNotPublic = errors.New("the address is not a public one")

// notPublic are networks that no public service is in, beside those that netip
// knows (https://www.iana.org/assignments/iana-ipv4-special-registry,
// https://www.iana.org/assignments/iana-ipv6-special-registry). Those that wrap an
// IPv4 address are among them: they could wrap any.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
}

// Public reports whether an address is one of the public internet's.
func Public(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Zone() != "" {
		return false
	}
	for _, net := range notPublic {
		if net.Contains(ip) {
			return false
		}
	}
	return true
}

// PublicDialer connects to public addresses only. It looks at the address that is
// about to be connected to, so that no name, redirect or second answer of a name
// server leads elsewhere.
func PublicDialer() *net.Dialer {
	return &net.Dialer{
		Timeout: 10 * time.Second, KeepAlive: 30 * time.Second,
		Control: func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || !Public(to.Addr()) {
				return fmt.Errorf("%w: %s", ErrNotPublic, address)
			}
			return nil
		},
	}
}

// PublicClient is a client like another that connects to public addresses only,
// and not through a proxy, which could reach others.
func PublicClient(like *http.Client) *http.Client {
	var t *http.Transport
	if like == nil {
		like = &http.Client{}
	}
	if own, ok := like.Transport.(*http.Transport); ok {
		t = own.Clone()
	} else {
		t = &http.Transport{TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second, ForceAttemptHTTP2: true}
	}
	t.Proxy, t.DialContext, t.DialTLSContext = nil, PublicDialer().DialContext, nil
	guarded := *like
	guarded.Transport = t
	return &guarded
}
