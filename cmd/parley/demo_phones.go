package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"parley/transports/sandbox/phones"
)

// demoPhones is where the clients' phones are, if the port is free.
const demoPhones = "127.0.0.1:8082"

// startPhones serves the page that shows the clients' side.
func (d *demo) startPhones(ctx context.Context) (stop func(), err error) {
	h, err := phones.New(phones.Options{
		Telegram: d.telegram, Twilio: d.twilio, Mail: d.mail, Logger: d.cfg.Logger,
		Inbox: func() string {
			if at := d.inbox.Load(); at != nil {
				return *at
			}
			return ""
		},
	})
	if err != nil {
		return nil, fmt.Errorf("the clients' phones: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", demoPhones)
	if err != nil { // somebody else is there
		l, err = lc.Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("the clients' phones: %w", err)
	}
	d.cfg.Phones = "http://" + l.Addr().String()
	srv := &http.Server{Handler: h, ReadHeaderTimeout: readHeaderTimeout, BaseContext: func(net.Listener) context.Context { return ctx }}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	return func() {
		_ = srv.Close() // whoever looks is told nothing new any more
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) && d.cfg.Logger != nil {
			d.cfg.Logger.Warn("the clients' phones ended", "error", err)
		}
	}, nil
}
