package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"parley/transports/sandbox"
)

// scaleBench measures the same load on more and more processes.
type scaleBench struct {
	settings
	dir    string
	report *report
	db     *cluster
	nats   *natsServer
	bot    bot
	runs   int
	lines  [][]string
}

func benchScale(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parseSettings("scale", args)
	if err != nil {
		return err
	}
	dir, remove, err := workFolder(s)
	if err != nil {
		return err
	}
	defer remove()
	r, err := newReport(s, "bench-scale", out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	b := &scaleBench{settings: s, dir: dir, report: r}
	return b.run(ctx)
}

func (b *scaleBench) run(ctx context.Context) (err error) {
	if b.db, err = newCluster(ctx, b.dir, b.settings); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.db.close()) }()
	provider, err := sandbox.NewTelegram(sandbox.TelegramOptions{})
	if err != nil {
		return err
	}
	defer func() { _ = provider.Close() }()
	at, err := provider.Start(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	if b.bot, err = b.db.addBot(ctx, sandbox.DefaultTelegramToken, at); err != nil {
		return err
	}
	if err := b.db.preload(ctx, b.bot, b.preload/messagesPerChat); err != nil {
		return err
	}
	if b.nats, err = startNATS(ctx, b.dir); err != nil {
		return err
	}
	defer b.nats.stop()
	// It tells gateways of the channels, and has nothing to do otherwise.
	desk, err := startServer(ctx, b.dir, "api", b.settings, b.db, b.bot, serverOptions{nats: b.nats.url, roles: "api"})
	if err != nil {
		return err
	}
	defer desk.stop()
	b.report.say("# Processes\n")
	b.report.machine(ctx, b.db)
	b.report.say("Known senders, 64 connections, %s; %s messages preloaded. Gateways and routers are processes of their own, as are NATS (one server, 4 partitions) and PostgreSQL;\n"+
		"they and the generator share %d cores. CPU is milliseconds a message; busy is the share of all cores that these took.", b.seconds, thousands(b.preload), runtime.NumCPU())
	for round := range b.rounds {
		for _, n := range []int{1, 2, 4} {
			if err := b.measure(ctx, round+1, n); err != nil {
				return fmt.Errorf("%d gateways and routers: %w", n, err)
			}
		}
	}
	b.report.table([]string{
		"gateways and routers", "round", "messages/s", "answer p50 ms", "p99", "commit p50 ms", "p99",
		"CPU ms: gateways", "routers", "NATS", "PostgreSQL", "together", "generator", "busy",
	}, b.lines)
	return nil
}

// spent is the CPU time of each kind of process.
type spent struct{ gateways, routers, nats, postgres time.Duration }

func (s spent) all() time.Duration { return s.gateways + s.routers + s.nats + s.postgres }

func (b *scaleBench) spent(gateways, routers []*server) (s spent, err error) {
	add := func(to *time.Duration, list []*server) {
		for _, p := range list {
			d, failed := cpuOf(p.pid())
			*to += d
			err = errors.Join(err, failed)
		}
	}
	add(&s.gateways, gateways)
	add(&s.routers, routers)
	var err1, err2 error
	s.nats, err1 = cpuOf(b.nats.pid())
	s.postgres, err2 = cpuOfTree(b.db.server.PID())
	return s, errors.Join(err, err1, err2)
}

// measure starts n of each, lets clients write, and compares.
func (b *scaleBench) measure(ctx context.Context, round, n int) error {
	var gateways, routers []*server
	defer func() {
		for _, s := range append(gateways, routers...) {
			s.stop()
		}
	}()
	for _, these := range []struct {
		role string
		list *[]*server
	}{{"router", &routers}, {"gateway", &gateways}} {
		for i := range n {
			s, err := startServer(ctx, b.dir, fmt.Sprintf("%s-%d", these.role, i), b.settings, b.db, b.bot, serverOptions{nats: b.nats.url, roles: these.role})
			if err != nil {
				return err
			}
			*these.list = append(*these.list, s)
		}
	}
	var urls []string
	for _, s := range gateways {
		urls = append(urls, s.webhook(b.bot))
	}
	if err := b.shared(ctx, n); err != nil {
		return err
	}
	var m measured
	// The first lets every sender write once.
	for _, length := range []time.Duration{b.seconds / 4, b.seconds} {
		b.runs++
		list := filepath.Join(b.dir, fmt.Sprintf("accepted-%d", b.runs))
		load := generator{
			URL: strings.Join(urls, " "), Secret: b.bot.secret, Connections: 64, Time: length, Run: b.runs, List: list,
			Senders: knownSenders, First: firstPerson + 1, Stride: int64(b.preload / messagesPerChat / knownSenders),
		}
		after, err := b.db.newest(ctx)
		if err != nil {
			return err
		}
		before, err := b.spent(gateways, routers)
		if err != nil {
			return err
		}
		began := time.Now()
		if m.generated, err = generateIn(ctx, b.dir, load); err != nil {
			return err
		}
		if err := b.db.drained(ctx, after, m.Accepted); err != nil {
			return err
		}
		took := time.Since(began)
		end, err := b.spent(gateways, routers)
		if err != nil {
			return err
		}
		if m.stored, err = b.db.compare(ctx, b.runs, list, after); err != nil {
			return err
		}
		b.report.holds(m.Rows == m.Accepted && m.Lost == 0 && m.Strange == 0 && m.Doubled == 0 && m.Disordered == 0,
			"%d processes: %d accepted, %d stored, %d lost, %d strange, %d doubled, %d out of order", n, m.Accepted, m.Rows, m.Lost, m.Strange, m.Doubled, m.Disordered)
		if length < b.seconds {
			continue
		}
		ms3 := func(d time.Duration) string { return fmt.Sprintf("%.3f", per(d, m.Rows)) }
		used := spent{end.gateways - before.gateways, end.routers - before.routers, end.nats - before.nats, end.postgres - before.postgres}
		busy := (used.all() + m.CPU).Seconds() / took.Seconds() / float64(runtime.NumCPU())
		b.lines = append(b.lines, []string{
			fmt.Sprint(n), fmt.Sprint(round), fmt.Sprintf("%.0f", m.rate()), ms(m.Answer50), ms(m.Answer99), ms(m.Commit50), ms(m.Commit99),
			ms3(used.gateways), ms3(used.routers), ms3(used.nats), ms3(used.postgres), ms3(used.all()), ms3(m.CPU), fmt.Sprintf("%.0f %%", 100*busy),
		})
		fmt.Fprintf(os.Stderr, "%d gateways and routers, round %d: %.0f messages/s\n", n, round, m.rate())
	}
	return nil
}

// shared waits until the routers have shared the partitions among them.
func (b *scaleBench) shared(ctx context.Context, n int) error {
	return until(ctx, time.Minute, "the routers to share the partitions", func() (bool, error) {
		var owners, held, all int
		err := b.db.pool.QueryRow(ctx, `
			SELECT count(DISTINCT owner) FILTER (WHERE lease_until > now()), count(*) FILTER (WHERE lease_until > now()), count(*) FROM parley_partitions`).Scan(&owners, &held, &all)
		return err == nil && owners == min(n, all) && held == all, err
	})
}
