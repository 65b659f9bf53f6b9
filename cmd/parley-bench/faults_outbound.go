package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"parley/transports/sandbox"
)

// outboundFaults are what the stand-in does to sends: it refuses, throttles,
// fails and falls silent, before and after accepting, one send in twenty.
func outboundFaults() sandbox.TelegramFaults {
	return sandbox.TelegramFaults{
		TooMany: 0.01, RetryAfter: 1, Refuse400: 0.01,
		HangBefore: 0.002, HangAfter: 0.002, ResetBefore: 0.005, ResetAfter: 0.005,
		ServerError: 0.005, ServerErrorAfter: 0.005, CutAfter: 0.005,
		// Slow enough that there is something under way whenever a dispatcher dies.
		DelayMS: 250,
	}
}

// outboundOrdeal is one run of the outbound faults.
type outboundOrdeal struct {
	settings
	dir      string
	report   *report
	db       *cluster
	bot      bot
	nats     *natsServer
	telegram *standIn
	ordeal   *ordeal
}

func faultsOutbound(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parseSettings("faults outbound", args)
	if err != nil {
		return err
	}
	if s.replies == 0 {
		s.replies = 20_000
	}
	r, err := newReport(s, "faults-outbound", out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	r.say("# Faults, outbound\n")
	for _, kinds := range [][]string{nil, {faultKill, faultFreeze}} {
		if err := outboundRun(ctx, s, r, kinds); err != nil {
			return err
		}
	}
	return nil
}

// outboundRun sends through a bad provider, while dispatchers die or freeze if
// kinds says so.
func outboundRun(ctx context.Context, s settings, r *report, kinds []string) (err error) {
	dir, remove, err := workFolder(s)
	if err != nil {
		return err
	}
	defer remove()
	o := &outboundOrdeal{settings: s, dir: dir, report: r}
	if o.db, err = newCluster(ctx, dir, s); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.db.close()) }()
	if o.nats, err = startNATS(ctx, dir); err != nil {
		return err
	}
	defer func() { o.nats.stop() }()
	if o.telegram, err = startStandIn(ctx, dir, s.seed, outboundFaults()); err != nil {
		return err
	}
	defer o.telegram.kill()
	if o.bot, err = o.db.addBot(ctx, sandbox.DefaultTelegramToken, o.telegram.url); err != nil {
		return err
	}
	if err := o.db.preload(ctx, o.bot, replyPeople); err != nil {
		return err
	}
	o.ordeal = &ordeal{
		dice: rand.New(rand.NewPCG(s.seed, 3)), db: o.db, nats: o.nats, pending: o.pending, //nolint:gosec // faults are to repeat
		frozenFor: dispatcherFrozenFor,
	}
	defer func() {
		for _, srv := range o.ordeal.servers {
			srv.stop()
		}
	}()
	for i := range 2 {
		srv, err := startServer(ctx, dir, fmt.Sprintf("parley-%d", i+1), s, o.db, o.bot, serverOptions{nats: o.nats.url, roles: "dispatcher"})
		if err != nil {
			return err
		}
		o.ordeal.servers = append(o.ordeal.servers, srv)
	}
	if kinds == nil {
		r.machine(ctx, o.db)
	}
	return o.run(ctx, kinds)
}

// dispatcherFrozenFor is longer than the dispatcher's lease of 30 s.
const dispatcherFrozenFor = 33 * time.Second

// pending counts what is under way right now: after a kill, what nobody will
// hear the end of.
func (o *outboundOrdeal) pending(ctx context.Context) (n int, err error) {
	err = o.db.pool.QueryRow(ctx, `SELECT count(*) FROM parley_attempts WHERE outcome = 'pending'`).Scan(&n)
	return n, err
}

func (o *outboundOrdeal) run(ctx context.Context, kinds []string) error {
	over := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	err := both(func() error {
		defer close(over)
		if _, err := o.db.queueReplies(ctx, o.bot, 1, replyPeople, o.replies/replyPeople); err != nil {
			return err
		}
		return o.db.settled(ctx, 20*time.Minute, func() error { return nil })
	}, func() error {
		if kinds == nil {
			return nil
		}
		err := o.ordeal.run(ctx, kinds, over)
		if err != nil {
			cancel()
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := o.ordeal.revive(); err != nil {
		return err
	}
	// Whoever was frozen last tells what it knows once it wakes up.
	if err := o.ordeal.pause(ctx, 2*time.Second); err != nil {
		return err
	}
	return o.judge(ctx, kinds, time.Since(began))
}

func (o *outboundOrdeal) judge(ctx context.Context, kinds []string, took time.Duration) error {
	v, err := verifyReplies(ctx, o.db, o.telegram)
	if err != nil {
		return err
	}
	title := "A provider that refuses, throttles, fails and falls silent"
	if kinds != nil {
		title += ", and dispatchers that die and freeze"
	}
	o.report.say("\n## %s\n\n%s replies to %s persons in %.0f s.", title, thousands(o.replies), thousands(replyPeople), took.Seconds())
	struck := map[string]int{}
	for _, s := range o.ordeal.strikes {
		if s.kind != faultNone {
			struck[s.kind]++
		}
	}
	injected := 0
	for _, name := range unclear {
		injected += v.faults[name]
	}
	o.report.say("Faults of the stand-in, by its own log: %s. Faults of ours: %s.", counts(v.faults), counts(struck))
	o.report.say("The stand-in accepted %s. The rows say: %s. Attempts: %s.", thousands(v.accepted), counts(v.states), counts(v.attempts))
	o.report.table([]string{"replies", "lost", "twice", "denied", "out of order", "uncertain", "for injected faults", "injected", "for interruptions", "under way then"}, [][]string{{
		thousands(o.replies), fmt.Sprint(v.lost), fmt.Sprint(v.doubled), fmt.Sprint(v.denied), fmt.Sprint(v.disordered),
		fmt.Sprint(v.states["uncertain"]), fmt.Sprint(v.injected), fmt.Sprint(injected), fmt.Sprint(v.interrupted), fmt.Sprint(o.ordeal.underWay),
	}})
	v.hold(o.report, o.ordeal.underWay)
	o.report.holds(v.injected <= injected, "%d replies are uncertain for %d injected faults", v.injected, injected)
	for _, err := range o.ordeal.unasked {
		o.report.breaks("a parley ended by itself: %v", err)
	}
	return nil
}
