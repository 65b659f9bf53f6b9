package twilio

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"parley/events"
)

const (
	// pageSize is the most the API gives at once
	// (https://www.twilio.com/docs/usage/twilios-response#pagination).
	pageSize = 1000
	// settled is how old a message must be to be taken from the list: its webhook,
	// which tells more, is tried for 15 seconds, and once more.
	settled = time.Minute
	// emitted is how many events go to the bus at once.
	emitted = 100
)

// page is one page of the list of messages.
type page struct {
	Messages []json.RawMessage `json:"messages"`
	Next     string            `json:"next_page_uri"`
}

// messagesURL is the list of messages.
func (n *Number) messagesURL() string {
	return DefaultAPI + "/2010-04-01/Accounts/" + n.accountSID + "/Messages.json"
}

// Reconcile implements [transports.Reconciler] by the list of messages, day by
// day, as that is what it can be filtered by: what was sent to this number, and
// what became of messages from it. Each day's come oldest first. Messages of the
// last minute are left to their webhooks.
func (n *Number) Reconcile(ctx context.Context, since time.Time, emit func(context.Context, []events.Inbound) error) error {
	since = since.UTC()
	until := time.Now().UTC().Add(-settled)
	for day := since.Truncate(24 * time.Hour); !day.After(until); day = day.AddDate(0, 0, 1) {
		var all []item
		for _, query := range n.queries(day) {
			err := n.list(ctx, query, func(it item) bool {
				if at := it.at(); !at.Before(since) && !at.After(until) && n.concerns(it.listed) {
					all = append(all, it)
				}
				return true
			})
			if err != nil {
				return err
			}
		}
		// The list is newest first.
		slices.SortStableFunc(all, func(a, b item) int { return a.at().Compare(b.at()) })
		if err := n.publish(ctx, all, emit); err != nil {
			return err
		}
	}
	return nil
}

// queries are the lists of a day that hold what concerns this number. A messaging
// service's messages can only be told apart once they are here.
func (n *Number) queries(day time.Time) []url.Values {
	query := func(name, value string) url.Values {
		q := url.Values{"DateSent": {day.Format(time.DateOnly)}, "PageSize": {strconv.Itoa(pageSize)}}
		if name != "" {
			q.Set(name, value)
		}
		return q
	}
	if n.service != "" || n.from == "" {
		return []url.Values{query("", "")}
	}
	return []url.Values{query("To", n.on(n.from)), query("From", n.on(n.from))}
}

// concerns reports whether a listed message is this channel's.
func (n *Number) concerns(m listed) bool {
	own, other := m.To, m.From
	if !m.inbound() {
		own, other = m.From, m.To
		// On its way is no news; what was sent by others than the API, a reply of
		// Twilio's to a keyword say, is nobody's message here.
		if name, _ := statusName(m.Status); m.Direction != "outbound-api" || name == events.Sent || name == "" {
			return false
		}
	}
	if (n.party(own).network == "whatsapp") != n.whatsApp || n.party(other).address == "" {
		return false
	}
	if n.service != "" && m.Service == n.service {
		return true
	}
	return n.from != "" && own == n.on(n.from)
}

// item is a message of the list with its verbatim form.
type item struct {
	listed
	raw json.RawMessage
}

// at is when it was sent, or else made.
func (it item) at() time.Time {
	if t := parseTime(it.DateSent); !t.IsZero() {
		return t
	}
	return it.created()
}

// list goes through the pages of a query until there are no more, or take says
// that it has seen enough.
func (n *Number) list(ctx context.Context, query url.Values, take func(item) bool) error {
	_, err := n.listWithClock(ctx, query, take)
	return err
}

// maxPages bounds a list whose pages never end.
const maxPages = 10_000

// listWithClock is list that also yields the provider's clock of the first answer.
func (n *Number) listWithClock(ctx context.Context, query url.Values, take func(item) bool) (clock time.Time, err error) {
	const op = "list messages"
	next := n.messagesURL()
	for range maxPages {
		var answer page
		at, err := n.ask(ctx, op, next, query, &answer)
		if err != nil {
			return clock, err
		}
		if clock.IsZero() {
			clock = at
		}
		for _, raw := range answer.Messages {
			it := item{raw: raw}
			if err := json.Unmarshal(raw, &it.listed); err != nil || it.SID == "" {
				return clock, n.redact.Error(op, fmt.Errorf("a message of the list cannot be read: %w", err))
			}
			if !take(it) {
				return clock, nil
			}
		}
		if answer.Next == "" {
			return clock, nil
		}
		if next, query, err = n.nextPage(answer.Next); err != nil {
			return clock, n.redact.Error(op, err)
		}
	}
	return clock, n.redact.Error(op, fmt.Errorf("the list has more than %d pages", maxPages))
}

// nextPage takes of an answer's next page only the query: the credentials go where
// they went before.
func (n *Number) nextPage(uri string) (string, url.Values, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return "", nil, fmt.Errorf("the address of the next page: %w", err)
	}
	return n.messagesURL(), u.Query(), nil
}

// publish emits what was found, with the lists of files that messages have.
func (n *Number) publish(ctx context.Context, all []item, emit func(context.Context, []events.Inbound) error) error {
	for batch := range slices.Chunk(all, emitted) {
		var evs []events.Inbound
		for _, it := range batch {
			payload := found{Message: it.raw}
			if it.inbound() && it.NumMedia != "" && it.NumMedia != "0" {
				media, err := n.mediaOf(ctx, it.SID)
				if err != nil {
					return err
				}
				payload.Media = media
			}
			raw, err := json.Marshal(payload)
			if err != nil {
				return n.redact.Error("list messages", err)
			}
			evs = append(evs, n.parseResource(raw)...)
		}
		if err := emit(ctx, evs); err != nil {
			return err
		}
	}
	return nil
}

// mediaOf lists the files of a message
// (https://www.twilio.com/docs/messaging/api/media-resource). A message deleted
// since has none.
func (n *Number) mediaOf(ctx context.Context, sid string) ([]json.RawMessage, error) {
	var answer struct {
		Media []json.RawMessage `json:"media_list"`
	}
	from := DefaultAPI + "/2010-04-01/Accounts/" + n.accountSID + "/Messages/" + url.PathEscape(sid) + "/Media.json"
	err := n.get(ctx, "list files", from, nil, &answer)
	if notFound(err) {
		return nil, nil
	}
	return answer.Media, err
}
