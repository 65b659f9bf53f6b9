package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"parley/transports/sandbox"
)

// outboundBench is one run of the outbound measurement.
type outboundBench struct {
	settings
	dir      string
	report   *report
	db       *cluster
	bot      bot
	telegram *standIn
	server   *server
}

func benchOutbound(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parseSettings("outbound", args)
	if err != nil {
		return err
	}
	if s.replies == 0 {
		s.replies = 50_000
	}
	dir, remove, err := workFolder(s)
	if err != nil {
		return err
	}
	defer remove()
	r, err := newReport(s, "bench-outbound", out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	b := &outboundBench{settings: s, dir: dir, report: r}
	return b.run(ctx)
}

func (b *outboundBench) run(ctx context.Context) (err error) {
	if b.db, err = newCluster(ctx, b.dir, b.settings); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.db.close()) }()
	if b.telegram, err = startStandIn(ctx, b.dir, b.seed, sandbox.TelegramFaults{}); err != nil {
		return err
	}
	defer b.telegram.kill()
	if b.bot, err = b.db.addBot(ctx, sandbox.DefaultTelegramToken, b.telegram.url); err != nil {
		return err
	}
	if err := b.db.preload(ctx, b.bot, replyPeople); err != nil {
		return err
	}
	b.report.say("# Outbound\n")
	b.report.machine(ctx, b.db)
	if b.server, err = startServer(ctx, b.dir, "parley", b.settings, b.db, b.bot, serverOptions{roles: "dispatcher"}); err != nil {
		return err
	}
	defer b.server.stop()
	return b.measure(ctx)
}

// measure queues everything, waits until it has left, and compares.
func (b *outboundBench) measure(ctx context.Context) error {
	// Connections, plans and pages are warm after one reply to each.
	if _, err := b.send(ctx, 1, 1); err != nil {
		return err
	}
	// As autovacuum would have, on a queue that did not come out of nowhere.
	if err := b.db.asOwner(ctx, "VACUUM ANALYZE"); err != nil {
		return err
	}
	n := b.replies / replyPeople * replyPeople
	s, err := b.send(ctx, 2, n/replyPeople)
	if err != nil {
		return err
	}
	v, err := verifyReplies(ctx, b.db, b.telegram)
	if err != nil {
		return err
	}
	b.report.say("%s replies to %s persons, queued at once; the channel has no rate limits, the stand-in answers at once.\n"+
		"The time is from their commit to the provider's last acceptance.", thousands(n), thousands(replyPeople))
	took := v.lastSent.Sub(s.began)
	b.report.table([]string{"replies", "seconds", "sends/s", "CPU ms: parley", "postgres", "both", "stand-in"}, [][]string{{
		thousands(n), fmt.Sprintf("%.2f", took.Seconds()), fmt.Sprintf("%.0f", float64(n)/took.Seconds()),
		fmt.Sprintf("%.3f", per(s.cpu.parley, n)), fmt.Sprintf("%.3f", per(s.cpu.postgres, n)),
		fmt.Sprintf("%.3f", per(s.cpu.parley+s.cpu.postgres, n)), fmt.Sprintf("%.3f", per(s.standIn, n)),
	}})
	if b.profile {
		if err := b.report.statements(ctx, b.db); err != nil {
			return err
		}
	}
	total := n + replyPeople // with the warm-up's
	b.report.holds(v.accepted == total, "the stand-in accepted %d of %d replies", v.accepted, total)
	b.report.holds(v.states["sent"] == total, "deliveries are %v, all %d should be sent", v.states, total)
	v.hold(b.report, 0)
	b.report.say("The stand-in's own log has each reply once, each person's in order, and each delivery is sent: %v.", len(b.report.broken) == 0)
	return nil
}

// sending is what one load of replies took.
type sending struct {
	began   time.Time
	cpu     cpuTimes
	standIn time.Duration
}

// send queues replies and waits until none waits.
func (b *outboundBench) send(ctx context.Context, load, each int) (s sending, err error) {
	if s.began, err = b.db.queueReplies(ctx, b.bot, load, replyPeople, each); err != nil {
		return s, err
	}
	before, err1 := readCPU(b.server.process, b.db)
	theirs, err2 := cpuOf(b.telegram.pid())
	if err := b.db.settled(ctx, 5*time.Minute, b.server.health); err != nil {
		return s, err
	}
	after, err3 := readCPU(b.server.process, b.db)
	theirsAfter, err4 := cpuOf(b.telegram.pid())
	s.cpu, s.standIn = after.minus(before), theirsAfter-theirs
	return s, errors.Join(err1, err2, err3, err4)
}
