package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"parley/events"
	"parley/transports/sandbox"
)

const (
	// deskConnections ask at once.
	deskConnections = 32
	// deskFewMessages are what the same is measured with for comparison.
	deskFewMessages, deskFewChats = 10_000, 1_000
	// What p99 may be at most, paced, at the full size.
	deskTarget, deskSearchTarget = 20 * time.Millisecond, 100 * time.Millisecond
)

// deskBench measures what agents ask for, with little and with much in the database.
type deskBench struct {
	settings
	dir    string
	report *report
}

// deskWorld is one database with a server on it.
type deskWorld struct {
	*seeding
	server *server
	client *http.Client
	api    string
	// big and small are who asks: in the large tenant, and in one of the others.
	big, small attackTenant
	// key makes each reply's Idempotency-Key another.
	run string
}

func benchDesk(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parseSettings("desk", args)
	if err != nil {
		return err
	}
	dir, remove, err := workFolder(s)
	if err != nil {
		return err
	}
	defer remove()
	r, err := newReport(s, "bench-desk", out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	b := &deskBench{settings: s, dir: dir, report: r}
	return b.run(ctx)
}

func (b *deskBench) run(ctx context.Context) error {
	b.report.say("# The desk\n")
	few, err := b.size(ctx, "few", deskFewChats, deskFewMessages, false)
	if err != nil {
		return err
	}
	many, err := b.size(ctx, "many", b.chats, b.messages, true)
	if err != nil {
		return err
	}
	b.write(few, many)
	return nil
}

// size seeds a database and measures everything on it.
func (b *deskBench) size(ctx context.Context, name string, chats, messages int, tell bool) (list []asked, err error) {
	dir, err := sub(b.dir, name)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // PostgreSQL's own user passes through
		return nil, err
	}
	db, err := newCluster(ctx, dir, b.settings)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.close()) }()
	w := &deskWorld{
		seeding: &seeding{db: db, chats: chats, messages: messages, tenants: b.tenants}, run: name,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * deskConnections, DisableCompression: true}, Timeout: time.Minute},
	}
	if w.bot, err = db.addBot(ctx, sandbox.DefaultTelegramToken, "http://127.0.0.1:9"); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := w.seed(ctx); err != nil {
		return nil, err
	}
	seeded := time.Since(began)
	if tell {
		b.report.machine(ctx, db)
		var size int64
		if err := db.pool.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&size); err != nil {
			return nil, err
		}
		b.report.say("One tenant with %s messages in %s chats beside %s with %d chats of %d messages each, seeded in %.0f s; the database has %.1f GB.\n"+
			"Indexes and foreign keys were taken off for that and put back, which checks every row; then everything is as it was. The server is the\n"+
			"real one with the roles api and router, on PostgreSQL's settings of `parley serve`; fsync is on.",
			thousands(messages), thousands(chats), thousands(b.tenants), smallChats, messagesPerChat, seeded.Seconds(), float64(size)/1e9)
	}
	if err := w.start(ctx, dir, b.settings, "api,router"); err != nil {
		return nil, err
	}
	defer w.server.stop() // without a dispatcher, nobody sends what is replied
	for _, q := range w.questions() {
		a := asked{question: q}
		// Once to fill caches and plans.
		if _, err := w.ask(ctx, q, b.seed+1, b.seconds/10, 0); err != nil {
			return nil, fmt.Errorf("%s: %w", q.name, err)
		}
		if a.paced, err = w.ask(ctx, q, b.seed+2, b.seconds, b.think); err != nil {
			return nil, fmt.Errorf("%s: %w", q.name, err)
		}
		if a.flatOut, err = w.ask(ctx, q, b.seed+3, b.seconds/2, 0); err != nil {
			return nil, fmt.Errorf("%s: %w", q.name, err)
		}
		fmt.Fprintf(os.Stderr, "%s, %s messages: p50 %s p99 %s ms; flat out %.0f/s\n", q.name, thousands(messages), ms2(a.paced.p50), ms2(a.paced.p99), a.flatOut.rate())
		list = append(list, a)
	}
	if b.profile {
		return list, b.report.statements(ctx, db)
	}
	return list, nil
}

// start starts the server, with all roles if none are named, and has owners log in.
func (w *deskWorld) start(ctx context.Context, dir string, s settings, roles string) error {
	listen, err := freeAddr(ctx)
	if err != nil {
		return err
	}
	s.serve += " --rate-limit 0"
	w.api = "http://" + listen + "/api/v1"
	if w.server, err = startServer(ctx, dir, "parley", s, w.db, w.bot, serverOptions{api: listen, roles: roles}); err != nil {
		return err
	}
	if w.big, err = join(ctx, w.db, w.client, w.api, w.bot.channel.Tenant, "owner@bench.example"); err != nil {
		return err
	}
	w.small, err = join(ctx, w.db, w.client, w.api, smallTenant(0), "owner@small.example")
	return err
}

// smallTenant is the id of the n-th small tenant.
func smallTenant(n int) events.TenantID {
	return events.TenantID(fmt.Sprintf("00000000-0000-4000-a000-%012x", n))
}

func (b *deskBench) write(few, many []asked) {
	b.report.say("\nThrough the HTTP API, as the tenant's role, %d connections. Paced: each begins a request every %s, and what is late counts from when it\n"+
		"was due. Flat out: each asks again at once, so that times are those of a queue. Chats are drawn at random. The ratio is of the paced p50 and p99\n"+
		"to those with %s messages.", deskConnections, b.think, thousands(deskFewMessages))
	var lines [][]string
	for i, a := range many {
		f := few[i]
		verdict := ""
		if a.target > 0 {
			verdict = "yes"
			if a.paced.p99 > a.target {
				verdict = "no"
			}
			verdict += ", " + ms(a.target)
		}
		lines = append(lines, []string{
			a.name, ms2(a.paced.p50), ms2(a.paced.p99), verdict, ms2(f.paced.p50), ms2(f.paced.p99),
			fmt.Sprintf("%.1f / %.1f", ratio(a.paced.p50, f.paced.p50), ratio(a.paced.p99, f.paced.p99)),
			fmt.Sprintf("%.0f", a.flatOut.rate()), ms(a.flatOut.p50), ms(a.flatOut.p99),
		})
	}
	b.report.table([]string{
		"", "p50 ms", "p99", "within", "few: p50", "p99", "ratio", "flat out: /s", "p50", "p99",
	}, lines)
}

func ratio(a, b time.Duration) float64 {
	if b <= 0 {
		return 0
	}
	return float64(a) / float64(b)
}
