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

// Limits of notes; MaxNote is in bytes.
const (
	MaxNote = 16 << 10
)

const noteSelect = `SELECT n.id, n.chat_id, n.user_id, u.name, n.text, n.after_seq, n.created_at, n.edited_at, n.version
  FROM parley_notes n LEFT JOIN core_users u ON u.id = n.user_id`

func scanNote(row pgx.CollectableRow) (n inbox.Note, err error) {
	var user *int64
	var name *string
	err = row.Scan(&n.ID, &n.ChatID, &user, &name, &n.Text, &n.AfterSeq, &n.CreatedAt, &n.EditedAt, &n.Version)
	n.User = named(user, name)
	return n, err
}

func noteByID(ctx context.Context, tx pgx.Tx, id int64) (inbox.Note, error) {
	rows, _ := tx.Query(ctx, noteSelect+" WHERE n.id = $1", id)
	n, err := pgx.CollectExactlyOneRow(rows, scanNote)
	if errors.Is(err, pgx.ErrNoRows) {
		return n, &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no note %d.", id), Hint: "List the chat's notes to see which there are."}
	}
	return n, err
}

// Notes lists a chat's notes, and those that an older version left in chats that
// were merged into it, the newest first, before a note's id (0: from the newest).
func (db *DB) Notes(ctx context.Context, tenant events.TenantID, chat, before int64, limit int) (list []inbox.Note, err error) {
	if err := errors.Join(validTenant(tenant), validChat(chat)); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if err := chatExists(ctx, tx, chat); err != nil {
			return err
		}
		rows, _ := tx.Query(ctx, noteSelect+` WHERE ($2 = 0 OR n.id < $2) AND n.chat_id IN (
			SELECT $1 UNION ALL SELECT h.id FROM crm_clients k JOIN crm_chats h ON h.client_id = k.id
			 WHERE k.merged_into = (SELECT client_id FROM crm_chats WHERE id = $1)) ORDER BY n.id DESC LIMIT $3`, chat, before, limit)
		list, err = pgx.CollectRows(rows, scanNote)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing notes: %w", err)
	}
	return list, nil
}

func chatExists(ctx context.Context, tx pgx.Tx, chat int64) error {
	var exists bool
	err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM crm_chats WHERE id = $1)", chat).Scan(&exists)
	if err == nil && !exists {
		err = noChat(chat)
	}
	return err
}

func validNote(text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return &inbox.Error{Code: inbox.Invalid, Message: "The note has no text.", Hint: "Write something."}
	case len(text) > MaxNote:
		return &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("The note has %d bytes; %d is the most.", len(text), MaxNote)}
	case !isText(text):
		return &inbox.Error{Code: inbox.Invalid, Message: "The note is not valid UTF-8 text."}
	}
	return nil
}

// AddNote writes a note of a user beside a chat, and tells so by the fact (note,
// added). The same key returns the note that it made before.
func (db *DB) AddNote(ctx context.Context, tenant events.TenantID, by inbox.Actor, chat, user int64, text, key string) (n inbox.Note, err error) {
	if err := errors.Join(validTenant(tenant), validChat(chat), validNote(text)); err != nil {
		return inbox.Note{}, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		locked, err := lockChat(ctx, tx, chat)
		if err != nil {
			return err
		}
		var id int64
		err = tx.QueryRow(ctx, `INSERT INTO parley_notes (chat_id, user_id, text, after_seq, idempotency_key) VALUES ($1, $2, $3, $4, nullif($5, ''))
			ON CONFLICT (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id`,
			chat, user, text, locked.lastSeq, key).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			if err := tx.QueryRow(ctx, "SELECT id FROM parley_notes WHERE idempotency_key = $1", key).Scan(&id); err != nil {
				return err
			}
			n, err = noteByID(ctx, tx, id)
			if err == nil && (n.ChatID != chat || n.Text != text && n.EditedAt == nil) {
				err = keyReused()
			}
			return err
		}
		if violates(err, "parley_notes_user") {
			return noAccount(user, pgx.ErrNoRows)
		}
		if err != nil {
			return err
		}
		if n, err = noteByID(ctx, tx, id); err != nil {
			return err
		}
		return tell(ctx, tx, by, "note", "added", chat, map[string]any{"note_id": id, "after_seq": n.AfterSeq})
	})
	if err != nil {
		return inbox.Note{}, fmt.Errorf("writing a note: %w", err)
	}
	return n, nil
}

// ChangeNote changes a note's text, or removes the note when text is nil, and
// tells so by the fact (note, changed | deleted). Only its writer may, or, when
// everybody is set, anybody. It fails with Changed when the note is not at the version
// that was read, 0 for any.
func (db *DB) ChangeNote(ctx context.Context, tenant events.TenantID, by inbox.Actor, id, user int64, everybody bool, text *string, ifVersion int64) (n inbox.Note, err error) {
	if err := validTenant(tenant); err != nil {
		return inbox.Note{}, err
	}
	if text != nil {
		if err := validNote(*text); err != nil {
			return inbox.Note{}, err
		}
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if n, err = noteByID(ctx, tx, id); err != nil {
			return err
		}
		if _, err := lockChat(ctx, tx, n.ChatID); err != nil {
			return err
		}
		if !everybody && (n.User == nil || n.User.ID != user) {
			return &inbox.Error{Code: inbox.Forbidden, Message: "Only who wrote a note may change it, or an admin.", Hint: "Write a note of your own."}
		}
		// Anew, now that nobody else changes it.
		if n, err = noteByID(ctx, tx, id); err != nil {
			return err
		}
		if err := sameVersion(ifVersion, n.Version, "The note"); err != nil {
			return err
		}
		verb := "deleted"
		if text == nil {
			_, err = tx.Exec(ctx, "DELETE FROM parley_notes WHERE id = $1", id)
		} else {
			verb = "changed"
			if _, err = tx.Exec(ctx, "UPDATE parley_notes SET text = $2, edited_at = clock_timestamp(), version = version + 1 WHERE id = $1", id, *text); err == nil {
				n, err = noteByID(ctx, tx, id)
			}
		}
		if err != nil {
			return err
		}
		return tell(ctx, tx, by, "note", verb, n.ChatID, map[string]any{"note_id": id})
	})
	if err != nil {
		return inbox.Note{}, fmt.Errorf("changing a note: %w", err)
	}
	return n, nil
}
