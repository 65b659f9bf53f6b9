package desk

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// Start is the first message to somebody.
type Start struct {
	// Reply is what is written; its Chat is left out. Without a Channel it goes
	// through the only one on which To can be written to.
	Reply
	// To is a phone number or a mail address, or on a network that lets nobody
	// write first the id there of somebody who has written.
	To string
	// FirstName and LastName are what a new client is called, optional.
	FirstName, LastName string
}

// Reach says who is meant by an address that a person typed in.
type Reach struct {
	Person events.Person
	// KnownOnly is true of networks on which nobody can be written to first.
	KnownOnly bool
}

// Start begins a conversation; see [store.DB.Start].
func (d *Desk) Start(ctx context.Context, s Start) (inbox.Message, error) {
	began := time.Now()
	ch, reach, err := d.reach(ctx, s)
	if err != nil {
		return inbox.Message{}, err
	}
	s.Channel = string(ch.ID)
	if s.FirstName != "" || s.LastName != "" {
		reach.Person.FirstName, reach.Person.LastName = s.FirstName, s.LastName
	}
	template := s.TemplateID
	s.TemplateID = 0
	if template != 0 && (s.Text != "" || s.Template != nil) {
		return inbox.Message{}, &inbox.Error{Code: inbox.Invalid, Message: "The message has a template and a text of its own.", Hint: "Leave one of them out."}
	}
	out, err := d.compose(ctx, s.Reply)
	if err != nil {
		return inbox.Message{}, err
	}
	if template != 0 {
		known, err := d.Store.StartValues(ctx, s.Tenant, reach.Person, out.User)
		if err != nil {
			return inbox.Message{}, err
		}
		f, err := d.filled(ctx, s.Tenant, template, known, s.Variables)
		if err != nil {
			return inbox.Message{}, err
		}
		out.Text, out.Approved = f.Text, f.Approved
	}
	m, err := d.Store.Start(ctx, store.Start{Reply: out, Person: reach.Person, KnownOnly: reach.KnownOnly})
	if err == nil {
		d.traceWritten(ctx, s.Tenant, m, began)
	}
	return m, err
}

// reach finds the channel and who is meant on it.
func (d *Desk) reach(ctx context.Context, s Start) (store.Channel, Reach, error) {
	to := strings.TrimSpace(s.To)
	if to == "" {
		return store.Channel{}, Reach{}, &inbox.Error{Code: inbox.Invalid, Message: "Nobody is named to write to.", Hint: "Give a phone number or a mail address."}
	}
	if s.Channel != "" {
		ch, err := d.Channel(ctx, s.Tenant, s.Channel)
		if err != nil {
			return ch, Reach{}, err
		}
		reach, err := d.reachOn(ch, to)
		return ch, reach, err
	}
	all, err := d.Store.Channels(ctx, s.Tenant)
	if err != nil {
		return store.Channel{}, Reach{}, err
	}
	var last error
	var reaches []Reach
	all = slices.DeleteFunc(all, func(ch store.Channel) bool {
		r, err := d.reachOn(ch, to)
		if err == nil && r.KnownOnly {
			return true // no choice to make for somebody
		}
		if err == nil {
			reaches = append(reaches, r)
		} else {
			last = err
		}
		return err != nil
	})
	switch {
	case len(all) == 1:
		return all[0], reaches[0], nil
	case len(all) > 1:
		return store.Channel{}, Reach{}, &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("They could be written to on %d channels.", len(all)),
			Hint: "Name the channel: " + channelNames(all) + ".",
		}
	case last != nil:
		return store.Channel{}, Reach{}, last
	}
	return store.Channel{}, Reach{}, &inbox.Error{
		Code: inbox.Refused, Message: "There is no channel on which somebody can be written to first.",
		Hint: "Connect a phone number or a mailbox, or name the channel on which they have written.",
	}
}

func (d *Desk) reachOn(ch store.Channel, to string) (Reach, error) {
	adapter, err := d.adapter(ch.Transport)
	if err != nil {
		return Reach{}, err
	}
	if adapter.Reach == nil {
		return Reach{}, &inbox.Error{Code: inbox.Refused, Message: fmt.Sprintf("Nobody can be written to first on channel %q.", ch.Name)}
	}
	r, err := adapter.Reach(ch.Channel, to)
	if err != nil {
		return r, &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("Nobody can be written to at that address on channel %q.", ch.Name),
			Hint: adapter.ReachHint, Err: err,
		}
	}
	return r, nil
}
