package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/net/dns/dnsmessage"

	"parley/transports"
)

// rebinding is an attacker's name server: the first answer for each name is a public
// address, every later one where the canary is.
type rebinding struct {
	conn net.PacketConn
	// later counts answers after the first: without any, nothing was tried.
	later atomic.Int64
	mu    sync.Mutex
	asked map[dnsmessage.Question]int
}

func startRebinding(ctx context.Context) (*rebinding, error) {
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &rebinding{conn: conn, asked: map[dnsmessage.Question]int{}}
	go b.serve() // until close
	return b, nil
}

func (b *rebinding) close() error { return b.conn.Close() }

func (b *rebinding) serve() {
	buf := make([]byte, 1232) // https://www.dnsflagday.net/2020/
	for {
		n, from, err := b.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response, m.Additionals, m.Answers = true, nil, b.answers(m.Questions[0])
		if out, err := m.Pack(); err == nil {
			_, _ = b.conn.WriteTo(out, from)
		}
	}
}

// answers of the second kind are all of this machine: whoever listens on each of its
// addresses is the canary.
func (b *rebinding) answers(q dnsmessage.Question) []dnsmessage.Resource {
	b.mu.Lock()
	n := b.asked[q]
	b.asked[q]++
	b.mu.Unlock()
	v4 := []string{"127.0.0.1", "127.8.8.8", "0.0.0.0"}
	v6 := []string{"::1", "::ffff:127.0.0.1", "::"}
	if n == 0 {
		v4, v6 = []string{"1.1.1.1"}, []string{"2606:4700::1111"} // looked at, never dialled
	} else {
		b.later.Add(1)
	}
	head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class} // to be kept for 0 s
	var list []dnsmessage.Resource
	switch q.Type {
	case dnsmessage.TypeA:
		for _, ip := range v4 {
			list = append(list, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: netip.MustParseAddr(ip).As4()}})
		}
	case dnsmessage.TypeAAAA:
		for _, ip := range v6 {
			list = append(list, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(ip).As16()}})
		}
	default:
	}
	return list
}

// resolver asks this name server only.
func (b *rebinding) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", b.conn.LocalAddr().String())
	}}
}

// rebind gives a name that is public when it is looked at, and inside when it is
// dialled, to the guard that calls of webhooks and guarded channels go through: in
// this process, because the server's own takes the machine's name servers.
func (w *attackWorld) rebind(ctx context.Context, n int, a *attempts) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	name := fmt.Sprintf("r%d.rebind.example.", n)
	found, err := w.names.resolver().LookupNetIP(ctx, "ip", name)
	if err != nil {
		return err
	}
	for _, ip := range found {
		if !transports.Public(ip) {
			return fmt.Errorf("%s is %s when it is looked at, so nobody would call it", name, ip)
		}
	}
	dialer := w.guard()
	dialer.Resolver = w.names.resolver()
	client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+name+":"+w.canary[kindRebind].port+"/secret", nil) //nolint:gosec // that is what is tried
	if err != nil {
		return err
	}
	res, err := client.Do(req) //nolint:gosec // likewise
	if err != nil {
		a.tell(false, 0, err.Error())
		return nil
	}
	a.tell(false, res.StatusCode, name) // the canary counts it
	return res.Body.Close()
}
