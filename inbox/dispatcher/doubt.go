package dispatcher

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/cenkalti/backoff/v4"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/transports"
)

const (
	// doubtsAtOnce bounds one look at what is uncertain; the latest come first.
	doubtsAtOnce = 100
	// doubtsEvery is how often to look at the latest without being told of more,
	// for those that another process left.
	doubtsEvery = time.Minute
)

// doubt makes the channel's provider be asked soon. It may be called by anybody.
func (r *runner) doubt() {
	select {
	case r.doubts <- struct{}{}:
	default: // it is about to look
	}
}

// question is what there is to ask about one attempt.
type question struct {
	next  time.Time
	waits *backoff.ExponentialBackOff
}

// askAboutDoubts asks the provider what became of uncertain sends, each with
// growing waits and for SettleFor at most, until the runner stops. It begins
// anew with each owner of the channel: an answer settles an attempt for good, and
// a question too many harms nobody.
func (r *runner) askAboutDoubts(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-r.stopped:
			cancel()
		case <-ctx.Done():
		}
	}()
	questions := make(map[store.AttemptKey]*question)
	var quiet time.Time // a provider that asks to slow down is not asked before
	for ctx.Err() == nil {
		now := time.Now()
		next := now.Add(inbox.Around(doubtsEvery))
		if settler, ok := r.present.Load().transport.(transports.Settler); ok && !now.Before(quiet) {
			var pause time.Duration
			next, pause = r.askAll(ctx, settler, questions, next)
			quiet = time.Now().Add(pause)
		} else if ok {
			next = quiet
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-timer.C:
		case <-r.doubts:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// askAll asks about what is due, and returns when to look again, next at the
// latest, and for how long the provider wants to be left alone.
func (r *runner) askAll(ctx context.Context, settler transports.Settler, questions map[store.AttemptKey]*question, next time.Time) (time.Time, time.Duration) {
	o := &r.d.opts
	list, err := r.d.db.UncertainAttempts(ctx, r.channel.ID, o.SettleFor, doubtsAtOnce)
	if err != nil {
		if ctx.Err() == nil {
			r.log.WarnContext(ctx, "what is uncertain could not be read", slog.Any("error", err))
		}
		return next, 0
	}
	open := make(map[store.AttemptKey]bool, len(list))
	for i := range list {
		open[list[i].Key()] = true
	}
	for key := range questions {
		if !open[key] {
			delete(questions, key)
		}
	}
	for i := range list {
		a := &list[i]
		q := questions[a.Key()]
		if q == nil {
			q = &question{waits: growing(o.SettleFirst, o.SettleMost)}
			// What is old is asked about at once, the rest a moment after it ended.
			q.next = a.StartedAt.Add(o.SettleFirst)
			questions[a.Key()] = q
		}
		if time.Now().Before(q.next) {
			next = earlier(next, q.next)
			continue
		}
		end, pause := r.ask(ctx, settler, a)
		if ctx.Err() != nil {
			return next, 0
		}
		r.d.metrics.asked.WithLabelValues(string(r.channel.Transport), end).Inc()
		q.next = time.Now().Add(q.waits.NextBackOff())
		next = earlier(next, q.next)
		if pause > 0 {
			return next, pause
		}
	}
	return next, 0
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Outcomes of questions that settle nothing, for the metric; the others are
// store.Settled.
const (
	askUnclear = "unclear"
	askError   = "error"
)

// notAccepted are the words of a message that its provider never got.
const notAccepted = "The provider did not answer when it was sent, and does not have it: it was not sent. Write it again."

// ask asks about one attempt and settles it by the answer. It returns how that
// ended, and for how long not to ask anything.
func (r *runner) ask(ctx context.Context, settler transports.Settler, a *store.UncertainAttempt) (end string, wait time.Duration) {
	failed := func(doing string, err error) string {
		r.log.WarnContext(ctx, "an uncertain message is not settled", slog.String("why", doing), slog.Int64("delivery", a.ID), slog.Any("error", err))
		return askError
	}
	out, err := r.asSent(a)
	if err != nil {
		return failed("what was sent cannot be told any more, so nobody can ask about it", err), 0
	}
	receipt, err := r.settle(ctx, settler, out, a.StartedAt)
	var throttled *transports.RetryAfterError
	var settled store.Settled
	switch {
	case err == nil:
		settled, err = r.d.db.SettleFound(ctx, r.channel.ID, a.Key(), events.MessageKey{Chat: receipt.Chat, Message: receipt.ProviderID}, receipt.AcceptedAt)
	case errors.Is(err, transports.ErrNotFound):
		settled, err = r.d.db.SettleAbsent(ctx, r.channel.ID, a.Key(), notAccepted)
	case errors.As(err, &throttled):
		return askUnclear, max(honoured(throttled.After), r.d.opts.SettleFirst)
	default:
		r.log.DebugContext(ctx, "it is not known yet whether a message was sent", slog.Int64("delivery", a.ID), slog.Any("error", err))
		return askUnclear, 0
	}
	if err != nil {
		return failed("what became of an uncertain message could not be stored yet", err), 0
	}
	r.log.InfoContext(ctx, "the provider was asked about an uncertain message", slog.Int64("delivery", a.ID), slog.String("outcome", string(settled)))
	return string(settled), 0
}

// asSent is an attempt's request as it left.
func (r *runner) asSent(a *store.UncertainAttempt) (transports.Outbound, error) {
	caps := r.present.Load().caps
	m, err := r.d.split(&a.Head, caps)
	if err != nil {
		return transports.Outbound{}, err
	}
	out := transports.Outbound{To: a.Lane, Part: m.parts[a.PartsSent], Ref: a.Ref.String(), Template: m.template, Topic: m.topic}
	if caps.Mail {
		out.Mail = mailHead(m.mail, a.PartsSent)
	}
	if caps.Replies && a.PartsSent == 0 {
		out.ReplyTo = a.ReplyTo
	}
	return out, nil
}

// settle is Settle with a deadline; a panic is an answer that proves nothing.
func (r *runner) settle(ctx context.Context, settler transports.Settler, out transports.Outbound, at time.Time) (receipt transports.Receipt, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.d.opts.SendDeadline)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			r.log.ErrorContext(ctx, "an adapter panicked while asking about a send", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = errors.New("asking broke off because of a bug")
		}
	}()
	return settler.Settle(ctx, out, at)
}
