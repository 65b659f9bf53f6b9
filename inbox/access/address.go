package access

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"parley/inbox"
)

// Proxies are the networks of the proxies in front of the API. What they say of
// where a request came from is believed, and nobody else's word is.
type Proxies []netip.Prefix

// ParseProxies reads networks and addresses with commas between them, such as
// 10.0.0.0/8,192.0.2.7.
func ParseProxies(text string) (Proxies, error) {
	var list Proxies
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if ip, err := netip.ParseAddr(part); err == nil {
			list = append(list, netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()))
			continue
		}
		net, err := netip.ParsePrefix(part)
		if err != nil || net.Addr().Is4In6() {
			return nil, &inbox.Error{
				Code: inbox.Invalid, Message: fmt.Sprintf("%q is no network of a proxy.", part), Hint: "It looks like 10.0.0.0/8 or 192.0.2.7.",
			}
		}
		list = append(list, net.Masked())
	}
	return list, nil
}

func (p Proxies) trusts(ip netip.Addr) bool {
	for _, net := range p {
		if net.Contains(ip) {
			return true
		}
	}
	return false
}

// Client is the address that a request comes from: the peer's, or where the peer
// is one of the proxies, the last in X-Forwarded-For, or Forwarded (RFC 7239),
// that is none of them. What stands further left could be anybody's invention.
// With both headers nobody knows which one the proxy wrote, so neither counts.
func (p Proxies) Client(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	at, err := netip.ParseAddr(host)
	if err != nil {
		return host // a Unix socket's
	}
	at = at.Unmap().WithZone("")
	if !p.trusts(at) {
		return at.String()
	}
	chain := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	if forwarded := r.Header.Values("Forwarded"); len(forwarded) > 0 {
		if r.Header.Get("X-Forwarded-For") != "" {
			return at.String()
		}
		chain = forwardedFor(strings.Join(forwarded, ","))
	}
	for i := len(chain) - 1; i >= 0 && p.trusts(at); i-- {
		ip, ok := hop(chain[i])
		if !ok {
			break // it does not say: the last proxy that is known counts
		}
		at = ip
	}
	return at.String()
}

// forwardedFor are the for= of each hop, empty where a hop has none or is not to
// be read.
func forwardedFor(text string) []string {
	var chain []string
	for element := range strings.SplitSeq(text, ",") {
		node := ""
		for pair := range strings.SplitSeq(element, ";") {
			if name, value, _ := strings.Cut(strings.TrimSpace(pair), "="); strings.EqualFold(name, "for") {
				node = strings.Trim(value, `"`)
			}
		}
		chain = append(chain, node)
	}
	return chain
}

// hop reads an address, with or without a port and brackets.
func hop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		ip = withPort.Addr()
	}
	return ip.Unmap().WithZone(""), true
}
