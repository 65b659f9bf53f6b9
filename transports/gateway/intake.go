package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/tracing"
)

// Blobs is where raw payloads go that are too large for the bus.
type Blobs interface {
	// Put stores everything r yields under key and returns nil only once that
	// survives a power failure. The same key may be put again with the same
	// bytes. It is called before the event that names the key is published.
	Put(ctx context.Context, key string, r io.Reader) error
}

// The reasons that parley_gateway_publish_failures_total tells apart.
const (
	reasonBackPressure = "back_pressure"
	reasonUnavailable  = "unavailable"
	reasonTooLarge     = "too_large"
	reasonInvalid      = "invalid"
	reasonBlob         = "blob"
	reasonOther        = "other"
)

// errBlob marks a failure of the blob storage.
var errBlob = errors.New("blob storage")

// accept stamps what an adapter decoded and makes it durable, payloads first. It
// returns nil only once every event is; after an error some may be. The events
// are the gateway's from here on.
func (g *Gateway) accept(ctx context.Context, ch events.Channel, evs []events.Inbound) error {
	if len(evs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, g.limits.Publish)
	defer cancel()
	err := g.publish(ctx, ch, evs)
	if err != nil {
		g.metrics.publish.WithLabelValues(string(ch.Transport), reason(err)).Inc()
		return err
	}
	for i := range evs {
		g.metrics.received.WithLabelValues(string(ch.Transport), string(evs[i].Kind)).Inc()
	}
	return nil
}

func (g *Gateway) publish(ctx context.Context, ch events.Channel, evs []events.Inbound) error {
	// PostgreSQL keeps microseconds; more would not compare equal once stored.
	now := time.Now().UTC().Truncate(time.Microsecond)
	for i := range evs {
		ev := &evs[i]
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make an event id: %w", err)
		}
		ev.ID = events.EventID(id.String())
		ev.Tenant, ev.Channel, ev.Transport, ev.AcceptedAt = ch.Tenant, ch.ID, ch.Transport, now
		if err := g.lighten(ctx, ev); err != nil {
			return err
		}
	}
	end := g.traced(ctx, evs)
	err := g.bus.Publish(ctx, evs...)
	if err != nil && reason(err) == reasonInvalid && repair(evs) {
		err = g.bus.Publish(ctx, evs...)
	}
	end(err)
	if err != nil {
		return fmt.Errorf("publish %d events: %w", len(evs), err)
	}
	if g.log.Enabled(ctx, slog.LevelDebug) {
		for i := range evs {
			g.log.DebugContext(tracing.Under(ctx, evs[i].Trace), "event accepted", "event", evs[i].ID, "kind", evs[i].Kind, "channel", ch.ID)
		}
	}
	return nil
}

// repair quotes payloads that are not JSON, and reports whether there were any.
// Such an event cannot be encoded, now or ever: the provider would be asked to
// send it again for ever, and what it holds behind it would never come.
func repair(evs []events.Inbound) bool {
	repaired := false
	for i := range evs {
		ev := &evs[i]
		if len(ev.Raw) == 0 || json.Valid(ev.Raw) {
			continue
		}
		quoted, err := json.Marshal(string(ev.Raw))
		if err != nil {
			return false
		}
		ev.Raw = quoted
		ev.Notes = append(ev.Notes, "the payload is not JSON and was quoted")
		repaired = true
	}
	return repaired
}

// lighten makes an event fit the bus by leaving its payload in the blob storage,
// and where that is not enough (a mail of a megabyte of text), its content too:
// it is then shown as unsupported with its beginning, and the payload has it all.
func (g *Gateway) lighten(ctx context.Context, ev *events.Inbound) error {
	// JSON escapes a byte into six at most, and an adapter's content repeats at
	// most what the payload says. Below a twelfth there is nothing to measure,
	// which spares nearly every event a second encoding.
	if n := len(ev.Raw); n > 0 && n < g.limits.Event/12 {
		return nil
	}
	size := len(ev.Raw)
	if size <= g.limits.Event || !json.Valid(ev.Raw) {
		var err error
		if size, err = encodedSize(ev); err != nil || size <= g.limits.Event {
			return err
		}
	} // else the payload alone is too large, and is not encoded to find that out
	if g.blobs == nil {
		return fmt.Errorf("%w: an event of %d bytes needs blob storage, which is not configured", jetstream.ErrTooLarge, size)
	}
	if len(ev.Raw) > 0 {
		key := blobKey(ev)
		if err := g.blobs.Put(ctx, key, bytes.NewReader(ev.Raw)); err != nil {
			return fmt.Errorf("%w: store a payload of %d bytes: %w", errBlob, len(ev.Raw), err)
		}
		g.metrics.offloaded.WithLabelValues(string(ev.Transport)).Inc()
		ev.RawRef, ev.Raw = key, nil
		var err error
		if size, err = encodedSize(ev); err != nil || size <= g.limits.Event {
			return err
		}
	}
	if ev.RawRef == "" || ev.Content == nil {
		return fmt.Errorf("%w: an event of %d bytes has no payload to leave behind", jetstream.ErrTooLarge, size)
	}
	ev.Content = &events.Content{
		Type:        events.Unsupported,
		Text:        cut(ev.Content.Text, g.limits.Event/12),
		Unsupported: fmt.Sprintf("%s of %d bytes", ev.Content.Type, size),
		ReplyTo:     ev.Content.ReplyTo,
		Group:       ev.Content.Group,
	}
	ev.Notes = append(ev.Notes, "too large to travel whole: only its beginning is shown, the payload has it all")
	size, err := encodedSize(ev)
	if err == nil && size > g.limits.Event {
		err = fmt.Errorf("%w: %d bytes without its content", jetstream.ErrTooLarge, size)
	}
	return err
}

// blobKey names a payload by its content, so that a provider's retries after a
// failed publish find it stored already.
func blobKey(ev *events.Inbound) string {
	sum := sha256.Sum256(ev.Raw)
	return "raw/" + string(ev.Tenant) + "/" + string(ev.Channel) + "/" + hex.EncodeToString(sum[:])
}

// encodedSize is how many bytes ev takes on the bus, which leaves <, > and & as
// they are.
func encodedSize(ev *events.Inbound) (int, error) {
	var n counter
	enc := json.NewEncoder(&n)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(ev); err != nil {
		return 0, fmt.Errorf("%w: event %s: %w", jetstream.ErrInvalid, ev.ID, err)
	}
	return int(n), nil
}

// counter is a writer that only counts.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// reason names a failure of accept for the metrics.
func reason(err error) string {
	switch {
	case errors.Is(err, jetstream.ErrTooLarge):
		return reasonTooLarge
	case errors.Is(err, jetstream.ErrBackPressure):
		return reasonBackPressure
	case errors.Is(err, jetstream.ErrInvalid):
		return reasonInvalid
	case errors.Is(err, errBlob):
		return reasonBlob
	case errors.Is(err, jetstream.ErrUnavailable), errors.Is(err, jetstream.ErrClosed), errors.Is(err, context.DeadlineExceeded):
		return reasonUnavailable
	}
	return reasonOther
}
