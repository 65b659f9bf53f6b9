package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/transports/sandbox"
)

// streamBench measures from a provider's webhook to the event at open streams.
type streamBench struct {
	settings
	report  *report
	db      *cluster
	server  *server
	client  *http.Client
	api     string
	tenants []streamTenant
	run     int
}

// streamTenant is a business whose streams are open.
type streamTenant struct {
	bot   bot
	token string
	// open are its streams.
	open []*openStream
}

// openStream is one of them. Its fields are its reader's until that ended.
type openStream struct {
	tenant int
	body   io.ReadCloser
	mu     sync.Mutex
	// took is how long each event took, by the run that it belongs to.
	took map[int][]time.Duration
	err  error
}

func benchStream(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parseSettings("stream", args)
	if err != nil {
		return err
	}
	dir, remove, err := workFolder(s)
	if err != nil {
		return err
	}
	defer remove()
	r, err := newReport(s, "bench-stream", out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	b := &streamBench{
		settings: s, report: r,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: s.streams, DisableCompression: true}},
	}
	return b.measure(ctx, dir)
}

func (b *streamBench) measure(ctx context.Context, dir string) (err error) {
	if b.db, err = newCluster(ctx, dir, b.settings); err != nil {
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
	if err := b.connect(ctx, dir, at); err != nil {
		return err
	}
	defer b.server.stop()
	b.report.say("# Webhook to open stream\n")
	b.report.machine(ctx, b.db)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer b.closeStreams()
	if err := b.openStreams(ctx, &reading); err != nil {
		return err
	}
	b.report.say("%s streams of %s tenants are open. From the moment a webhook's request is sent to the moment the event's line is read at each stream\n"+
		"of its tenant: through the gateway, the bus, the router's transaction, the facts and the API, with fsync at the bus and in PostgreSQL.",
		thousands(b.streams), thousands(b.settings.tenants))
	var lines [][]string
	for _, rate := range []int{10, 100} {
		line, err := b.load(ctx, rate)
		if err != nil {
			return err
		}
		lines = append(lines, line)
	}
	b.report.table([]string{"webhooks/s", "webhooks", "events at streams", "p50 ms", "p99", "slowest"}, lines)
	return nil
}

// connect makes the tenants, each with a bot and somebody who follows.
func (b *streamBench) connect(ctx context.Context, dir, provider string) error {
	first, err := b.db.addBot(ctx, sandbox.DefaultTelegramToken, provider)
	if err != nil {
		return err
	}
	keys, err := inbox.ParseKey(first.key)
	if err != nil {
		return err
	}
	b.tenants = append(b.tenants, streamTenant{bot: first})
	for i := 1; i < b.settings.tenants; i++ {
		tenant, err := b.db.db.CreateTenant(ctx, fmt.Sprintf("Bench %d", i))
		if err != nil {
			return err
		}
		another := first
		ch := &another.channel
		ch.Tenant, ch.ID = tenant.ID, events.ChannelID(fmt.Sprintf("018f0000-0000-7000-8000-%012x", i))
		ch.WebhookPath = fmt.Sprintf("bench-%032x", i)
		if ch.Sealed, err = keys.Seal(string(ch.ID), map[string]string{"token": another.token, "webhook_secret": another.secret}); err != nil {
			return err
		}
		if _, err := b.db.db.CreateChannel(ctx, *ch, "", ""); err != nil {
			return err
		}
		b.tenants = append(b.tenants, streamTenant{bot: another})
	}
	listen, err := freeAddr(ctx)
	if err != nil {
		return err
	}
	s := b.settings
	s.serve += " --rate-limit 0"
	b.api = "http://" + listen + "/api/v1"
	if b.server, err = startServer(ctx, dir, "parley", s, b.db, first, serverOptions{api: listen}); err != nil {
		return err
	}
	for i := range b.tenants {
		t := &b.tenants[i]
		who, err := join(ctx, b.db, b.client, b.api, t.bot.channel.Tenant, fmt.Sprintf("owner@bench%d.example", i))
		if err != nil {
			return err
		}
		t.token = who.token
		if err := b.server.ready(ctx, t.bot); err != nil {
			return err
		}
	}
	return nil
}

func (b *streamBench) openStreams(ctx context.Context, reading *sync.WaitGroup) error {
	for n := range b.streams {
		i := n % len(b.tenants)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.api+"/stream?types=message.received", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+b.tenants[i].token)
		res, err := b.client.Do(req)
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			return errors.Join(fmt.Errorf("a stream: %s", res.Status), res.Body.Close())
		}
		o := &openStream{tenant: i, body: res.Body, took: map[int][]time.Duration{}}
		b.tenants[i].open = append(b.tenants[i].open, o)
		reading.Go(o.read)
	}
	return nil
}

func (b *streamBench) closeStreams() {
	for _, t := range b.tenants {
		for _, o := range t.open {
			_ = o.body.Close()
		}
	}
}

// read notes when each event comes, until the stream is closed.
func (o *openStream) read() {
	lines := bufio.NewScanner(o.body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		now := time.Now()
		var fact struct {
			Data struct{ Text string }
		}
		var run, tenant int
		var sent int64
		err := json.Unmarshal(data, &fact)
		if err == nil {
			_, err = fmt.Sscanf(fact.Data.Text, "run %d tenant %d at %d", &run, &tenant, &sent)
		}
		if err == nil && tenant != o.tenant {
			err = fmt.Errorf("tenant %d reads what tenant %d was written", o.tenant, tenant)
		}
		o.mu.Lock()
		if o.err == nil {
			o.err = err
		}
		o.took[run] = append(o.took[run], now.Sub(time.Unix(0, sent)))
		o.mu.Unlock()
	}
}

// load sends webhooks at a rate and waits until each came to every stream of its
// tenant, once.
func (b *streamBench) load(ctx context.Context, rate int) ([]string, error) {
	b.run++
	each := make([]int, len(b.tenants))
	total := int(b.seconds.Seconds() * float64(rate))
	var posts sync.WaitGroup
	var mu sync.Mutex
	var failed error
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for n := range total {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		i := n % len(b.tenants)
		each[i]++
		posts.Go(func() {
			if err := b.post(ctx, i, n); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = err
			}
		})
	}
	posts.Wait()
	if failed != nil {
		return nil, failed
	}
	want := 0
	for i, n := range each {
		want += n * len(b.tenants[i].open)
	}
	var all []time.Duration
	err := until(ctx, time.Minute, "all events", func() (bool, error) {
		all = all[:0]
		for _, t := range b.tenants {
			for _, o := range t.open {
				o.mu.Lock()
				all = append(all, o.took[b.run]...)
				err := o.err
				o.mu.Unlock()
				if err != nil {
					return false, err
				}
			}
		}
		return len(all) >= want, nil
	})
	if err != nil {
		return nil, fmt.Errorf("%d of %d events came: %w", len(all), want, err)
	}
	for i, t := range b.tenants {
		for _, o := range t.open {
			o.mu.Lock()
			b.report.holds(len(o.took[b.run]) == each[i], "a stream of tenant %d has %d events of %d", i, len(o.took[b.run]), each[i])
			o.mu.Unlock()
		}
	}
	slices.Sort(all)
	line := []string{
		fmt.Sprint(rate), thousands(total), thousands(len(all)), ms(quantile(all, 0.5)), ms(quantile(all, 0.99)), ms(all[len(all)-1]),
	}
	fmt.Fprintln(os.Stderr, "webhook to stream:", strings.Join(line, ", "))
	return line, nil
}

// post sends one webhook, of one of a hundred persons.
func (b *streamBench) post(ctx context.Context, tenant, n int) error {
	t := b.tenants[tenant]
	sender := firstPerson + n%100
	now := time.Now()
	body := fmt.Sprintf(`{"update_id":%d,"message":{"message_id":%d,"from":{"id":%d,"is_bot":false,"first_name":"Maria"},"chat":{"id":%d,"first_name":"Maria","type":"private"},"date":%d,"text":"run %d tenant %d at %d"}}`,
		b.run*1_000_000+n, b.run*1_000_000+n, sender, sender, now.Unix(), b.run, tenant, now.UnixNano())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.server.webhook(t.bot), strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(telegramSecret, t.bot.secret)
	res, err := b.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body) // so that the connection can be used again
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("a webhook: %s", res.Status)
	}
	return nil
}
