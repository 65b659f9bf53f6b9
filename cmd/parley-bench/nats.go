package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"parley/events/jetstream"
)

// natsCommand is a NATS of its own, as safe as the embedded one, until it is told
// to end.
func natsCommand(ctx context.Context, args []string, _ io.Writer) error {
	f := flag.NewFlagSet("parley-bench nats", flag.ContinueOnError)
	dir := f.String("dir", "", "the folder of its store")
	port := f.Int("port", 0, "on the loopback")
	if err := f.Parse(args); err != nil {
		return err
	}
	srv, err := jetstream.Embed(ctx, jetstream.EmbedOptions{
		DataDir: *dir, Port: *port, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return srv.Shutdown(ctx)
}

// natsServer is that process.
type natsServer struct {
	*process
	dir, store string
	port       int
	url        string
}

func startNATS(ctx context.Context, dir string) (*natsServer, error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n := &natsServer{dir: dir}
	if n.port, err = strconv.Atoi(port); err != nil {
		return nil, err
	}
	if n.store, err = sub(dir, "nats"); err != nil {
		return nil, err
	}
	if err := n.start(ctx); err != nil {
		return nil, err
	}
	return n, nil
}

// start starts it, again after it ended, on the same port and store, and waits
// until it serves.
func (n *natsServer) start(ctx context.Context) (err error) {
	n.process, err = startSelf(n.dir, "nats", "nats", "-dir", n.store, "-port", strconv.Itoa(n.port))
	if err != nil {
		return err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port))
	return until(ctx, time.Minute, "NATS", func() (bool, error) {
		if !n.running() {
			return false, n.ended()
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return false, err
		}
		_ = conn.Close()
		// It listens before it has written how to log in.
		n.url, err = natsURL(n.store, addr)
		return err == nil, err
	})
}

// natsURL reads the credentials that an embedded server leaves for other
// programs, as its package says.
func natsURL(store, addr string) (string, error) {
	text, err := os.ReadFile(filepath.Join(store, "nats.json")) //nolint:gosec // a file of ours
	if err != nil {
		return "", err
	}
	var c jetstream.Credentials
	if err := json.Unmarshal(text, &c); err != nil {
		return "", err
	}
	u := url.URL{Scheme: "nats", Host: addr, User: url.UserPassword(c.User, c.Password)}
	return u.String(), nil
}
