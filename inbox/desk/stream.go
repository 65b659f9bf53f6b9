package desk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"parley/events"
	"parley/events/jetstream"
	"parley/inbox"
)

// ErrReset says that facts behind the resume point are no longer kept: load the
// state anew, then follow what is new.
var ErrReset = errors.New("the facts behind the resume point are no longer kept")

// StreamFrom says which facts to follow.
type StreamFrom struct {
	Tenant events.TenantID
	// Chat restricts it to one chat; 0 is all.
	Chat int64
	// After is the resume point, [Followed.Resume] of the last fact that was seen;
	// "0" is before the oldest that is kept, empty what happens from now on.
	After string
}

// Stream follows facts in the order they were published, each once. It is used by
// one goroutine.
type Stream struct {
	reader *jetstream.FactReader
	log    func(error)
}

// Followed is a fact with where to resume behind it.
type Followed struct {
	Fact   events.Fact
	Resume string
	// JSON is the fact as a CloudEvent. Others share it: nobody may change it.
	JSON []byte
}

// Stream starts following; the caller closes it. It fails with ErrReset, and with
// Invalid when After is no resume point.
func (d *Desk) Stream(ctx context.Context, from StreamFrom) (*Stream, error) {
	o := jetstream.FactOptions{Tenant: from.Tenant, Chat: from.Chat, NewOnly: from.After == ""}
	if !o.NewOnly {
		var err error
		if o.After, err = jetstream.ParsePlace(from.After); err != nil {
			return nil, &inbox.Error{
				Code: inbox.Invalid, Message: fmt.Sprintf("%q is not where a stream can resume.", from.After),
				Hint: "Give the id of the last event that was seen, or 0.", Err: err,
			}
		}
	}
	reader, err := d.Bus.Facts(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("following facts: %w", reset(err))
	}
	log := d.log()
	return &Stream{reader: reader, log: func(err error) { log.WarnContext(ctx, "not a fact", "error", err) }}, nil
}

// placePatience is how long a page waits to learn where the stream stands.
const placePatience = 500 * time.Millisecond

// Place is a resume point from which nothing is missed that happens after the call;
// empty when it cannot be told, because NATS is away.
func (d *Desk) Place(ctx context.Context) string {
	if d.Bus == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, placePatience)
	defer cancel()
	p, err := d.Bus.FactPlace(ctx)
	if err != nil {
		d.log().WarnContext(ctx, "where the stream of facts stands is not known, so the page asks for what it missed", "error", err)
		return ""
	}
	return p.String()
}

// streamBatch bounds one answer of Next.
const streamBatch = 100

// Next waits for facts. Its error is ctx's, ErrReset, or the bus's, after which
// the stream is over.
func (t *Stream) Next(ctx context.Context) ([]Followed, error) {
	recs, err := t.reader.Next(ctx, streamBatch)
	facts := make([]Followed, 0, len(recs))
	for _, r := range recs {
		if r.Err != nil {
			t.log(r.Err) // somebody else's message
			continue
		}
		facts = append(facts, Followed{Fact: r.Fact, Resume: r.Place.String(), JSON: r.JSON})
	}
	return facts, reset(err)
}

// Place is where to resume once everything that Next returned was handled.
func (t *Stream) Place() string { return t.reader.Place().String() }

// Close ends it.
func (t *Stream) Close() { t.reader.Close() }

func reset(err error) error {
	if errors.Is(err, jetstream.ErrReset) {
		return fmt.Errorf("%w: %w", ErrReset, err)
	}
	return err
}
