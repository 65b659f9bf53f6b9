package desk

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"parley/events"
	"parley/inbox"
)

const (
	alertEvery = 10 * time.Second
	// alertBatch bounds one look, alertTimeout one alert.
	alertBatch   = 100
	alertTimeout = 20 * time.Second
)

// errNoMail says that alerts cannot go by mail here.
var errNoMail = errors.New("no mail server is configured for alerts; start the server with --alert-smtp")

// RunAlerts tells users with no page open of new messages until ctx ends, in one
// process of all that run it. Owner names this process's life.
//
// Each alert is noted before it is sent, so it is sent at most once: one that a crash
// or a mail server's refusal cut short is lost, and the next comes with the next
// message after the quiet time.
func (d *Desk) RunAlerts(ctx context.Context, owner string) {
	d.leased(ctx, "alerts", owner, func(ctx context.Context) {
		for ctx.Err() == nil {
			if _, err := d.AlertRound(ctx); err != nil && ctx.Err() == nil {
				d.log().WarnContext(ctx, "users are not told of new messages, trying again", "error", err)
			}
			pause(ctx, alertEvery)
		}
	})
}

// AlertRound tells who is to be told now, and reports how many were.
func (d *Desk) AlertRound(ctx context.Context) (sent int, err error) {
	due, err := d.Store.DueAlerts(ctx, alertBatch)
	if err != nil {
		return 0, err
	}
	for _, a := range due {
		mine, err := d.Store.ClaimAlert(ctx, a)
		if err != nil {
			return sent, err
		}
		if !mine {
			continue
		}
		why := ""
		if err := d.alert(ctx, a); err != nil {
			// Without the error's address: it is the user's.
			why = "it could not be sent by " + string(a.Way)
			d.log().WarnContext(ctx, "a user could not be told of a new message", "user", a.User, "way", a.Way, "error", err)
		} else {
			sent++
		}
		settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), alertTimeout)
		err = d.Store.SettleAlert(settle, a, why)
		cancel()
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// alert sends one.
func (d *Desk) alert(ctx context.Context, a inbox.DueAlert) error {
	ctx, cancel := context.WithTimeout(ctx, alertTimeout)
	defer cancel()
	subject := "A message from " + a.Client + " is unread"
	if a.Unread > 1 {
		subject = strconv.FormatInt(a.Unread, 10) + " messages from " + a.Client + " are unread"
	}
	// Not what the client wrote: it stays here.
	text := fmt.Sprintf("%s since %s.\n\n%s/inbox/%d\n", subject, a.Since.UTC().Format("15:04 UTC"), d.PagesURL, a.Chat)
	if a.Way == inbox.AlertMail {
		if d.Mail == nil {
			return errNoMail
		}
		return d.Mail(ctx, a.To, subject, text)
	}
	ch, err := d.Store.Channel(ctx, a.Tenant, a.Channel)
	if err != nil {
		return err
	}
	adapter, ok := d.Adapters[ch.Transport]
	if !ok || adapter.Tell == nil {
		return fmt.Errorf("the channel %s tells nobody anything", ch.ID)
	}
	secrets, err := d.Keyring.OpenChannel(ch.Channel)
	if err != nil {
		return err
	}
	return adapter.Tell(ctx, ch.Channel, secrets, a.To, text)
}

// SetAlerts says what a user wants to be told; see [store.DB.SetAlertSettings].
func (d *Desk) SetAlerts(ctx context.Context, tenant events.TenantID, user int64, s inbox.AlertSettings) (inbox.AlertSettings, error) {
	if s.Way == inbox.AlertMail && d.Mail == nil {
		return s, &inbox.Error{
			Code: inbox.Conflict, Message: "This server has no mail server for alerts.", Hint: "Its operator sets one: parley serve --alert-smtp.",
		}
	}
	return s, d.Store.SetAlertSettings(ctx, tenant, user, s)
}
