package desk

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"parley/events"
	"parley/events/jetstream"
	"parley/inbox"
)

// journeyPatience is how long the bus may take to tell what it has: what the
// database has is shown without it, too.
const journeyPatience = 5 * time.Second

// routedWords are inbox.Journey's RoutedBy for people.
var routedWords = map[string]string{
	"member":   "its sender has written on this channel before",
	"identity": "its sender is known from another channel",
	"phone":    "the client has that number",
	"email":    "the client has that address",
	"username": "the client was registered by that username",
	"token":    "it came to the reply address that only this client was given",
	"unproven": "nobody vouches for its sender, who has a chat apart",
	"new":      "nobody knew its sender, who is a new client now",
}

// Journey says what happened to a message: what the database has of it, and what
// the bus still has.
func (d *Desk) Journey(ctx context.Context, tenant events.TenantID, message int64) (inbox.Journey, error) {
	j, err := d.Store.Journey(ctx, tenant, message)
	if err != nil {
		return j, err
	}
	j.Missing, j.TraceID = []string{}, d.traceOf(tenant, j)
	ask, cancel := context.WithTimeout(ctx, journeyPatience)
	defer cancel()
	if err := d.journeyOnBus(ask, &j); err != nil {
		if ctx.Err() != nil {
			return j, ctx.Err()
		}
		d.log().WarnContext(ctx, "the bus could not be asked about a message", "message", message, "error", err)
		j.Missing = append(j.Missing, "What the bus knows of it: NATS is out of reach just now. Ask again.")
	} else if err := d.journeyFacts(ask, tenant, &j); err != nil {
		if ctx.Err() != nil {
			return j, ctx.Err()
		}
		d.log().WarnContext(ctx, "the facts about a message could not be read", "message", message, "error", err)
		j.Missing = append(j.Missing, "What others were told of it: NATS is out of reach just now. Ask again.")
	}
	slices.SortStableFunc(j.Steps, func(a, b inbox.JourneyStep) int { return a.At.Compare(b.At) })
	return j, nil
}

// journeyOnBus adds when the bus stored the event, if it still has it.
func (d *Desk) journeyOnBus(ctx context.Context, j *inbox.Journey) error {
	if j.Bus == nil {
		return nil
	}
	records, err := d.Bus.Get(ctx, j.Bus.Partition, uint64(j.Bus.Seq)) //nolint:gosec // a stream sequence
	if err != nil && !errors.Is(err, jetstream.ErrNotFound) && !errors.Is(err, jetstream.ErrInvalid) {
		return err
	}
	for _, r := range records {
		// A bus that was replaced has something else at that place.
		if r.Err == nil && r.Event.ID == j.EventID {
			j.Bus.Kept = true
			j.Steps = append(j.Steps, inbox.JourneyStep{At: r.StoredAt, What: "on_bus", Words: "On disk on the bus.", EventID: j.EventID})
		}
	}
	if !j.Bus.Kept {
		j.Missing = append(j.Missing, "The event as it was accepted: the bus does not keep it any more.")
	}
	return nil
}

// journeyFacts adds what others were told of the message, and with it when it was
// stored, while the facts are kept.
func (d *Desk) journeyFacts(ctx context.Context, tenant events.TenantID, j *inbox.Journey) error {
	stored := false
	err := d.Bus.ScanFacts(ctx, tenant, j.ChatID, func(r jetstream.FactRecord) error {
		var about struct {
			Message int64  `json:"message_id"`
			Origin  string `json:"origin"`
		}
		if r.Err != nil || json.Unmarshal(r.Fact.Data, &about) != nil || about.Message != j.MessageID {
			return nil
		}
		typ := r.Fact.Noun + "." + r.Fact.Verb
		if j.EventID != "" && (typ == "message.received" || typ == "message.sent" && about.Origin != "") {
			stored = true
			words := "Stored in chat " + strconv.FormatInt(j.ChatID, 10)
			if why := routedWords[j.RoutedBy]; why != "" {
				words += ": " + why
			}
			j.Steps = append(j.Steps, inbox.JourneyStep{At: r.Fact.Time, What: "stored", Words: words + ".", EventID: j.EventID})
		}
		j.Steps = append(j.Steps, inbox.JourneyStep{At: r.StoredAt, What: "fact", Words: "Others were told " + typ + ".", FactID: r.Fact.ID})
		return nil
	})
	if err != nil {
		return err
	}
	switch {
	case j.EventID != "" && !stored:
		words := "When it was stored: facts are kept for seven days, and not across a merge."
		if why := routedWords[j.RoutedBy]; why != "" {
			words += " It was routed so because " + why + "."
		}
		j.Missing = append(j.Missing, words)
	case j.EventID == "" && !slices.ContainsFunc(j.Steps, func(s inbox.JourneyStep) bool { return s.What == "fact" }):
		j.Missing = append(j.Missing, "What others were told of it: facts are kept for seven days, and not across a merge.")
	}
	return nil
}
