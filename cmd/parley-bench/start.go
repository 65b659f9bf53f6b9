package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/transports/sandbox"
)

// manyChannels are connected to see what a channel costs.
const manyChannels = 1000

// startBench measures how long a server takes to be ready, and what memory it has
// then, with many channels, and at full load.
type startBench struct {
	settings
	dir    string
	report *report
	starts [][]string
	memory [][]string
}

func benchStart(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parseSettings("start", args)
	if err != nil {
		return err
	}
	dir, remove, err := workFolder(s)
	if err != nil {
		return err
	}
	defer remove()
	r, err := newReport(s, "bench-start", out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	b := &startBench{settings: s, dir: dir, report: r}
	return b.run(ctx)
}

func (b *startBench) run(ctx context.Context) (err error) {
	db, err := newCluster(ctx, b.dir, b.settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close()) }()
	b.report.say("# Start and memory\n")
	b.report.machine(ctx, db)
	if err := b.embedded(ctx); err != nil {
		return err
	}
	if err := b.external(ctx, db); err != nil {
		return err
	}
	b.report.say("From the start of the process until /readyz says so, milliseconds.")
	b.report.table([]string{"", "rounds", "median", "slowest"}, b.starts)
	b.report.say("Memory of the parley process (VmRSS; at full load VmHWM), without PostgreSQL.")
	b.report.table([]string{"", "MB", "goroutines", "file descriptors"}, b.memory)
	return nil
}

// embedded starts a server with everything in its data folder, new and again.
func (b *startBench) embedded(ctx context.Context) error {
	var fresh, again []time.Duration
	for round := range b.rounds {
		data, err := sub(b.dir, fmt.Sprintf("own-%d", round))
		if err != nil {
			return err
		}
		if err := os.Chmod(data, 0o711); err != nil { //nolint:gosec // PostgreSQL's own user passes through
			return err
		}
		for _, list := range []*[]time.Duration{&fresh, &again} {
			p, took, err := b.timed(ctx, fmt.Sprintf("own-%d", round), nil, "--data-dir", data)
			if err != nil {
				return err
			}
			*list = append(*list, took)
			if list == &again && round == 0 {
				err = b.rest(ctx, "at rest, everything in the data folder", p)
			}
			p.stop()
			if err != nil {
				return err
			}
		}
	}
	b.started("everything in a new data folder (makes the database)", fresh)
	b.started("everything in the data folder, again", again)
	return nil
}

// readyServer is a process with the address where it says what it is.
type readyServer struct {
	*process
	listen string
}

// timed starts a server and waits until it is ready.
func (b *startBench) timed(ctx context.Context, name string, env []string, args ...string) (*readyServer, time.Duration, error) {
	listen, err := freeAddr(ctx)
	if err != nil {
		return nil, 0, err
	}
	began := time.Now()
	p, err := start(b.dir, name, env, b.parley, append([]string{"serve", "--listen", listen, "--api-listen", ""}, args...)...)
	if err != nil {
		return nil, 0, err
	}
	late := began.Add(time.Minute)
	for { // more often than until asks
		code, text, err := ask(ctx, http.MethodGet, "http://"+listen+"/readyz")
		if err == nil && code == http.StatusOK {
			return &readyServer{p, listen}, time.Since(began), nil
		}
		if !p.running() || time.Now().After(late) || ctx.Err() != nil {
			err = errors.Join(err, fmt.Errorf("readyz: %d %s", code, text), ctx.Err())
			if !p.running() {
				err = p.ended()
			}
			p.kill()
			return nil, 0, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (b *startBench) started(what string, took []time.Duration) {
	slices.Sort(took)
	b.starts = append(b.starts, []string{what, fmt.Sprint(len(took)), fmt.Sprintf("%.0f", ms0(quantile(took, 0.5))), fmt.Sprintf("%.0f", ms0(took[len(took)-1]))})
}

func ms0(d time.Duration) float64 { return d.Seconds() * 1000 }

// rest notes what a server uses after it was left alone for a while.
func (b *startBench) rest(ctx context.Context, what string, p *readyServer) error {
	select {
	case <-time.After(b.seconds / 2):
	case <-ctx.Done():
		return ctx.Err()
	}
	resident, err := residentOf(p.pid())
	if err != nil {
		return err
	}
	return b.uses(ctx, what, p, resident)
}

func (b *startBench) uses(ctx context.Context, what string, p *readyServer, bytes int64) error {
	m, err := (&sampler{server: &server{listen: p.listen}, client: http.DefaultClient}).metrics(ctx)
	if err != nil {
		return err
	}
	b.memory = append(b.memory, []string{what, fmt.Sprintf("%.0f", float64(bytes)/(1<<20)), fmt.Sprintf("%.0f", m["go_goroutines"]), fmt.Sprintf("%.0f", m["process_open_fds"])})
	return nil
}

// external starts servers on a PostgreSQL and a NATS that run.
func (b *startBench) external(ctx context.Context, db *cluster) (err error) {
	nats, err := startNATS(ctx, b.dir)
	if err != nil {
		return err
	}
	defer nats.stop()
	telegram, err := startStandIn(ctx, b.dir, b.seed, sandbox.TelegramFaults{}, "-bots", fmt.Sprint(2*manyChannels+1))
	if err != nil {
		return err
	}
	defer telegram.kill()
	bot, err := db.addBot(ctx, botToken(0), telegram.url)
	if err != nil {
		return err
	}
	env := []string{"PARLEY_SECRET_KEY=" + bot.key, "PARLEY_NATS_URL=" + nats.url, "PARLEY_DATABASE_URL=" + db.server.URL()}
	data, err := sub(b.dir, "parley")
	if err != nil {
		return err
	}
	again := func(name string) (*readyServer, time.Duration, error) {
		return b.timed(ctx, name, env, "--data-dir", data, "--public-url", "http://127.0.0.1:9")
	}
	var took []time.Duration
	for round := range b.rounds {
		p, d, err := again("parley")
		if err != nil {
			return err
		}
		if took = append(took, d); round == 0 {
			if err := b.rest(ctx, "at rest, PostgreSQL and NATS elsewhere", p); err != nil {
				p.stop()
				return err
			}
		}
		p.stop()
	}
	b.started("PostgreSQL and NATS elsewhere", took[1:]) // the first made the streams
	if err := b.loaded(ctx, db, bot); err != nil {
		return err
	}
	for i, mode := range []events.ChannelMode{events.Webhook, events.Polling} {
		if err := b.connect(ctx, db, bot, telegram.url, mode, 1+i*manyChannels); err != nil {
			return err
		}
		p, d, err := again(fmt.Sprintf("many-%d", i))
		if err != nil {
			return err
		}
		err = b.many(ctx, p, d, mode)
		p.stop()
		if err != nil {
			return err
		}
	}
	return nil
}

// connect adds many bots.
func (b *startBench) connect(ctx context.Context, db *cluster, first bot, url string, mode events.ChannelMode, from int) error {
	keys, err := inbox.ParseKey(first.key)
	if err != nil {
		return err
	}
	for i := from; i < from+manyChannels; i++ {
		ch := first.channel
		ch.ID = events.ChannelID(fmt.Sprintf("018f0000-0000-7000-9000-%012x", i))
		ch.Name, ch.Mode, ch.WebhookPath = fmt.Sprintf("Bot %d", i), mode, fmt.Sprintf("bench-%032x", i)
		ch.Settings = map[string]string{"api_url": url}
		if ch.Sealed, err = keys.Seal(string(ch.ID), map[string]string{"token": botToken(i), "webhook_secret": first.secret}); err != nil {
			return err
		}
		if _, err := db.db.CreateChannel(ctx, ch, "", ""); err != nil {
			return err
		}
	}
	return nil
}

// many waits until all channels work, and looks what they use.
func (b *startBench) many(ctx context.Context, p *readyServer, took time.Duration, mode events.ChannelMode) error {
	what := fmt.Sprintf("with %s webhook channels", thousands(manyChannels))
	open := 0.0
	if mode == events.Polling {
		what = fmt.Sprintf("and %s polled ones besides", thousands(manyChannels))
		open = manyChannels // a poll is a connection that waits
	}
	b.started("the same "+what, []time.Duration{took})
	s := &sampler{server: &server{listen: p.listen}, client: http.DefaultClient}
	began := time.Now()
	err := until(ctx, 2*time.Minute, "all polls to wait", func() (bool, error) {
		m, err := s.metrics(ctx)
		return err == nil && m["process_open_fds"] >= open, err
	})
	if err != nil {
		return err
	}
	if mode == events.Polling {
		b.report.say("All %s polls waited %.1f s after ready.", thousands(manyChannels), time.Since(began).Seconds())
	}
	return b.rest(ctx, "at rest, "+what, p)
}

// loaded looks at the most that a server with all roles and NATS inside uses.
func (b *startBench) loaded(ctx context.Context, db *cluster, bot bot) error {
	in := &inboundBench{settings: b.settings, dir: b.dir, report: b.report, db: db, bot: bot}
	dir, err := sub(b.dir, "loaded")
	if err != nil {
		return err
	}
	// NATS inside has streams of its own: the ledger has to begin with them.
	if err := db.asOwner(ctx, "TRUNCATE parley_partitions CASCADE"); err != nil {
		return err
	}
	if in.server, err = startServer(ctx, dir, "parley", b.settings, db, bot, serverOptions{}); err != nil {
		return err
	}
	defer in.server.stop()
	p := &readyServer{in.server.process, in.server.listen}
	if err := forgetPeak(p.pid()); err != nil {
		return err
	}
	m, err := in.measure(ctx, measured{kind: "new", connections: 64}, 0)
	if err != nil {
		return err
	}
	peak, err := peakOf(p.pid())
	if err != nil {
		return err
	}
	if err := b.uses(ctx, fmt.Sprintf("all roles and NATS inside, %.0f new senders a second at 64 connections", m.rate()), p, peak); err != nil {
		return err
	}
	return db.asOwner(ctx, "TRUNCATE parley_partitions CASCADE")
}
