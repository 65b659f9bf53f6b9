package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// MaxSchedule is how far ahead a reply can be scheduled.
const MaxSchedule = 366 * 24 * time.Hour

// NewScheduled is a reply to write later. Its Key makes a repeated request the
// same one; its Can is what the channels can do now.
type NewScheduled struct {
	Reply
	DueAt time.Time
	// UnlessAnswered cancels it when the client writes before.
	UnlessAnswered bool
}

// scheduledReply is what is kept of the reply.
type scheduledReply struct {
	Channel  events.ChannelID                     `json:"channel,omitempty"`
	Text     string                               `json:"text,omitempty"`
	Uploads  []int64                              `json:"uploads,omitempty"`
	ReplyTo  int64                                `json:"reply_to,omitempty"`
	Template *inbox.Template                      `json:"template,omitempty"`
	Approved map[events.ChannelID]*inbox.Template `json:"approved,omitempty"`
	Mail     *ReplyMail                           `json:"mail,omitempty"`
}

const scheduledSelect = `
SELECT id, chat_id, coalesce(reply ->> 'text', ''), coalesce(reply ->> 'channel', ''), coalesce(jsonb_array_length(reply -> 'uploads'), 0),
       coalesce(user_id, 0), due_at, unless_answered, state, coalesce(words, ''), coalesce(message_id, 0), version, created_at
  FROM parley_scheduled `

func scanScheduled(row pgx.CollectableRow) (s inbox.Scheduled, err error) {
	err = row.Scan(&s.ID, &s.ChatID, &s.Text, &s.Channel, &s.Files, &s.User, &s.DueAt, &s.UnlessAnswered, &s.State, &s.Words, &s.MessageID, &s.Version, &s.CreatedAt)
	return s, err
}

// Schedule keeps a reply until it is due. What is known to be in its way now, a
// blocked client or a channel that they cannot be reached on, refuses it at once;
// a reply window is only judged when it is due.
func (db *DB) Schedule(ctx context.Context, n NewScheduled) (s inbox.Scheduled, err error) {
	n.Channel = events.ChannelID(strings.ToLower(string(n.Channel)))
	if err := n.validate(); err != nil {
		return s, err
	}
	if err := validDue(n.DueAt); err != nil {
		return s, err
	}
	kept := scheduledReply{
		Channel: n.Channel, Text: n.Text, Uploads: n.Uploads, ReplyTo: n.ReplyTo, Template: n.Template, Approved: n.Approved, Mail: n.Mail,
	}
	err = db.inTenant(ctx, n.Tenant, func(tx pgx.Tx) error {
		chat, err := lockChat(ctx, tx, n.Chat)
		if err != nil {
			return err
		}
		if n.Key != "" {
			if s, err = scheduledByKey(ctx, tx, n, kept); err != nil || s.ID != 0 {
				return err
			}
		}
		if chat.blocked {
			return &inbox.Error{Code: inbox.Refused, Message: fmt.Sprintf("The client of chat %d is blocked.", n.Chat), Hint: "Unblock the client to write to them."}
		}
		if err := notStale(ctx, tx, n.Reply, chat.lastSeq); err != nil {
			return err
		}
		// Without what the channels can do, no window is judged.
		way := n.Reply
		way.Can = nil
		if _, err := chooseRoute(ctx, tx, way); err != nil {
			return err
		}
		if _, err := uploadsByID(ctx, tx, n.Uploads); err != nil {
			return err
		}
		var id int64
		err = tx.QueryRow(ctx, `INSERT INTO parley_scheduled (chat_id, user_id, reply, due_at, seen, unless_answered, idempotency_key)
			VALUES ($1, $2, $3, $4, $5, $6, nullif($7, '')) RETURNING id`,
			n.Chat, n.User, kept, n.DueAt, chat.lastSeq, n.UnlessAnswered, n.Key).Scan(&id)
		if err != nil {
			return err
		}
		if err := clearDraft(ctx, tx, n.Chat, n.User); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO parley_scheduled_files (scheduled_id, upload_id)
			SELECT DISTINCT $1::bigint, u::integer FROM unnest($2::bigint[]) u`, id, append([]int64{}, n.Uploads...)); err != nil {
			return err
		}
		s, err = scheduledByID(ctx, tx, id)
		return err
	})
	if violates(err, "parley_scheduled_idempotency") {
		return s, keyReused() // in another chat, at the same time
	}
	return s, err
}

func validDue(at time.Time) error {
	switch wait := time.Until(at); {
	case wait <= 0:
		return &inbox.Error{Code: inbox.Invalid, Message: "The time to send it has passed.", Hint: "Name a time to come, or send it at once."}
	case wait > MaxSchedule:
		return &inbox.Error{Code: inbox.Invalid, Message: "The time to send it is more than a year ahead.", Hint: "Name an earlier one."}
	}
	return nil
}

func scheduledByKey(ctx context.Context, tx pgx.Tx, n NewScheduled, kept scheduledReply) (s inbox.Scheduled, err error) {
	var id int64
	var same bool
	err = tx.QueryRow(ctx, "SELECT id, chat_id = $2 AND (version > 1 OR reply = $3::jsonb) FROM parley_scheduled WHERE idempotency_key = $1",
		n.Key, n.Chat, kept).Scan(&id, &same)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return s, nil
	case err != nil:
		return s, err
	case !same:
		return s, keyReused()
	}
	unnoted(ctx)
	return scheduledByID(ctx, tx, id)
}

func scheduledByID(ctx context.Context, tx pgx.Tx, id int64) (inbox.Scheduled, error) {
	rows, _ := tx.Query(ctx, scheduledSelect+"WHERE id = $1", id)
	s, err := pgx.CollectExactlyOneRow(rows, scanScheduled)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, noScheduled(id)
	}
	return s, err
}

func noScheduled(id int64) error {
	return &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no scheduled reply %d.", id), Hint: "List them to see which there are."}
}

// ScheduledPage asks for scheduled replies; zero fields do not filter.
type ScheduledPage struct {
	Chat int64
	// All lists also what was sent, cancelled or refused.
	All   bool
	After int64
	Limit int
}

// Scheduled lists scheduled replies by id.
func (db *DB) Scheduled(ctx context.Context, tenant events.TenantID, p ScheduledPage) (list []inbox.Scheduled, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, scheduledSelect+`WHERE tenant_id = $1 AND id > $2 AND ($3 = 0 OR chat_id = $3) AND ($4 OR state = 'waiting') ORDER BY id LIMIT $5`,
			string(tenant), p.After, p.Chat, p.All, p.Limit)
		list, err = pgx.CollectRows(rows, scanScheduled)
		return err
	})
	return list, err
}

// OneScheduled returns one or fails with NotFound.
func (db *DB) OneScheduled(ctx context.Context, tenant events.TenantID, id int64) (s inbox.Scheduled, err error) {
	if err := validTenant(tenant); err != nil {
		return s, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		s, err = scheduledByID(ctx, tx, id)
		return err
	})
	return s, err
}

// ScheduledChange changes a scheduled reply; nil leaves as it is.
type ScheduledChange struct {
	DueAt *time.Time
	Text  *string
}

// Reschedule changes what waits. It fails with Changed unless it still has that
// version, 0 being any, and with Conflict once it has left.
func (db *DB) Reschedule(ctx context.Context, tenant events.TenantID, id, version int64, c ScheduledChange) (s inbox.Scheduled, err error) {
	if c.DueAt != nil {
		if err := validDue(*c.DueAt); err != nil {
			return s, err
		}
	}
	return db.changeScheduled(ctx, tenant, id, version, func(tx pgx.Tx, s inbox.Scheduled) error {
		if c.Text != nil {
			probe := Reply{Tenant: tenant, Chat: s.ChatID, Text: *c.Text}
			if err := probe.validate(); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `UPDATE parley_scheduled
			   SET due_at = coalesce($2, due_at), version = version + 1, words = NULL, updated_at = now(),
			       reply = CASE WHEN $3::text IS NULL THEN reply ELSE reply - 'template' - 'approved' || jsonb_build_object('text', $3::text) END
			 WHERE id = $1`, id, c.DueAt, c.Text)
		return err
	})
}

// CancelScheduled takes back what waits: nothing of it is ever sent, or it fails
// with Conflict because it has left. Cancelling twice is cancelling once.
func (db *DB) CancelScheduled(ctx context.Context, tenant events.TenantID, id int64) (inbox.Scheduled, error) {
	return db.changeScheduled(ctx, tenant, id, 0, func(tx pgx.Tx, s inbox.Scheduled) error {
		if s.State == inbox.ScheduleCancelled {
			return nil
		}
		return endScheduled(ctx, tx, id, inbox.ScheduleCancelled, "", 0)
	})
}

func (db *DB) changeScheduled(ctx context.Context, tenant events.TenantID, id, version int64, change func(pgx.Tx, inbox.Scheduled) error) (s inbox.Scheduled, err error) {
	if err := validTenant(tenant); err != nil {
		return s, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, scheduledSelect+"WHERE id = $1 FOR NO KEY UPDATE", id)
		s, err = pgx.CollectExactlyOneRow(rows, scanScheduled)
		if errors.Is(err, pgx.ErrNoRows) {
			return noScheduled(id)
		}
		if err != nil {
			return err
		}
		if s.State == inbox.ScheduleSent || s.State == inbox.ScheduleRefused {
			return &inbox.Error{
				Code: inbox.Conflict, Message: fmt.Sprintf("The scheduled reply is no longer waiting: it was %s.", s.State),
				Hint: "What was sent is a message now; undo or edit that.", Detail: s,
			}
		}
		if err := sameVersion(version, s.Version, "The scheduled reply"); err != nil {
			return err
		}
		if err := change(tx, s); err != nil {
			return err
		}
		s, err = scheduledByID(ctx, tx, id)
		return err
	})
	return s, err
}

func endScheduled(ctx context.Context, tx pgx.Tx, id int64, state inbox.ScheduleState, words string, message int64) error {
	_, err := tx.Exec(ctx, `UPDATE parley_scheduled
		   SET state = $2, words = nullif($3, ''), message_id = nullif($4, 0), version = version + 1, updated_at = now() WHERE id = $1`,
		id, state, words, message)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "DELETE FROM parley_scheduled_files WHERE scheduled_id = $1", id)
	return err
}
