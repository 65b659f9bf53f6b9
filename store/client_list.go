package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Limits of a page of clients.
const (
	DefaultClients = 50
	MaxClients     = MaxSearch
)

// ClientPage says which clients to list.
type ClientPage struct {
	// Search is what [DB.SearchClients] looks for, or a whole contact; empty lists
	// all, the newest first.
	Search string
	// Cursor is what an earlier page with the same Search returned.
	Cursor string
	// Limit is DefaultClients when 0, and at most MaxClients.
	Limit int
}

// Clients lists clients, and the cursor of the next page, empty when this was the
// last. Who has exactly the contact that was searched for comes first, however
// new; who is a part of another client is not listed.
func (db *DB) Clients(ctx context.Context, tenant events.TenantID, page ClientPage) (list []inbox.Client, next string, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, "", err
	}
	if page.Limit <= 0 {
		page.Limit = DefaultClients
	}
	page.Limit = min(page.Limit, MaxClients)
	if page.Search = strings.TrimSpace(strings.ReplaceAll(page.Search, "\x00", "")); page.Search != "" {
		list, next, err = db.findClients(ctx, tenant, page)
	} else {
		list, next, err = db.allClients(ctx, tenant, page)
	}
	if err != nil {
		return nil, "", fmt.Errorf("listing clients: %w", err)
	}
	return list, next, nil
}

func (db *DB) allClients(ctx context.Context, tenant events.TenantID, page ClientPage) (list []inbox.Client, next string, err error) {
	var after int64
	if page.Cursor != "" {
		if after, err = strconv.ParseInt(page.Cursor, 10, 32); err != nil {
			return nil, "", &inbox.Error{
				Code: inbox.Invalid, Message: "The cursor is none that a list of clients returned.", Hint: "Leave it out to start from the beginning.",
			}
		}
	}
	err = db.inTenantPlanned(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, "SELECT "+clientColumns+` FROM crm_clients cl WHERE ($1 = 0 OR cl.id < $1) AND cl.merged_into IS NULL
			ORDER BY cl.tenant_id DESC, cl.id DESC LIMIT `+strconv.Itoa(page.Limit+1), after)
		list, err = pgx.CollectRows(rows, scanClient)
		return err
	})
	if err == nil && len(list) > page.Limit {
		list = list[:page.Limit]
		next = strconv.FormatInt(list[page.Limit-1].ID, 10)
	}
	return list, next, err
}

func scanClient(row pgx.CollectableRow) (c inbox.Client, err error) {
	return c, row.Scan(clientInto(&c)...)
}

// mostExact is how many clients with exactly the contact searched for are shown.
const mostExact = 10

func (db *DB) findClients(ctx context.Context, tenant events.TenantID, page ClientPage) (list []inbox.Client, next string, err error) {
	if !utf8.ValidString(page.Search) {
		return nil, "", nil // nobody is found by that
	}
	found, next, err := db.SearchClients(ctx, tenant, Search{Words: page.Search, Cursor: page.Cursor, Limit: page.Limit})
	if err != nil {
		return nil, "", err
	}
	ids := make([]int64, len(found))
	for i, f := range found {
		ids[i] = f.ID
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		var exact []int64
		if page.Cursor == "" {
			// What was added a moment ago has no words yet.
			rows, _ := tx.Query(ctx, `SELECT k.client_id FROM crm_client_contacts k
				WHERE k.contact_type = ANY ('{email,phone,telegram,whatsapp,other}') AND k.contact_value = ANY ($1) ORDER BY 1 LIMIT $2`,
				[]string{page.Search, "@" + page.Search, "+" + digits(page.Search)}, mostExact)
			if exact, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
				return err
			}
		}
		rows, _ := tx.Query(ctx, "SELECT "+clientColumns+` FROM (
			SELECT i.id, min(i.place) AS place FROM unnest($1::integer[]) WITH ORDINALITY i (id, place) GROUP BY 1) i
			JOIN crm_clients cl ON cl.id = i.id AND cl.merged_into IS NULL ORDER BY i.place`, append(exact, ids...))
		list, err = pgx.CollectRows(rows, scanClient)
		return err
	})
	return list, next, err
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}
