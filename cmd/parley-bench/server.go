package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// server is a `parley serve` in a process of its own.
type server struct {
	*process
	listen string
	// how it was started, to start it again
	dir, name string
	env       []string
	program   string
	args      []string
}

// serverOptions are what measurements start it with besides; empty fields mean
// the program's own defaults.
type serverOptions struct {
	// nats is an external NATS's URL.
	nats string
	// public is where providers reach it.
	public string
	roles  string
	// blobs is the URL of the store of files.
	blobs string
	// database is where it finds PostgreSQL, if not where it is.
	database string
	// env is further environment.
	env []string
	// api is where people and programs reach it; nobody does when it is empty.
	api string
}

// startServer starts the program on the run's database and waits until it is
// ready and knows the bot.
func startServer(ctx context.Context, dir, name string, s settings, c *cluster, b bot, o serverOptions) (*server, error) {
	listen, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	if o.public == "" {
		o.public = "http://" + listen
	}
	data, err := sub(dir, name)
	if err != nil {
		return nil, err
	}
	srv := &server{
		listen: listen, dir: dir, name: name, program: s.parley,
		env: append([]string{"PARLEY_SECRET_KEY=" + b.key}, o.env...),
		args: []string{
			"serve", "--data-dir", data, "--listen", listen, "--api-listen", o.api, "--public-url", o.public, "--database-url", cmp.Or(o.database, c.server.URL()),
		},
	}
	if o.nats != "" {
		// Its password is not for everybody who lists processes.
		srv.env = append(srv.env, "PARLEY_NATS_URL="+o.nats)
	}
	if o.blobs != "" {
		srv.args = append(srv.args, "--blob-url", o.blobs)
	}
	if o.roles != "" {
		srv.args = append(srv.args, "--roles", o.roles)
	}
	srv.args = append(srv.args, strings.Fields(s.serve)...)
	if err := srv.start(); err != nil {
		return nil, err
	}
	if err := srv.ready(ctx, b); err != nil {
		srv.kill()
		return nil, err
	}
	return srv, nil
}

// start starts the process, again after it ended.
func (s *server) start() (err error) {
	s.process, err = start(s.dir, s.name, s.env, s.program, s.args...)
	return err
}

// ready waits until everything runs and, if it is a gateway, webhooks are taken.
func (s *server) ready(ctx context.Context, b bot) error {
	gateway := !strings.Contains(strings.Join(s.args, " "), "--roles") || strings.Contains(strings.Join(s.args, " "), "gateway")
	return until(ctx, time.Minute, s.name+" to be ready", func() (bool, error) {
		if !s.running() {
			return false, s.ended()
		}
		code, text, err := ask(ctx, http.MethodGet, "http://"+s.listen+"/readyz")
		if err != nil || code != http.StatusOK {
			return false, errors.Join(err, fmt.Errorf("readyz: %d %s", code, text))
		}
		if !gateway {
			return true, nil
		}
		// Whoever refuses a forged message knows the channel.
		code, text, err = ask(ctx, http.MethodPost, s.webhook(b))
		if err != nil || code != http.StatusForbidden {
			return false, errors.Join(err, fmt.Errorf("a forged webhook: %d %s", code, text))
		}
		return true, nil
	})
}

func (s *server) webhook(b bot) string {
	return "http://" + s.listen + "/webhook/" + b.channel.WebhookPath
}

// health is nil while the process runs.
func (s *server) health() error {
	if s.running() {
		return nil
	}
	return s.ended()
}

// ask makes one request.
func ask(ctx context.Context, method, url string) (code int, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, strings.TrimSpace(string(body)), err
}

// freeAddr is a loopback address that nobody listens on right now.
func freeAddr(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
