package dispatcher

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"parley/inbox"
	"parley/store"
	"parley/transports"
)

// sideBySide is how many settlements are worth a transaction of their own beside
// the one that claims: each costs a flush to disk.
const sideBySide = 16

// turn settles what has ended and claims what goes out next: in one transaction,
// or where much is going on in several at once. A lane that is being settled is not
// claimed from before the next turn then.
func (r *runner) turn(ctx context.Context) {
	start := time.Now()
	limit, _ := r.claimable(start)
	if limit > 0 && r.due && len(r.settling) >= sideBySide && r.takenOver && !r.unsure && !r.careful {
		r.turnSideBySide(ctx, limit, start)
		return
	}
	if r.careful && len(r.settling) > 0 {
		limit = 0 // one thing at a time
	}
	settle := r.settleTurn(r.settling)
	if r.careful && len(settle.Settling) > 1 {
		settle.Settling = settle.Settling[:1]
	}
	t := r.claimTurn(limit, settle.Settling)
	t.Settling, t.TakeOver = settle.Settling, !r.takenOver
	if r.unsure {
		t.Known = make([]store.AttemptKey, 0, len(r.busy))
		for _, j := range r.busy {
			t.Known = append(t.Known, j.key)
		}
	}
	r.follow(ctx, r.dispatch(ctx, t, start))
}

// turnSideBySide settles in one transaction or two, for settling is the most
// work, while another claims.
func (r *runner) turnSideBySide(ctx context.Context, limit int, start time.Time) {
	claim := r.claimTurn(limit, nil)
	half := len(r.settling)
	if half >= 2*sideBySide {
		half = (half + 1) / 2
	}
	var settling sync.WaitGroup
	// A copy: what is settled leaves r.settling, whose elements move up.
	parts := slices.Collect(slices.Chunk(slices.Clone(r.settling), half))
	outcomes := make([]outcome, len(parts)+1)
	for i, part := range parts {
		settle := r.settleTurn(part)
		settling.Go(func() { outcomes[i] = r.dispatch(ctx, settle, start) })
	}
	outcomes[len(parts)] = r.dispatch(ctx, claim, start)
	settling.Wait()
	// Whatever failed comes last: what it concludes is to stay.
	for _, failed := range []bool{false, true} {
		for _, o := range outcomes {
			if (o.err != nil) == failed {
				r.follow(ctx, o)
			}
		}
	}
}

func (r *runner) settleTurn(settling []store.Settlement) store.DispatchTurn {
	return store.DispatchTurn{
		Lease: r.lease, Channel: r.channel.ID, Settling: settling,
		Hold: 2 * r.d.opts.SendDeadline, Harmless: r.adapter.caps.HarmlessResend,
	}
}

// claimTurn is for lanes without a request under way; those of ended have none.
func (r *runner) claimTurn(limit int, ended []store.Settlement) store.DispatchTurn {
	over := make(map[string]bool, len(ended))
	for i := range ended {
		over[ended[i].Lane] = true
	}
	t := store.DispatchTurn{
		Lease: r.lease, Channel: r.channel.ID, Limit: limit, After: r.cursor,
		Window: r.adapter.caps.ReplyWindow != transports.NoReplyWindow,
		Hold:   2 * r.d.opts.SendDeadline, Harmless: r.adapter.caps.HarmlessResend,
	}
	for lane := range r.busy {
		if !over[lane] {
			t.Busy = append(t.Busy, lane)
		}
	}
	return t
}

// outcome is what became of one transaction.
type outcome struct {
	turn store.DispatchTurn
	res  store.DispatchResult
	// jobs are what it claims, if it does.
	jobs []job
	err  error
}

// dispatch runs one transaction. A turn that only settles uses nothing of r that
// changes.
func (r *runner) dispatch(ctx context.Context, t store.DispatchTurn, start time.Time) outcome {
	o := outcome{turn: t}
	call, cancel := context.WithTimeout(ctx, turnTimeout)
	defer cancel()
	o.res, o.err = r.d.db.Dispatch(call, t, func(heads []store.Head) []store.Claim {
		var claims []store.Claim
		claims, o.jobs = r.decide(heads, start)
		return claims
	})
	r.d.metrics.turns.Observe(time.Since(start).Seconds())
	return o
}

func (r *runner) follow(ctx context.Context, o outcome) {
	if o.err != nil {
		r.turnFailed(ctx, &o.turn, o.jobs, o.err)
		return
	}
	r.turnDone(ctx, &o.turn, &o.res, o.jobs)
}

// turnDone follows up on a committed turn: what it claimed is sent.
func (r *runner) turnDone(ctx context.Context, t *store.DispatchTurn, res *store.DispatchResult, jobs []job) {
	r.failures.Reset()
	r.takenOver, r.unsure, r.unsent, r.suspect = true, false, nil, 0
	for i := range t.Settling {
		delete(r.busy, t.Settling[i].Lane)
		if t.Settling[i].To == inbox.Uncertain {
			r.doubt()
		}
	}
	r.settling = slices.DeleteFunc(r.settling, func(s store.Settlement) bool {
		_, busy := r.busy[s.Lane]
		return !busy
	})
	if res.TakenOver > 0 {
		r.d.metrics.takenOver.Add(float64(res.TakenOver))
		r.doubt()
		r.log.WarnContext(ctx, "sending had been interrupted", slog.Int64("messages", res.TakenOver))
	}
	if res.Recovered > 0 {
		r.log.WarnContext(ctx, "claimed but never sent, queued again", slog.Int64("messages", res.Recovered))
	}
	claimed, refused := 0, 0
	for i := range res.Heads {
		switch {
		case res.Claims[i].Refused:
			refused++
		case res.Claimed[i]:
			claimed++
			r.start(jobs[i], res.Claims[i].Ref)
		}
	}
	if claimed > 0 {
		r.d.metrics.batch.Observe(float64(claimed))
	}
	if refused > 0 {
		r.d.metrics.sends.WithLabelValues(string(r.channel.Transport), "refused").Add(float64(refused))
	}
	if t.Limit == 0 {
		r.due = true // it did not look, and lanes may go on
		return
	}
	r.cursor = res.Last
	// Behind a refused head there may be another, and behind a full look more
	// lanes.
	r.due = refused > 0 || res.Looked >= t.Limit
	r.nextDue = time.Time{}
	if res.Next >= 0 {
		r.nextDue = time.Now().Add(res.Next)
	}
	if claimed > 0 || refused > 0 || len(t.Settling) > 0 || !r.due {
		r.idle = 0
	} else if r.idle++; r.idle > idleTurns {
		r.notBefore = time.Now().Add(idleWait)
	}
	if r.careful && len(r.settling) == 0 && claimed > 0 {
		r.careful = false
	}
}

// turnFailed decides how to go on after a turn that was not confirmed.
func (r *runner) turnFailed(ctx context.Context, t *store.DispatchTurn, jobs []job, err error) {
	if errors.Is(err, store.ErrFenced) {
		r.fenced() // and rolled back: this turn claimed nothing
		return
	}
	r.unsure = true
	for _, j := range jobs {
		if j.parts > 0 {
			r.unsent = append(r.unsent, j)
		}
	}
	r.d.metrics.failed.Inc()
	if store.IsDataError(err) || store.IsConstraintError(err) {
		r.isolate(ctx, t, jobs, err)
		return
	}
	wait := r.failures.NextBackOff()
	r.notBefore = time.Now().Add(wait)
	r.log.WarnContext(ctx, "the database did not confirm a turn", slog.Duration("wait", wait), slog.Any("error", err))
}

// isolate finds what it is that the database refuses, by ever smaller turns, and
// takes it out of the way of the others.
func (r *runner) isolate(ctx context.Context, t *store.DispatchTurn, jobs []job, err error) {
	switch {
	case !r.careful:
		r.careful = true
	case len(t.Settling) == 1:
		s := &r.settling[0]
		if s.ProviderID != "" || s.Words != "" || s.NewAddress != "" {
			r.log.ErrorContext(ctx, "what a provider answered cannot be stored", slog.Int64("delivery", s.Delivery), slog.Any("error", err))
			s.ProviderChat, s.ProviderID, s.Album, s.NewAddress = "", "", nil, ""
			s.Words = "The provider's answer could not be stored."
			s.Code, s.AcceptedAt, s.Unreachable = "", time.Time{}, false
			if s.Outcome == store.AttemptSent {
				s.Words = ""
			}
			return
		}
		r.log.ErrorContext(ctx, "an outcome cannot be stored; its lane waits for the channel's next owner",
			slog.Int64("delivery", s.Delivery), slog.Any("error", err))
		r.stuck = append(r.stuck, *s)
		r.settling = slices.Delete(r.settling, 0, 1)
	case len(jobs) == 1:
		id := jobs[0].key.Delivery
		if r.suspect == id {
			r.log.ErrorContext(ctx, "a delivery cannot be claimed", slog.Int64("delivery", id), slog.Any("error", err))
			r.poison[id] = true
		}
		r.suspect = id
	default:
		wait := r.failures.NextBackOff()
		r.notBefore = time.Now().Add(wait)
		r.log.ErrorContext(ctx, "the database refuses a turn", slog.Duration("wait", wait), slog.Any("error", err))
	}
}
