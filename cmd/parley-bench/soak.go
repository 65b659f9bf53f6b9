package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"parley/transports/sandbox"
)

// soakChats are the clients who write and are answered.
const soakChats = 1000

// soakBench lets a server work for long, moderately, and looks whether it grows.
type soakBench struct {
	settings
	dir      string
	report   *report
	db       *cluster
	bot      bot
	telegram *standIn
	server   *server
	agents   *soakAgents
	follow   []*follower
	sampler  *sampler
}

func benchSoak(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parseSettings("soak", args)
	if err != nil {
		return err
	}
	dir, remove, err := workFolder(s)
	if err != nil {
		return err
	}
	defer remove()
	r, err := newReport(s, "bench-soak", out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	b := &soakBench{settings: s, dir: dir, report: r}
	return b.run(ctx)
}

func (b *soakBench) run(ctx context.Context) (err error) {
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
	if err := b.db.preload(ctx, b.bot, soakChats); err != nil {
		return err
	}
	listen, err := freeAddr(ctx)
	if err != nil {
		return err
	}
	s := b.settings
	s.serve += " --rate-limit 0"
	if b.server, err = startServer(ctx, b.dir, "parley", s, b.db, b.bot, serverOptions{api: listen}); err != nil {
		return err
	}
	defer b.server.stop()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: b.streams + 2*soakRepliers, DisableCompression: true}}
	b.agents = &soakAgents{api: "http://" + listen + "/api/v1", client: client, chats: soakChats, rate: b.replies}
	owner, err := join(ctx, b.db, client, b.agents.api, b.bot.channel.Tenant, "owner@bench.example")
	if err != nil {
		return err
	}
	b.agents.token = owner.token
	b.sampler = &sampler{db: b.db, server: b.server, client: client}
	b.report.say("# Soak\n")
	b.report.machine(ctx, b.db)
	b.report.say("%s: %d messages/s in from %s known senders, %d replies/s out to them by the API, %d streams open, two questions a second\n"+
		"(lists, a chat, counts, searches). One process with all roles and NATS inside, fsync on.",
		b.seconds, b.rate, thousands(soakChats), b.replies, b.streams)
	return b.load(ctx)
}

// load lets everybody work for the time, then compares.
func (b *soakBench) load(ctx context.Context) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	following, hangUp := context.WithCancel(ctx)
	defer hangUp()
	var everybody, readers sync.WaitGroup
	failed := make(chan error, 1)
	fails := func(err error) {
		if err != nil {
			select {
			case failed <- err:
			default: // one is enough
			}
			stop()
		}
	}
	if err := b.openStreams(following, &readers, fails); err != nil {
		hangUp()
		readers.Wait()
		return err
	}
	after, err := b.db.newest(ctx)
	if err != nil {
		return err
	}
	sizes, err := b.sampler.sizes(ctx)
	if err != nil {
		return err
	}
	cpu, err := readCPU(b.server.process, b.db)
	if err != nil {
		return err
	}
	began := time.Now()
	b.sampler.began = began
	sampling, stopSampling := context.WithCancel(ctx)
	defer stopSampling()
	everybody.Go(func() { fails(b.sampler.every(sampling, max(b.seconds/240, time.Second))) })
	for i := range soakRepliers {
		everybody.Go(func() { fails(b.agents.reply(working, i, began)) })
	}
	everybody.Go(func() { fails(b.agents.look(working, b.seed)) })
	done, list, err := b.write(working)
	stopSampling() // the end of the load is not what is measured
	stop()
	everybody.Wait()
	select {
	case other := <-failed:
		err = errors.Join(other, err)
	default:
	}
	if err == nil {
		err = b.db.drained(ctx, after, done.Accepted+b.agents.replies)
	}
	if err == nil {
		err = b.db.settled(ctx, 2*time.Minute, b.server.health)
	}
	if err == nil {
		err = b.told(ctx, done.Accepted)
	}
	hangUp()
	readers.Wait()
	if err != nil {
		return fmt.Errorf("%w; the server's last words:\n%s", errors.Join(err, b.server.health()), lastLines(b.server.log, 15))
	}
	used, err := readCPU(b.server.process, b.db)
	if err != nil {
		return err
	}
	b.grown(used.minus(cpu), time.Since(began))
	if err := b.growth(ctx, sizes, done.Accepted+b.agents.replies); err != nil {
		return err
	}
	if err := b.sampler.write(b.reports); err != nil {
		return err
	}
	return b.verify(ctx, done, after, list)
}

// openStreams opens the streams, and returns once all follow.
func (b *soakBench) openStreams(ctx context.Context, readers *sync.WaitGroup, fails func(error)) error {
	var opened sync.WaitGroup
	opened.Add(b.streams)
	for range b.streams {
		f := &follower{agents: b.agents}
		b.follow = append(b.follow, f)
		readers.Go(func() { fails(f.follow(ctx, sync.OnceFunc(opened.Done))) })
	}
	all := make(chan struct{})
	go func() { opened.Wait(); close(all) }()
	select {
	case <-all:
		return nil
	case <-time.After(time.Minute):
		return errors.New("the streams do not open")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write lets the clients write, in a process of its own.
func (b *soakBench) write(ctx context.Context) (done generated, list string, err error) {
	list = filepath.Join(b.dir, "accepted")
	done, err = generateIn(ctx, b.dir, generator{
		URL: b.server.webhook(b.bot), Secret: b.bot.secret, Connections: 16, Time: b.seconds, Run: 1, Rate: float64(b.rate),
		Senders: soakChats, First: firstPerson + 1, Stride: 1, List: list,
	})
	return done, list, err
}

// told waits until each stream was told of each message.
func (b *soakBench) told(ctx context.Context, messages int) error {
	err := until(ctx, 30*time.Second, "the streams to be told of everything", func() (bool, error) {
		for _, f := range b.follow {
			if n, _ := f.counts(); n < messages {
				return false, fmt.Errorf("a stream has %d events of %d", n, messages)
			}
		}
		return true, nil
	})
	again := 0
	for _, f := range b.follow {
		n, opened := f.counts()
		b.report.holds(n == messages, "a stream has %d events of %d messages", n, messages)
		again += opened - 1
	}
	if again > 0 {
		b.report.say("Streams were cut and resumed %d times.", again)
	}
	if ctx.Err() == nil {
		return nil // what is missing was said
	}
	return err
}

// grown says of each gauge whether it is flat.
func (b *soakBench) grown(used cpuTimes, took time.Duration) {
	first := b.sampler.settled()
	b.report.say("\n%d samples; the line is fitted to the %d after the first fifth. CPU: parley %.1f %%, PostgreSQL %.1f %% of a core.", len(b.sampler.samples), len(first),
		100*used.parley.Seconds()/took.Seconds(), 100*used.postgres.Seconds()/took.Seconds())
	var lines [][]string
	for _, g := range gauges {
		t := b.sampler.trendOf(g.of)
		verdict := "flat"
		if !t.flat(g.share, g.allowance) {
			verdict = "GROWS"
			b.report.breaks("%s grows by %.1f an hour", g.name, t.slope*3600/g.unit)
		}
		most, least := 0.0, g.of(first[0])
		for _, s := range first {
			most, least = max(most, g.of(s)), min(least, g.of(s))
		}
		lines = append(lines, []string{
			g.name, fmt.Sprintf("%.1f", g.of(b.sampler.samples[0])/g.unit), fmt.Sprintf("%.1f", least/g.unit), fmt.Sprintf("%.1f", t.mean/g.unit), fmt.Sprintf("%.1f", most/g.unit),
			fmt.Sprintf("%+.2f ± %.2f", t.slope*3600/g.unit, 2*t.doubt*3600/g.unit), verdict,
		})
	}
	b.report.table([]string{"", "at the start", "least", "mean", "most", "slope an hour", "verdict"}, lines)
}

// growth says which tables and streams grew, and by how much for each message.
func (b *soakBench) growth(ctx context.Context, before map[string]int64, messages int) error {
	after, err := b.sampler.sizes(ctx)
	if err != nil {
		return err
	}
	type grew struct {
		name string
		by   int64
	}
	var list []grew
	total := 0.0
	for name, size := range after {
		if by := size - before[name]; by > 1<<20 {
			list = append(list, grew{name, by})
			total += float64(by)
		}
	}
	slices.SortFunc(list, func(a, b grew) int { return int(b.by - a.by) })
	b.report.say("What grew by more than a MB over %s messages, with indexes, %.0f bytes a message together. Streams keep seven days.", thousands(messages), total/float64(messages))
	var lines [][]string
	for _, g := range list {
		lines = append(lines, []string{g.name, fmt.Sprintf("%.1f", float64(before[g.name])/(1<<20)), fmt.Sprintf("%.1f", float64(after[g.name])/(1<<20)), fmt.Sprintf("%.0f", float64(g.by)/float64(messages))})
	}
	b.report.table([]string{"table or stream", "MB before", "after", "bytes a message"}, lines)
	return nil
}

// verify holds what is stored, sent and audited against what was accepted.
func (b *soakBench) verify(ctx context.Context, done generated, after int64, list string) error {
	m, err := b.db.compare(ctx, 1, list, after)
	if err != nil {
		return err
	}
	b.report.holds(m.Rows == done.Accepted, "%d accepted, %d stored", done.Accepted, m.Rows)
	b.report.holds(m.Lost == 0 && m.Strange == 0, "%d lost, %d stored that nobody accepted", m.Lost, m.Strange)
	b.report.holds(m.Doubled == 0, "%d doubled", m.Doubled)
	b.report.holds(m.Disordered == 0, "%d out of order", m.Disordered)
	v, err := verifyReplies(ctx, b.db, b.telegram)
	if err != nil {
		return err
	}
	v.hold(b.report, 0)
	b.report.holds(v.accepted == b.agents.replies, "%d replies were queued, the stand-in has %d", b.agents.replies, v.accepted)
	b.report.say("In: %s accepted (%.0f/s), %d lost, %d doubled, %d out of order; answer p50 %s p99 %s ms, commit p50 %s p99 %s ms. Out: %s replies, %d lost, %d twice, %d out of order. %s questions.\n"+
		"Each of %d streams was told of each message once.",
		thousands(done.Accepted), float64(done.Accepted)/b.seconds.Seconds(), m.Lost, m.Doubled, m.Disordered, ms(m.Answer50), ms(m.Answer99), ms(m.Commit50), ms(m.Commit99),
		thousands(v.accepted), v.lost, v.doubled, v.disordered, thousands(b.agents.asked), len(b.follow))
	if b.agents.failed > 0 {
		b.report.say("%d requests of agents failed and were made again, the first with: %v", b.agents.failed, b.agents.said)
	}
	return b.report.audit(ctx, b.server)
}
