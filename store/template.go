package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// limits of a tenant's own template.
const (
	maxTemplateName = 100
	maxApproved     = 20
)

// NewMessageTemplate is a template to add.
type NewMessageTemplate struct {
	Name, Text string
	Approved   []inbox.ApprovedTemplate
	// Key makes a repeated request the same template; empty for none.
	Key string
}

// MessageTemplateChange changes a template; nil leaves as it is.
type MessageTemplateChange struct {
	Name, Text *string
	Approved   *[]inbox.ApprovedTemplate
}

const templateSelect = `
SELECT id, coalesce(name, ''), template, approved, version, created_at, updated_at FROM crm_message_templates `

func scanTemplate(row pgx.CollectableRow) (m inbox.MessageTemplate, err error) {
	if err = row.Scan(&m.ID, &m.Name, &m.Text, &m.Approved, &m.Version, &m.CreatedAt, &m.UpdatedAt); err != nil {
		return m, err
	}
	if _, err := m.Parse(); err != nil {
		m.Variables = []inbox.TemplateVariable{} // another program's: whoever uses it is told
	}
	return m, nil
}

// MessageTemplates lists up to limit of the tenant's templates with ids above
// after.
func (db *DB) MessageTemplates(ctx context.Context, tenant events.TenantID, after int64, limit int) (list []inbox.MessageTemplate, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, templateSelect+"WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3", string(tenant), after, limit)
		list, err = pgx.CollectRows(rows, scanTemplate)
		return err
	})
	return list, err
}

// MessageTemplate returns one or fails with NotFound.
func (db *DB) MessageTemplate(ctx context.Context, tenant events.TenantID, id int64) (m inbox.MessageTemplate, err error) {
	if err := validTenant(tenant); err != nil {
		return m, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		m, err = templateByID(ctx, tx, id, "")
		return err
	})
	return m, err
}

func templateByID(ctx context.Context, tx pgx.Tx, id int64, lock string) (inbox.MessageTemplate, error) {
	if id < 1 || id > math.MaxInt32 {
		return inbox.MessageTemplate{}, noTemplate(id)
	}
	rows, _ := tx.Query(ctx, templateSelect+"WHERE id = $1 "+lock, id)
	m, err := pgx.CollectExactlyOneRow(rows, scanTemplate)
	if errors.Is(err, pgx.ErrNoRows) {
		return m, noTemplate(id)
	}
	return m, err
}

func noTemplate(id int64) error {
	return &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no template %d.", id), Hint: "List the templates to see which there are."}
}

// AddMessageTemplate adds one. It fails with Invalid, and with Conflict when the
// name is taken or the key was used for another.
func (db *DB) AddMessageTemplate(ctx context.Context, tenant events.TenantID, n NewMessageTemplate) (m inbox.MessageTemplate, err error) {
	m = inbox.MessageTemplate{Name: strings.TrimSpace(n.Name), Text: n.Text, Approved: n.Approved}
	if err := errors.Join(validTenant(tenant), validMessageTemplate(&m)); err != nil {
		return m, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if err := ownChannels(ctx, tx, m.Approved); err != nil {
			return err
		}
		if n.Key != "" {
			// Two at once: the second waits here for the first. Waiting at the index of
			// keys would not do, for that of names refuses before.
			if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", string(tenant)+" template "+n.Key); err != nil {
				return err
			}
		}
		tag, err := tx.Exec(ctx, `INSERT INTO crm_message_templates (name, template, approved, idempotency_key)
			SELECT $1, $2, $3, nullif($4, '')
			 WHERE NOT EXISTS (SELECT FROM crm_message_templates WHERE idempotency_key = $4)`, m.Name, m.Text, m.Approved, n.Key)
		if err != nil {
			return err
		}
		where, arg := "WHERE tenant_id = $1 AND lower(name) = lower($2)", m.Name
		if n.Key != "" {
			where, arg = "WHERE tenant_id = $1 AND idempotency_key = $2", n.Key
		}
		rows, _ := tx.Query(ctx, templateSelect+where, string(tenant), arg)
		have, err := pgx.CollectExactlyOneRow(rows, scanTemplate)
		if err != nil {
			return err
		}
		// What was changed since is the same template all the same.
		if tag.RowsAffected() == 0 && have.Version == 1 && (have.Name != m.Name || have.Text != m.Text || !reflect.DeepEqual(have.Approved, m.Approved)) {
			return keyReused()
		}
		m = have
		return nil
	})
	return m, templateError(err, m.Name)
}

// ChangeMessageTemplate changes one. It fails with Changed unless it still has
// that version, 0 being any.
func (db *DB) ChangeMessageTemplate(ctx context.Context, tenant events.TenantID, id, version int64, c MessageTemplateChange) (m inbox.MessageTemplate, err error) {
	if err := validTenant(tenant); err != nil {
		return m, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if m, err = templateByID(ctx, tx, id, "FOR NO KEY UPDATE"); err != nil {
			return err
		}
		if err := sameVersion(version, m.Version, "The template"); err != nil {
			return err
		}
		if c.Name != nil {
			m.Name = strings.TrimSpace(*c.Name)
		}
		if c.Text != nil {
			m.Text = *c.Text
		}
		if c.Approved != nil {
			m.Approved = *c.Approved
		}
		if err := errors.Join(validMessageTemplate(&m), ownChannels(ctx, tx, m.Approved)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE crm_message_templates SET name = $2, template = $3, approved = $4, version = version + 1, updated_at = now()
			WHERE id = $1`, id, m.Name, m.Text, m.Approved)
		if err != nil {
			return err
		}
		m, err = templateByID(ctx, tx, id, "")
		return err
	})
	return m, templateError(err, m.Name)
}

// RemoveMessageTemplate removes one, with version as in ChangeMessageTemplate.
// What was written with it stays.
func (db *DB) RemoveMessageTemplate(ctx context.Context, tenant events.TenantID, id, version int64) error {
	if err := validTenant(tenant); err != nil {
		return err
	}
	return db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		m, err := templateByID(ctx, tx, id, "FOR UPDATE")
		if err != nil {
			return err
		}
		if err := sameVersion(version, m.Version, "The template"); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM crm_message_templates WHERE id = $1", id)
		return err
	})
}

// sameVersion refuses a change of what somebody else has changed since it was
// read.
func sameVersion(read, now int64, what string) error {
	if read == 0 || read == now {
		return nil
	}
	return &inbox.Error{
		Code: inbox.Changed, Message: fmt.Sprintf("%s was changed meanwhile: its version is %d.", what, now),
		Hint: "Read it again and repeat the change.",
	}
}

func templateError(err error, name string) error {
	if violates(err, "parley_templates_name") {
		return &inbox.Error{Code: inbox.Conflict, Message: fmt.Sprintf("There is a template %q already.", name), Hint: "Choose another name, or change that one.", Err: err}
	}
	return err
}

// validMessageTemplate refuses what cannot be used, and fills in the variables.
func validMessageTemplate(m *inbox.MessageTemplate) error {
	invalid := func(message, hint string) error {
		return &inbox.Error{Code: inbox.Invalid, Message: message, Hint: hint}
	}
	switch {
	case m.Name == "" || utf8.RuneCountInString(m.Name) > maxTemplateName || !isText(m.Name) || strings.ContainsAny(m.Name, "\r\n"):
		return invalid(fmt.Sprintf("The template's name is not one line of 1 to %d characters.", maxTemplateName), "Choose a short one.")
	case strings.TrimSpace(m.Text) == "":
		return invalid("The template has no text.", "Write what it says.")
	case len(m.Text) > MaxReply:
		return invalid(fmt.Sprintf("The template has %d bytes; %d is the most.", len(m.Text), MaxReply), "Shorten it.")
	case len(m.Approved) > maxApproved:
		return invalid(fmt.Sprintf("%d approved templates are named; %d is the most.", len(m.Approved), maxApproved), "Leave some out.")
	}
	m.Approved = slices.Clone(m.Approved) // the caller's own stays as it is
	seen := map[events.ChannelID]bool{}
	for i := range m.Approved {
		a := &m.Approved[i]
		a.Channel = events.ChannelID(strings.ToLower(string(a.Channel)))
		if seen[a.Channel] {
			return invalid("Two approved templates are for the same channel.", "Name each channel once.")
		}
		seen[a.Channel] = true
		r := Reply{Template: &inbox.Template{ID: a.ID, Variables: a.Variables}}
		if err := validTemplate(&r); err != nil {
			return err
		}
	}
	_, err := m.Parse()
	return err
}

// ownChannels refuses channels that are not the tenant's.
func ownChannels(ctx context.Context, tx pgx.Tx, approved []inbox.ApprovedTemplate) error {
	for _, a := range approved {
		if a.Channel == "" {
			continue
		}
		if _, err := uuid.Parse(string(a.Channel)); err != nil {
			return noChannel(a.Channel)
		}
		var there bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM parley_channels WHERE id = $1)", string(a.Channel)).Scan(&there); err != nil {
			return err
		}
		if !there {
			return noChannel(a.Channel)
		}
	}
	return nil
}

// TemplateValues are what fills in templates for the client of a chat in the name
// of a user.
func (db *DB) TemplateValues(ctx context.Context, tenant events.TenantID, chat, user int64) (values map[string]string, err error) {
	if err := errors.Join(validTenant(tenant), validChat(chat)); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		var c inbox.Client
		var middle, agent, email, business string
		err := tx.QueryRow(ctx, `
			SELECT c.first_name, coalesce(c.middle_name, ''), coalesce(c.last_name, ''), coalesce(c.phone_number, ''), coalesce(c.email, ''),
			       coalesce(u.name, ''), coalesce(u.email, ''), t.name
			  FROM crm_chats h JOIN crm_clients c ON c.id = h.client_id JOIN tenants t ON t.id = h.tenant_id
			  LEFT JOIN core_users u ON u.id = $2
			 WHERE h.id = $1`, chat, user).Scan(&c.FirstName, &middle, &c.LastName, &c.Phone, &c.Email, &agent, &email, &business)
		if errors.Is(err, pgx.ErrNoRows) {
			return noChat(chat)
		}
		values = templateValues(c, middle, agent, email, business)
		return err
	})
	return values, err
}

func templateValues(c inbox.Client, middle, agent, email, business string) map[string]string {
	if email == operatorEmail {
		agent, email = "", "" // nobody in particular
	}
	values := inbox.ClientValues(c, middle)
	for name, value := range inbox.AgentValues(agent, email, business) {
		values[name] = value
	}
	return values
}

// templateJSON compares templates as they are stored.
func templateJSON(ts ...*inbox.Template) (all []string, err error) {
	all = []string{}
	for _, t := range ts {
		if t == nil {
			continue
		}
		data, err := json.Marshal(t)
		if err != nil {
			return nil, err
		}
		all = append(all, string(data))
	}
	return all, nil
}
