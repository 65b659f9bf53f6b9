package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"parley/transports/sandbox"
)

// faultyServers is how many parleys share the work, all roles each.
const faultyServers = 3

// inboundOrdeal is one run of the inbound faults.
type inboundOrdeal struct {
	settings
	dir      string
	report   *report
	db       *cluster
	bot      bot
	nats     *natsServer
	front    *front
	telegram *sandbox.Telegram
	ordeal   *ordeal
	ledger   *inboundLedger
}

func faultsInbound(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parseSettings("faults inbound", args)
	if err != nil {
		return err
	}
	dir, remove, err := workFolder(s)
	if err != nil {
		return err
	}
	defer remove()
	r, err := newReport(s, "faults-inbound", out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	o := &inboundOrdeal{settings: s, dir: dir, report: r, ledger: newInboundLedger()}
	return o.run(ctx)
}

func (o *inboundOrdeal) run(ctx context.Context) (err error) {
	if o.db, err = newCluster(ctx, o.dir, o.settings); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.db.close()) }()
	if o.nats, err = startNATS(ctx, o.dir); err != nil {
		return err
	}
	defer func() { o.nats.stop() }()
	if o.front, err = startFront(ctx); err != nil {
		return err
	}
	defer o.front.close()
	o.telegram, err = sandbox.NewTelegram(sandbox.TelegramOptions{
		Seed: o.seed, WebhookRetry: 100 * time.Millisecond, HTTPClient: providerClient(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.telegram.Close()) }()
	api, err := o.telegram.Start(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	if o.bot, err = o.db.addBot(ctx, sandbox.DefaultTelegramToken, api); err != nil {
		return err
	}
	o.ordeal = &ordeal{dice: rand.New(rand.NewPCG(o.seed, 1)), db: o.db, nats: o.nats, frozenFor: routerFrozenFor} //nolint:gosec // faults are to repeat
	defer o.stopServers()
	for i := range faultyServers {
		s, err := startServer(ctx, o.dir, fmt.Sprintf("parley-%d", i+1), o.settings, o.db, o.bot, serverOptions{nats: o.nats.url, public: o.front.url})
		if err != nil {
			return err
		}
		o.ordeal.servers = append(o.ordeal.servers, s)
		o.front.add(s.listen)
	}
	o.report.say("# Faults, inbound\n")
	o.report.machine(ctx, o.db)
	if err := o.endure(ctx); err != nil {
		return err
	}
	if err := o.judge(ctx); err != nil {
		return err
	}
	return o.temper(ctx)
}

// providerClient delivers webhooks with less patience than Telegram has, which
// makes for more that is delivered twice.
func providerClient() *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 400}}
}

func (o *inboundOrdeal) stopServers() {
	for _, s := range o.ordeal.servers {
		s.stop()
	}
}

// endure lets clients write while things break, then waits until everything has
// settled.
func (o *inboundOrdeal) endure(ctx context.Context) error {
	over := make(chan struct{})
	w := newWriters(o.telegram, rand.New(rand.NewPCG(o.seed, 2))) //nolint:gosec // what is written is to repeat
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := both(func() error {
		defer close(over)
		if err := w.write(ctx, o.messages, o.rate); err != nil {
			return err
		}
		return o.accepted(ctx)
	}, func() error {
		err := o.ordeal.run(ctx, []string{faultKill, faultFreeze, faultPostgres, faultNATS}, over)
		if err != nil {
			cancel() // nobody needs what is still to be written
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := o.ordeal.revive(); err != nil {
		return err
	}
	return o.quiet(ctx)
}

// accepted waits until every message has its 2xx.
func (o *inboundOrdeal) accepted(ctx context.Context) error {
	return until(ctx, 3*time.Minute, "every message to be accepted", func() (bool, error) {
		if err := o.ledger.read(o.telegram); err != nil {
			return false, err
		}
		if n := o.ledger.open(); n > 0 {
			return false, fmt.Errorf("%d are not", n)
		}
		return true, nil
	})
}

// quiet waits until nothing is on its way.
func (o *inboundOrdeal) quiet(ctx context.Context) error {
	return o.ordeal.quiet(ctx, o.ordeal.servers[0])
}
