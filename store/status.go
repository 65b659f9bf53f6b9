package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// statusReport is what a provider says became of a part we sent.
type statusReport struct {
	Channel events.ChannelID
	// Key is the provider's; Ref our own reference of the attempt, when the
	// provider echoes it. One of them is enough.
	Key events.MessageKey
	Ref string
	To  inbox.DeliveryState
	// Code and Words explain a failure.
	Code, Words string
	At          time.Time
}

// statusTarget is the attempt that a report is about, with its delivery's row
// held.
type statusTarget struct {
	AttemptKey
	message    int64
	lane       string
	state      inbox.DeliveryState
	sent, of   int
	outcome    AttemptOutcome
	identified bool
}

// applyStatus moves a delivery forward by a provider's report, which is also the
// latest proof where the send itself stayed uncertain or has not answered yet.
// It returns the state that the report led to, empty when it changed nothing
// (it told what was known, or is behind it), and whether the report's target is
// there at all; else it may come later. The fact is the caller's to write.
func applyStatus(ctx context.Context, tx pgx.Tx, r statusReport) (to inbox.DeliveryState, found bool, err error) {
	t, err := findStatusTarget(ctx, tx, r)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	if err := settleByStatus(ctx, tx, r, t); err != nil {
		return "", true, err
	}
	next, sent := afterReport(t, r.To)
	if next == t.state && sent == t.sent {
		return "", true, nil
	}
	if _, err := tx.Exec(ctx, `
		UPDATE parley_deliveries
		   SET state = $2, parts_sent = $3, attempts = CASE WHEN $3 > parts_sent THEN 0 ELSE attempts END,
		       due_at = CASE WHEN $2 = 'queued' THEN clock_timestamp() ELSE due_at END,
		       holds_lane_until = NULL, code = nullif($4, ''), words = nullif($5, ''), updated_at = clock_timestamp()
		 WHERE id = $1`,
		t.Delivery, string(next), sent, clean(r.Code, maxProviderID), clean(r.Words, maxWords)); err != nil {
		return "", true, err
	}
	accepted := next == inbox.Sent || next == inbox.Delivered || next == inbox.Read
	if _, err := tx.Exec(ctx, `
		UPDATE crm_chat_messages
		   SET sent_at = CASE WHEN $2 THEN coalesce(sent_at, $4) ELSE sent_at END,
		       read_at = CASE WHEN $3 THEN coalesce(read_at, $4) ELSE read_at END
		 WHERE id = $1 AND ($2 AND sent_at IS NULL OR $3 AND read_at IS NULL)`,
		t.message, accepted, next == inbox.Read, r.At); err != nil {
		return "", true, err
	}
	if err := wakeLane(ctx, tx, r.Channel, t.lane); err != nil {
		return "", true, err
	}
	if next != r.To {
		return "", true, nil // proof of one part; the message is still on its way
	}
	return next, true, nil
}

// applyDelay keeps why a provider has not delivered yet: it still tries, so only
// the words change, and only of what the person does not have.
func applyDelay(ctx context.Context, tx pgx.Tx, r statusReport) (changed bool, err error) {
	t, err := findStatusTarget(ctx, tx, r)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	tag, err := tx.Exec(ctx, `
		UPDATE parley_deliveries SET code = nullif($2, ''), words = nullif($3, ''), updated_at = clock_timestamp()
		 WHERE id = $1 AND state IN ('queued', 'sending', 'uncertain', 'sent')`,
		t.Delivery, clean(r.Code, maxProviderID), clean(cmp.Or(r.Words, "The provider could not deliver it yet and keeps trying."), maxWords))
	return tag.RowsAffected() > 0, err
}

// statusRef is the reference by which a status names our attempt, empty when it
// holds none that could be ours.
func statusRef(ev *events.Inbound) string {
	if ev.Kind != events.StatusChanged || ev.Status == nil {
		return ""
	}
	if _, err := uuid.Parse(ev.Status.Ref); err != nil || len(ev.Status.Ref) != len(uuid.Nil.String()) {
		return ""
	}
	return ev.Status.Ref
}

// sqlMissed finds updates of what we sent whose attempt is there, though nobody
// saw both: the update was stored in the same instant as its settlement. They
// are few, for what waits is given up after an hour.
const sqlMissed = `
SELECT u.event
  FROM parley_updates u
 WHERE u.channel_id = ANY ($1::uuid[]) AND u.applied_at IS NULL AND u.kind IN ('status', 'reaction')
   AND (EXISTS (SELECT FROM parley_attempts a
                 WHERE a.channel_id = u.channel_id AND a.provider_chat = u.provider_chat AND a.provider_id = u.provider_message)
        OR EXISTS (SELECT FROM parley_albums b
                    WHERE b.channel_id = u.channel_id AND b.provider_chat = u.provider_chat AND b.provider_id = u.provider_message)
        OR EXISTS (SELECT FROM parley_attempts a
                    WHERE a.channel_id = u.channel_id
                      AND a.ref = CASE WHEN u.event -> 'status' ->> 'ref' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                                       THEN (u.event -> 'status' ->> 'ref')::uuid END))
 ORDER BY u.id LIMIT $2`

// ApplyMissed applies up to limit statuses and reactions on these channels that
// were stored in the same instant as the settlement of what they are about, so
// that neither transaction saw the other. It returns how many it looked at; what
// cannot be applied goes on waiting, and is given up with everything that waits.
func (db *DB) ApplyMissed(ctx context.Context, channels []events.ChannelID, limit int) (int, error) {
	ids := make([]string, len(channels))
	for i, id := range channels {
		ids[i] = string(id)
	}
	var missed []events.Inbound
	err := db.asWorker(ctx, func(tx pgx.Tx) (err error) {
		rows, _ := tx.Query(ctx, sqlMissed, ids, limit)
		missed, err = pgx.CollectRows(rows, pgx.RowTo[events.Inbound])
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("looking for missed statuses: %w", err)
	}
	for i := range missed {
		var t targets
		t.add(&missed[i])
		if err := db.asWorker(ctx, func(tx pgx.Tx) error { return applyWaiting(ctx, tx, t) }); err != nil {
			return i, fmt.Errorf("applying a missed status: %w", err)
		}
	}
	return len(missed), nil
}

// afterReport is the state and the number of accepted parts of a delivery after
// a report about one of its parts. Only the last part tells of the whole
// message, but any part's failure fails it.
func afterReport(t statusTarget, to inbox.DeliveryState) (state inbox.DeliveryState, sent int) {
	state, sent = t.state, t.sent
	if to == inbox.Failed {
		if inbox.Advances(state, to) {
			state = to
		}
		return state, sent
	}
	last := t.Part+1 >= t.of
	if t.Part >= sent {
		sent = t.Part + 1
		if !last && (state == inbox.Sending || state == inbox.Uncertain) {
			state = inbox.Queued // the next part's turn
		}
	}
	if last && inbox.Advances(state, to) {
		state = to
	}
	return state, sent
}

// settleByStatus keeps on the attempt what the report proves about it.
func settleByStatus(ctx context.Context, tx pgx.Tx, r statusReport, t statusTarget) error {
	open := t.outcome == AttemptPending || t.outcome == AttemptUncertain
	if !open && t.identified {
		return nil
	}
	outcome := AttemptSent
	if r.To == inbox.Failed {
		outcome = AttemptRejected
	}
	_, err := tx.Exec(ctx, `
		UPDATE parley_attempts a
		   SET outcome = CASE WHEN outcome IN ('pending', 'uncertain') THEN $4 ELSE outcome END,
		       provider_chat = coalesce(provider_chat, nullif($5, '')),
		       provider_id = CASE
		           WHEN provider_id IS NOT NULL THEN provider_id
		           WHEN EXISTS (SELECT FROM parley_attempts x WHERE x.channel_id = a.channel_id
		                           AND x.provider_chat = $5 AND x.provider_id = $6) THEN NULL
		           ELSE nullif($6, '') END,
		       finished_at = coalesce(finished_at, clock_timestamp())
		 WHERE delivery_id = $1 AND part = $2 AND attempt = $3`,
		t.Delivery, t.Part, t.Attempt, string(outcome), cleanID(r.Key.Chat), cleanID(r.Key.Message))
	return err
}

// findStatusTarget finds the attempt by the provider's key, or by our reference:
// a callback may come before the answer that holds the key. It locks the
// delivery, and reads both as they are once it is held.
func findStatusTarget(ctx context.Context, tx pgx.Tx, r statusReport) (t statusTarget, err error) {
	ref, err := uuid.Parse(r.Ref)
	if err != nil {
		ref = uuid.Nil
	}
	err = tx.QueryRow(ctx, `
		SELECT d.id FROM parley_deliveries d
		 WHERE d.id = coalesce(
		       (SELECT delivery_id FROM parley_attempts WHERE channel_id = $1 AND provider_chat = $2 AND provider_id = $3),
		       (SELECT delivery_id FROM parley_attempts WHERE channel_id = $1 AND ref = $4))
		   FOR NO KEY UPDATE`,
		string(r.Channel), r.Key.Chat, r.Key.Message, ref).Scan(&t.Delivery)
	if err != nil {
		return t, err
	}
	err = tx.QueryRow(ctx, `
		SELECT a.part, a.attempt, a.outcome, a.provider_id IS NOT NULL,
		       d.message_id, d.lane, d.state, d.parts_sent, d.parts
		  FROM parley_deliveries d JOIN parley_attempts a ON a.delivery_id = d.id
		 WHERE d.id = $1 AND (a.ref = $4 OR a.provider_chat = $2 AND a.provider_id = $3)
		 ORDER BY (a.provider_id IS NOT NULL) DESC LIMIT 1`,
		t.Delivery, r.Key.Chat, r.Key.Message, ref).
		Scan(&t.Part, &t.Attempt, &t.outcome, &t.identified, &t.message, &t.lane, &t.state, &t.sent, &t.of)
	return t, err
}
