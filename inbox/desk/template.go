package desk

import (
	"context"
	"maps"

	"parley/events"
	"parley/inbox"
)

// Preview is what a text or template becomes in a chat.
type Preview struct {
	inbox.FilledTemplate
	// Routes are the ways to reach the chat's client.
	Routes []PreviewRoute `json:"routes" nullable:"false"`
}

// PreviewRoute is what becomes of it on one way.
type PreviewRoute struct {
	Channel   events.ChannelID `json:"channel"`
	Name      string           `json:"name"`
	Transport events.Transport `json:"transport"`
	// SentAs is text, or approved for the provider's template, or empty when it
	// cannot be sent, and Reason then says why.
	SentAs string `json:"sent_as,omitempty" enum:"text,approved"`
	Reason string `json:"reason,omitempty"`
	// Approved is the provider's template and its variables.
	Approved *inbox.Template `json:"approved,omitempty"`
	// Size is how long the text is there, nil where nothing is known.
	Size *inbox.TextSize `json:"size,omitempty"`
}

// PreviewRequest asks what becomes of a template, or with Template 0 of a text.
type PreviewRequest struct {
	Tenant   events.TenantID
	Chat     int64
	Template int64
	Text     string
	// Variables are what the template asks for.
	Variables map[string]string
	// User is who would write, 0 for nobody in particular.
	User int64
}

// Preview shows what a template says to a chat's client, what it lacks, and how
// long it is on each channel; it sends nothing.
func (d *Desk) Preview(ctx context.Context, r PreviewRequest) (p Preview, err error) {
	chat, err := d.Chat(ctx, r.Tenant, r.Chat)
	if err != nil {
		return p, err
	}
	p.FilledTemplate = inbox.FilledTemplate{Text: r.Text, Missing: []string{}}
	if r.Template != 0 {
		values, err := d.Store.TemplateValues(ctx, r.Tenant, r.Chat, r.User)
		if err != nil {
			return p, err
		}
		if _, p.FilledTemplate, err = d.fillTemplate(ctx, r.Tenant, r.Template, values, r.Variables); err != nil {
			return p, err
		}
	}
	can, err := d.abilities(ctx, r.Tenant)
	if err != nil {
		return p, err
	}
	p.Routes = make([]PreviewRoute, len(chat.Routes))
	for i := range chat.Routes {
		way := &chat.Routes[i]
		out := PreviewRoute{Channel: way.Channel, Name: way.Name, Transport: way.Transport, SentAs: "text"}
		approved := p.Approved[way.Channel]
		if approved == nil {
			approved = p.Approved[""]
		}
		if refused := way.Refusal(approved != nil); refused != nil {
			out.SentAs, out.Reason = "", refused.Error()
		} else if way.State == inbox.RouteWindowClosed {
			out.SentAs, out.Approved = "approved", approved
		}
		if measure := can[way.Channel].Measure; measure != nil {
			out.Size = new(measure(p.Text))
		}
		p.Routes[i] = out
	}
	return p, nil
}

// fillTemplate fills in the tenant's template; what was asked for goes before
// what is known.
func (d *Desk) fillTemplate(ctx context.Context, tenant events.TenantID, id int64, known, asked map[string]string) (inbox.ParsedTemplate, inbox.FilledTemplate, error) {
	m, err := d.Store.MessageTemplate(ctx, tenant, id)
	if err != nil {
		return inbox.ParsedTemplate{}, inbox.FilledTemplate{}, err
	}
	p, err := m.Parse()
	if err != nil {
		return inbox.ParsedTemplate{}, inbox.FilledTemplate{}, err
	}
	values := maps.Clone(known)
	maps.Copy(values, asked)
	f := p.Fill(values)
	return p, f, nil
}

// filled is fillTemplate for what is sent: it refuses what lacks a value.
func (d *Desk) filled(ctx context.Context, tenant events.TenantID, id int64, known, asked map[string]string) (inbox.FilledTemplate, error) {
	p, f, err := d.fillTemplate(ctx, tenant, id, known, asked)
	if err != nil {
		return f, err
	}
	return f, p.Refusal(f)
}
