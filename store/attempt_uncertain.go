package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// UncertainAttempt is an attempt of which nobody knows whether its provider
// accepted it, and what it sent.
type UncertainAttempt struct {
	// Head is the delivery as it was claimed: PartsSent is the part, Attempt the
	// number of the attempt.
	Head
	Ref       uuid.UUID
	StartedAt time.Time
}

// Key names the attempt.
func (a *UncertainAttempt) Key() AttemptKey {
	return AttemptKey{Delivery: a.ID, Part: a.PartsSent, Attempt: a.Attempt}
}

// sqlUncertain reads what a channel's provider may be asked about, the latest
// first. What a person or the dispatcher sends again is not asked about meanwhile.
const sqlUncertain = `
SELECT a.delivery_id, d.tenant_id::text, d.message_id, d.lane, coalesce(d.reply_to, ''), a.part, a.attempt, a.ref, a.started_at,
       m.message, m.content, d.split, d.template,
       (SELECT json_agg(json_build_object('blob_key', u.blob_key, 'name', coalesce(u.name, ''),
                                          'mime_type', coalesce(u.mime_type, ''), 'size', coalesce(u.size, 0)) ORDER BY f.id)
          FROM crm_chat_message_attachments f JOIN core_uploads u ON u.id = f.upload_id
         WHERE f.message_id = d.message_id)
  FROM parley_attempts a
  JOIN parley_deliveries d ON d.id = a.delivery_id
  JOIN crm_chat_messages m ON m.id = d.message_id
 WHERE a.channel_id = $1 AND a.outcome = 'uncertain' AND a.started_at > clock_timestamp() - $2::interval
   AND d.state = 'uncertain' AND d.parts_sent = a.part AND d.action_no = 0
 ORDER BY a.started_at DESC LIMIT $3`

// UncertainAttempts lists up to limit attempts on a channel, begun less than age
// ago, that may have been accepted and whose deliveries are uncertain for that.
func (db *DB) UncertainAttempts(ctx context.Context, channel events.ChannelID, age time.Duration, limit int) ([]UncertainAttempt, error) {
	rows, _ := db.worker.Query(ctx, sqlUncertain, string(channel), age, limit)
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a UncertainAttempt, err error) {
		var files []byte
		err = row.Scan(&a.ID, &a.Tenant, &a.Message, &a.Lane, &a.ReplyTo, &a.PartsSent, &a.Attempt, &a.Ref, &a.StartedAt,
			&a.Text, &a.Content, &a.Split, &a.Template, &files)
		if err == nil && files != nil {
			err = json.Unmarshal(files, &a.Files)
		}
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading uncertain attempts: %w", err)
	}
	return list, nil
}

// Settled is what became of an uncertain attempt once its provider was asked.
type Settled string

// The ends. All but the first two change nothing.
const (
	SettledSent   Settled = "sent"
	SettledFailed Settled = "failed"
	// SettledTaken: what was found is known to be another attempt's.
	SettledTaken Settled = "taken"
	// SettledOpen: it may be a later attempt's, of which nobody knows yet either.
	SettledOpen Settled = "open"
	// SettledBefore: something else settled it meanwhile.
	SettledBefore Settled = "before"
)

// confusable is how long after an attempt another one to the same person may
// have begun for what the provider has to be either's.
const confusable = "5 minutes"

// SettleFound settles an uncertain attempt as accepted, by what its provider was
// found to have. An id that another attempt has proves nothing, nor does one that
// may be a later, open attempt's to the same person with the same text.
func (db *DB) SettleFound(ctx context.Context, channel events.ChannelID, key AttemptKey, found events.MessageKey, at time.Time) (end Settled, err error) {
	found = events.MessageKey{Chat: cleanID(found.Chat), Message: cleanID(found.Message)}
	if !found.Valid() {
		return SettledTaken, nil
	}
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		ref, err := holdUncertain(ctx, tx, key)
		if errors.Is(err, pgx.ErrNoRows) {
			end = SettledBefore
			return nil
		}
		if err != nil {
			return err
		}
		var taken, open bool
		if err := tx.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM parley_attempts x WHERE x.channel_id = $4 AND x.provider_chat = $5 AND x.provider_id = $6)
			    OR EXISTS (SELECT FROM parley_albums x WHERE x.channel_id = $4 AND x.provider_chat = $5 AND x.provider_id = $6),
			       EXISTS (SELECT FROM parley_attempts x
			                 JOIN parley_deliveries y ON y.id = x.delivery_id JOIN crm_chat_messages n ON n.id = y.message_id
			                WHERE x.channel_id = $4 AND x.outcome IN ('pending', 'uncertain') AND y.lane = d.lane AND y.id <> d.id
			                  AND x.started_at BETWEEN a.started_at AND a.started_at + interval '`+confusable+`'
			                  AND (n.message = m.message OR y.parts > 1 OR d.parts > 1))
			  FROM parley_attempts a JOIN parley_deliveries d ON d.id = a.delivery_id JOIN crm_chat_messages m ON m.id = d.message_id
			 WHERE a.delivery_id = $1 AND a.part = $2 AND a.attempt = $3`,
			key.Delivery, key.Part, key.Attempt, string(channel), found.Chat, found.Message).Scan(&taken, &open); err != nil {
			return err
		}
		switch {
		case taken:
			end = SettledTaken
			return nil
		case open:
			end = SettledOpen
			return nil
		}
		end = SettledSent
		if at.IsZero() {
			at = time.Now()
		}
		state, _, err := applyStatus(ctx, tx, statusReport{Channel: channel, Key: found, Ref: ref.String(), To: inbox.Sent, At: at})
		if err != nil {
			return err
		}
		if state != "" {
			if _, err := tx.Exec(ctx, sqlTellDelivery, key.Delivery); err != nil {
				return err
			}
		}
		// What it was waited for with: edits, reactions and further statuses.
		return applyWaiting(ctx, tx, targets{
			channels: []string{string(channel)}, chats: []string{found.Chat}, messages: []string{found.Message}, refs: []string{""},
		})
	})
	if err != nil {
		return "", fmt.Errorf("settling what was found: %w", err)
	}
	return end, nil
}

// SettleAbsent settles an uncertain attempt as never accepted, which its provider
// proves. The delivery fails, for words, unless another attempt of the same part
// may have been accepted.
func (db *DB) SettleAbsent(ctx context.Context, channel events.ChannelID, key AttemptKey, words string) (end Settled, err error) {
	const code = "not_accepted"
	words = clean(cmp.Or(words, "The provider did not accept it."), maxWords)
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		_, err := holdUncertain(ctx, tx, key)
		if errors.Is(err, pgx.ErrNoRows) {
			end = SettledBefore
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			UPDATE parley_attempts SET outcome = 'rejected', code = $4, words = $5
			 WHERE delivery_id = $1 AND part = $2 AND attempt = $3`, key.Delivery, key.Part, key.Attempt, code, words); err != nil {
			return err
		}
		var doubtful bool
		var lane string
		if err := tx.QueryRow(ctx, `SELECT `+sqlDoubtful+`), d.lane FROM parley_deliveries d WHERE d.id = $1`, key.Delivery).
			Scan(&doubtful, &lane); err != nil {
			return err
		}
		if doubtful {
			end = SettledOpen
			return nil
		}
		end = SettledFailed
		if err := writeDeliveryState(ctx, tx, key.Delivery, inbox.Failed, code, words); err != nil {
			return err
		}
		return wakeLane(ctx, tx, channel, lane)
	})
	if err != nil {
		return "", fmt.Errorf("settling what was not found: %w", err)
	}
	return end, nil
}

// holdUncertain locks the delivery of an uncertain attempt, and returns its
// reference; pgx.ErrNoRows when either is no longer uncertain.
func holdUncertain(ctx context.Context, tx pgx.Tx, key AttemptKey) (ref uuid.UUID, err error) {
	var id int64
	err = tx.QueryRow(ctx, `SELECT id FROM parley_deliveries WHERE id = $1 AND state = 'uncertain' AND parts_sent = $2 FOR NO KEY UPDATE`,
		key.Delivery, key.Part).Scan(&id)
	if err != nil {
		return ref, err
	}
	err = tx.QueryRow(ctx, `
		SELECT ref FROM parley_attempts WHERE delivery_id = $1 AND part = $2 AND attempt = $3 AND outcome = 'uncertain'`,
		key.Delivery, key.Part, key.Attempt).Scan(&ref)
	return ref, err
}

// sqlTellDelivery writes the fact of a delivery's present state.
const sqlTellDelivery = `
INSERT INTO parley_facts (tenant_id, noun, verb, chat_id, data)
SELECT d.tenant_id, 'message', d.state, m.chat_id, ` + deliveryFact + `
  FROM parley_deliveries d JOIN crm_chat_messages m ON m.id = d.message_id WHERE d.id = $1`
