package store

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// usernameIdentity pins a username that a client was registered with to the
// account that first used it: usernames are recycled, and the next account of
// that name is somebody else.
const usernameIdentity events.IdentityKind = "telegram_username"

// sqlUsernames finds clients who were registered by a username that no account
// has used yet.
const sqlUsernames = `
SELECT i.ord, c.client_id
  FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS i (tenant_id, name, ord)
  CROSS JOIN LATERAL (
       SELECT (array_agg(x.client_id ORDER BY x.id))[1] AS client_id FROM crm_client_contacts x
        WHERE x.tenant_id = i.tenant_id AND lower(x.contact_value) = '@' || i.name
          AND x.contact_type = 'telegram' AND x.contact_value LIKE '@%') c
 WHERE c.client_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM parley_identities p
                    WHERE p.tenant_id = i.tenant_id AND p.kind = 'telegram_username' AND p.value = i.name)`

// sqlProvenOwners finds the clients of the numbers that senders have proven.
const sqlProvenOwners = `
SELECT i.ord, o.client_id
  FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS i (tenant_id, kind, value, ord)
  CROSS JOIN LATERAL (SELECT ` + sqlOwner + ` AS client_id) o
 WHERE o.client_id IS NOT NULL`

// clue is that a person may be this client, 0 when not.
type clue struct {
	who    *person
	value  events.Identity
	client int64
}

// clues are what is known of people whose identity is new, the stronger ones
// first.
type clues struct{ phones, names []clue }

// queueClues queues the look-ups, if there is anything to look up.
func queueClues(q *pgx.Batch, people []*person) *clues {
	c := &clues{}
	for _, p := range people {
		for _, id := range p.proven {
			c.phones = append(c.phones, clue{who: p, value: id})
		}
		name := strings.ToLower(strings.TrimPrefix(p.first.Person.Username, "@"))
		if p.identity.Kind == events.TelegramUser && name != "" && len(name) <= maxIDBytes {
			c.names = append(c.names, clue{who: p, value: events.Identity{Kind: usernameIdentity, Value: name}})
		}
	}
	collect := func(list []clue) func(pgx.Rows) error {
		return func(rows pgx.Rows) error {
			var ord int
			var client int64
			_, err := pgx.ForEachRow(rows, []any{&ord, &client}, func() error {
				list[ord-1].client = client
				return nil
			})
			return err
		}
	}
	columns := func(list []clue) (tenants, kinds, values []string) {
		for _, one := range list {
			tenants = append(tenants, string(one.who.tenant))
			kinds, values = append(kinds, string(one.value.Kind)), append(values, one.value.Value)
		}
		return tenants, kinds, values
	}
	if len(c.phones) > 0 {
		tenants, kinds, values := columns(c.phones)
		q.Queue(sqlProvenOwners, tenants, kinds, values).Query(collect(c.phones))
	}
	if len(c.names) > 0 {
		tenants, _, values := columns(c.names)
		q.Queue(sqlUsernames, tenants, values).Query(collect(c.names))
	}
	return c
}

// claims gives people without a client the one that a clue leads to, and returns
// the identities to be claimed with it.
func (c *clues) claims() (list []*person) {
	for _, one := range c.phones {
		if one.client != 0 && one.who.client == 0 {
			one.who.client, one.who.routedBy = one.client, string(one.value.Kind)
			list = append(list, one.who)
		}
	}
	taken := make(map[personKey]*person)
	for _, one := range c.names {
		if one.client == 0 || one.who.client != 0 {
			continue
		}
		k := personKey{events.ChannelID(one.who.tenant), one.value}
		if first := taken[k]; first != nil && first.identity != one.who.identity {
			continue // two accounts of one name at once: the second is somebody else
		}
		taken[k] = one.who
		one.who.client, one.who.routedBy = one.client, "username"
		list = append(list, one.who, &person{tenant: one.who.tenant, identity: one.value, client: one.client, first: one.who.first})
	}
	return list
}
