package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// ClientChange is what to set of a client; nil fields stay, empty ones are taken
// away. Phone and email are normalised already.
type ClientChange struct {
	FirstName, LastName, MiddleName *string
	Phone, Email, Address           *string
	// DateOfBirth is YYYY-MM-DD.
	DateOfBirth           *string
	Gender, PIN, Comments *string
}

// NewContact is a contact with a normalised value.
type NewContact struct {
	Type  inbox.ContactType
	Value string
}

const clientColumns = `cl.id, cl.first_name, coalesce(cl.last_name, ''), coalesce(cl.phone_number, ''), coalesce(cl.email, ''),
	cl.blocked_at, cl.created_at, coalesce((SELECT c.id FROM crm_chats c WHERE c.client_id = cl.id), 0)`

func clientInto(c *inbox.Client) []any {
	return []any{&c.ID, &c.FirstName, &c.LastName, &c.Phone, &c.Email, &c.BlockedAt, &c.CreatedAt, &c.Chat}
}

// clientByID reads a client with their contacts. Its version is the row's own,
// which every change by any program renews; changes of contacts touch it.
func clientByID(ctx context.Context, tx pgx.Tx, id int64) (c inbox.ClientCard, err error) {
	rows, _ := tx.Query(ctx, `SELECT `+clientColumns+`, coalesce(cl.middle_name, ''), coalesce(cl.address, ''),
		coalesce(to_char(cl.date_of_birth, 'YYYY-MM-DD'), ''), coalesce(cl.gender, ''), coalesce(cl.pin, ''), coalesce(cl.comments, ''),
		cl.updated_at, cl.xmin::text::bigint
		FROM crm_clients cl WHERE cl.id = $1`, id)
	c, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (c inbox.ClientCard, err error) {
		return c, row.Scan(append(clientInto(&c.Client), &c.MiddleName, &c.Address, &c.DateOfBirth, &c.Gender, &c.PIN, &c.Comments,
			&c.UpdatedAt, &c.Version)...)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return c, noClient(id)
	}
	if err != nil {
		return c, err
	}
	rows, _ = tx.Query(ctx, `SELECT id, contact_type, contact_value, created_at FROM crm_client_contacts
		WHERE client_id = $1 ORDER BY created_at, id LIMIT $2`, id, MaxContacts)
	c.Contacts, err = pgx.CollectRows(rows, pgx.RowToStructByPos[inbox.ClientContact])
	if c.Contacts == nil {
		c.Contacts = []inbox.ClientContact{}
	}
	return c, err
}

// Client returns all that is known of a client, or NotFound.
func (db *DB) Client(ctx context.Context, tenant events.TenantID, id int64) (c inbox.ClientCard, err error) {
	if err := errors.Join(validTenant(tenant), validClient(id)); err != nil {
		return inbox.ClientCard{}, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		c, err = clientByID(ctx, tx, id)
		return err
	})
	return c, err
}

// AddClient makes a client with contacts, and tells so by the fact (client,
// created). The same key returns the client that it made before. It fails with
// Conflict when somebody else has the phone number, the tax number, or what a
// contact names; the detail says who.
func (db *DB) AddClient(ctx context.Context, tenant events.TenantID, by inbox.Actor, n ClientChange, contacts []NewContact, key string) (c inbox.ClientCard, err error) {
	if err := validTenant(tenant); err != nil {
		return inbox.ClientCard{}, err
	}
	if len(contacts) > MaxContacts {
		return inbox.ClientCard{}, tooManyContacts()
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		var id int64
		// A savepoint: what the number collides with is looked up afterwards.
		err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, `INSERT INTO crm_clients
				(first_name, last_name, middle_name, phone_number, email, address, date_of_birth, gender, pin, comments, idempotency_key)
				VALUES ($1, nullif($2, ''), nullif($3, ''), nullif($4, ''), nullif($5, ''), nullif($6, ''), nullif($7, '')::date,
				        nullif($8, ''), nullif($9, ''), nullif($10, ''), nullif($11, ''))
				ON CONFLICT (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id`,
				append(n.values(), key)...).Scan(&id)
		})
		if errors.Is(err, pgx.ErrNoRows) {
			if err := tx.QueryRow(ctx, "SELECT id FROM crm_clients WHERE idempotency_key = $1", key).Scan(&id); err != nil {
				return err
			}
			c, err = clientByID(ctx, tx, id)
			if err == nil && !n.made(c, contacts) {
				err = keyReused()
			}
			return err
		}
		if err != nil {
			return clientRefused(ctx, tx, err, n)
		}
		if err := claimWays(ctx, tx, id, n.Phone, n.Email); err != nil {
			return err
		}
		for _, contact := range contacts {
			if err := addContact(ctx, tx, id, contact, ""); err != nil {
				return err
			}
		}
		if c, err = clientByID(ctx, tx, id); err != nil {
			return err
		}
		return tellClient(ctx, tx, by, "created", "client.add", c.Client, nil)
	})
	if err != nil {
		return inbox.ClientCard{}, fmt.Errorf("adding a client: %w", err)
	}
	return c, nil
}

// values are the fields in the order of AddClient's columns.
func (n ClientChange) values() []any {
	list := []any{}
	for _, p := range []*string{n.FirstName, n.LastName, n.MiddleName, n.Phone, n.Email, n.Address, n.DateOfBirth, n.Gender, n.PIN, n.Comments} {
		list = append(list, text(p))
	}
	return list
}

// made reports whether a client may be what an earlier try made of n. What somebody
// has changed since says nothing.
func (n ClientChange) made(c inbox.ClientCard, contacts []NewContact) bool {
	if c.UpdatedAt.After(c.CreatedAt) {
		return true
	}
	is := []any{c.FirstName, c.LastName, c.MiddleName, c.Phone, c.Email, c.Address, c.DateOfBirth, c.Gender, c.PIN, c.Comments}
	if !slices.Equal(n.values(), is) {
		return false
	}
	for _, asked := range contacts {
		if !slices.ContainsFunc(c.Contacts, func(has inbox.ClientContact) bool { return has.Type == asked.Type && has.Value == asked.Value }) {
			return false
		}
	}
	return true
}

func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// ChangeClient changes a client whose version is still the given one, and tells
// so by the fact (client, changed). It fails with Changed when somebody changed the
// client since, with the client as it is now as its detail, and like AddClient.
func (db *DB) ChangeClient(ctx context.Context, tenant events.TenantID, by inbox.Actor, id, version int64, n ClientChange) (inbox.ClientCard, error) {
	return db.changeClient(ctx, tenant, by, id, version, func(tx pgx.Tx, was inbox.ClientCard) (map[string]any, error) {
		err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE crm_clients SET
				first_name = coalesce($2, first_name), last_name = CASE WHEN $3::text IS NULL THEN last_name ELSE nullif($3, '') END,
				middle_name = CASE WHEN $4::text IS NULL THEN middle_name ELSE nullif($4, '') END,
				phone_number = CASE WHEN $5::text IS NULL THEN phone_number ELSE nullif($5, '') END,
				email = CASE WHEN $6::text IS NULL THEN email ELSE nullif($6, '') END,
				address = CASE WHEN $7::text IS NULL THEN address ELSE nullif($7, '') END,
				date_of_birth = CASE WHEN $8::text IS NULL THEN date_of_birth ELSE nullif($8, '')::date END,
				gender = CASE WHEN $9::text IS NULL THEN gender ELSE nullif($9, '') END,
				pin = CASE WHEN $10::text IS NULL THEN pin ELSE nullif($10, '') END,
				comments = CASE WHEN $11::text IS NULL THEN comments ELSE nullif($11, '') END,
				updated_at = clock_timestamp() WHERE id = $1`,
				id, n.FirstName, n.LastName, n.MiddleName, n.Phone, n.Email, n.Address, n.DateOfBirth, n.Gender, n.PIN, n.Comments)
			return err
		})
		if err != nil {
			return nil, clientRefused(ctx, tx, err, n)
		}
		if n.Phone != nil && *n.Phone != was.Phone {
			if err := releaseIdentity(ctx, tx, id, string(events.Phone), was.Phone); err != nil {
				return nil, err
			}
		}
		if n.Email != nil && *n.Email != was.Email {
			if err := releaseIdentity(ctx, tx, id, string(events.EmailAddress), was.Email); err != nil {
				return nil, err
			}
		}
		return n.changed(), claimWays(ctx, tx, id, n.Phone, n.Email)
	})
}

// changed names the fields that are set, without their values: the audit log is
// not erased with the client.
func (n ClientChange) changed() map[string]any {
	names := []string{}
	for i, p := range []*string{n.FirstName, n.LastName, n.MiddleName, n.Phone, n.Email, n.Address, n.DateOfBirth, n.Gender, n.PIN, n.Comments} {
		if p != nil {
			names = append(names, []string{"first_name", "last_name", "middle_name", "phone", "email", "address", "date_of_birth", "gender", "pin", "comments"}[i])
		}
	}
	return map[string]any{"fields": names}
}

// changeClient runs f with a client locked, who must be of the version unless
// that is 0, and returns the client as they are then.
func (db *DB) changeClient(ctx context.Context, tenant events.TenantID, by inbox.Actor, id, version int64,
	f func(tx pgx.Tx, was inbox.ClientCard) (detail map[string]any, err error),
) (c inbox.ClientCard, err error) {
	if err := errors.Join(validTenant(tenant), validClient(id)); err != nil {
		return inbox.ClientCard{}, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT FROM crm_clients WHERE id = $1 FOR NO KEY UPDATE", id); err != nil {
			return err
		}
		was, err := clientByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if version != 0 && version != was.Version {
			return &inbox.Error{
				Code: inbox.Changed, Message: "Somebody has changed this client since you read it.",
				Hint: "Look at what it is now, then change it again.", Detail: was,
			}
		}
		detail, err := f(tx, was)
		if err != nil {
			return err
		}
		if c, err = clientByID(ctx, tx, id); err != nil {
			return err
		}
		return tellClient(ctx, tx, by, "changed", "client.change", c.Client, detail)
	})
	if err != nil {
		return inbox.ClientCard{}, fmt.Errorf("changing a client: %w", err)
	}
	return c, nil
}

// tellClient notes what was done with a client, as a fact of their chat and in
// the audit log.
func tellClient(ctx context.Context, tx pgx.Tx, by inbox.Actor, verb, action string, c inbox.Client, detail map[string]any) error {
	if err := writeClientFact(ctx, tx, by, verb, c); err != nil {
		return err
	}
	return appendAudit(ctx, tx, by, NewAuditEntry{
		Action: action, TargetKind: "client", TargetID: strconv.FormatInt(c.ID, 10), Detail: detail,
	})
}

// writeClientFact tells what was done with a client, as a fact of their chat.
func writeClientFact(ctx context.Context, tx pgx.Tx, by inbox.Actor, verb string, c inbox.Client) error {
	if c.Chat != 0 {
		if _, err := lockChat(ctx, tx, c.Chat); err != nil {
			return err
		}
	}
	return writeFact(ctx, tx, "client", verb, c.Chat, map[string]any{
		"client_id": c.ID, "chat_id": c.Chat, "by": map[string]any{"kind": by.Kind, "id": by.ID},
	})
}

// DeleteClient removes a client with everything: chat, messages, deliveries,
// notes. It tells so by the fact (client, deleted).
func (db *DB) DeleteClient(ctx context.Context, tenant events.TenantID, by inbox.Actor, id int64) error {
	if err := errors.Join(validTenant(tenant), validClient(id)); err != nil {
		return err
	}
	err := db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT FROM crm_clients WHERE id = $1 FOR UPDATE", id); err != nil {
			return err
		}
		c, err := clientByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := tellClient(ctx, tx, by, "deleted", "client.delete", c.Client, nil); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM crm_clients WHERE id = $1", id)
		return err
	})
	if err != nil {
		return fmt.Errorf("deleting a client: %w", err)
	}
	return nil
}

// clientRefused puts what the database refuses of a client into words.
func clientRefused(ctx context.Context, tx pgx.Tx, err error, n ClientChange) error {
	taken := func(what, column, value string) error {
		var other int64
		if err := tx.QueryRow(ctx, "SELECT id FROM crm_clients WHERE "+column+" = $1", value).Scan(&other); err != nil {
			return err
		}
		return belongsTo(what, other)
	}
	switch {
	case violates(err, "idx_crm_clients_phone_unique"):
		return taken("phone number", "phone_number", text(n.Phone))
	case violates(err, "idx_crm_clients_pin_unique"):
		return taken("tax number", "pin", strings.TrimSpace(text(n.PIN)))
	case strings.HasPrefix(sqlState(err), "22"): // data exception: a date that is none, a text too long
		return &inbox.Error{Code: inbox.Invalid, Message: "One of the client's fields is too long or no date.", Hint: "Dates are like 1990-12-31.", Err: err}
	}
	return err
}

// OtherClient is the detail of a Conflict: who has it already.
type OtherClient struct {
	Client int64 `json:"client_id"`
}

func belongsTo(what string, other int64) error {
	return &inbox.Error{
		Code: inbox.Conflict, Message: fmt.Sprintf("That %s belongs to client %d already.", what, other),
		Hint: "Use that client, or take it away from them first.", Detail: OtherClient{other},
	}
}
