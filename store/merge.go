package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// mergeTries is how often a merge is tried when the database ends it for a
// deadlock with messages that arrive at the same time.
const mergeTries = 5

const sqlStateDeadlock = "40P01"

// merged is what parley_merges.moved keeps, so that it can be moved back.
type merged struct {
	Identities [][2]string `json:"identities"`
	// Made are identities that stand for From's number and address.
	Made     [][2]string `json:"made"`
	Contacts []int64     `json:"contacts"`
	Members  []string    `json:"members"`
	mergedChatRows
	// From is what the client that went was like, Before the other, Filled what
	// the merge filled in there.
	From   clientFields `json:"from"`
	Before clientFields `json:"before"`
	Filled clientFields `json:"filled"`
}

// clientFields are those that one client may have and the other lack.
type clientFields struct {
	Phone      *string    `json:"phone,omitempty" db:"phone_number"`
	Email      *string    `json:"email,omitempty" db:"email"`
	PIN        *string    `json:"pin,omitempty" db:"pin"`
	LastName   *string    `json:"last_name,omitempty" db:"last_name"`
	MiddleName *string    `json:"middle_name,omitempty" db:"middle_name"`
	Address    *string    `json:"address,omitempty" db:"address"`
	Gender     *string    `json:"gender,omitempty" db:"gender"`
	Born       *time.Time `json:"born,omitempty" db:"date_of_birth"`
}

const sqlClientFields = `SELECT phone_number, email, pin, last_name, middle_name, address, gender, date_of_birth FROM crm_clients WHERE id = $1`

// MergeClients makes from part of into: its messages, members, identities and
// contacts move, and it stays as a tombstone that forwards. The messages of both
// are in the order in which they were accepted; those that have to move, and
// those of into that come after the first of them, get new seqs above every one
// that either chat has had, so that no seq ever meant two messages.
//
// What arrives for either meanwhile waits and finds into. Doing it again changes
// nothing. It fails with NotFound, and with Conflict when one of them was merged
// into a third.
func (db *DB) MergeClients(ctx context.Context, tenant events.TenantID, by inbox.Actor, into, from int64) (m inbox.Merge, err error) {
	if err := errors.Join(validTenant(tenant), validClient(into), validClient(from)); err != nil {
		return inbox.Merge{}, err
	}
	if into == from {
		return inbox.Merge{}, &inbox.Error{Code: inbox.Invalid, Message: "A client cannot be merged with itself.", Hint: "Name two clients."}
	}
	err = db.mergeTransaction(ctx, tenant, func(tx pgx.Tx) error {
		m, err = mergeClients(ctx, tx, by, into, from)
		return err
	})
	if err != nil {
		return inbox.Merge{}, fmt.Errorf("merging clients: %w", err)
	}
	return m, nil
}

// Merges lists who became a part of a client and still is, the newest first, 200
// at most.
func (db *DB) Merges(ctx context.Context, tenant events.TenantID, client int64) (list []inbox.Merge, err error) {
	if err := errors.Join(validTenant(tenant), validClient(client)); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `SELECT id, into_id, from_id, at FROM parley_merges
			WHERE into_id = $1 AND undone_at IS NULL ORDER BY id DESC LIMIT 200`, client)
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m inbox.Merge, err error) {
			return m, row.Scan(&m.ID, &m.Into, &m.From, &m.At)
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing merges: %w", err)
	}
	return list, nil
}

// mergeTransaction tries again after a deadlock.
func (db *DB) mergeTransaction(ctx context.Context, tenant events.TenantID, f func(pgx.Tx) error) (err error) {
	for range mergeTries {
		if err = db.inTenant(ctx, tenant, f); sqlState(err) != sqlStateDeadlock {
			return err
		}
	}
	return err
}

func validClient(id int64) error {
	if id < 1 || id > math.MaxInt32 {
		return noClient(id)
	}
	return nil
}

func noClient(id int64) error {
	return &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no client %d.", id), Hint: "Search the clients to see who there is."}
}

// pair is two clients whose rows and chats the transaction holds.
type pair struct {
	into, from int64
	// intoMerged and fromMerged are where they were merged into, 0 when they were
	// not.
	intoMerged, fromMerged int64
	chat, fromChat         int64
	last, fromLast         int64
}

// lockPair takes the clients' and their chats' locks, each in id order. A client
// without a chat gets one: only what has a row can be held.
func lockPair(ctx context.Context, tx pgx.Tx, into, from int64) (p pair, err error) {
	p.into, p.from = into, from
	rows, _ := tx.Query(ctx, `SELECT id, coalesce(merged_into, 0) FROM crm_clients WHERE id IN ($1, $2) ORDER BY id FOR UPDATE`, into, from)
	var id, to int64
	found := map[int64]bool{}
	if _, err := pgx.ForEachRow(rows, []any{&id, &to}, func() error {
		found[id] = true
		if id == into {
			p.intoMerged = to
		} else {
			p.fromMerged = to
		}
		return nil
	}); err != nil {
		return p, err
	}
	for _, id := range []int64{into, from} {
		if !found[id] {
			return p, noClient(id)
		}
	}
	if _, err := tx.Exec(ctx, `
		INSERT INTO crm_chats (client_id) SELECT c FROM unnest($1::integer[]) c
		 WHERE NOT EXISTS (SELECT FROM crm_chats h WHERE h.client_id = c) ORDER BY 1
		ON CONFLICT (tenant_id, client_id) DO NOTHING`, []int64{into, from}); err != nil {
		return p, err
	}
	rows, _ = tx.Query(ctx, `SELECT id, client_id, last_seq FROM crm_chats WHERE client_id IN ($1, $2) ORDER BY id FOR UPDATE`, into, from)
	var chat, client, last int64
	_, err = pgx.ForEachRow(rows, []any{&chat, &client, &last}, func() error {
		if client == into {
			p.chat, p.last = chat, last
		} else {
			p.fromChat, p.fromLast = chat, last
		}
		return nil
	})
	return p, err
}

func mergeClients(ctx context.Context, tx pgx.Tx, by inbox.Actor, into, from int64) (inbox.Merge, error) {
	p, err := lockPair(ctx, tx, into, from)
	if err != nil {
		return inbox.Merge{}, err
	}
	if p.fromMerged == into && p.intoMerged == 0 {
		return standingMerge(ctx, tx, p)
	}
	for client, to := range map[int64]int64{into: p.intoMerged, from: p.fromMerged} {
		if to != 0 {
			return inbox.Merge{}, &inbox.Error{
				Code: inbox.Conflict, Message: fmt.Sprintf("Client %d was merged into client %d.", client, to),
				Hint: fmt.Sprintf("Merge client %d instead, or take that merge back first.", to),
			}
		}
	}
	m := inbox.Merge{Into: into, From: from, Chat: p.chat, FromChat: p.fromChat}
	if err := tx.QueryRow(ctx, `INSERT INTO parley_merges (into_id, from_id) VALUES ($1, $2) RETURNING id, at`, into, from).
		Scan(&m.ID, &m.At); err != nil {
		return m, err
	}
	var moved merged
	anchors, err := noteAnchors(ctx, tx, p)
	if err != nil {
		return m, fmt.Errorf("notes: %w", err)
	}
	if m.Messages, err = moveMessages(ctx, tx, p, m.ID); err != nil {
		return m, fmt.Errorf("messages: %w", err)
	}
	if err := moveChatRows(ctx, tx, p, anchors, &moved.mergedChatRows); err != nil {
		return m, fmt.Errorf("what else is in the chat: %w", err)
	}
	rows, _ := tx.Query(ctx, `
		UPDATE crm_chat_members SET chat_id = $1, client_id = CASE WHEN client_id = $4 THEN $3::integer ELSE client_id END, updated_at = now()
		 WHERE chat_id = $2 AND user_id IS NULL RETURNING id::text`, p.chat, p.fromChat, into, from)
	if moved.Members, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return m, fmt.Errorf("members: %w", err)
	}
	rows, _ = tx.Query(ctx, `UPDATE parley_identities SET client_id = $1 WHERE client_id = $2 RETURNING kind, value`, into, from)
	if moved.Identities, err = pgx.CollectRows(rows, scanPair); err != nil {
		return m, fmt.Errorf("identities: %w", err)
	}
	// What both have stays where it is.
	rows, _ = tx.Query(ctx, `
		UPDATE crm_client_contacts c SET client_id = $1, updated_at = now() WHERE client_id = $2 AND NOT EXISTS (
		       SELECT FROM crm_client_contacts o WHERE o.client_id = $1 AND o.contact_type = c.contact_type AND o.contact_value = c.contact_value)
		RETURNING id`, into, from)
	if moved.Contacts, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
		return m, fmt.Errorf("contacts: %w", err)
	}
	if err := mergeFields(ctx, tx, p, &moved); err != nil {
		return m, fmt.Errorf("fields: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		UPDATE crm_chats c SET merged_into = CASE WHEN id = $2 THEN $1::integer END, unread = `+sqlHasUnread+`,
		       last_message_at = CASE WHEN id = $1 THEN greatest(last_message_at, (SELECT o.last_message_at FROM crm_chats o WHERE o.id = $2)) ELSE last_message_at END
		 WHERE id IN ($1, $2)`, p.chat, p.fromChat); err != nil {
		return m, err
	}
	if _, err := tx.Exec(ctx, `UPDATE parley_merges SET moved = $2 WHERE id = $1`, m.ID, moved); err != nil {
		return m, err
	}
	m.Identities, m.Contacts = len(moved.Identities), len(moved.Contacts)
	return m, tellMerge(ctx, tx, by, "merged", m)
}

// standingMerge is the merge that was asked for and is done already.
func standingMerge(ctx context.Context, tx pgx.Tx, p pair) (inbox.Merge, error) {
	m := inbox.Merge{Into: p.into, From: p.from, Chat: p.chat, FromChat: p.fromChat}
	return m, tx.QueryRow(ctx, `
		SELECT g.id, g.at, (SELECT count(*) FROM parley_merged_messages x WHERE x.merge_id = g.id),
		       jsonb_array_length(coalesce(nullif(g.moved->'identities', 'null'), '[]')), jsonb_array_length(coalesce(nullif(g.moved->'contacts', 'null'), '[]'))
		  FROM parley_merges g WHERE g.from_id = $1 AND g.undone_at IS NULL`, p.from).
		Scan(&m.ID, &m.At, &m.Messages, &m.Identities, &m.Contacts)
}

func scanPair(row pgx.CollectableRow) (pair [2]string, err error) {
	return pair, row.Scan(&pair[0], &pair[1])
}

// tellMerge writes the facts, one for each chat, and the audit log.
func tellMerge(ctx context.Context, tx pgx.Tx, by inbox.Actor, verb string, m inbox.Merge) error {
	chats := []int64{m.Chat, m.FromChat}
	slices.Sort(chats)
	for _, chat := range chats {
		if err := writeFact(ctx, tx, "client", verb, chat, map[string]any{
			"merge_id": m.ID, "client_id": m.Into, "from_client_id": m.From, "chat_id": m.Chat, "from_chat_id": m.FromChat,
		}); err != nil {
			return err
		}
	}
	action := map[string]string{"merged": "client.merge", "unmerged": "client.unmerge"}[verb]
	return appendAudit(ctx, tx, by, NewAuditEntry{
		Action: action, TargetKind: "client", TargetID: fmt.Sprint(m.Into),
		Detail: map[string]any{"from": m.From, "merge": m.ID, "messages": m.Messages},
	})
}

// sqlInterleave renumbers: what moves, and what comes after the first of it, in
// the order of acceptance. A chat's own order is kept even where its times are
// not, as a replay's. Agents' messages are their member's of the other chat.
const sqlInterleave = `
WITH mixed AS (
    SELECT id, chat_id, seq, sender_id, max(created_at) OVER (PARTITION BY chat_id ORDER BY seq) AS stamp
      FROM crm_chat_messages WHERE chat_id IN ($1, $2)
), numbered AS (
    SELECT id, sender_id, row_number() OVER (ORDER BY stamp, chat_id = $2, seq) AS n FROM mixed
     WHERE chat_id = $2 OR stamp >= (SELECT min(stamp) FROM mixed WHERE chat_id = $2)
)
UPDATE crm_chat_messages m SET chat_id = $1, seq = $3 + n.n, sender_id = coalesce((
           SELECT b.id FROM crm_chat_members a JOIN crm_chat_members b ON b.user_id = a.user_id AND b.transport = a.transport
            WHERE a.id = n.sender_id AND a.chat_id = $2 AND b.chat_id = $1), m.sender_id)
  FROM numbered n WHERE m.id = n.id`

// moveMessages moves the messages of p.from to the other chat and keeps where
// they were. Their members follow.
func moveMessages(ctx context.Context, tx pgx.Tx, p pair, merge int64) (int64, error) {
	tag, err := tx.Exec(ctx, `INSERT INTO parley_merged_messages (merge_id, message_id, seq, sender)
		SELECT $1, id, seq, sender_id FROM crm_chat_messages WHERE chat_id = $2`, merge, p.fromChat)
	if err != nil || tag.RowsAffected() == 0 {
		return 0, err
	}
	if err := ensureAgents(ctx, tx, p.fromChat, p.chat); err != nil {
		return 0, err
	}
	renumbered, err := tx.Exec(ctx, sqlInterleave, p.chat, p.fromChat, max(p.last, p.fromLast))
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `UPDATE crm_chats SET last_seq = $2 WHERE id = $1`, p.chat, max(p.last, p.fromLast)+renumbered.RowsAffected())
	return tag.RowsAffected(), err
}

// ensureAgents gives the agents of one chat a member in another.
func ensureAgents(ctx context.Context, tx pgx.Tx, of, in int64) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO crm_chat_members (chat_id, user_id, transport)
		SELECT $2, a.user_id, a.transport FROM crm_chat_members a WHERE a.chat_id = $1 AND a.user_id IS NOT NULL
		ON CONFLICT (chat_id, user_id, transport) WHERE user_id IS NOT NULL DO NOTHING`, of, in)
	return err
}

func readFields(ctx context.Context, tx pgx.Tx, client int64) (clientFields, error) {
	rows, _ := tx.Query(ctx, sqlClientFields, client)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[clientFields])
}

// mergeFields fills in what into lacks and takes the names by which somebody
// could still be routed to from away from it.
func mergeFields(ctx context.Context, tx pgx.Tx, p pair, moved *merged) (err error) {
	if moved.From, err = readFields(ctx, tx, p.from); err != nil {
		return err
	}
	if moved.Before, err = readFields(ctx, tx, p.into); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE crm_clients SET merged_into = $2, phone_number = NULL, email = NULL, pin = NULL, updated_at = now()
		WHERE id = $1`, p.from, p.into); err != nil {
		return err
	}
	f := &moved.From
	if _, err := tx.Exec(ctx, `UPDATE crm_clients SET phone_number = coalesce(phone_number, $2), email = coalesce(email, $3), pin = coalesce(pin, $4),
		       last_name = coalesce(last_name, $5), middle_name = coalesce(middle_name, $6), address = coalesce(address, $7),
		       gender = coalesce(gender, $8), date_of_birth = coalesce(date_of_birth, $9), updated_at = now()
		 WHERE id = $1`, p.into, f.Phone, f.Email, f.PIN, f.LastName, f.MiddleName, f.Address, f.Gender, f.Born); err != nil {
		return err
	}
	if moved.Filled, err = readFields(ctx, tx, p.into); err != nil {
		return err
	}
	// Nobody has claimed them yet: whoever writes from there first is into.
	rows, _ := tx.Query(ctx, `
		INSERT INTO parley_identities (kind, value, client_id)
		SELECT v.kind, v.value, $1 FROM (VALUES ('phone', $2::text), ('email', $3::text)) v (kind, value) WHERE v.value <> ''
		ON CONFLICT DO NOTHING RETURNING kind, value`, p.into, f.Phone, f.Email)
	moved.Made, err = pgx.CollectRows(rows, scanPair)
	return err
}
