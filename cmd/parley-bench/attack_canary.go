package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// canaryKinds are the kinds whose success is that somebody came to their canary.
func canaryKinds() []string {
	return []string{kindMedia, kindRedirect, kindChannel, kindMailServer, kindWebhook, kindRebind}
}

// canary is a service on loopback that nobody outside may reach, such as a
// database's or a cloud's metadata: for each kind on a port of its own.
type canary map[string]*perch

// perch counts who connects, whatever they say.
type perch struct {
	net.Listener
	server *http.Server
	port   string
	came   atomic.Int64
}

// Accept lets everybody in, and counts them.
func (p *perch) Accept() (net.Conn, error) {
	conn, err := p.Listener.Accept()
	if err == nil {
		p.came.Add(1)
	}
	return conn, err
}

func startCanary(ctx context.Context) (canary, error) {
	all := canary{}
	for _, kind := range canaryKinds() {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", ":0") // on IPv6, too
		if err != nil {
			return all, errors.Join(err, all.close())
		}
		p := &perch{Listener: l}
		all[kind] = p
		if _, p.port, err = net.SplitHostPort(l.Addr().String()); err != nil {
			return all, errors.Join(err, all.close())
		}
		p.server = &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write([]byte("the secret"))
		})}
		go func() { _ = p.server.Serve(p) }() // until close
	}
	return all, nil
}

func (c canary) close() error {
	var errs []error
	for _, p := range c {
		if p.server != nil {
			errs = append(errs, p.server.Close())
		}
	}
	return errors.Join(errs...)
}

// hits are how often a kind's canary was reached; zero for a kind without one.
func (c canary) hits(kind string) int64 {
	if p := c[kind]; p != nil {
		return p.came.Load()
	}
	return 0
}

// hosts are ways to write where the canary is, with its port: by name, by names
// that resolve to it, by numbers in other bases, by mapped and scoped addresses.
func (c canary) hosts(kind string) (list []string) {
	for _, host := range []string{
		"127.0.0.1", "localhost", "LOCALHOST.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "127.1", "2130706433",
		"0x7f000001", "0177.0.0.1", "127.0.0.1.", "ip6-localhost", "0.0.0.0", "[::]", "0", "①②⑦.⓪.⓪.①",
	} {
		list = append(list, host+":"+c[kind].port)
	}
	return list
}

// places are URLs there, and some that lie about where they lead.
func (c canary) places(kind string) (list []string) {
	hosts := c.hosts(kind)
	for _, liar := range []string{"user@127.0.0.1", "api.twilio.com@127.0.0.1", "127.0.0.1#api.twilio.com", `api.twilio.com\@127.0.0.1`, "127.0.0.1%2eapi.twilio.com"} {
		hosts = append(hosts, liar+":"+c[kind].port)
	}
	for _, host := range hosts {
		list = append(list, "http://"+host+"/secret", "https://"+host+"/secret")
	}
	return list
}
