package twilio

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"parley/transports"
)

// How a send is looked for around the time of its request, by Twilio's clock.
const (
	// certainAfter is when the list surely has what was accepted.
	certainAfter = 2 * time.Minute
	// before allows for Twilio's times being whole seconds.
	before = 2 * time.Second
	// within is far above what a request takes: a message made later is another.
	within = time.Minute
	// near is in which distance there must be nothing for the opposite to be proven.
	nearBefore, nearAfter = 10 * time.Second, 5 * time.Minute
	// maxSkew is how far the clocks may be apart.
	maxSkew = time.Hour
	// settlePages bounds how far back is looked, in pages of settlePage.
	settlePages, settlePage = 10, 100
)

// errUnclear says that the list proves neither.
var errUnclear = errors.New("the list of messages does not tell whether the message was sent")

// Settle implements [transports.Settler] by the list of messages to the person.
// The list does not have our reference, so that proof takes exactly one message
// of the same text, with as many files, made while the request was under way. The
// caller should still refuse an id that it knows from another send.
//
// That nothing was accepted is proven by a list without any message to the person
// around that time. A template's text is not known here: its send can only be
// proven not to have happened.
func (n *Number) Settle(ctx context.Context, sent transports.Outbound, at time.Time) (transports.Receipt, error) {
	const op = "settle"
	began := time.Now()
	var (
		all     []item
		seen    int
		reached bool
	)
	// Twilio's clock is known only with the first answer; the list is read back to
	// far enough before our own.
	query := url.Values{"To": {n.on(sent.To)}, "PageSize": {strconv.Itoa(settlePage)}}
	clock, err := n.listWithClock(ctx, query, func(it item) bool {
		if seen++; seen > settlePages*settlePage {
			return false
		}
		if made := it.created(); !made.IsZero() && made.Before(at.Add(-nearBefore-maxSkew)) {
			reached = true
			return false
		}
		all = append(all, it)
		return true
	})
	if err != nil {
		return transports.Receipt{}, err
	}
	reached = reached || seen <= settlePages*settlePage
	ahead := clock.Sub(began.Truncate(time.Second))
	if clock.IsZero() || ahead.Abs() > maxSkew {
		return transports.Receipt{}, n.redact.Error(op, fmt.Errorf("%w: this machine's clock and Twilio's cannot be compared", errUnclear))
	}
	return n.judge(op, sent, at.Add(ahead), all, reached && began.Sub(at) > certainAfter)
}

// judge looks for a send among what is listed. Complete says that the list would
// have it.
func (n *Number) judge(op string, sent transports.Outbound, at time.Time, all []item, complete bool) (transports.Receipt, error) {
	var match []item
	around, alike := 0, 0
	for _, it := range all {
		made := it.created()
		if it.inbound() || made.Before(at.Add(-nearBefore)) || made.After(at.Add(nearAfter)) {
			continue
		}
		around++
		if sent.Template != nil || it.Body != sent.Text || !sameFiles(it, sent) || !n.sentByUs(it) {
			continue
		}
		alike++
		if !made.Before(at.Add(-before)) && !made.After(at.Add(within)) {
			match = append(match, it)
		}
	}
	switch {
	case alike == 1 && len(match) == 1:
		return transports.Receipt{ProviderID: match[0].SID, Chat: n.party(match[0].To).chat(), AcceptedAt: match[0].created()}, nil
	case around == 0 && complete:
		return transports.Receipt{}, transports.ErrNotFound
	case around == 0:
		return transports.Receipt{}, n.redact.Error(op, fmt.Errorf("%w yet", errUnclear))
	}
	return transports.Receipt{}, n.redact.Error(op, errUnclear)
}

// sentByUs reports whether a message was sent by this number, by the API.
func (n *Number) sentByUs(it item) bool {
	if it.Direction != "outbound-api" {
		return false
	}
	return (n.service != "" && it.Service == n.service) || (n.from != "" && it.From == n.on(n.from))
}

func sameFiles(it item, sent transports.Outbound) bool {
	files := 0
	if sent.Attachment != nil {
		files = 1 + len(sent.Album)
	}
	listed, err := strconv.Atoi(it.NumMedia)
	return err == nil && listed == files
}
