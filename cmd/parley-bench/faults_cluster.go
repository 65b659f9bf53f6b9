package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"parley/events"
	"parley/transports/sandbox"
)

const (
	// clusterNodes are the NATS servers, crewEach the processes of each role.
	clusterNodes, crewEach = 3, 2
	// repliedPeople get a reply each second.
	repliedPeople = 40
	// polledToken is the bot that is polled, beside the one with a webhook.
	polledToken = "7000000002:SANDBOX-yyyyyyyyyyyyyyyyyyyyyyyyyyy"
	// Disks in memory, in MB.
	natsDisk, postgresDisk = 512, 3072
	// crewFlags make leases of sends as short as the others'.
	crewFlags = "--send-deadline 6s --partitions 4"
)

// member is a process with one role, and its own cables to everything.
type member struct {
	*server
	role     string
	nats     []*cable
	database *cable
}

// clusterOrdeal is one run of the cluster's faults.
type clusterOrdeal struct {
	settings
	dir      string
	report   *report
	db       *cluster
	bot      bot
	nats     *natsCluster
	front    *front
	telegram *sandbox.Telegram
	log      *standIn
	ordeal   *ordeal
	ledger   *inboundLedger
	crew     []*member
	// disks can be filled: one of each NATS server, then PostgreSQL's. There are
	// none where they may not be mounted.
	disks []*volume
	kinds []string
}

func faultsCluster(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parseSettings("faults cluster", args)
	if err != nil {
		return err
	}
	s.serve = strings.TrimSpace(crewFlags + " " + s.serve)
	dir, remove, err := workFolder(s)
	if err != nil {
		return err
	}
	defer remove()
	r, err := newReport(s, "faults-cluster", out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	o := &clusterOrdeal{settings: s, dir: dir, report: r, ledger: newInboundLedger()}
	r.say("# Faults, cluster\n")
	return o.run(ctx)
}

func (o *clusterOrdeal) run(ctx context.Context) (err error) {
	defer o.unmount()
	stores := o.mount()
	if o.db, err = newCluster(ctx, o.dir, o.settings); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.db.close()) }()
	if o.nats, err = startNATSCluster(ctx, o.dir, stores); err != nil {
		return err
	}
	defer o.nats.stop()
	if o.front, err = startFront(ctx); err != nil {
		return err
	}
	defer o.front.close()
	if err := o.connect(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.telegram.Close()) }()
	o.ordeal = &ordeal{dice: rand.New(rand.NewPCG(o.seed, 1)), db: o.db, rounds: o.rounds, more: map[string]func(context.Context, *strike) error{}} //nolint:gosec // faults are to repeat
	defer o.dismiss()
	for _, role := range []string{"api", "router", "dispatcher", "gateway"} { // gateways learn of channels from the api
		for i := range crewEach {
			env := fmt.Sprintf("PARLEY_NATS_REPLICAS=%d", clusterNodes)
			if err := o.hire(ctx, o.parley, role, fmt.Sprintf("%s-%d", role, i+1), env); err != nil {
				return err
			}
		}
	}
	if err := o.nats.whole(ctx); err != nil {
		return err
	}
	o.report.machine(ctx, o.db)
	o.report.say("%d NATS servers with %d replicas, one PostgreSQL; %d gateways, routers, dispatchers and APIs each, every one with cables of its own.",
		clusterNodes, clusterNodes, crewEach)
	o.plan()
	if err := o.endure(ctx); err != nil {
		return err
	}
	return o.judge(ctx)
}

// mount makes the disks that can be filled, and yields the NATS servers' folders.
func (o *clusterOrdeal) mount() (stores []string) {
	for i := range clusterNodes {
		stores = append(stores, filepath.Join(o.dir, fmt.Sprintf("store-%d", i+1)))
	}
	for i, path := range append(append([]string(nil), stores...), filepath.Join(o.dir, "postgres")) {
		size := natsDisk
		if i == clusterNodes {
			size = postgresDisk
		}
		v, err := newVolume(path, size)
		if err != nil {
			o.report.say("Full disks are left out, because small disks cannot be made here: %v.", err)
			o.unmount()
			o.disks = nil
			break
		}
		o.disks = append(o.disks, v)
	}
	return stores
}

func (o *clusterOrdeal) unmount() {
	for _, v := range o.disks {
		if err := v.close(); err != nil {
			o.report.breaks("a disk in memory stays mounted: %v", err)
		}
	}
}

// connect starts the provider, with one bot that gets webhooks and one that is polled.
func (o *clusterOrdeal) connect(ctx context.Context) (err error) {
	o.log = &standIn{entries: filepath.Join(o.dir, "telegram.jsonl")}
	o.telegram, err = sandbox.NewTelegram(sandbox.TelegramOptions{
		Seed: o.seed, WebhookRetry: 100 * time.Millisecond, HTTPClient: providerClient(), OpenChats: true, LogPath: o.log.entries,
		Bots: []sandbox.TelegramBot{{Token: sandbox.DefaultTelegramToken, Username: "hooked_bot"}, {Token: polledToken, Username: "polled_bot"}},
	})
	if err != nil {
		return err
	}
	api, err := o.telegram.Start(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	if o.bot, err = o.db.addBot(ctx, sandbox.DefaultTelegramToken, api); err != nil {
		return err
	}
	polled := o.bot.channel
	polled.ID, polled.Name, polled.Mode, polled.WebhookPath = "018f0000-0000-7000-8000-00000000b07b", "Polled", events.Polling, "polled-0123456789abcdef0123456789abcdef"
	if _, err := o.db.addChannel(ctx, o.bot.key, polled, map[string]string{"token": polledToken}); err != nil {
		return err
	}
	return o.db.preload(ctx, o.bot, repliedPeople)
}

// hire starts a process of a program with one role, or with all when it is empty.
func (o *clusterOrdeal) hire(ctx context.Context, program, role, name string, env ...string) error {
	m := &member{role: role}
	var urls []string
	for _, n := range o.nats.nodes {
		w, err := startCable(ctx, "tcp", n.addr)
		if err != nil {
			return err
		}
		m.nats = append(m.nats, w)
		urls = append(urls, nodeURL(w.addr))
	}
	cfg, err := pgx.ParseConfig(o.db.server.URL())
	if err != nil {
		return err
	}
	network, address := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	if m.database, err = startCable(ctx, network, address); err != nil {
		return err
	}
	database := url.URL{
		Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password), Host: m.database.addr, Path: cfg.Database, RawQuery: "sslmode=disable",
	}
	o.crew = append(o.crew, m)
	s := o.settings
	s.parley = program
	m.server, err = startServer(ctx, o.dir, name, s, o.db, o.bot, serverOptions{
		nats: strings.Join(urls, ","), public: o.front.url, roles: role, database: database.String(),
		blobs: "file://" + filepath.Join(o.dir, "blobs"), env: env,
	})
	if err != nil {
		return err
	}
	o.ordeal.servers = append(o.ordeal.servers, m.server)
	if role == "gateway" || role == "" {
		o.front.add(m.listen)
	}
	return nil
}

func (o *clusterOrdeal) dismiss() {
	for _, m := range o.crew {
		if m.server != nil {
			m.stop()
		}
		for _, w := range append([]*cable{m.database}, m.nats...) {
			if w != nil {
				w.close()
			}
		}
	}
}

// endure lets clients write and agents answer while things break, then waits until
// everything has settled.
func (o *clusterOrdeal) endure(ctx context.Context) error {
	load, enough := context.WithCancel(ctx)
	defer enough()
	err := both(func() error {
		defer enough()
		return o.ordeal.run(ctx, o.kinds, make(chan struct{}))
	}, func() error {
		return both(func() error { return o.write(load) }, func() error { return o.reply(load) })
	})
	if err != nil {
		return err
	}
	return o.settle(ctx)
}

// settle waits until nothing is on its way in or out.
func (o *clusterOrdeal) settle(ctx context.Context) error {
	if err := o.ordeal.revive(); err != nil {
		return err
	}
	if err := o.accepted(ctx); err != nil {
		return err
	}
	if err := o.ordeal.quiet(ctx, o.ordeal.servers[0]); err != nil {
		return err
	}
	return o.db.settled(ctx, 3*time.Minute, func() error { return nil })
}

// accepted waits until the provider has handed over everything.
func (o *clusterOrdeal) accepted(ctx context.Context) error {
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

// write lets clients write until ctx ends: nine in ten to the bot with the webhook.
func (o *clusterOrdeal) write(ctx context.Context) error {
	w := newWriters(o.telegram, rand.New(rand.NewPCG(o.seed, 2))) //nolint:gosec // what is written is to repeat
	for i := range w.people {
		if i%10 == 0 {
			polled, err := w.people[i].With(polledToken)
			if err != nil {
				return err
			}
			w.people[i] = polled
		}
	}
	// Slow enough that there is something under way whenever a dispatcher dies.
	o.telegram.SetFaults(sandbox.TelegramFaults{Redeliver: redeliver, DelayMS: 100})
	began := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		for due := int(time.Since(began).Seconds() * float64(o.rate)); n < due; n++ {
			if err := w.say(w.dice.IntN(len(w.people))); err != nil {
				return err
			}
		}
	}
}

// reply answers everybody once a second until ctx ends. What PostgreSQL may or may
// not have taken is not asked for again.
func (o *clusterOrdeal) reply(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for load := 1; ; load++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		_, _ = o.db.queueReplies(limited, o.bot, load, repliedPeople, 1)
		cancel()
	}
}
