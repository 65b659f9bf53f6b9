package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"parley/store"
	"parley/transports/sandbox"
)

// readers read chats at once, each on a connection of the API's pool.
const readers = 4

// wallsBench measures what row security costs: the same program on the same
// schema, with its roles bound by it, and with BYPASSRLS.
type wallsBench struct {
	inboundBench
	rows []walled
}

// walled is one round with or without the walls.
type walled struct {
	walls bool
	round int
	reads int
	took  time.Duration
	p50   time.Duration
	p99   time.Duration
	// cpu is PostgreSQL's for the reads.
	cpu     time.Duration
	inbound measured
}

func benchWalls(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parseSettings("walls", args)
	if err != nil {
		return err
	}
	dir, remove, err := workFolder(s)
	if err != nil {
		return err
	}
	defer remove()
	r, err := newReport(s, "bench-walls", out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	b := &wallsBench{inboundBench: inboundBench{settings: s, dir: dir, report: r}}
	return b.run(ctx)
}

func (b *wallsBench) run(ctx context.Context) (err error) {
	if b.db, err = newCluster(ctx, b.dir, b.settings); err != nil {
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
	b.report.say("# What the walls cost\n")
	b.report.machine(ctx, b.db)
	if err := b.db.preload(ctx, b.bot, b.preload/messagesPerChat); err != nil {
		return err
	}
	b.report.say("%s messages in %s chats; fsync is on, in PostgreSQL and in NATS.", thousands(b.preload), thousands(b.preload/messagesPerChat))
	if b.server, err = startServer(ctx, b.dir, "parley", b.settings, b.db, b.bot, serverOptions{}); err != nil {
		return err
	}
	defer func() { b.server.stop() }()
	// By turns, and every other round the other first: a machine that gets slower or
	// faster meanwhile does so for both.
	for round := range b.rounds {
		for i := range 2 {
			w, err := b.turn(ctx, (i+round)%2 == 0, round+1)
			if err != nil {
				return err
			}
			b.rows = append(b.rows, w)
			fmt.Fprintf(os.Stderr, "walls %v, round %d: %.0f reads/s, %.0f messages/s\n", w.walls, w.round, w.readRate(), w.inbound.rate())
		}
	}
	b.write()
	return nil
}

// turn measures once, with connections that were made since the roles changed:
// plans that are kept do not notice.
func (b *wallsBench) turn(ctx context.Context, walls bool, round int) (w walled, err error) {
	w = walled{walls: walls, round: round}
	if err := b.bind(ctx, walls); err != nil {
		return w, err
	}
	b.server.stop()
	if err := b.server.start(); err != nil {
		return w, err
	}
	if err := b.server.ready(ctx, b.bot); err != nil {
		return w, err
	}
	if _, err := b.measure(ctx, measured{kind: "known", connections: 32}, 2); err != nil { // warms up
		return w, err
	}
	if err := b.read(ctx, &w); err != nil {
		return w, err
	}
	w.inbound, err = b.measure(ctx, measured{kind: "known", connections: 32, round: round}, 0)
	return w, err
}

// bind puts the roles behind the walls, or lets them through, and looks whether
// it is so.
func (b *wallsBench) bind(ctx context.Context, walls bool) error {
	admin, err := b.db.connect(ctx, "postgres")
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close(context.WithoutCancel(ctx)) }()
	attribute := "BYPASSRLS"
	if walls {
		attribute = "NOBYPASSRLS"
	}
	for _, role := range []string{"parley_api", "parley_worker"} {
		if _, err := admin.Exec(ctx, "ALTER ROLE "+role+" "+attribute); err != nil {
			return err
		}
	}
	var seen bool
	if _, err := admin.Exec(ctx, "SET ROLE parley_api"); err != nil {
		return err
	}
	if err := admin.QueryRow(ctx, "SELECT EXISTS (SELECT FROM crm_chats)").Scan(&seen); err != nil {
		return err
	}
	b.report.holds(seen != walls, "with walls %v, the API sees chats without a tenant: %v", walls, seen)
	return nil
}

// read opens chats at random, as the inbox does: the chat with its routes, and its
// newest messages.
func (b *wallsBench) read(ctx context.Context, w *walled) error {
	db, err := store.Open(ctx, b.db.server.URL(), &store.Options{APIConns: readers, WorkerConns: 1})
	if err != nil {
		return err
	}
	defer db.Close()
	chats := int64(b.preload / messagesPerChat)
	before, err := readCPU(b.server.process, b.db)
	if err != nil {
		return err
	}
	began := time.Now()
	deadline := began.Add(b.seconds)
	var wg sync.WaitGroup
	took, errs := make([][]time.Duration, readers), make([]error, readers)
	for i := range readers {
		dice := rand.New(rand.NewPCG(b.seed, uint64(i))) //nolint:gosec // which chat is no secret
		wg.Go(func() {
			for ctx.Err() == nil && time.Now().Before(deadline) {
				id, one := 1+dice.Int64N(chats), time.Now()
				_, chatErr := db.Chat(ctx, b.bot.channel.Tenant, id)
				list, _, err := db.Messages(ctx, b.bot.channel.Tenant, id, store.MessagePage{Limit: 50})
				if errs[i] = errors.Join(chatErr, err); errs[i] != nil {
					return
				}
				if len(list) < messagesPerChat {
					errs[i] = fmt.Errorf("chat %d has %d messages", id, len(list))
					return
				}
				took[i] = append(took[i], time.Since(one))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return fmt.Errorf("reading chats: %w", err)
	}
	w.took = time.Since(began)
	after, err := readCPU(b.server.process, b.db)
	if err != nil {
		return err
	}
	w.cpu = after.minus(before).postgres
	all := slices.Concat(took...)
	slices.Sort(all)
	w.reads = len(all)
	w.p50, w.p99 = quantile(all, 0.5), quantile(all, 0.99)
	return nil
}

// quantile is of sorted durations; zero of none.
func quantile[T any](sorted []T, q float64) (none T) {
	if len(sorted) == 0 {
		return none
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (w walled) readRate() float64 { return float64(w.reads) / w.took.Seconds() }

func (b *wallsBench) write() {
	b.report.say("\nA chat read is the chat with its routes and its newest messages, %d readers at once. Inbound is from 32 connections,\n"+
		"webhook to committed row. Without: the same roles with BYPASSRLS.", readers)
	var lines [][]string
	for _, w := range b.rows {
		name := "without"
		if w.walls {
			name = "with"
		}
		lines = append(lines, []string{
			name, fmt.Sprint(w.round), fmt.Sprintf("%.0f", w.readRate()), ms2(w.p50), ms2(w.p99), fmt.Sprintf("%.3f", per(w.cpu, w.reads)), fmt.Sprintf("%.0f", w.inbound.rate()),
			ms(w.inbound.Answer50), ms(w.inbound.Answer99), ms(w.inbound.Commit99), fmt.Sprintf("%.3f", per(w.inbound.cpu.postgres, w.inbound.Rows)),
		})
	}
	b.report.table([]string{
		"row security", "round", "chat reads/s", "p50 ms", "p99 ms", "CPU ms: postgres", "inbound messages/s", "answer p50 ms", "p99", "commit p99 ms", "CPU ms: postgres",
	}, lines)
	with, without := b.median(true), b.median(false)
	b.report.say("Median with and without: %.0f and %.0f chat reads/s (%+.1f %%), p99 %s and %s ms, %.3f and %.3f ms of PostgreSQL's CPU (%+.1f %%); %.0f and %.0f inbound messages/s (%+.1f %%).",
		with.reads, without.reads, 100*(with.reads/without.reads-1), ms2(with.p99), ms2(without.p99), with.cpu, without.cpu, 100*(with.cpu/without.cpu-1),
		with.inbound, without.inbound, 100*(with.inbound/without.inbound-1))
}

// wallMedian has the medians of the rounds.
type wallMedian struct {
	// cpu is milliseconds of PostgreSQL's for a read.
	reads, inbound, cpu float64
	p99                 time.Duration
}

func (b *wallsBench) median(walls bool) (m wallMedian) {
	var reads, inbound, cpu []float64
	var p99 []time.Duration
	for _, w := range b.rows {
		if w.walls == walls {
			reads, inbound, p99 = append(reads, w.readRate()), append(inbound, w.inbound.rate()), append(p99, w.p99)
			cpu = append(cpu, per(w.cpu, w.reads))
		}
	}
	slices.Sort(reads)
	slices.Sort(inbound)
	slices.Sort(cpu)
	slices.Sort(p99)
	return wallMedian{reads[len(reads)/2], inbound[len(inbound)/2], cpu[len(cpu)/2], p99[len(p99)/2]}
}

// ms2 shows a short duration in milliseconds.
func ms2(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1000) }
