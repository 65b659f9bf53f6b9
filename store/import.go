package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// sqlContactOwners finds whose a contact is: by identity, by a client's own number
// or address, or by what somebody noted.
const sqlContactOwners = `
SELECT i.ord, coalesce(cl.merged_into, cl.id)
  FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS i (type, value, kind, ord)
  CROSS JOIN LATERAL (
       SELECT client_id FROM (
           SELECT 1 AS n, p.client_id FROM parley_identities p WHERE p.kind = i.kind AND p.value = i.value
           UNION ALL SELECT 2, c.id FROM crm_clients c WHERE i.kind = 'phone' AND c.phone_number = i.value
           UNION ALL SELECT 3, c.id FROM crm_clients c WHERE i.kind = 'email' AND c.email = i.value
           UNION ALL SELECT 4, k.client_id FROM crm_client_contacts k WHERE k.contact_type = i.type AND k.contact_value = i.value
       ) o ORDER BY n, client_id LIMIT 1) found
  JOIN crm_clients cl ON cl.id = found.client_id`

// ContactOwners finds whose contacts are, in their order; 0 for nobody's. Values
// are normalised.
func (db *DB) ContactOwners(ctx context.Context, tenant events.TenantID, contacts []NewContact) (owners []int64, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	n := len(contacts)
	types, values, kinds := make([]string, n), make([]string, n), make([]string, n)
	for i, c := range contacts {
		types[i], values[i] = string(c.Type), c.Value
		kinds[i], _ = c.identity()
	}
	owners = make([]int64, n)
	err = db.inTenantPlanned(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, sqlContactOwners, types, values, kinds)
		var ord int
		var owner int64
		_, err := pgx.ForEachRow(rows, []any{&ord, &owner}, func() error { owners[ord-1] = owner; return nil })
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking up contacts: %w", err)
	}
	return owners, nil
}

// ClientsOfKeys finds the clients that keys made, in their order; 0 for none.
func (db *DB) ClientsOfKeys(ctx context.Context, tenant events.TenantID, keys []string) (ids []int64, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	ids = make([]int64, len(keys))
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `SELECT i.ord, coalesce(c.merged_into, c.id) FROM unnest($1::text[]) WITH ORDINALITY AS i (key, ord)
			JOIN crm_clients c ON c.idempotency_key = i.key`, keys)
		var ord int
		var id int64
		_, err := pgx.ForEachRow(rows, []any{&ord, &id}, func() error { ids[ord-1] = id; return nil })
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking up keys: %w", err)
	}
	return ids, nil
}

// FillClient gives a client what of n they lack, and contacts that they do not
// have; what they have stays. Changed is false when there was nothing to give. It
// fails like [DB.AddClient].
func (db *DB) FillClient(ctx context.Context, tenant events.TenantID, by inbox.Actor, id int64, n ClientChange, contacts []NewContact) (changed bool, err error) {
	was, err := db.Client(ctx, tenant, id)
	if err != nil {
		return false, err
	}
	fill, missing := n.Lacking(was, contacts)
	if !fill.IsEmpty() {
		if _, err := db.ChangeClient(ctx, tenant, by, id, was.Version, fill); err != nil {
			return changed, err
		}
		changed = true
	}
	for _, c := range missing {
		if _, err := db.AddContact(ctx, tenant, by, id, c, ""); err != nil {
			return changed, err
		}
		changed = true
	}
	return changed, nil
}

// Lacking is what of the fields and contacts a client does not have. A second
// number or address becomes a contact.
func (n ClientChange) Lacking(c inbox.ClientCard, contacts []NewContact) (fill ClientChange, missing []NewContact) {
	has := map[NewContact]bool{}
	for _, k := range c.Contacts {
		has[NewContact{k.Type, k.Value}] = true
	}
	add := func(k NewContact) {
		if !has[k] {
			has[k] = true
			missing = append(missing, k)
		}
	}
	for _, f := range []struct {
		given *string
		had   string
		to    **string
	}{
		{n.LastName, c.LastName, &fill.LastName},
		{n.MiddleName, c.MiddleName, &fill.MiddleName},
		{n.Phone, c.Phone, &fill.Phone},
		{n.Email, c.Email, &fill.Email},
		{n.Address, c.Address, &fill.Address},
		{n.DateOfBirth, c.DateOfBirth, &fill.DateOfBirth},
		{n.Gender, c.Gender, &fill.Gender},
		{n.PIN, c.PIN, &fill.PIN},
		{n.Comments, c.Comments, &fill.Comments},
	} {
		if f.given != nil && *f.given != "" && f.had == "" {
			*f.to = f.given
		}
	}
	if phone := text(n.Phone); phone != "" && c.Phone != "" && phone != c.Phone {
		add(NewContact{inbox.ContactPhone, phone})
	}
	if email := text(n.Email); email != "" && c.Email != "" && email != c.Email {
		add(NewContact{inbox.ContactEmail, email})
	}
	for _, k := range contacts {
		add(k)
	}
	return fill, missing
}

// IsEmpty reports whether nothing is to be set.
func (n ClientChange) IsEmpty() bool { return n == ClientChange{} }
