package jetstream_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"parley/events"
	"parley/events/jetstream"
)

const tenant = events.TenantID("018f0000-0000-7000-8000-000000000001")

// within is a context that only a defect lets run out.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// event is from person, numbered n.
func event(person string, n int) events.Inbound {
	return events.Inbound{
		ID:         events.EventID(person + "-" + strconv.Itoa(n)),
		Tenant:     tenant,
		Channel:    "018f0000-0000-7000-8000-00000000000c",
		Transport:  events.Telegram,
		AcceptedAt: time.Date(2025, 5, 1, 12, 0, 0, 0, time.UTC),
		Kind:       events.Message,
		Person:     events.Person{Identity: events.Identity{Kind: events.TelegramUser, Value: person}},
		Key:        events.MessageKey{Chat: person, Message: strconv.Itoa(n)},
		Content:    &events.Content{Type: events.Text, Text: fmt.Sprintf("message %d of %s", n, person)},
	}
}

func one(o *jetstream.Options) { o.Partitions = 1 }

// read returns the next n records of partition 0 behind after.
func read(t testing.TB, b *jetstream.Bus, after uint64, n int) []jetstream.Record {
	t.Helper()
	ctx := within(t)
	r, err := b.Reader(ctx, 0, after)
	if err != nil {
		t.Fatalf("reader: %v", err)
	}
	defer r.Close()
	return readFrom(t, r, n)
}

func readFrom(t testing.TB, r *jetstream.Reader, n int) []jetstream.Record {
	t.Helper()
	ctx := within(t)
	var all []jetstream.Record
	for len(all) < n {
		got, err := r.Next(ctx, n-len(all))
		if err != nil {
			t.Fatalf("next after %d records: %v", len(all), err)
		}
		all = append(all, got...)
	}
	return all
}

func mustPublish(t testing.TB, b *jetstream.Bus, evs ...events.Inbound) {
	t.Helper()
	if err := b.Publish(within(t), evs...); err != nil {
		t.Fatalf("publish: %v", err)
	}
}

// place is where a record is stored.
func place(r jetstream.Record) string { return fmt.Sprintf("%d/%d", r.Seq, r.Index) }

// order checks that records follow one another without a gap.
type order struct {
	seq  uint64
	next int
}

func (o *order) check(t testing.TB, r jetstream.Record) {
	t.Helper()
	if follows := r.Seq == o.seq && r.Index == o.next || r.Seq == o.seq+1 && r.Index == 0; !follows {
		t.Fatalf("record %s after %d/%d", place(r), o.seq, o.next-1)
	}
	o.seq, o.next = r.Seq, r.Index+1
}

// count is how many events partition 0 holds.
func count(t testing.TB, b *jetstream.Bus) int {
	t.Helper()
	n := 0
	err := b.Scan(within(t), 0, 1, 0, func(jetstream.Record) error {
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
