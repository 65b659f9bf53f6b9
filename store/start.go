package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Start begins a conversation: the Reply, whose Chat is left out, is written to
// somebody who may never have written.
type Start struct {
	Reply
	// Person is who they are on the Reply's Channel, as its transport names people.
	Person events.Person
	// KnownOnly refuses who has not written on the channel: its provider would.
	KnownOnly bool
}

// startTries bounds how often a conversation is begun anew because the person
// wrote at the same moment; the second finds what they made.
const startTries = 5

// Start finds who the person is by the rules by which inbound messages are routed,
// makes a client, chat and member of who is nobody's, and replies there, in one
// transaction: their answer comes to the same chat. It fails as [DB.Reply] does;
// then nothing of it stays. In a chat that has messages it is Stale unless they
// were seen, or it is forced.
func (db *DB) Start(ctx context.Context, s Start) (m inbox.Message, err error) {
	r := s.Reply
	r.Chat = 1 // found below; what else is wrong is said before anything is made
	if err := r.validate(); err != nil {
		return m, err
	}
	if !s.Person.Identity.Valid() || s.Person.Address == "" {
		return m, &inbox.Error{Code: inbox.Invalid, Message: "Nobody is named to write to.", Hint: "Give a phone number or a mail address."}
	}
	for range startTries {
		err = db.inTenant(ctx, s.Tenant, func(tx pgx.Tx) error {
			chat, err := findOrWelcome(ctx, tx, s)
			if err != nil {
				return err
			}
			r.Chat = chat
			m, err = reply(ctx, tx, r)
			return err
		})
		if !IsConstraintError(err) && sqlState(err) != sqlStateDeadlock {
			break
		}
	}
	if err != nil {
		return m, fmt.Errorf("starting a conversation: %w", err)
	}
	return m, nil
}

// findOrWelcome is the chat of who a conversation is started with.
func findOrWelcome(ctx context.Context, tx pgx.Tx, s Start) (chat int64, err error) {
	var transport events.Transport
	var name string
	err = tx.QueryRow(ctx, "SELECT transport, name FROM parley_channels WHERE id = $1", string(s.Channel)).Scan(&transport, &name)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, noChannel(s.Channel)
	}
	if err != nil {
		return 0, err
	}
	p := &person{
		tenant: s.Tenant, channel: s.Channel, identity: s.Person.Identity, user: s.Person.Identity.Value, invited: true,
		first: &events.Inbound{Tenant: s.Tenant, Channel: s.Channel, Transport: transport, Person: s.Person, AcceptedAt: time.Now()},
	}
	b := &batch{people: []*person{p}}
	var q pgx.Batch
	b.queueMembers(&q, b.people, routedByMember)
	if err := tx.SendBatch(ctx, &q).Close(); err != nil {
		return 0, err
	}
	if p.member == uuid.Nil {
		if s.KnownOnly {
			return 0, &inbox.Error{
				Code: inbox.Refused, Message: fmt.Sprintf("They have never written on channel %q, and its network lets nobody write first.", name),
				Hint: "Ask them to write to you there, or write to their phone number or mail address.",
			}
		}
		if err := b.resolve(ctx, tx); err != nil {
			return 0, err
		}
	}
	return p.chat, nil
}

// StartValues are what fills in templates for somebody who may have no chat yet:
// who is known by that identity, or else what is given of the person.
func (db *DB) StartValues(ctx context.Context, tenant events.TenantID, who events.Person, user int64) (values map[string]string, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		c := inbox.Client{FirstName: who.FirstName, LastName: who.LastName}
		var middle, agent, email, business string
		err := tx.QueryRow(ctx, `
			SELECT c.first_name, coalesce(c.middle_name, ''), coalesce(c.last_name, ''), coalesce(c.phone_number, ''), coalesce(c.email, '')
			  FROM unnest($1::uuid[], $2::text[], $3::text[]) AS i (tenant_id, kind, value) JOIN crm_clients c ON c.id = `+sqlOwner,
			[]string{string(tenant)}, []string{string(who.Identity.Kind)}, []string{who.Identity.Value}).
			Scan(&c.FirstName, &middle, &c.LastName, &c.Phone, &c.Email)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if err != nil {
			switch who.Identity.Kind {
			case events.Phone:
				c.Phone = who.Identity.Value
			case events.EmailAddress:
				c.Email = who.Identity.Value
			case events.TelegramUser, events.SenderName: // templates have no word for them
			}
		}
		if err := tx.QueryRow(ctx, `SELECT coalesce(u.name, ''), coalesce(u.email, ''), t.name FROM tenants t LEFT JOIN core_users u ON u.id = $1`, user).
			Scan(&agent, &email, &business); err != nil {
			return err
		}
		values = templateValues(c, middle, agent, email, business)
		return nil
	})
	return values, err
}
