package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// MoveContact gives a contact to another client: a number that was noted with the
// wrong one. Whoever writes from it from now on is that client; what was written
// stays in its chat. A contact that its client wrote from is refused with
// Conflict: their messages would go on in another chat than they began in; such
// clients are merged. Both clients are told of as changed. It fails with NotFound.
func (db *DB) MoveContact(ctx context.Context, tenant events.TenantID, by inbox.Actor, contact, to int64) error {
	if err := errors.Join(validTenant(tenant), validClient(to)); err != nil {
		return err
	}
	err := db.mergeTransaction(ctx, tenant, func(tx pgx.Tx) error { return moveContact(ctx, tx, by, contact, to) })
	if err != nil {
		return fmt.Errorf("moving a contact: %w", err)
	}
	return nil
}

func moveContact(ctx context.Context, tx pgx.Tx, by inbox.Actor, contact, to int64) error {
	var from, merged int64
	var kind, value string
	err := tx.QueryRow(ctx, `SELECT client_id, contact_type, contact_value FROM crm_client_contacts WHERE id = $1 FOR UPDATE`, contact).
		Scan(&from, &kind, &value)
	if errors.Is(err, pgx.ErrNoRows) {
		return &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no contact %d.", contact)}
	}
	if err != nil {
		return err
	}
	err = tx.QueryRow(ctx, `SELECT coalesce(merged_into, 0) FROM crm_clients WHERE id = $1 FOR NO KEY UPDATE`, to).Scan(&merged)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return noClient(to)
	case err != nil:
		return err
	case merged != 0:
		return &inbox.Error{
			Code: inbox.Conflict, Message: fmt.Sprintf("Client %d was merged into client %d.", to, merged),
			Hint: fmt.Sprintf("Move the contact to client %d.", merged),
		}
	case from == to:
		return nil
	}
	var used bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM crm_chat_members WHERE client_contact_id = $1 AND client_id IS NOT NULL)`, contact).Scan(&used); err != nil {
		return err
	}
	if used {
		return &inbox.Error{
			Code: inbox.Conflict, Message: fmt.Sprintf("Client %d has written from %s.", from, value),
			Hint: "Merge the two clients if they are one person.",
		}
	}
	if _, err := tx.Exec(ctx, `UPDATE crm_client_contacts SET client_id = $2, updated_at = now() WHERE id = $1`, contact, to); err != nil {
		return err
	}
	// A claim that nobody has written under yet goes along.
	identity := map[string]string{"phone": "phone", "whatsapp": "phone", "email": "email"}[kind]
	if _, err := tx.Exec(ctx, `UPDATE parley_identities SET client_id = $4 WHERE kind = $1 AND value = $2 AND client_id = $3`,
		identity, value, from, to); err != nil {
		return err
	}
	for _, client := range []int64{min(from, to), max(from, to)} {
		if err := touch(ctx, tx, client); err != nil {
			return err
		}
		c, err := clientByID(ctx, tx, client)
		if err != nil {
			return err
		}
		if err := writeClientFact(ctx, tx, by, "changed", c.Client); err != nil {
			return err
		}
	}
	return appendAudit(ctx, tx, by, NewAuditEntry{
		Action: "contact.move", TargetKind: "client", TargetID: fmt.Sprint(to), Detail: map[string]any{"contact": contact, "from": from},
	})
}
