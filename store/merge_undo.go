package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// UnmergeClients takes back that client from was merged: what was moved moves
// back, and with it what its members wrote since and what was sent to them. The
// messages that were there before have the seqs they had; what stays keeps the
// ones that the merge gave. It fails with NotFound, and with Conflict when from
// is not merged or when the client it went into was itself merged since.
func (db *DB) UnmergeClients(ctx context.Context, tenant events.TenantID, by inbox.Actor, from int64) (m inbox.Merge, err error) {
	if err := errors.Join(validTenant(tenant), validClient(from)); err != nil {
		return inbox.Merge{}, err
	}
	err = db.mergeTransaction(ctx, tenant, func(tx pgx.Tx) error {
		m, err = unmergeClients(ctx, tx, by, from)
		return err
	})
	if err != nil {
		return inbox.Merge{}, fmt.Errorf("taking a merge back: %w", err)
	}
	return m, nil
}

func unmergeClients(ctx context.Context, tx pgx.Tx, by inbox.Actor, from int64) (m inbox.Merge, err error) {
	var into *int64
	err = tx.QueryRow(ctx, `SELECT merged_into FROM crm_clients WHERE id = $1`, from).Scan(&into)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return m, noClient(from)
	case err != nil:
		return m, err
	case into == nil:
		return m, notMerged(from)
	}
	p, err := lockPair(ctx, tx, *into, from)
	if err != nil {
		return m, err
	}
	switch {
	case p.fromMerged != p.into:
		return m, notMerged(from) // taken back while we waited
	case p.intoMerged != 0:
		return m, &inbox.Error{
			Code: inbox.Conflict, Message: fmt.Sprintf("Client %d went into client %d, which was merged into client %d since.", from, p.into, p.intoMerged),
			Hint: fmt.Sprintf("Take that merge back first, with client %d.", p.into),
		}
	}
	m = inbox.Merge{Into: p.into, From: from, Chat: p.chat, FromChat: p.fromChat}
	var moved merged
	if err := tx.QueryRow(ctx, `UPDATE parley_merges SET undone_at = clock_timestamp() WHERE from_id = $1 AND undone_at IS NULL
		RETURNING id, at, undone_at, moved`, from).Scan(&m.ID, &m.At, &m.UndoneAt, &moved); err != nil {
		return m, err
	}
	if m.Messages, err = returnMessages(ctx, tx, p, m, &moved); err != nil {
		return m, fmt.Errorf("messages: %w", err)
	}
	if err := returnChatRows(ctx, tx, p, &moved.mergedChatRows); err != nil {
		return m, fmt.Errorf("what else is in the chat: %w", err)
	}
	if m.Identities, m.Contacts, err = returnNames(ctx, tx, p, &moved); err != nil {
		return m, fmt.Errorf("names: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		UPDATE crm_chats c SET merged_into = CASE WHEN c.id = $1 THEN NULL ELSE c.merged_into END, last_message_at = n.newest, unread = `+sqlHasUnread+`,
		       last_seq = greatest(c.last_seq, n.seq)
		  FROM (SELECT h AS id, (SELECT max(created_at) FROM crm_chat_messages WHERE chat_id = h) AS newest,
		               coalesce((SELECT max(seq) FROM crm_chat_messages WHERE chat_id = h), 0) AS seq
		          FROM unnest($2::integer[]) h) n
		 WHERE c.id = n.id`, p.fromChat, []int64{p.chat, p.fromChat}); err != nil {
		return m, err
	}
	return m, tellMerge(ctx, tx, by, "unmerged", m)
}

func notMerged(client int64) error {
	return &inbox.Error{
		Code: inbox.Conflict, Message: fmt.Sprintf("Client %d is not merged into another.", client),
		Hint: "Name the client that went into another one.",
	}
}

// sqlReturning finds the members that go back: those that came, and those that
// joined since by an identity that came.
const sqlReturning = `
SELECT id::text FROM crm_chat_members
 WHERE chat_id = $1 AND user_id IS NULL
   AND (id = ANY ($2::uuid[]) OR created_at > $3 AND provider_user = ANY ($4::text[]))`

// sqlReturn moves messages back: those that came, what the members wrote since,
// and what was sent to them.
const sqlReturn = `
WITH back AS (
    SELECT m.id, m.sender_id, o.seq AS was, o.sender, m.seq
      FROM crm_chat_messages m LEFT JOIN parley_merged_messages o ON o.merge_id = $3 AND o.message_id = m.id
     WHERE m.chat_id = $1 AND (o.message_id IS NOT NULL OR m.sender_id = ANY ($5::uuid[])
           OR EXISTS (SELECT FROM parley_deliveries d WHERE d.message_id = m.id AND d.member_id = ANY ($5::uuid[])))
), numbered AS (
    SELECT *, row_number() OVER (PARTITION BY was IS NULL ORDER BY seq) AS n FROM back
)
UPDATE crm_chat_messages m SET chat_id = $2, seq = coalesce(n.was, $4 + n.n),
       sender_id = coalesce(n.sender, (
           SELECT b.id FROM crm_chat_members a JOIN crm_chat_members b ON b.user_id = a.user_id AND b.transport = a.transport
            WHERE a.id = n.sender_id AND a.chat_id = $1 AND b.chat_id = $2), n.sender_id)
  FROM numbered n WHERE m.id = n.id`

func returnMessages(ctx context.Context, tx pgx.Tx, p pair, m inbox.Merge, moved *merged) (int64, error) {
	values := []string{}
	for _, id := range slices.Concat(moved.Identities, moved.Made) {
		values = append(values, id[1])
	}
	rows, _ := tx.Query(ctx, sqlReturning, p.chat, moved.Members, m.At, values)
	members, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, err
	}
	if err := ensureAgents(ctx, tx, p.chat, p.fromChat); err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, sqlReturn, p.chat, p.fromChat, m.ID, p.fromLast, members)
	if err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM parley_merged_messages WHERE merge_id = $1`, m.ID); err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `
		UPDATE crm_chat_members SET chat_id = $2, client_id = CASE WHEN client_id = $3 THEN $4::integer ELSE client_id END, updated_at = now()
		 WHERE chat_id = $1 AND id = ANY ($5::uuid[])`, p.chat, p.fromChat, p.into, p.from, members)
	return tag.RowsAffected(), err
}

// returnNames gives the clients back what each was known by. What a colleague
// changed since stays as it is.
func returnNames(ctx context.Context, tx pgx.Tx, p pair, moved *merged) (identities, contacts int, err error) {
	columns := func(list [][2]string) (kinds, values []string) {
		for _, one := range list {
			kinds, values = append(kinds, one[0]), append(values, one[1])
		}
		return kinds, values
	}
	kinds, values := columns(moved.Identities)
	tag, err := tx.Exec(ctx, `UPDATE parley_identities i SET client_id = $2
		  FROM unnest($3::text[], $4::text[]) AS w (kind, value) WHERE i.kind = w.kind AND i.value = w.value AND i.client_id = $1`,
		p.into, p.from, kinds, values)
	if err != nil {
		return 0, 0, err
	}
	identities = int(tag.RowsAffected())
	kinds, values = columns(moved.Made)
	if _, err := tx.Exec(ctx, `UPDATE parley_identities i SET client_id = $2
		  FROM unnest($3::text[], $4::text[]) AS w (kind, value) WHERE i.kind = w.kind AND i.value = w.value AND i.client_id = $1`,
		p.into, p.from, kinds, values); err != nil {
		return 0, 0, err
	}
	tag, err = tx.Exec(ctx, `UPDATE crm_client_contacts SET client_id = $2, updated_at = now() WHERE client_id = $1 AND id = ANY ($3)`,
		p.into, p.from, moved.Contacts)
	if err != nil {
		return 0, 0, err
	}
	contacts = int(tag.RowsAffected())
	b, f := &moved.Before, &moved.Filled
	if _, err := tx.Exec(ctx, `
		UPDATE crm_clients SET updated_at = now(),
		       phone_number = CASE WHEN phone_number = $2 THEN $3 ELSE phone_number END, email = CASE WHEN email = $4 THEN $5 ELSE email END,
		       pin = CASE WHEN pin = $6 THEN $7 ELSE pin END, last_name = CASE WHEN last_name = $8 THEN $9 ELSE last_name END,
		       middle_name = CASE WHEN middle_name = $10 THEN $11 ELSE middle_name END, address = CASE WHEN address = $12 THEN $13 ELSE address END,
		       gender = CASE WHEN gender = $14 THEN $15 ELSE gender END, date_of_birth = CASE WHEN date_of_birth = $16 THEN $17 ELSE date_of_birth END
		 WHERE id = $1`, p.into, f.Phone, b.Phone, f.Email, b.Email, f.PIN, b.PIN, f.LastName, b.LastName, f.MiddleName, b.MiddleName,
		f.Address, b.Address, f.Gender, b.Gender, f.Born, b.Born); err != nil {
		return 0, 0, err
	}
	was := &moved.From
	_, err = tx.Exec(ctx, `
		UPDATE crm_clients c SET merged_into = NULL, updated_at = now(), email = $3,
		       phone_number = CASE WHEN NOT EXISTS (SELECT FROM crm_clients o WHERE o.phone_number = $2) THEN $2 END,
		       pin = CASE WHEN NOT EXISTS (SELECT FROM crm_clients o WHERE o.pin = $4) THEN $4 END
		 WHERE id = $1`, p.from, was.Phone, was.Email, was.PIN)
	return identities, contacts, err
}
