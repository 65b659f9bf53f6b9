package transports_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"parley/transports"
)

func TestPublic(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"149.154.167.220": true, "1.1.1.1": true, "2606:4700::1111": true, "::ffff:1.1.1.1": true,
		"127.0.0.1": false, "127.8.8.8": false, "0.0.0.0": false, "0.1.2.3": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "100.100.100.200": false, "192.88.99.1": false, "198.18.0.1": false, "224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false,
		"::1": false, "::": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "::127.0.0.1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001:0:7f00:1::": false, "fec0::1": false,
	} {
		if got := transports.Public(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is public: %v, want %v", address, got, want)
		}
	}
	if transports.Public(netip.Addr{}) {
		t.Error("no address is a public one")
	}
}

// Whatever a server inside is called, and whoever redirects there: it is not asked.
// A name that meant a public address when it was looked at, and means one inside
// when it is dialled.
func TestPublicDialerAndNamesThatChange(t *testing.T) {
	t.Parallel()
	answers := [][4]byte{{1, 1, 1, 1}, {127, 0, 0, 1}, {169, 254, 169, 254}}
	var asked atomic.Int64
	names, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = names.Close() }()
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := names.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil {
				continue
			}
			m.Response = true
			m.Additionals = nil
			q := m.Questions[0]
			if q.Type == dnsmessage.TypeA {
				to := answers[min(int(asked.Add(1))-1, len(answers)-1)]
				m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: to}}}
			}
			if out, err := m.Pack(); err == nil {
				_, _ = names.WriteTo(out, from)
			}
		}
	}()
	dialer := transports.PublicDialer()
	dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", names.LocalAddr().String())
	}}
	// Nobody outside is called by a test.
	errLetPast := errors.New("it would be called")
	guard := dialer.Control
	dialer.Control = func(network, address string, c syscall.RawConn) error {
		if err := guard(network, address, c); err != nil {
			return err
		}
		return errLetPast
	}
	for i, want := range []error{errLetPast, transports.ErrNotPublic, transports.ErrNotPublic} {
		conn, err := dialer.DialContext(t.Context(), "tcp", "hook.example.com.:443")
		if err == nil {
			_ = conn.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("dialled for the %d. time: %v, want %v", i+1, err, want)
		}
	}
	if asked.Load() != 3 {
		t.Errorf("the name was looked up %d times", asked.Load())
	}
}

func TestPublicClient(t *testing.T) {
	t.Parallel()
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }))
	defer inside.Close()
	port := inside.URL[strings.LastIndex(inside.URL, ":"):]
	client := transports.PublicClient(inside.Client())
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+port, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		if !errors.Is(err, transports.ErrNotPublic) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if client.Timeout != inside.Client().Timeout || inside.Client().Transport == client.Transport {
		t.Error("the other client changed")
	}
}
