package store

import (
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

// DispatchTurn is one transaction of the process that owns a channel's dispatch:
// it settles what has ended since the last and claims what goes out next.
type DispatchTurn struct {
	// Lease is the right to dispatch the channel.
	Lease   Lease
	Channel events.ChannelID
	// At is the time to judge by; zero means the database's clock.
	At       time.Time
	Settling []Settlement
	// Limit is how many deliveries to claim at most; Busy are the lanes that have
	// one under way.
	Limit int
	Busy  []string
	// After is where the last turn's claims ended, so that every lane gets its
	// turn; see DispatchResult.Last.
	After LaneCursor
	// Window asks for Head.LastInboundAt, which costs a look-up each.
	Window bool
	// Hold is how long an uncertain delivery holds its lane.
	Hold time.Duration
	// TakeOver is set in an owner's first turn: what was under way when the last
	// one died is uncertain, or queued again where Harmless says that sending
	// twice shows once.
	TakeOver bool
	Harmless bool
	// Known is not nil after a turn of which nobody knows whether it was
	// committed. It lists the attempts that did get under way; what was claimed
	// besides was never sent and is queued again.
	Known []AttemptKey
}

// LaneCursor is a place among a channel's lanes.
type LaneCursor struct {
	DueAt time.Time
	Lane  string
}

// Head is a lane's first delivery, which may be claimed.
type Head struct {
	ID        int64
	Tenant    events.TenantID
	Message   int64
	Lane      string
	ReplyTo   string
	PartsSent int
	// Attempt is the number that a claim's attempt gets.
	Attempt int
	// Age is how long it has been queued.
	Age time.Duration
	// Text is the message in plain words, Content its structured form as JSON, or
	// nil.
	Text    string
	Content []byte
	// Split is what an earlier claim stored, or nil.
	Split []byte
	// Template is an inbox.Template as JSON that is sent instead, or nil.
	Template []byte
	// Action is an inbox.Action as JSON that is carried out instead of sending, on
	// the message that the provider knows as Target; nil for a message.
	Action []byte
	Target string
	Files  []HeadFile
	// Gone is true when the person's member is no longer there. Unreachable says
	// why they cannot be written to, empty when they can.
	Gone        bool
	Unreachable string
	Blocked     bool
	// LastInboundAt is when the person last wrote on this channel, nil for never;
	// SinceInbound how long that is ago.
	LastInboundAt *time.Time
	SinceInbound  time.Duration
}

// HeadFile is an attachment of a message to send.
type HeadFile struct {
	BlobKey string `json:"blob_key"`
	Name    string `json:"name"`
	MIME    string `json:"mime_type"`
	Size    int64  `json:"size"`
}

// Claim is what becomes of a head: it goes out under Ref, or is refused for the
// reason in Code and Words, or stays where it is for as long as Later says.
type Claim struct {
	Refused     bool
	Code, Words string
	Later       time.Duration
	// Parts is how many parts the message has. Split is how it was split, to be
	// stored; nil when there is nothing to remember.
	Parts int
	Split []byte
	Ref   uuid.UUID
}

// DispatchResult is what a turn did.
type DispatchResult struct {
	// Heads were decided upon, with Claims as the answers. Claimed tells of each
	// whether it is now the caller's to send: not if it was cancelled meanwhile.
	Heads   []Head
	Claims  []Claim
	Claimed []bool
	// Last is where the claims ended.
	Last LaneCursor
	// Looked counts lanes that were looked at; as many as Limit means that there
	// may be more.
	Looked int
	// Next is how long until a lane is due, negative when none waits.
	Next time.Duration
	// TakenOver counts deliveries found under way in the first turn, Recovered
	// those claimed by a turn nobody knew of, Released the uncertain ones whose
	// lanes went on.
	TakenOver, Recovered, Released int64
}

// Dispatch runs one turn. Decide is called within the transaction, must not
// block, and answers for each head in order. When Dispatch returns nil, the
// claims in its result are durable and must be sent; after ErrFenced nothing
// happened and the lease is lost; after any other error it is not known whether
// the turn happened: see DispatchTurn.Known.
func (db *DB) Dispatch(ctx context.Context, t DispatchTurn, decide func([]Head) []Claim) (DispatchResult, error) {
	var res DispatchResult
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		res = DispatchResult{Next: -1} // anew, should the transaction ever be run twice
		lanes, err := t.first(ctx, tx, &res)
		if err != nil {
			return err
		}
		return t.second(ctx, tx, lanes, &res, decide)
	})
	if err != nil {
		return DispatchResult{}, fmt.Errorf("dispatching channel %s: %w", t.Channel, fenced(err))
	}
	return res, nil
}

// at is the time to judge by, as an argument.
func (t *DispatchTurn) at() *time.Time { return timeOrNil(t.At) }

// first settles, and reads the heads of due lanes: one round trip.
func (t *DispatchTurn) first(ctx context.Context, tx pgx.Tx, res *DispatchResult) (lanes []dueLane, err error) {
	var q pgx.Batch
	var waiting bool
	q.Queue(sqlEnter, t.Lease.Name, t.Lease.Epoch)
	count := func(n *int64) func(pgx.Row) error {
		return func(row pgx.Row) error { return row.Scan(n) }
	}
	if t.TakeOver {
		q.Queue(sqlTakeOver, string(t.Channel), t.Lease.Epoch, t.at(), t.Hold, t.Harmless).QueryRow(count(&res.TakenOver))
	}
	if t.Known != nil {
		ids, parts, attempts := splitKeys(t.Known)
		q.Queue(sqlRecover, string(t.Channel), t.Lease.Epoch, ids, parts, attempts).QueryRow(count(&res.Recovered))
	}
	c := newSettlementColumns(t.Settling)
	c.queue(&q, t.Channel, t.at(), false)
	keys := c.targets()
	if len(keys.channels) > 0 {
		q.Queue(sqlAnyWaiting, keys.channels, keys.chats, keys.messages).QueryRow(func(row pgx.Row) error { return row.Scan(&waiting) })
	}
	q.Queue(sqlRelease, string(t.Channel), t.at()).QueryRow(count(&res.Released))
	if t.Limit > 0 {
		q.Queue(sqlHeads, string(t.Channel), t.at(), t.After.DueAt, t.After.Lane, noNil(t.Busy), t.Limit, t.Window).
			Query(func(rows pgx.Rows) error {
				lanes, err = pgx.CollectRows(rows, scanDueLane)
				return err
			})
	}
	if err := tx.SendBatch(ctx, &q).Close(); err != nil {
		return nil, err
	}
	if waiting {
		if err := applyWaiting(ctx, tx, keys); err != nil {
			return nil, err
		}
	}
	return lanes, nil
}

// second writes what was decided about the heads: the other round trip.
func (t *DispatchTurn) second(ctx context.Context, tx pgx.Tx, lanes []dueLane, res *DispatchResult, decide func([]Head) []Claim) error {
	var q pgx.Batch
	var parks parkColumns
	res.Looked = len(lanes)
	var at time.Time
	for i := range lanes {
		l := &lanes[i]
		at = l.at
		res.Last = LaneCursor{DueAt: l.dueAt, Lane: l.head.Lane}
		if l.claimable {
			res.Heads = append(res.Heads, l.head)
		} else {
			parks.add(l)
		}
	}
	if len(res.Heads) > 0 {
		res.Claims = decide(res.Heads)
		res.Claimed = make([]bool, len(res.Heads))
		t.queueClaims(&q, res)
		for i := range res.Claims {
			if later := res.Claims[i].Later; later > 0 {
				parks.waiting, parks.until = append(parks.waiting, res.Heads[i].Lane), append(parks.until, at.Add(later))
			}
		}
	}
	parks.queue(&q, t.Channel)
	if t.Limit > 0 && res.Looked < t.Limit {
		q.Queue(sqlNext, string(t.Channel), t.at()).QueryRow(func(row pgx.Row) error {
			var next *time.Duration
			if err := row.Scan(&next); err != nil || next == nil {
				return err
			}
			res.Next = *next
			return nil
		})
	}
	if q.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, &q).Close()
}

// queueClaims puts the claims and refusals into a batch.
func (t *DispatchTurn) queueClaims(q *pgx.Batch, res *DispatchResult) {
	var ids, refused []int64
	var parts, counts []int16
	var attempts []int32
	var refs []uuid.UUID
	var codes, words []string
	place := make(map[int64]int, len(res.Heads))
	for i := range res.Heads {
		h, c := &res.Heads[i], &res.Claims[i]
		place[h.ID] = i
		if c.Later > 0 {
			continue
		}
		if c.Refused {
			refused = append(refused, h.ID)
			codes, words = append(codes, clean(c.Code, maxProviderID)), append(words, clean(c.Words, maxWords))
			continue
		}
		if c.Ref == uuid.Nil {
			c.Ref = newRef()
		}
		ids = append(ids, h.ID)
		parts = append(parts, int16(h.PartsSent))     //nolint:gosec // a message has few parts
		counts = append(counts, int16(c.Parts))       //nolint:gosec // a message has few parts
		attempts = append(attempts, int32(h.Attempt)) //nolint:gosec // an attempt takes seconds
		refs = append(refs, c.Ref)
		if c.Split != nil {
			q.Queue(`UPDATE parley_deliveries SET split = $2 WHERE id = $1 AND state = 'queued'`, h.ID, c.Split)
		}
	}
	if len(ids) > 0 {
		q.Queue(sqlClaim, ids, parts, attempts, counts, refs, string(t.Channel), t.Lease.Epoch).Query(func(rows pgx.Rows) error {
			var id int64
			_, err := pgx.ForEachRow(rows, []any{&id}, func() error {
				res.Claimed[place[id]] = true
				return nil
			})
			return err
		})
	}
	if len(refused) > 0 {
		q.Queue(sqlRefuse, refused, codes, words)
	}
}

// dueLane is a lane that is due, with its head if it has one.
type dueLane struct {
	// at is the time the lane was judged by.
	at, dueAt  time.Time
	deliveries int64
	// claimable heads are queued and due. Others wait until wait; a lane without
	// a head (empty) has nothing to send.
	claimable, empty bool
	wait             *time.Time
	head             Head
}

func scanDueLane(row pgx.CollectableRow) (l dueLane, err error) {
	var id, message *int64
	var state *string
	var due, holds time.Time
	var dueAt, holdsUntil, created *time.Time
	var parts, attempts *int
	var replyTo, text, tenant, target *string
	var files []byte
	h := &l.head
	err = row.Scan(&h.Lane, &l.dueAt, &l.deliveries, &l.at, &id, &tenant, &message, &state, &dueAt, &holdsUntil, &created,
		&replyTo, &parts, &attempts, &h.Split, &h.Template, &h.Action, &target, &text, &h.Content, &h.Gone, &h.Unreachable, &h.Blocked, &h.LastInboundAt, &files)
	if err != nil {
		return l, err
	}
	if id == nil {
		l.empty = true
		return l, nil
	}
	if dueAt != nil {
		due = *dueAt
	}
	if holdsUntil != nil {
		holds = *holdsUntil
	}
	switch inbox.DeliveryState(*state) {
	case inbox.Queued:
		l.claimable = !due.After(l.at)
		l.wait = &due
	case inbox.Uncertain:
		l.wait = &holds
	default: // Under way: its settlement decides when the lane goes on.
		return l, nil
	}
	h.ID, h.Message, h.PartsSent, h.Attempt = *id, *message, *parts, *attempts
	h.Tenant = events.TenantID(*tenant)
	h.Age = l.at.Sub(*created)
	if replyTo != nil {
		h.ReplyTo = *replyTo
	}
	if text != nil {
		h.Text = *text
	}
	if target != nil {
		h.Target = *target
	}
	if h.LastInboundAt != nil {
		h.SinceInbound = l.at.Sub(*h.LastInboundAt)
	}
	if files != nil {
		if err := json.Unmarshal(files, &h.Files); err != nil {
			return l, fmt.Errorf("attachments of delivery %d: %w", h.ID, err)
		}
	}
	return l, nil
}

// parkColumns are the lanes that turned out to have nothing to send now.
type parkColumns struct {
	empty, waiting []string
	seen           []int64
	until          []time.Time
}

func (p *parkColumns) add(l *dueLane) {
	switch {
	case l.empty:
		p.empty, p.seen = append(p.empty, l.head.Lane), append(p.seen, l.deliveries)
	case l.wait != nil:
		p.waiting, p.until = append(p.waiting, l.head.Lane), append(p.until, *l.wait)
	}
}

func (p *parkColumns) queue(q *pgx.Batch, channel events.ChannelID) {
	if len(p.empty) > 0 {
		q.Queue(sqlRemoveLanes, string(channel), p.empty, p.seen)
	}
	if len(p.waiting) > 0 {
		q.Queue(sqlParkLanes, string(channel), p.waiting, p.until)
	}
}

func splitKeys(keys []AttemptKey) (ids []int64, parts []int16, attempts []int32) {
	ids, parts, attempts = make([]int64, len(keys)), make([]int16, len(keys)), make([]int32, len(keys))
	for i, k := range keys {
		ids[i], parts[i], attempts[i] = k.Delivery, int16(k.Part), int32(k.Attempt) //nolint:gosec // small counts
	}
	return ids, parts, attempts
}

// noNil keeps an empty list from becoming NULL, which nothing is unequal to.
func noNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// applyWaiting applies the edits, reactions and statuses that came before we
// knew what they are about. What cannot be applied does not keep the proof of
// sending from being stored: it goes on waiting.
func applyWaiting(ctx context.Context, tx pgx.Tx, keys targets) error {
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { return keys.apply(ctx, tx) })
	if err != nil && (IsDataError(err) || IsConstraintError(err) || isJSONError(err)) {
		return nil
	}
	return err
}

func isJSONError(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	return errors.As(err, &syntax) || errors.As(err, &kind)
}
