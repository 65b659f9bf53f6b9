package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// MaxContacts is how many contacts of a client are shown and can be added.
const MaxContacts = 200

func tooManyContacts() error {
	return &inbox.Error{Code: inbox.Refused, Message: fmt.Sprintf("A client has at most %d contacts.", MaxContacts), Hint: "Remove one that is no longer used."}
}

// AddContact adds a way to reach a client; one that they have already is left as
// it is. It fails with Conflict when it names another client. The same key, if
// there is one, adds once, even if what it added was changed since.
func (db *DB) AddContact(ctx context.Context, tenant events.TenantID, by inbox.Actor, client int64, n NewContact, key string) (inbox.ClientCard, error) {
	return db.changeClient(ctx, tenant, by, client, 0, func(tx pgx.Tx, was inbox.ClientCard) (map[string]any, error) {
		if key != "" {
			if again, err := contactOfKey(ctx, tx, client, n, key); again || err != nil {
				return nil, err
			}
		}
		if len(was.Contacts) >= MaxContacts {
			return nil, tooManyContacts()
		}
		if err := addContact(ctx, tx, client, n, key); err != nil {
			return nil, err
		}
		return map[string]any{"contact": "added", "type": n.Type}, touch(ctx, tx, client)
	})
}

// contactOfKey reports whether the key has added the contact before.
func contactOfKey(ctx context.Context, tx pgx.Tx, client int64, n NewContact, key string) (bool, error) {
	var same bool
	err := tx.QueryRow(ctx, `SELECT client_id = $2 AND (contact_type = $3 AND contact_value = $4 OR updated_at > created_at)
		FROM crm_client_contacts WHERE idempotency_key = $1`, key, client, n.Type, n.Value).Scan(&same)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err == nil && !same:
		err = keyReused()
	}
	return true, err
}

// ChangeContact changes a contact of a client; what it named before is theirs no
// longer, unless they have used it themselves.
func (db *DB) ChangeContact(ctx context.Context, tenant events.TenantID, by inbox.Actor, client, contact, ifVersion int64, n NewContact) (inbox.ClientCard, error) {
	return db.changeClient(ctx, tenant, by, client, ifVersion, func(tx pgx.Tx, _ inbox.ClientCard) (map[string]any, error) {
		was, err := contactByID(ctx, tx, client, contact)
		if err != nil {
			return nil, err
		}
		if was == n {
			return nil, nil
		}
		if _, err := tx.Exec(ctx, `UPDATE crm_client_contacts SET contact_type = $2, contact_value = $3, updated_at = clock_timestamp() WHERE id = $1`,
			contact, n.Type, n.Value); err != nil {
			return nil, err
		}
		kind, value := was.identity()
		if err := releaseIdentity(ctx, tx, client, kind, value); err != nil {
			return nil, err
		}
		if err := claimContact(ctx, tx, client, n); err != nil {
			return nil, err
		}
		return map[string]any{"contact": "changed", "type": n.Type}, touch(ctx, tx, client)
	})
}

// RemoveContact removes a contact of a client; what it named is theirs no longer,
// unless they have used it themselves.
func (db *DB) RemoveContact(ctx context.Context, tenant events.TenantID, by inbox.Actor, client, contact int64) (inbox.ClientCard, error) {
	return db.changeClient(ctx, tenant, by, client, 0, func(tx pgx.Tx, _ inbox.ClientCard) (map[string]any, error) {
		was, err := contactByID(ctx, tx, client, contact)
		if err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM crm_client_contacts WHERE id = $1", contact); err != nil {
			return nil, err
		}
		kind, value := was.identity()
		if err := releaseIdentity(ctx, tx, client, kind, value); err != nil {
			return nil, err
		}
		return map[string]any{"contact": "removed", "type": was.Type}, touch(ctx, tx, client)
	})
}

// touch renews a client's version.
func touch(ctx context.Context, tx pgx.Tx, client int64) error {
	_, err := tx.Exec(ctx, "UPDATE crm_clients SET updated_at = clock_timestamp() WHERE id = $1", client)
	return err
}

func contactByID(ctx context.Context, tx pgx.Tx, client, id int64) (c NewContact, err error) {
	err = tx.QueryRow(ctx, "SELECT contact_type, contact_value FROM crm_client_contacts WHERE id = $1 AND client_id = $2", id, client).Scan(&c.Type, &c.Value)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, &inbox.Error{
			Code: inbox.NotFound, Message: fmt.Sprintf("Client %d has no contact %d.", client, id), Hint: "Show the client to see which there are.",
		}
	}
	return c, err
}

func addContact(ctx context.Context, tx pgx.Tx, client int64, n NewContact, key string) error {
	_, err := tx.Exec(ctx, `INSERT INTO crm_client_contacts (client_id, contact_type, contact_value, idempotency_key) SELECT $1, $2::text, $3::text, nullif($4, '')
		WHERE NOT EXISTS (SELECT FROM crm_client_contacts WHERE client_id = $1 AND contact_type = $2 AND contact_value = $3)`,
		client, n.Type, n.Value, key)
	if violates(err, "parley_contacts_idempotency") {
		return keyReused() // for another client, at the same moment
	}
	if err != nil {
		return err
	}
	return claimContact(ctx, tx, client, n)
}

// identity is the identity that a contact gives its client, empty where none: a
// Telegram username is pinned to an account when somebody first writes by it.
func (n NewContact) identity() (kind, value string) {
	switch n.Type {
	case inbox.ContactPhone, inbox.ContactWhatsApp:
		return string(events.Phone), n.Value
	case inbox.ContactEmail:
		return string(events.EmailAddress), n.Value
	case inbox.ContactTelegram:
		if !strings.HasPrefix(n.Value, "@") {
			return string(events.TelegramUser), n.Value
		}
	case inbox.ContactOther:
	}
	return "", ""
}

func claimContact(ctx context.Context, tx pgx.Tx, client int64, n NewContact) error {
	kind, value := n.identity()
	return claimIdentity(ctx, tx, client, kind, value)
}

// claimWays makes a client's own phone number and address theirs.
func claimWays(ctx context.Context, tx pgx.Tx, client int64, phone, email *string) error {
	if err := claimIdentity(ctx, tx, client, string(events.Phone), text(phone)); err != nil {
		return err
	}
	return claimIdentity(ctx, tx, client, string(events.EmailAddress), text(email))
}

// claimIdentity makes an identity a client's, so that what comes from it finds
// them. It fails with Conflict when it is somebody else's.
func claimIdentity(ctx context.Context, tx pgx.Tx, client int64, kind, value string) error {
	if value == "" {
		return nil
	}
	if _, err := tx.Exec(ctx, `INSERT INTO parley_identities (kind, value, client_id) VALUES ($1, $2, $3)
		ON CONFLICT (tenant_id, kind, value) DO NOTHING`, kind, value, client); err != nil {
		return err
	}
	var owner int64
	if err := tx.QueryRow(ctx, "SELECT client_id FROM parley_identities WHERE kind = $1 AND value = $2", kind, value).Scan(&owner); err != nil {
		return err
	}
	if owner != client {
		what := map[string]string{string(events.Phone): "phone number", string(events.EmailAddress): "mail address"}[kind]
		if what == "" {
			what = "account"
		}
		return belongsTo(what, owner)
	}
	return nil
}

// releaseIdentity gives up an identity of a client, unless they have written by
// it or it is still noted elsewhere.
func releaseIdentity(ctx context.Context, tx pgx.Tx, client int64, kind, value string) error {
	if value == "" {
		return nil
	}
	_, err := tx.Exec(ctx, `DELETE FROM parley_identities i
		WHERE i.kind = $1 AND i.value = $2 AND i.client_id = $3
		  AND NOT EXISTS (SELECT FROM crm_chat_members m WHERE m.client_id = i.client_id AND m.provider_user = i.value)
		  AND NOT EXISTS (SELECT FROM crm_clients c WHERE c.id = i.client_id AND (i.kind = 'phone' AND c.phone_number = i.value OR i.kind = 'email' AND c.email = i.value))
		  AND NOT EXISTS (SELECT FROM crm_client_contacts k WHERE k.client_id = i.client_id AND k.contact_value = i.value)`, kind, value, client)
	return err
}
