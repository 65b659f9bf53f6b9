package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// MaxUndo is the longest that a reply waits to be undone.
const MaxUndo = time.Minute

// UndoDefault is the Reply.Undo that takes the tenant's.
const UndoDefault time.Duration = -1

// undoDelay is how long a reply waits before it leaves.
func undoDelay(ctx context.Context, tx pgx.Tx, asked time.Duration) (time.Duration, error) {
	if asked >= 0 {
		return asked, nil
	}
	var seconds int
	err := tx.QueryRow(ctx, "SELECT undo_seconds FROM parley_desk_settings").Scan(&seconds)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, err
	}
	return time.Duration(seconds) * time.Second, nil
}

// DeskSettings say how a tenant's agents write.
type DeskSettings struct {
	// UndoSeconds is how long a reply waits before it leaves, unless it says so
	// itself.
	UndoSeconds int `json:"undo_seconds" minimum:"0" maximum:"60" doc:"How long a reply can be undone before it leaves, unless it says so itself; 0 sends at once."`
}

// DeskSettings returns the tenant's.
func (db *DB) DeskSettings(ctx context.Context, tenant events.TenantID) (s DeskSettings, err error) {
	if err := validTenant(tenant); err != nil {
		return s, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		delay, err := undoDelay(ctx, tx, UndoDefault)
		s.UndoSeconds = int(delay / time.Second)
		return err
	})
	return s, err
}

// SetDeskSettings replaces the tenant's.
func (db *DB) SetDeskSettings(ctx context.Context, tenant events.TenantID, s DeskSettings) error {
	if err := validTenant(tenant); err != nil {
		return err
	}
	if s.UndoSeconds < 0 || time.Duration(s.UndoSeconds)*time.Second > MaxUndo {
		return &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("Replies can be undone for 0 to %d seconds.", int(MaxUndo/time.Second))}
	}
	return db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO parley_desk_settings (undo_seconds) VALUES ($1)
			ON CONFLICT (tenant_id) DO UPDATE SET undo_seconds = excluded.undo_seconds, updated_at = now()`, s.UndoSeconds)
		return err
	})
}

// Undo takes a message back that has not left yet. It either wins, and then
// nothing of the message is ever sent, or fails with Conflict because it has left
// or is leaving. Undoing twice is undoing once.
func (db *DB) Undo(ctx context.Context, tenant events.TenantID, message int64) (m inbox.Message, err error) {
	if err := validTenant(tenant); err != nil {
		return m, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		var id int64
		err := tx.QueryRow(ctx, "SELECT id FROM parley_deliveries WHERE message_id = $1 AND action_no = 0", message).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no message %d to undo.", message), Hint: "Only what is sent from here can be undone."}
		}
		if err != nil {
			return err
		}
		d, err := holdDelivery(ctx, tx, id)
		if err != nil {
			return err
		}
		switch {
		case d.State == inbox.Cancelled && d.PartsSent == 0:
		case d.State != inbox.Queued || d.PartsSent > 0:
			return &inbox.Error{
				Code: inbox.Conflict, Message: fmt.Sprintf("The message has left already: it is %s.", d.State),
				Hint: "Where the channel can, edit it; otherwise write again.", Detail: Left{State: d.State},
			}
		default:
			if err := writeDeliveryState(ctx, tx, id, inbox.Cancelled, "undone", ""); err != nil {
				return err
			}
			if err := wakeLane(ctx, tx, d.Channel, d.Lane); err != nil {
				return err
			}
		}
		m, err = messageByID(ctx, tx, message)
		return err
	})
	return m, err
}

// Left is the detail of an undo that came too late.
type Left struct {
	State inbox.DeliveryState `json:"state"`
}
