package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"parley/events"
	"parley/events/jetstream"
	"parley/transports"
	"parley/transports/telegram"
)

// ceilingBatch is how many rows or events go together.
const ceilingBatch = 500

// ceilings measures what this machine can do at most: the same rows by plain
// inserts, the same payloads onto the bus. Nothing else runs meanwhile.
func (b *inboundBench) ceilings(ctx context.Context) error {
	var lines [][]string
	for i, connections := range []int{1, 2, 4} {
		for _, kind := range []string{"known", "new"} {
			m, ok := b.last(kind)
			if !ok {
				continue
			}
			rate, err := b.insertCeiling(ctx, m, i+1, connections)
			if err != nil {
				return fmt.Errorf("ceiling of inserts: %w", err)
			}
			lines = append(lines, []string{
				fmt.Sprintf("INSERT of %d rows into crm_chat_messages, %s senders", ceilingBatch, kind), fmt.Sprint(connections), fmt.Sprintf("%.0f", rate),
			})
		}
	}
	rate, err := b.publishCeiling(ctx)
	if err != nil {
		return fmt.Errorf("ceiling of publishing: %w", err)
	}
	lines = append(lines, []string{fmt.Sprintf("publish of %d payloads, one partition a call", ceilingBatch), "4", fmt.Sprintf("%.0f", rate)})
	b.report.say("\n## Ceilings in the same run\n\n" +
		"The rows of a run once more under other provider ids, all indexes and foreign keys in place, without clients, chats,\n" +
		"facts and checkpoints; the payloads on an embedded bus of its own. One transaction or call at a time per connection.")
	b.report.table([]string{"what", "connections", "per second"}, lines)
	return nil
}

// last is the newest measurement of a kind.
func (b *inboundBench) last(kind string) (m measured, ok bool) {
	for _, r := range b.rows {
		if r.kind == kind {
			m, ok = r, true
		}
	}
	return m, ok
}

// ceilingColumns are what the router fills in; seq, provider_message and
// event_id are unique and made anew.
var ceilingColumns = []struct{ name, kind string }{
	{"tenant_id", "uuid"},
	{"chat_id", "integer"},
	{"sender_id", "uuid"},
	{"message", "text"},
	{"sent_at", "timestamptz"},
	{"created_at", "timestamptz"},
	{"seq", "bigint"},
	{"direction", "text"},
	{"kind", "text"},
	{"content", "jsonb"},
	{"channel_id", "uuid"},
	{"provider_chat", "text"},
	{"provider_message", "text"},
	{"part", "smallint"},
	{"provider_at", "timestamptz"},
	{"routed_by", "text"},
	{"event_id", "uuid"},
}

// insertCeiling inserts a measurement's rows once more, and yields rows per
// second.
func (b *inboundBench) insertCeiling(ctx context.Context, m measured, round, connections int) (float64, error) {
	var names, kinds []string
	for i, col := range ceilingColumns {
		names = append(names, col.name)
		kinds = append(kinds, fmt.Sprintf("$%d::%s[]", i+1, col.kind))
	}
	sql := fmt.Sprintf(`INSERT INTO crm_chat_messages (%s) SELECT * FROM unnest(%s)`,
		strings.Join(names, ", "), strings.Join(kinds, ", "))
	batches, err := b.ceilingRows(ctx, m, round)
	if err != nil {
		return 0, err
	}
	var (
		wg   sync.WaitGroup
		next atomic.Int64
		rows atomic.Int64
		errs = make([]error, connections)
	)
	began := time.Now()
	for i := range connections {
		wg.Go(func() {
			errs[i] = b.db.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
				for n := next.Add(1) - 1; n < int64(len(batches)) && time.Since(began) < b.seconds; n = next.Add(1) - 1 {
					tag, err := conn.Exec(ctx, sql, batches[n]...)
					if err != nil {
						return err
					}
					rows.Add(tag.RowsAffected())
				}
				return nil
			})
		})
	}
	wg.Wait()
	return float64(rows.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}

// ceilingRows reads a measurement's rows back, as the arguments of batches.
func (b *inboundBench) ceilingRows(ctx context.Context, m measured, round int) ([][]any, error) {
	var batches [][]any
	after := m.after
	for len(batches)*ceilingBatch < m.Rows {
		args := make([]any, len(ceilingColumns))
		ptrs := make([]any, len(ceilingColumns))
		for i, col := range ceilingColumns {
			switch col.kind {
			case "timestamptz":
				args[i], ptrs[i] = pointer[[]time.Time]()
			case "bigint", "integer", "smallint":
				args[i], ptrs[i] = pointer[[]int64]()
			default:
				args[i], ptrs[i] = pointer[[]string]()
			}
		}
		var last *int64
		err := b.db.pool.QueryRow(ctx, `
			SELECT max(id), array_agg(tenant_id::text), array_agg(chat_id::bigint), array_agg(sender_id::text), array_agg(message),
			       array_agg(sent_at), array_agg(created_at), array_agg(seq + $3::bigint * 1000000), array_agg(direction),
			       array_agg(kind), array_agg(content::text), array_agg(channel_id::text), array_agg(provider_chat),
			       array_agg('c' || $3::bigint || provider_message), array_agg(part::bigint), array_agg(provider_at), array_agg(routed_by),
			       array_agg(gen_random_uuid()::text)
			  FROM (SELECT * FROM crm_chat_messages WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $4) m`,
			after, m.upTo, round, ceilingBatch).Scan(append([]any{&last}, ptrs...)...)
		if err != nil {
			return nil, err
		}
		if last == nil {
			break
		}
		after = *last
		for i := range args {
			args[i] = dereference(ptrs[i])
		}
		batches = append(batches, args)
	}
	return batches, nil
}

func pointer[T any]() (value, ptr any) {
	var v T
	return v, &v
}

func dereference(ptr any) any {
	switch p := ptr.(type) {
	case *[]time.Time:
		return *p
	case *[]int64:
		return *p
	case *[]string:
		return *p
	}
	return nil
}

// publishCeiling publishes what the gateway would, in whole batches, and yields
// events per second.
func (b *inboundBench) publishCeiling(ctx context.Context) (rate float64, err error) {
	dir, err := sub(b.dir, "ceiling-nats")
	if err != nil {
		return 0, err
	}
	embedded, err := jetstream.Embed(ctx, jetstream.EmbedOptions{DataDir: dir})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, embedded.Shutdown(context.WithoutCancel(ctx))) }()
	bus, err := jetstream.Open(ctx, jetstream.Options{Embedded: embedded})
	if err != nil {
		return 0, err
	}
	defer bus.Close()
	byPartition, err := b.ceilingEvents(bus)
	if err != nil {
		return 0, err
	}
	var (
		wg        sync.WaitGroup
		published atomic.Int64
		errs      = make([]error, len(byPartition))
		began     = time.Now()
	)
	for p, evs := range byPartition {
		wg.Go(func() {
			for time.Since(began) < b.seconds/2 {
				for i := 0; i+ceilingBatch <= len(evs) && time.Since(began) < b.seconds/2; i += ceilingBatch {
					if errs[p] = bus.Publish(ctx, evs[i:i+ceilingBatch]...); errs[p] != nil {
						return
					}
					published.Add(ceilingBatch)
				}
			}
		})
	}
	wg.Wait()
	return float64(published.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}

// ceilingEvents makes events of the generator's payloads the way the gateway
// does, sorted by partition.
func (b *inboundBench) ceilingEvents(bus *jetstream.Bus) ([][]events.Inbound, error) {
	built, err := telegram.New(transports.Account{
		Channel: b.bot.channel, HTTPClient: http.DefaultClient,
		Secrets: map[string]string{"token": b.bot.token, "webhook_secret": b.bot.secret},
	})
	if err != nil {
		return nil, err
	}
	hook, ok := built.(transports.Webhook)
	if !ok {
		return nil, errors.New("the adapter takes no webhooks")
	}
	byPartition := make([][]events.Inbound, bus.Partitions())
	req := &http.Request{Header: http.Header{"X-Telegram-Bot-Api-Secret-Token": {b.bot.secret}}}
	for i := range 20_000 {
		body := update{run: b.runs + 1, sender: firstStranger + int64(i), counter: 1, sent: time.Now()}.body(nil)
		callback, err := hook.ParseWebhook(req, body)
		if err != nil {
			return nil, err
		}
		for _, ev := range callback.Events {
			id, err := uuid.NewV7()
			if err != nil {
				return nil, err
			}
			ev.ID, ev.Tenant, ev.Channel = events.EventID(id.String()), b.bot.channel.Tenant, b.bot.channel.ID
			ev.Transport, ev.AcceptedAt = events.Telegram, time.Now().UTC()
			p := bus.PartitionOf(&ev)
			byPartition[p] = append(byPartition[p], ev)
		}
	}
	return byPartition, nil
}
