package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"parley/transports/sandbox"
)

// Who writes in a measurement.
const (
	knownSenders = 1000
	// firstStranger is above every preloaded person; each run has a million ids.
	firstStranger = 1_000_000_000
)

// inboundBench is one run of the inbound measurement.
type inboundBench struct {
	settings
	dir    string
	report *report
	db     *cluster
	bot    bot
	server *server
	runs   int
	rows   []measured
}

// measured is one line of the table.
type measured struct {
	kind        string
	connections int
	round       int
	run         int
	generated
	stored
	cpu  cpuTimes
	list string
	// after and upTo bound the ids of its rows.
	after, upTo int64
}

func benchInbound(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parseSettings("inbound", args)
	if err != nil {
		return err
	}
	dir, remove, err := workFolder(s)
	if err != nil {
		return err
	}
	defer remove()
	r, err := newReport(s, "bench-inbound", out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	b := &inboundBench{settings: s, dir: dir, report: r}
	return b.run(ctx)
}

func (b *inboundBench) run(ctx context.Context) (err error) {
	b.db, err = newCluster(ctx, b.dir, b.settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.db.close()) }()
	provider, err := sandbox.NewTelegram(sandbox.TelegramOptions{})
	if err != nil {
		return err
	}
	defer func() { _ = provider.Close() }()
	api, err := provider.Start(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	if b.bot, err = b.db.addBot(ctx, sandbox.DefaultTelegramToken, api); err != nil {
		return err
	}
	b.report.say("# Inbound\n")
	b.report.machine(ctx, b.db)
	began := time.Now()
	chats := b.preload / messagesPerChat
	if err := b.db.preload(ctx, b.bot, chats); err != nil {
		return err
	}
	b.report.say("Preloaded %s messages in %s chats in %.0f s. fsync is on, in PostgreSQL and in NATS.",
		thousands(b.preload), thousands(chats), time.Since(began).Seconds())
	if b.server, err = startServer(ctx, b.dir, "parley", b.settings, b.db, b.bot, serverOptions{}); err != nil {
		return err
	}
	defer b.server.stop()
	if err := b.idle(ctx); err != nil {
		return err
	}
	if err := b.measureAll(ctx); err != nil {
		return err
	}
	b.write()
	if err := b.report.catalog(ctx, b.db); err != nil {
		return err
	}
	if b.profile {
		if err := b.report.statements(ctx, b.db); err != nil {
			return err
		}
	}
	if err := b.report.audit(ctx, b.server); err != nil {
		return err
	}
	b.server.stop()
	return b.ceilings(ctx)
}

// idle reports what is used while nobody writes.
func (b *inboundBench) idle(ctx context.Context) error {
	before, err := readCPU(b.server.process, b.db)
	if err != nil {
		return err
	}
	length := b.seconds / 2
	select {
	case <-time.After(length):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := readCPU(b.server.process, b.db)
	used := after.minus(before)
	b.report.say("Idle: parley uses %.1f %%, PostgreSQL %.1f %% of a core.",
		100*used.parley.Seconds()/length.Seconds(), 100*used.postgres.Seconds()/length.Seconds())
	return err
}

// measureAll makes each measurement once a round, so that a machine that gets
// slower or faster meanwhile does so for all.
func (b *inboundBench) measureAll(ctx context.Context) error {
	// The warm-up lets every known sender write twice.
	if _, err := b.measure(ctx, measured{kind: "known", connections: 32}, 2); err != nil {
		return err
	}
	for round := range b.rounds {
		for _, kind := range []string{"known", "new"} {
			for _, connections := range []int{32, 64} {
				m, err := b.measure(ctx, measured{kind: kind, connections: connections, round: round + 1}, 0)
				if err != nil {
					return fmt.Errorf("%s senders, %d connections: %w", kind, connections, err)
				}
				b.rows = append(b.rows, m)
				fmt.Fprintf(os.Stderr, "%s senders, %d connections, round %d: %.0f messages/s\n", kind, connections, m.round, m.rate())
			}
		}
	}
	return nil
}

// rate is stored and committed messages per second, from the first send to the
// last commit.
func (m measured) rate() float64 {
	if m.Took <= 0 {
		return 0
	}
	return float64(m.Rows) / m.Took.Seconds()
}

// measure runs the generator once, for a time or until each sender wrote that
// often, waits until everything is stored, and compares.
func (b *inboundBench) measure(ctx context.Context, m measured, each int) (measured, error) {
	b.runs++
	m.run = b.runs
	m.list = filepath.Join(b.dir, fmt.Sprintf("accepted-%d", m.run))
	load := generator{
		URL: b.server.webhook(b.bot), Secret: b.bot.secret, Connections: m.connections, Time: b.seconds,
		Run: m.run, Each: each, List: m.list, First: firstStranger + int64(m.run)*1_000_000,
	}
	if m.kind == "known" {
		load.Senders = min(knownSenders, b.preload/messagesPerChat)
		load.First = firstPerson + 1
		load.Stride = int64(b.preload / messagesPerChat / load.Senders)
	}
	if each > 0 {
		load.Time = time.Minute
	}
	var err error
	if m.after, err = b.db.newest(ctx); err != nil {
		return m, err
	}
	before, err := readCPU(b.server.process, b.db)
	if err != nil {
		return m, err
	}
	if m.generated, err = generateIn(ctx, b.dir, load); err != nil {
		return m, errors.Join(err, b.server.health())
	}
	if err := b.db.drained(ctx, m.after, m.Accepted); err != nil {
		return m, errors.Join(err, b.server.health())
	}
	after, err := readCPU(b.server.process, b.db)
	if err != nil {
		return m, err
	}
	m.cpu = after.minus(before)
	if m.upTo, err = b.db.newest(ctx); err != nil {
		return m, err
	}
	if m.stored, err = b.db.compare(ctx, m.run, m.list, m.after); err != nil {
		return m, err
	}
	name := fmt.Sprintf("run %d (%s, %d connections)", m.run, m.kind, m.connections)
	b.report.holds(m.Rows == m.Accepted, "%s: %d accepted, %d stored", name, m.Accepted, m.Rows)
	b.report.holds(m.Lost == 0, "%s: %d lost", name, m.Lost)
	b.report.holds(m.Strange == 0, "%s: %d stored that nobody accepted", name, m.Strange)
	b.report.holds(m.Doubled == 0, "%s: %d doubled", name, m.Doubled)
	b.report.holds(m.Disordered == 0, "%s: %d out of order", name, m.Disordered)
	return m, nil
}

// write writes the tables.
func (b *inboundBench) write() {
	b.report.say("\n## Webhook to committed row\n\n" +
		"Closed loop, kept-alive connections. Messages/s counts what is stored and committed, from the first send to the last\n" +
		"commit. The commit's time is PostgreSQL's own (pg_xact_commit_timestamp), for every row.")
	var lines [][]string
	total := 0
	for _, m := range b.rows {
		total += m.Rows
		lines = append(lines, []string{
			m.kind, fmt.Sprint(m.connections), fmt.Sprint(m.round), thousands(m.Accepted), fmt.Sprintf("%.0f", m.rate()),
			ms(m.Answer50), ms(m.Answer99), ms(m.Commit50), ms(m.Commit99),
			fmt.Sprintf("%.3f", per(m.cpu.parley, m.Rows)), fmt.Sprintf("%.3f", per(m.cpu.postgres, m.Rows)),
			fmt.Sprintf("%.3f", per(m.cpu.parley+m.cpu.postgres, m.Rows)), fmt.Sprintf("%.3f", per(m.CPU, m.Rows)), fmt.Sprint(m.Retries),
		})
	}
	b.report.table([]string{
		"senders", "connections", "round", "accepted", "messages/s", "answer p50 ms", "p99", "commit p50 ms", "p99",
		"CPU ms: parley", "postgres", "both", "generator", "sent again",
	}, lines)
	b.report.say("All %s accepted messages are in the database exactly once, in the order their senders wrote, and nothing else is: %v.",
		thousands(total), len(b.report.broken) == 0)
}
