package desk

import (
	"context"
	"errors"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// Reply is an agent's answer.
type Reply struct {
	Tenant events.TenantID
	Chat   int64
	// Channel names the channel to answer through, like [Desk.Channel]; empty for
	// the one the client wrote on last.
	Channel string
	// Text may be empty when there are Attachments.
	Text string
	// Attachments are the ids of uploads, in order; see [Desk.Upload].
	Attachments []int64
	// User is the agent's id, 0 for the tenant's default operator.
	User int64
	// Seen is the seq of the newest message the agent saw.
	Seen int64
	// Force sends even when something newer was not seen.
	Force bool
	// Key makes a repeated reply the same reply; empty for none.
	Key string
	// ReplyTo is the id of the message answered in particular, 0 for none.
	ReplyTo int64
	// Template is sent instead of the text, nil for none.
	Template *inbox.Template
	// TemplateID is the tenant's own template that makes the text, 0 for none, and
	// Variables what it asks for.
	TemplateID int64
	Variables  map[string]string
	// Undo is how long the reply waits before it leaves; nil for the tenant's
	// usual time.
	Undo *time.Duration
	// Subject, To and Cc replace what a mail's head takes from the mail answered;
	// addresses are like "Ada <ada@example.com>". A Cc that is not nil and empty
	// leaves all of them out.
	Subject string
	To, Cc  []string
}

// Reply stores a reply and queues its delivery; see [store.DB.Reply] for when
// it refuses.
func (d *Desk) Reply(ctx context.Context, r Reply) (inbox.Message, error) {
	began := time.Now()
	out, err := d.compose(ctx, r)
	if err != nil {
		return inbox.Message{}, err
	}
	m, err := d.Store.Reply(ctx, out)
	if err == nil {
		d.traceWritten(ctx, r.Tenant, m, began)
	}
	return m, err
}

// compose makes of an agent's answer what the store takes.
func (d *Desk) compose(ctx context.Context, r Reply) (store.Reply, error) {
	out := store.Reply{
		Tenant: r.Tenant, Chat: r.Chat, Text: r.Text, Uploads: r.Attachments, User: r.User, Seen: r.Seen, Force: r.Force, Key: r.Key, ReplyTo: r.ReplyTo,
		Template: r.Template,
	}
	if r.Subject != "" || len(r.To) > 0 || r.Cc != nil {
		mail := &store.ReplyMail{Subject: r.Subject}
		var toErr, ccErr error
		mail.To, toErr = inbox.MailAddresses(r.To)
		mail.Cc, ccErr = inbox.MailAddresses(r.Cc)
		if err := errors.Join(toErr, ccErr); err != nil {
			return out, err
		}
		if r.Cc != nil && mail.Cc == nil {
			mail.Cc = []events.MailAddress{}
		}
		out.Mail = mail
	}
	if r.Channel != "" {
		ch, err := d.Channel(ctx, r.Tenant, r.Channel)
		if err != nil {
			return out, err
		}
		out.Channel = ch.ID
	}
	var err error
	if out.User, err = d.agent(ctx, r.Tenant, r.User); err != nil {
		return out, err
	}
	out.Undo = store.UndoDefault
	if r.Undo != nil {
		out.Undo = *r.Undo
	}
	if r.TemplateID != 0 {
		if err := d.fill(ctx, &out, r); err != nil {
			return out, err
		}
	}
	out.Can, err = d.abilities(ctx, r.Tenant)
	return out, err
}

// fill writes the reply's text from the tenant's own template.
func (d *Desk) fill(ctx context.Context, out *store.Reply, r Reply) error {
	if r.Text != "" || r.Template != nil {
		return &inbox.Error{Code: inbox.Invalid, Message: "The reply has a template and a text of its own.", Hint: "Leave one of them out."}
	}
	known, err := d.Store.TemplateValues(ctx, r.Tenant, r.Chat, out.User)
	if err != nil {
		return err
	}
	f, err := d.filled(ctx, r.Tenant, r.TemplateID, known, r.Variables)
	if err != nil {
		return err
	}
	out.Text, out.Approved = f.Text, f.Approved
	return nil
}

// agent is the id of who acts: the user, or the tenant's default operator for the
// command line, which is 0.
func (d *Desk) agent(ctx context.Context, tenant events.TenantID, user int64) (int64, error) {
	if user != 0 {
		return user, nil
	}
	operator, err := d.Store.EnsureOperator(ctx, tenant)
	return operator.ID, err
}
