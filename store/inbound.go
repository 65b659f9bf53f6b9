package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// InboundRecord is one event of a partition's stream.
type InboundRecord struct {
	// Seq is its frame's sequence in the stream, Index its place in the frame.
	Seq   uint64
	Index int
	Data  []byte
	// Event is nil when Data could not be decoded; Unstorable says why then, or
	// why the event is to be put in quarantine.
	Event      *events.Inbound
	Unstorable *Unstorable
}

// Unstorable says why an event goes to quarantine.
type Unstorable struct {
	// Reason is in plain words; SQLState is the database's, when it refused.
	Reason, SQLState string
}

// BatchResult is what became of a batch.
type BatchResult struct {
	// Outcomes names each record's end, in the batch's order.
	Outcomes   []Outcome
	NewClients int
}

// Outcome is one of the four ends of an accepted event.
type Outcome string

// The four ends.
const (
	Persisted   Outcome = "persisted"
	Duplicate   Outcome = "duplicate"
	Ignored     Outcome = "ignored"
	Quarantined Outcome = "quarantined"
)

// Count is how many records ended so.
func (r BatchResult) Count(o Outcome) int64 {
	var n int64
	for _, have := range r.Outcomes {
		if have == o {
			n++
		}
	}
	return n
}

// inbound is one event on its way through a batch.
type inbound struct {
	ord   int // its place in the batch
	event *events.Inbound
	seq   uint64 // 0 when it does not come from the bus
	index int
	who   *person
	// why is routed_by where the message itself decided; empty where its person
	// did.
	why string
	// proven says that a mail's From is vouched for by something else than DMARC.
	proven bool
	// unclaimed says that what the business wrote goes to the chat of an address
	// that nobody ever vouched for.
	unclaimed bool
	// ignored says why it is no message, empty when its event does; erased that
	// nothing of it may be kept.
	ignored string
	erased  bool
}

// StoreBatch stores consecutive whole frames of a partition in one transaction:
// identities, clients, chats, members, messages, facts, quarantine and the
// checkpoint. It moves l.LastSeq along. Either everything is stored or nothing.
//
// ErrFenced means the lease is lost. Other errors are the database's; for a
// data or constraint error the caller finds the culprit by splitting the batch.
func (db *DB) StoreBatch(ctx context.Context, l *PartitionLease, recs []InboundRecord) (BatchResult, error) {
	if len(recs) == 0 {
		return BatchResult{}, nil
	}
	hi, frames := recs[len(recs)-1].Seq, countFrames(recs)
	var res BatchResult
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		b := db.newBatch(recs, l)
		if err := b.store(ctx, tx); err != nil {
			return err
		}
		res = b.result
		_, err := tx.Exec(ctx, `SELECT parley_advance($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			l.Partition, l.Epoch, int64(l.LastSeq), int64(hi), frames, len(recs), //nolint:gosec // stream sequences
			res.Count(Persisted), res.Count(Duplicate), res.Count(Ignored), res.Count(Quarantined))
		return err
	})
	if err != nil {
		return BatchResult{}, fenced(err)
	}
	l.LastSeq = hi
	return res, nil
}

// errProbed ends a probe's transaction.
var errProbed = errors.New("probed")

// Probe reports how the database takes one record, without storing it: nil, or
// the error that storing it would end with.
func (db *DB) Probe(ctx context.Context, l *PartitionLease, rec InboundRecord) error {
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		if err := db.newBatch([]InboundRecord{rec}, l).store(ctx, tx); err != nil {
			return err
		}
		// What is checked at the commit is checked now.
		if _, err := tx.Exec(ctx, `SET CONSTRAINTS ALL IMMEDIATE`); err != nil {
			return err
		}
		return errProbed
	})
	if errors.Is(err, errProbed) {
		return nil
	}
	return err
}

// countFrames counts the frames that the records are of.
func countFrames(recs []InboundRecord) int {
	n := 0
	for i := range recs {
		if i == 0 || recs[i].Seq != recs[i-1].Seq {
			n++
		}
	}
	return n
}

// batch is the work of one transaction.
type batch struct {
	partition   int16
	incarnation int
	late        bool
	records     []InboundRecord
	result      BatchResult

	messages, updates, ignored []*inbound
	// anyWaiting is set while some update waits for its message.
	anyWaiting bool
	people     []*person
	// has says what kinds of messages are in the batch, so that the others cost
	// nothing.
	has batchHas
	// copies are here already under another key.
	copies []copied
	// limits of new clients an hour, of the channels that have one.
	limits map[events.ChannelID]int
	// erasing and blocking are the batch's tenants that have erased somebody or
	// block somebody; erasureKey makes the hashes of what was erased.
	erasing, blocking []string
	erasureKey        []byte
}

func (db *DB) newBatch(recs []InboundRecord, l *PartitionLease) *batch {
	p := int16(l.Partition) //nolint:gosec // at most 256 partitions
	return &batch{
		partition: p, incarnation: l.Incarnation, records: recs, erasureKey: db.erasureKey,
		result: BatchResult{Outcomes: make([]Outcome, len(recs))},
	}
}

// store sorts the records by what they need and writes them.
func (b *batch) store(ctx context.Context, tx pgx.Tx) error {
	b.sort()
	if err := b.vouch(ctx, tx); err != nil {
		return fmt.Errorf("looking up what vouches for mail: %w", err)
	}
	b.gather()
	if err := b.lookUp(ctx, tx); err != nil {
		return fmt.Errorf("looking up senders: %w", err)
	}
	if err := b.resolve(ctx, tx); err != nil {
		return fmt.Errorf("resolving senders: %w", err)
	}
	if b.has.ours {
		if err := b.speak(ctx, tx); err != nil {
			return fmt.Errorf("finding who speaks for the business: %w", err)
		}
	}
	if err := b.write(ctx, tx); err != nil {
		return fmt.Errorf("storing messages: %w", err)
	}
	return b.applyUpdates(ctx, tx)
}

// sort splits the batch by kind, quarantines what names nobody, and finds the
// copies within the batch.
func (b *batch) sort() {
	type key struct {
		channel events.ChannelID
		message events.MessageKey
	}
	seen := make(map[key]bool, len(b.records))
	for ord := range b.records {
		rec := &b.records[ord]
		if rec.Unstorable == nil {
			rec.Unstorable = examine(rec.Event)
		}
		if rec.Unstorable != nil {
			b.result.Outcomes[ord] = Quarantined
			continue
		}
		in := &inbound{ord: ord, event: rec.Event, seq: rec.Seq, index: rec.Index}
		switch rec.Event.Kind {
		case events.Message:
			k := key{rec.Event.Channel, rec.Event.Key}
			if seen[k] {
				b.result.Outcomes[ord] = Duplicate
				continue
			}
			seen[k] = true
			b.messages = append(b.messages, in)
			b.has.note(rec.Event)
		case events.Ignored:
			b.result.Outcomes[ord] = Ignored
			b.ignored = append(b.ignored, in)
		case events.Edit, events.Reacted, events.StatusChanged, events.Reachability:
			b.updates = append(b.updates, in)
		}
	}
}

// gather finds the people of the batch.
func (b *batch) gather() {
	people := make(map[personKey]*person)
	for _, in := range b.messages {
		in.who = addPerson(people, in)
		in.who.note(in.event)
	}
	for _, p := range people {
		b.people = append(b.people, p)
	}
	sortPeople(b.people)
}

// maxIDBytes keeps ids below what a btree entry can hold (2,704 bytes): the
// index would refuse a longer one with an error that is not about data, for
// which the router would wait for ever.
const maxIDBytes = 512

// examine says why an event can never be stored, or nil.
func examine(ev *events.Inbound) *Unstorable {
	switch {
	case ev == nil:
		return &Unstorable{Reason: "The event could not be decoded."}
	case !isUUID(string(ev.Tenant)) || !isUUID(string(ev.Channel)) || !isUUID(string(ev.ID)):
		return &Unstorable{Reason: "The event does not name its tenant, channel and own id."}
	case ev.AcceptedAt.IsZero() || ev.AcceptedAt.Year() > 9999:
		return &Unstorable{Reason: "The event does not say when it was accepted."}
	}
	for _, id := range []string{ev.Key.Chat, ev.Key.Message, ev.ProviderEvent, ev.Person.Identity.Value, ev.Person.Address} {
		if len(id) > maxIDBytes {
			return &Unstorable{Reason: fmt.Sprintf("An id in the event has %d bytes; no provider's is longer than %d.", len(id), maxIDBytes)}
		}
	}
	switch ev.Kind {
	case events.Message:
		switch {
		case !ev.Key.Valid():
			return &Unstorable{Reason: "The message has no id of its provider, so a copy of it could not be told apart."}
		case !ev.Person.Identity.Valid():
			return &Unstorable{Reason: "Nothing in the message says who sent it."}
		case ev.Content == nil:
			return &Unstorable{Reason: "The message has no content."}
		}
	case events.Edit, events.Reacted:
		if !ev.Key.Valid() {
			return &Unstorable{Reason: "The event does not say which message it changes."}
		}
	case events.StatusChanged:
		if ev.Status == nil || !ev.Key.Valid() && ev.Status.Ref == "" {
			return &Unstorable{Reason: "The status does not say which message it is about."}
		}
	case events.Reachability:
		if !ev.Person.Identity.Valid() {
			return &Unstorable{Reason: "Nothing in the event says who blocked or unblocked the channel."}
		}
	case events.Ignored:
	default:
		return &Unstorable{Reason: fmt.Sprintf("Events of kind %q are not known to this version.", ev.Kind)}
	}
	return nil
}

// sentAt is when an inbound message was sent: the provider's time, else ours.
func sentAt(ev *events.Inbound) time.Time {
	if ev.ProviderTime.IsZero() {
		return ev.AcceptedAt
	}
	return ev.ProviderTime
}

// withoutRaw is the event as rows keep it: the bus keeps the raw payload.
func withoutRaw(ev *events.Inbound) ([]byte, error) {
	c := *ev
	c.Raw = nil
	return json.Marshal(&c)
}
