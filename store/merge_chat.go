package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// mergedChatRows is what of a chat besides its messages was moved by a merge.
type mergedChatRows struct {
	// Notes and Scheduled are ids, each with the seq that it referred to.
	Notes     [][2]int64 `json:"notes,omitempty"`
	Scheduled [][2]int64 `json:"scheduled,omitempty"`
	// Labels are those that the other chat did not have.
	Labels []int64 `json:"labels,omitempty"`
}

// anchor is a note and the message that it stands below, 0 for none.
type anchor struct{ note, chat, seq, message int64 }

// noteAnchors finds where both chats' notes stand: by the message, because a merge
// renumbers.
func noteAnchors(ctx context.Context, tx pgx.Tx, p pair) (list []anchor, err error) {
	rows, _ := tx.Query(ctx, `
		SELECT n.id, n.chat_id, n.after_seq, coalesce((
		       SELECT m.id FROM crm_chat_messages m WHERE m.chat_id = n.chat_id AND m.seq <= n.after_seq ORDER BY m.seq DESC LIMIT 1), 0)
		  FROM parley_notes n WHERE n.chat_id IN ($1, $2)`, p.chat, p.fromChat)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (a anchor, err error) {
		return a, row.Scan(&a.note, &a.chat, &a.seq, &a.message)
	})
}

// moveChatRows moves what is in a chat besides messages: notes, labels, what is
// scheduled, and drafts of those who have none in the other chat. Whoever was
// answered automatically today is not answered again.
func moveChatRows(ctx context.Context, tx pgx.Tx, p pair, anchors []anchor, moved *mergedChatRows) error {
	notes, messages := make([]int64, len(anchors)), make([]int64, len(anchors))
	for i, a := range anchors {
		notes[i], messages[i] = a.note, a.message
		if a.chat == p.fromChat {
			moved.Notes = append(moved.Notes, [2]int64{a.note, a.seq})
		}
	}
	if _, err := tx.Exec(ctx, `
		UPDATE parley_notes n SET chat_id = $1, after_seq = coalesce((SELECT m.seq FROM crm_chat_messages m WHERE m.id = a.message), 0)
		  FROM unnest($2::bigint[], $3::bigint[]) AS a (note, message) WHERE n.id = a.note`, p.chat, notes, messages); err != nil {
		return err
	}
	rows, _ := tx.Query(ctx, `
		INSERT INTO parley_chat_labels (chat_id, label_id) SELECT $1, label_id FROM parley_chat_labels WHERE chat_id = $2
		ON CONFLICT DO NOTHING RETURNING label_id`, p.chat, p.fromChat)
	var err error
	if moved.Labels, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
		return err
	}
	rows, _ = tx.Query(ctx, `SELECT id, seen FROM parley_scheduled WHERE chat_id = $1 ORDER BY id FOR NO KEY UPDATE`, p.fromChat)
	if moved.Scheduled, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s [2]int64, err error) {
		return s, row.Scan(&s[0], &s[1])
	}); err != nil {
		return err
	}
	// Who had seen all of their chat has seen all of what it became.
	if _, err := tx.Exec(ctx, `
		UPDATE parley_scheduled s SET chat_id = $1, seen = CASE WHEN s.seen >= CASE WHEN s.chat_id = $2 THEN $4::bigint ELSE $3::bigint END
		           THEN (SELECT c.last_seq FROM crm_chats c WHERE c.id = $1) ELSE s.seen END
		 WHERE s.chat_id IN ($1, $2) AND (s.chat_id = $2 OR s.state = 'waiting')`, p.chat, p.fromChat, p.last, p.fromLast); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		UPDATE parley_drafts d SET chat_id = $1 WHERE chat_id = $2
		   AND NOT EXISTS (SELECT FROM parley_drafts o WHERE o.chat_id = $1 AND o.user_id = d.user_id)`, p.chat, p.fromChat); err != nil {
		return err
	}
	return copyAutoReplies(ctx, tx, p.from, p.into)
}

// copyAutoReplies has a client count as answered automatically on the days on
// which another was. Days of other time zones than ours are covered; older ones
// are never asked about.
func copyAutoReplies(ctx context.Context, tx pgx.Tx, of, to int64) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO parley_autoreplies (client_id, day, kind, message_id, created_at)
		SELECT $2, day, kind, message_id, created_at FROM parley_autoreplies WHERE client_id = $1 AND day >= current_date - 2
		ON CONFLICT DO NOTHING`, of, to)
	return err
}

// returnChatRows moves them back, if they are still there. Drafts stay where they
// are being written.
func returnChatRows(ctx context.Context, tx pgx.Tx, p pair, moved *mergedChatRows) error {
	columns := func(list [][2]int64) (ids, seqs []int64) {
		ids, seqs = make([]int64, len(list)), make([]int64, len(list))
		for i, one := range list {
			ids[i], seqs[i] = one[0], one[1]
		}
		return ids, seqs
	}
	ids, seqs := columns(moved.Notes)
	if _, err := tx.Exec(ctx, `
		UPDATE parley_notes n SET chat_id = $2, after_seq = w.seq FROM unnest($3::bigint[], $4::bigint[]) AS w (id, seq)
		 WHERE n.id = w.id AND n.chat_id = $1`, p.chat, p.fromChat, ids, seqs); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM parley_chat_labels WHERE chat_id = $1 AND label_id = ANY ($2::bigint[])`, p.chat, moved.Labels); err != nil {
		return err
	}
	// What was seen of the chat as it was: the client's messages since are news.
	ids, seqs = columns(moved.Scheduled)
	if _, err := tx.Exec(ctx, `
		UPDATE parley_scheduled s SET chat_id = $2, seen = w.seq FROM unnest($3::bigint[], $4::bigint[]) AS w (id, seq)
		 WHERE s.id = w.id AND s.chat_id = $1`, p.chat, p.fromChat, ids, seqs); err != nil {
		return err
	}
	return copyAutoReplies(ctx, tx, p.into, p.from)
}
