package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// SetStatus opens, snoozes or closes a chat.
type SetStatus struct {
	Status inbox.ChatStatus
	// Until is when a snoozed chat opens by itself, for no other.
	Until time.Time
	// Seen is the newest message that the agent saw; a newer one of the client's
	// refuses it. 0 does not ask.
	Seen int64
}

// MaxSnooze is how long a chat can be snoozed at most.
const MaxSnooze = 366 * 24 * time.Hour

func noStatus(s inbox.ChatStatus) error {
	return &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("There is no status %q.", s), Hint: "A chat is open, snoozed or closed."}
}

func (s SetStatus) validate(now time.Time) error {
	if _, known := chatFolders[s.Status]; !known {
		return noStatus(s.Status)
	}
	switch snoozed := s.Status == inbox.ChatSnoozed; {
	case snoozed && s.Until.IsZero():
		return &inbox.Error{Code: inbox.Invalid, Message: "A snoozed chat needs a time at which it opens again.", Hint: "Say until when."}
	case snoozed && (!s.Until.After(now) || s.Until.After(now.Add(MaxSnooze))):
		return &inbox.Error{Code: inbox.Invalid, Message: "A chat is snoozed until a time to come, at most a year from now.", Hint: "Say another time."}
	case !snoozed && !s.Until.IsZero():
		return &inbox.Error{Code: inbox.Invalid, Message: "Only a snoozed chat has a time at which it opens again.", Hint: "Leave the time out, or snooze the chat."}
	}
	return nil
}

// SetChatStatus opens, snoozes or closes a chat and tells so by the fact (chat,
// opened | snoozed | closed), unless it was so already. It fails with Stale when
// the client wrote something newer than what was seen.
func (db *DB) SetChatStatus(ctx context.Context, tenant events.TenantID, by inbox.Actor, chat int64, s SetStatus) (c inbox.Chat, err error) {
	if err := s.validate(time.Now()); err != nil {
		return inbox.Chat{}, err
	}
	return db.work(ctx, tenant, chat, func(tx pgx.Tx, locked lockedChat) error {
		if s.Seen > 0 && locked.lastSeq > s.Seen {
			var newer bool
			if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM crm_chat_messages WHERE chat_id = $1 AND seq > $2 AND direction = 'in')",
				chat, s.Seen).Scan(&newer); err != nil {
				return err
			}
			if newer {
				return &inbox.Error{
					Code: inbox.Stale, Message: "The client has written since.",
					Hint:   fmt.Sprintf("Read it, then try again having seen %d.", locked.lastSeq),
					Detail: map[string]int64{"last_seq": locked.lastSeq},
				}
			}
		}
		var until *time.Time
		if s.Status == inbox.ChatSnoozed {
			until = &s.Until
		}
		tag, err := tx.Exec(ctx, `UPDATE crm_chats SET status = $2, snoozed_until = $3
			WHERE id = $1 AND (status, snoozed_until) IS DISTINCT FROM ($2, $3)`, chat, s.Status, until)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		verb := map[inbox.ChatStatus]string{inbox.ChatOpen: "opened", inbox.ChatSnoozed: "snoozed", inbox.ChatClosed: "closed"}[s.Status]
		return tell(ctx, tx, by, "chat", verb, chat, map[string]any{"snoozed_until": until})
	})
}

// Assignment is whose a chat is to be; both 0 for nobody's.
type Assignment struct {
	User, Team int64
	// Free refuses, with Conflict, to take it from another user.
	Free bool
}

// AssignChat gives a chat to a user, a team, or nobody, and tells so by the fact
// (chat, assigned).
func (db *DB) AssignChat(ctx context.Context, tenant events.TenantID, by inbox.Actor, chat int64, a Assignment) (inbox.Chat, error) {
	return db.work(ctx, tenant, chat, func(tx pgx.Tx, _ lockedChat) error {
		if a.User != 0 {
			u, err := oneAccount(ctx, tx, "u.id = $1", a.User)
			if err != nil {
				return noAccount(a.User, err)
			}
			if u.DisabledAt != nil {
				return &inbox.Error{Code: inbox.Refused, Message: fmt.Sprintf("%s is kept out of Parley and cannot look after a chat.", u.Name), Hint: "Assign it to somebody else."}
			}
		}
		if a.Team != 0 {
			if _, err := teamByID(ctx, tx, a.Team); err != nil {
				return err
			}
		}
		var user, team *int64
		if err := tx.QueryRow(ctx, "SELECT assignee_id, team_id FROM crm_chats WHERE id = $1", chat).Scan(&user, &team); err != nil {
			return err
		}
		if a.Free && user != nil && *user != a.User {
			c, err := chatByID(ctx, tx, chat)
			if err != nil {
				return err
			}
			return &inbox.Error{
				Code: inbox.Conflict, Message: fmt.Sprintf("%s has this chat already.", c.Assignee.Name),
				Hint: "Ask them, or assign it anyway.", Detail: c.Assignee,
			}
		}
		if same(user, a.User) && same(team, a.Team) {
			return nil
		}
		if _, err := tx.Exec(ctx, "UPDATE crm_chats SET assignee_id = nullif($2, 0), team_id = nullif($3, 0) WHERE id = $1", chat, a.User, a.Team); err != nil {
			return err
		}
		return tell(ctx, tx, by, "chat", "assigned", chat, map[string]any{"user_id": a.User, "team_id": a.Team})
	})
}

func same(p *int64, n int64) bool { return p == nil && n == 0 || p != nil && *p == n }

// LabelChat puts a label on a chat, or takes it off, and tells so by the fact
// (chat, labelled | unlabelled) if that changes anything.
func (db *DB) LabelChat(ctx context.Context, tenant events.TenantID, by inbox.Actor, chat, label int64, on bool) (inbox.Chat, error) {
	return db.work(ctx, tenant, chat, func(tx pgx.Tx, _ lockedChat) error {
		if _, err := labelByID(ctx, tx, label); err != nil {
			return err
		}
		sql, verb := "INSERT INTO parley_chat_labels (chat_id, label_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", "labelled"
		if !on {
			sql, verb = "DELETE FROM parley_chat_labels WHERE chat_id = $1 AND label_id = $2", "unlabelled"
		}
		tag, err := tx.Exec(ctx, sql, chat, label)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return tell(ctx, tx, by, "chat", verb, chat, map[string]any{"label_id": label})
	})
}

// work changes a chat under its lock and returns it as it is then, without routes.
func (db *DB) work(ctx context.Context, tenant events.TenantID, chat int64, f func(tx pgx.Tx, locked lockedChat) error) (c inbox.Chat, err error) {
	if err := errors.Join(validTenant(tenant), validChat(chat)); err != nil {
		return inbox.Chat{}, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		locked, err := lockChat(ctx, tx, chat)
		if err != nil {
			return err
		}
		if err := f(tx, locked); err != nil {
			return err
		}
		c, err = chatByID(ctx, tx, chat)
		return err
	})
	if err != nil {
		return inbox.Chat{}, fmt.Errorf("working on a chat: %w", err)
	}
	return c, nil
}

// tell notes what somebody did with a chat, as a fact and in the audit log. It
// needs the chat's lock, which keeps the chat's facts in order.
func tell(ctx context.Context, tx pgx.Tx, by inbox.Actor, noun, verb string, chat int64, data map[string]any) error {
	fact := map[string]any{"chat_id": chat, "by": map[string]any{"kind": by.Kind, "id": by.ID}}
	detail := map[string]any{}
	for k, v := range data {
		fact[k], detail[k] = v, v
	}
	if err := writeFact(ctx, tx, noun, verb, chat, fact); err != nil {
		return err
	}
	return appendAudit(ctx, tx, by, NewAuditEntry{
		Action: noun + "." + verb, TargetKind: "chat", TargetID: strconv.FormatInt(chat, 10), Detail: detail,
	})
}

// MarkUnread marks what the client wrote from seq on as unread, and reports how
// many messages that were new to. It writes the fact (chat, unread) if any.
func (db *DB) MarkUnread(ctx context.Context, tenant events.TenantID, chat, seq int64) (n int64, err error) {
	if err := errors.Join(validTenant(tenant), validChat(chat)); err != nil {
		return 0, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if _, err := lockChat(ctx, tx, chat); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE crm_chat_messages SET read_at = NULL
			WHERE chat_id = $1 AND seq >= $2 AND direction = 'in' AND read_at IS NOT NULL`, chat, seq)
		if n = tag.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return writeFact(ctx, tx, "chat", "unread", chat, map[string]any{"chat_id": chat, "seq": seq, "messages": n})
	})
	if err != nil {
		return 0, fmt.Errorf("marking as unread: %w", err)
	}
	return n, nil
}

// WakeChats opens up to limit chats whose snooze is over, of all tenants, and
// tells so by facts. Several processes may call it at once.
func (db *DB) WakeChats(ctx context.Context, limit int) (n int64, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			WITH due AS (
			    SELECT id FROM crm_chats WHERE snoozed_until <= clock_timestamp()
			     ORDER BY snoozed_until LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
			), woken AS (
			    UPDATE crm_chats c SET status = 'open', snoozed_until = NULL FROM due WHERE c.id = due.id
			    RETURNING c.tenant_id, c.id
			)
			INSERT INTO parley_facts (tenant_id, noun, verb, chat_id, data)
			SELECT tenant_id, 'chat', 'opened', id, json_build_object('chat_id', id) FROM woken ORDER BY id`, limit)
		n = tag.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("opening snoozed chats: %w", err)
	}
	return n, nil
}
