package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// sqlSuggestions finds who may be the same person as client $1: by numbers and
// addresses that both have, by their name together with something rarer, and by
// what messages hint at. A client that was merged is none of them.
const sqlSuggestions = `
WITH me AS (SELECT * FROM crm_clients WHERE id = $1),
phones AS (
    SELECT phone_number AS value FROM me WHERE phone_number <> ''
    UNION SELECT contact_value FROM crm_client_contacts WHERE client_id = $1 AND contact_type IN ('phone', 'whatsapp')
    UNION SELECT value FROM parley_identities WHERE client_id = $1 AND kind = 'phone'
), emails AS (
    SELECT email AS value FROM me WHERE email <> ''
    UNION SELECT contact_value FROM crm_client_contacts WHERE client_id = $1 AND contact_type = 'email'
    UNION SELECT value FROM parley_identities WHERE client_id = $1 AND kind IN ('email', 'email_unproven')
), found AS (
    SELECT c.id, 1 AS rank, 'phone' AS kind, p.value FROM phones p JOIN crm_clients c ON c.phone_number = p.value
    UNION SELECT k.client_id, 1, 'phone', p.value FROM phones p
      JOIN crm_client_contacts k ON k.contact_type IN ('phone', 'whatsapp') AND k.contact_value = p.value
    UNION SELECT i.client_id, 1, 'phone', p.value FROM phones p
      JOIN parley_identities i ON i.tenant_id = parley_tenant() AND i.kind = 'phone' AND i.value = p.value
    UNION SELECT c.id, 2, 'email', e.value FROM emails e JOIN crm_clients c ON c.email = e.value
    UNION SELECT k.client_id, 2, 'email', e.value FROM emails e
      JOIN crm_client_contacts k ON k.contact_type = 'email' AND k.contact_value = e.value
    UNION SELECT i.client_id, 2, 'email', e.value FROM emails e
      JOIN parley_identities i ON i.tenant_id = parley_tenant() AND i.kind IN ('email', 'email_unproven') AND i.value = e.value
    UNION SELECT c.id, 3, 'name', concat_ws(' ', c.first_name, c.last_name) FROM me
      JOIN crm_clients c ON lower(c.first_name) = lower(me.first_name) AND lower(c.last_name) = lower(me.last_name)
       AND (c.date_of_birth = me.date_of_birth OR lower(c.address) = lower(me.address) OR c.passport_id = me.passport_id)
    UNION SELECT h.client_id, 4, CASE l.why WHEN 'phone' THEN 'claimed_phone' ELSE l.why END, ''
      FROM crm_chats mine JOIN crm_chat_messages m ON m.chat_id = mine.id
      JOIN parley_links l ON l.message_id = m.id JOIN crm_chats h ON h.id = l.chat_id
     WHERE mine.client_id = $1
    UNION SELECT h.client_id, 4, CASE l.why WHEN 'phone' THEN 'claimed_phone' ELSE l.why END, ''
      FROM crm_chats mine JOIN parley_links l ON l.chat_id = mine.id
      JOIN crm_chat_messages m ON m.id = l.message_id JOIN crm_chats h ON h.id = m.chat_id
     WHERE mine.client_id = $1
)
SELECT c.id, c.first_name, coalesce(c.last_name, ''), coalesce(c.phone_number, ''), coalesce(c.email, ''), c.blocked_at, c.created_at,
       f.kind, f.value
  FROM found f JOIN crm_clients o ON o.id = f.id JOIN crm_clients c ON c.id = coalesce(o.merged_into, o.id)
 WHERE c.id <> $1
 ORDER BY min(f.rank) OVER (PARTITION BY c.id), c.id, f.rank, f.kind, f.value LIMIT 200`

// reasonWords are the sentences of what both have and what messages hint at.
var reasonWords = map[string]string{
	"phone":         "Both have the number %s.",
	"email":         "Both have the address %s.",
	"name":          "Both are called %s, and share a birthday, an address or a passport.",
	"token":         "One wrote to the reply address that only the other was given.%s",
	"thread":        "One answered in the other's mail thread.%s",
	"address":       "One writes under the other's mail address, which nobody vouches for.%s",
	"claimed_phone": "One has proven to have the other's number.%s",
}

// Suggestions lists clients who may be the same person as this one, the likeliest
// first. It fails with NotFound.
func (db *DB) Suggestions(ctx context.Context, tenant events.TenantID, client int64) (list []inbox.Suggestion, err error) {
	if err := errors.Join(validTenant(tenant), validClient(client)); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		list = nil
		var exists bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM crm_clients WHERE id = $1)`, client).Scan(&exists); err != nil {
			return err
		}
		if !exists {
			return noClient(client)
		}
		rows, _ := tx.Query(ctx, sqlSuggestions, client)
		var c inbox.Client
		var r inbox.Reason
		_, err := pgx.ForEachRow(rows, []any{&c.ID, &c.FirstName, &c.LastName, &c.Phone, &c.Email, &c.BlockedAt, &c.CreatedAt, &r.Kind, &r.Value}, func() error {
			r.Words = fmt.Sprintf(reasonWords[r.Kind], r.Value)
			if n := len(list); n > 0 && list[n-1].Client.ID == c.ID {
				list[n-1].Reasons = append(list[n-1].Reasons, r)
			} else {
				list = append(list, inbox.Suggestion{Client: c, Reasons: []inbox.Reason{r}})
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for the same person: %w", err)
	}
	return list, nil
}
