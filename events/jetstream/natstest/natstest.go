// Package natstest starts real NATS for tests: in process, on disk in the
// test's temporary directory, with every write fsynced as in production.
package natstest

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"parley/events/jetstream"
)

// patience bounds waits that only a defect makes long.
const patience = 30 * time.Second

// Start opens a bus on an embedded server; both end with the test. Each adjust
// may change the options first.
func Start(t testing.TB, adjust ...func(*jetstream.Options)) *jetstream.Bus {
	t.Helper()
	return Serve(t).Embedded(t, adjust...)
}

// Server is a NATS server that a test can stop and start again on the same
// store and port.
type Server struct {
	dir      string
	port     int
	embedded *jetstream.Embedded
}

// Serve starts a server that ends with the test.
func Serve(t testing.TB) *Server {
	t.Helper()
	s := &Server{dir: t.TempDir()}
	s.Start(t)
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// Start starts a stopped server.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	e, err := jetstream.Embed(ctx, jetstream.EmbedOptions{DataDir: s.dir, Port: s.port})
	if err != nil {
		t.Fatalf("start NATS: %v", err)
	}
	s.embedded = e
	u, err := url.Parse(e.Credentials().URL)
	if err != nil {
		t.Fatal(err)
	}
	if s.port, err = strconv.Atoi(u.Port()); err != nil {
		t.Fatal(err)
	}
}

// Stop stops the server and waits for it; stopping it again does nothing.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if s.embedded == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.embedded.Shutdown(ctx); err != nil {
		t.Errorf("stop NATS: %v", err)
	}
	s.embedded = nil
}

// URL is how to reach the server over TCP, credentials included.
func (s *Server) URL() string {
	c := s.embedded.Credentials()
	u, err := url.Parse(c.URL)
	if err != nil {
		panic(err) // we made it
	}
	u.User = url.UserPassword(c.User, c.Password)
	return u.String()
}

// Embedded opens a bus inside the server's process. It does not outlive a Stop.
func (s *Server) Embedded(t testing.TB, adjust ...func(*jetstream.Options)) *jetstream.Bus {
	t.Helper()
	return open(t, jetstream.Options{Embedded: s.embedded, Partitions: 4}, adjust)
}

// Dial opens a bus over TCP, as to an external server. It survives a Stop and
// Start of the server.
func (s *Server) Dial(t testing.TB, adjust ...func(*jetstream.Options)) *jetstream.Bus {
	t.Helper()
	return open(t, jetstream.Options{URL: s.URL(), Partitions: 4}, adjust)
}

// Replace deletes the stream of a partition and makes it anew, empty, as nobody
// should.
func (s *Server) Replace(t testing.TB, partition int) {
	t.Helper()
	conn, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := natsjs.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := js.Stream(ctx, fmt.Sprintf("PARLEY_IN_%02d", partition))
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	if err := js.DeleteStream(ctx, cfg.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, o jetstream.Options, adjust []func(*jetstream.Options)) *jetstream.Bus {
	t.Helper()
	o.MaxBytes = 64 << 20
	for _, f := range adjust {
		f(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := jetstream.Open(ctx, o)
	if err != nil {
		t.Fatalf("open bus: %v", err)
	}
	t.Cleanup(b.Close)
	return b
}
