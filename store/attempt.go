package store

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// AttemptKey names one request to a provider: one try of one part.
type AttemptKey struct {
	Delivery int64
	// Part counts from 0, Attempt from 1.
	Part, Attempt int
}

// AttemptOutcome is how one request ended.
type AttemptOutcome string

// The outcomes of attempts. A pending one is under way, or its process died.
const (
	AttemptPending   AttemptOutcome = "pending"
	AttemptSent      AttemptOutcome = "sent"
	AttemptRetry     AttemptOutcome = "retry"
	AttemptRejected  AttemptOutcome = "rejected"
	AttemptUncertain AttemptOutcome = "uncertain"
)

// Settlement is what became of an attempt, and what follows for its delivery.
type Settlement struct {
	AttemptKey
	Channel events.ChannelID
	// Lane is the lane it was claimed from.
	Lane    string
	Outcome AttemptOutcome
	// To is the delivery's next state: Sent after the last part; Queued to go on
	// with the next part, or to try this one again; Failed; Uncertain.
	To inbox.DeliveryState
	// Wait is how long a Queued delivery waits, and how long an Uncertain one
	// holds its lane.
	Wait time.Duration
	// LaneWait keeps a lane of which a part was sent from going on before the
	// person may be written to again.
	LaneWait time.Duration
	// ProviderChat and ProviderID are the provider's key of what it accepted.
	ProviderChat, ProviderID string
	// Album are the provider's ids of an album's further files.
	Album []string
	// AcceptedAt is the provider's clock, zero when it gave none.
	AcceptedAt  time.Time
	Code, Words string
	// Unreachable marks the person as one that cannot be written to, OptedOut
	// that they want it so.
	Unreachable, OptedOut bool
	// NewAddress replaces the person's address and the lane of what waits for
	// them; empty when it stays.
	NewAddress string
}

// limits of what providers' answers may put into rows. A btree entry holds 2,704
// bytes, so a longer id would be refused with the whole batch.
const (
	maxProviderID = 512
	maxWords      = 2000
)

// clean makes provider text storable: PostgreSQL refuses NUL and invalid UTF-8.
func clean(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}

// cleanID drops what is no usable id rather than change it.
func cleanID(s string) string {
	if len(s) > maxProviderID || clean(s, len(s)) != s {
		return ""
	}
	return s
}

// settlementColumns are settlements as arrays for unnest.
type settlementColumns struct {
	deliveries                 []int64
	parts, sent                []int16
	attempts                   []int32
	outcomes, states           []string
	waits                      []time.Duration
	channels, chats, ids       []string
	accepted                   []*time.Time
	codes, words               []string
	lanes                      []string
	laneWaits                  []time.Duration
	unreachable, readdressable []*Settlement
	albums                     albumColumns
}

// albumColumns are the further files of albums.
type albumColumns struct {
	deliveries           []int64
	channels, chats, ids []string
}

// newSettlementColumns sorts by delivery, so that two transactions lock the same
// rows in the same order. Of two settlements with one provider id the second
// loses the id: it is a key.
func newSettlementColumns(list []Settlement) *settlementColumns {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Settlement) int { return cmp.Compare(a.Delivery, b.Delivery) })
	type key struct {
		channel  events.ChannelID
		chat, id string
	}
	seen := make(map[key]bool, len(list))
	c := &settlementColumns{}
	for i := range list {
		s := &list[i]
		c.deliveries = append(c.deliveries, s.Delivery)
		c.parts = append(c.parts, int16(s.Part))          //nolint:gosec // a message has few parts
		c.attempts = append(c.attempts, int32(s.Attempt)) //nolint:gosec // an attempt takes seconds
		c.outcomes = append(c.outcomes, string(s.Outcome))
		c.states = append(c.states, string(s.To))
		done := s.Part
		if s.Outcome == AttemptSent {
			done++
		}
		c.sent = append(c.sent, int16(done)) //nolint:gosec // a message has few parts
		c.waits = append(c.waits, s.Wait)
		chat, id := cleanID(s.ProviderChat), cleanID(s.ProviderID)
		if k := (key{s.Channel, chat, id}); seen[k] {
			id = ""
		} else if id != "" {
			seen[k] = true
		}
		c.channels = append(c.channels, string(s.Channel))
		c.chats, c.ids = append(c.chats, chat), append(c.ids, id)
		for _, further := range s.Album {
			if further = cleanID(further); further != "" && chat != "" {
				a := &c.albums
				a.deliveries, a.channels = append(a.deliveries, s.Delivery), append(a.channels, string(s.Channel))
				a.chats, a.ids = append(a.chats, chat), append(a.ids, further)
			}
		}
		c.accepted = append(c.accepted, timeOrNil(s.AcceptedAt))
		c.codes, c.words = append(c.codes, clean(s.Code, maxProviderID)), append(c.words, clean(s.Words, maxWords))
		if wait := max(s.LaneWait, s.Wait); wait > 0 {
			c.lanes, c.laneWaits = append(c.lanes, s.Lane), append(c.laneWaits, wait)
		}
		if s.Unreachable {
			c.unreachable = append(c.unreachable, s)
		}
		if address := clean(s.NewAddress, maxProviderID); address != "" && address != s.Lane {
			s.NewAddress = address
			c.readdressable = append(c.readdressable, s)
		}
	}
	return c
}

// sqlDoubtful asks whether an attempt of d's current part may have been accepted,
// one besides what its user excludes. That another was refused does not take that back.
// Actions have no such state: doing one twice is doing it once.
const sqlDoubtful = `d.action_no = 0 AND EXISTS (SELECT FROM parley_attempts x
	WHERE x.delivery_id = d.id AND x.part = d.parts_sent AND x.outcome = 'uncertain'`

// sqlRefusedAgain asks whether o is a refusal after such an attempt.
const sqlRefusedAgain = `o.outcome = 'rejected' AND ` + sqlDoubtful + ` AND x.attempt <> o.attempt)`

// refusedAgain begins the words of a refusal after such an attempt.
const refusedAgain = `'It may have arrived: nobody knows that of an earlier attempt. Sending it again was refused: '`

// sqlSettle moves deliveries by what became of their current attempt. Deliveries
// come first: whoever holds a delivery's row may change its attempts.
//
// A settlement by the channel's owner ($12 false) finds its delivery sending. A
// late one may find it uncertain, or queued because a person had it sent again;
// then it counts if it proves that the part was accepted, or tells of the very
// last attempt. What was certainly not sent is queued again if its lane did not
// go on. Nothing ever moves backwards.
const sqlSettle = `
WITH o AS (
    SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::int[], $4::text[], $5::text[], $6::smallint[], $7::interval[],
                         $8::timestamptz[], $9::text[], $10::text[])
        AS o (delivery_id, part, attempt, outcome, state, parts_sent, wait, accepted_at, code, words)
), d AS (
    UPDATE parley_deliveries d
       SET state = CASE WHEN $12 AND o.outcome = 'retry'
                         AND (d.state = 'sending' OR d.holds_lane_until > coalesce($11::timestamptz, statement_timestamp()))
                        THEN 'queued'
                        WHEN ` + sqlRefusedAgain + ` THEN 'uncertain' ELSE o.state END,
           parts_sent = o.parts_sent,
           attempts = CASE WHEN o.outcome = 'sent' THEN 0 ELSE d.attempts END,
           due_at = CASE WHEN o.state = 'queued' THEN coalesce($11::timestamptz, statement_timestamp()) + o.wait ELSE d.due_at END,
           holds_lane_until = CASE WHEN o.state = 'uncertain' THEN coalesce($11::timestamptz, statement_timestamp()) + o.wait END,
           code = nullif(o.code, ''),
           words = CASE WHEN ` + sqlRefusedAgain + ` THEN ` + refusedAgain + ` ELSE '' END || nullif(o.words, ''),
           updated_at = clock_timestamp()
      FROM o
     WHERE d.id = o.delivery_id AND d.parts_sent = o.part
       AND (o.outcome = 'sent' OR d.attempts = o.attempt)
       AND (d.state = 'sending' OR $12 AND d.state = 'uncertain' OR $12 AND d.state = 'queued' AND o.outcome = 'sent')
    RETURNING d.id, d.tenant_id, d.message_id, d.channel_id, d.state, d.code, d.words, o.accepted_at, d.action_no
), m AS (
    UPDATE crm_chat_messages m SET sent_at = coalesce(m.sent_at, d.accepted_at, clock_timestamp())
      FROM d WHERE m.id = d.message_id AND d.state = 'sent' AND d.action_no = 0
    RETURNING m.id, m.chat_id, m.seq, d.id AS delivery_id
)
INSERT INTO parley_facts (tenant_id, noun, verb, chat_ids, lines)
SELECT d.tenant_id, 'message', d.state, array_agg(m.chat_id::bigint ORDER BY d.id), string_agg((` + deliveryFact + `)::text, E'\n' ORDER BY d.id)
  FROM d JOIN (SELECT m.id, m.chat_id, m.seq, m.delivery_id FROM m
               UNION ALL
               SELECT m.id, m.chat_id, m.seq, d.id FROM d JOIN crm_chat_messages m ON m.id = d.message_id
                WHERE d.state NOT IN ('queued', 'sent') AND d.action_no = 0) m ON m.delivery_id = d.id
 GROUP BY d.tenant_id, d.state`

// sqlSettleAttempts keeps what each request ended with. An attempt that a
// callback settled before its own answer came only gains the provider's id. An
// id that another attempt has already stays there: email resends under one id.
const sqlSettleAttempts = `
UPDATE parley_attempts a
   SET outcome = CASE WHEN a.outcome IN ('pending', 'uncertain') THEN o.outcome ELSE a.outcome END,
       provider_chat = coalesce(a.provider_chat, nullif(o.chat, '')),
       provider_id = CASE
           WHEN a.provider_id IS NOT NULL THEN a.provider_id
           WHEN o.id = '' OR EXISTS (SELECT FROM parley_attempts x WHERE x.channel_id = a.channel_id
                                        AND x.provider_chat = nullif(o.chat, '') AND x.provider_id = o.id) THEN NULL
           ELSE o.id END,
       code = nullif(o.code, ''), words = nullif(o.words, ''),
       finished_at = coalesce(a.finished_at, clock_timestamp())
  FROM unnest($1::bigint[], $2::smallint[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
       AS o (delivery_id, part, attempt, outcome, chat, id, code, words)
 WHERE a.delivery_id = o.delivery_id AND a.part = o.part AND a.attempt = o.attempt
   AND (a.outcome IN ('pending', 'uncertain') OR a.provider_id IS NULL AND o.id <> '')`

// sqlAlbums keeps by what else an album's provider knows it.
const sqlAlbums = `
INSERT INTO parley_albums (channel_id, provider_chat, provider_id, tenant_id, delivery_id)
SELECT i.channel_id, i.chat, i.id, d.tenant_id, d.id
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) AS i (channel_id, chat, id, delivery_id)
  JOIN parley_deliveries d ON d.id = i.delivery_id
ON CONFLICT DO NOTHING`

// sqlPutOffLanes is a hint: a lane that a reply holds right now is left alone,
// and put off when it is next looked at.
const sqlPutOffLanes = `
UPDATE parley_lanes l SET due_at = o.due_at
  FROM (SELECT l.lane, coalesce($4::timestamptz, statement_timestamp()) + o.wait AS due_at
          FROM unnest($2::text[], $3::interval[]) AS o (lane, wait)
          JOIN parley_lanes l ON l.channel_id = $1 AND l.lane = o.lane
         ORDER BY l.lane FOR NO KEY UPDATE OF l SKIP LOCKED) o
 WHERE l.channel_id = $1 AND l.lane = o.lane`

// queue puts the statements of a settlement into a batch. At is the time to
// judge by, nil for the database's clock.
func (c *settlementColumns) queue(q *pgx.Batch, channel events.ChannelID, at *time.Time, late bool) {
	if len(c.deliveries) == 0 {
		return
	}
	q.Queue(sqlSettle, c.deliveries, c.parts, c.attempts, c.outcomes, c.states, c.sent, c.waits,
		c.accepted, c.codes, c.words, at, late)
	q.Queue(sqlSettleAttempts, c.deliveries, c.parts, c.attempts, c.outcomes, c.chats, c.ids, c.codes, c.words)
	if len(c.lanes) > 0 {
		q.Queue(sqlPutOffLanes, string(channel), c.lanes, c.laneWaits, at)
	}
	if a := &c.albums; len(a.ids) > 0 {
		q.Queue(sqlAlbums, a.channels, a.chats, a.ids, a.deliveries)
	}
	for _, s := range c.unreachable {
		q.Queue(`
			WITH p AS (
			    UPDATE crm_chat_members p
			       SET unreachable_at = clock_timestamp(), unreachable_why = $2, opted_out = $3, updated_at = clock_timestamp()
			      FROM parley_deliveries d
			     WHERE d.id = $1 AND p.id = d.member_id AND (p.unreachable_at IS NULL OR $3 AND NOT p.opted_out)
			    RETURNING p.tenant_id, p.chat_id, p.id
			)
			INSERT INTO parley_facts (tenant_id, noun, verb, chat_id, data)
			SELECT tenant_id, 'member', 'unreachable', chat_id, json_build_object('member_id', id, 'chat_id', chat_id) FROM p`,
			s.Delivery, cmp.Or(clean(s.Words, maxWords), "The provider refuses to deliver to this person."), s.OptedOut)
	}
	for _, s := range c.readdressable {
		q.Queue(`
			UPDATE crm_chat_members p SET address = $2, updated_at = clock_timestamp()
			  FROM parley_deliveries d WHERE d.id = $1 AND p.id = d.member_id`, s.Delivery, s.NewAddress)
		q.Queue(`UPDATE parley_deliveries SET lane = $3 WHERE channel_id = $1 AND lane = $2 AND in_lane`,
			string(channel), s.Lane, s.NewAddress)
		// The old lane's row is removed when it is next found empty.
		q.Queue(`
			INSERT INTO parley_lanes AS l (channel_id, lane, tenant_id, due_at)
			SELECT id, $2, tenant_id, clock_timestamp() FROM parley_channels WHERE id = $1
			ON CONFLICT (channel_id, lane) DO UPDATE
			   SET due_at = least(l.due_at, excluded.due_at), deliveries = l.deliveries + 1`,
			string(channel), s.NewAddress)
	}
}

// targets are the provider keys of what was accepted: edits, reactions and
// statuses may wait for them.
func (c *settlementColumns) targets() targets {
	var t targets
	for i, id := range c.ids {
		if id != "" && c.chats[i] != "" {
			t.channels, t.chats, t.messages = append(t.channels, c.channels[i]), append(t.chats, c.chats[i]), append(t.messages, id)
			// A status by reference never waits for this: the attempt was there first.
			t.refs = append(t.refs, "")
		}
	}
	for i, id := range c.albums.ids {
		t.channels, t.chats, t.messages = append(t.channels, c.albums.channels[i]), append(t.chats, c.albums.chats[i]), append(t.messages, id)
		t.refs = append(t.refs, "")
	}
	return t
}

// SettleLate settles attempts without a lease: by a process that was frozen past
// its own, or for a request that answered after its deadline. Only what is
// certain counts, and it moves states forward only; a delivery that is certainly
// not sent, but whose lane may have gone on, is Failed rather than queued.
func (db *DB) SettleLate(ctx context.Context, list []Settlement) error {
	certain := make([]Settlement, 0, len(list))
	for _, s := range list {
		switch s.Outcome {
		case AttemptSent:
			certain = append(certain, s)
		case AttemptRetry, AttemptRejected:
			s.To, s.Wait = inbox.Failed, 0
			certain = append(certain, s)
		case AttemptPending, AttemptUncertain:
		}
	}
	if len(certain) == 0 {
		return nil
	}
	byChannel := make(map[events.ChannelID][]Settlement)
	for _, s := range certain {
		byChannel[s.Channel] = append(byChannel[s.Channel], s)
	}
	return db.asWorker(ctx, func(tx pgx.Tx) error {
		for channel, list := range byChannel {
			c := newSettlementColumns(list)
			// Whatever it was that held the lane, it is over.
			c.lanes, c.laneWaits = nil, nil
			var q pgx.Batch
			c.queue(&q, channel, nil, true)
			if err := tx.SendBatch(ctx, &q).Close(); err != nil {
				return err
			}
			for _, s := range list {
				if err := wakeLane(ctx, tx, channel, cmp.Or(s.NewAddress, s.Lane)); err != nil {
					return err
				}
			}
			if err := applyWaiting(ctx, tx, c.targets()); err != nil {
				return err
			}
		}
		return nil
	})
}

// newRef makes an attempt's reference.
func newRef() uuid.UUID { return uuid.Must(uuid.NewV7()) }
