package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"parley/inbox"
	"parley/store"
	"parley/transports"
)

// job is one part on its way to its provider.
type job struct {
	key     store.AttemptKey
	message int64
	lane    string
	part    transports.Part
	parts   int
	replyTo string
	// sender is the adapter's, or for actions what carries them out.
	sender transports.Sender
	// template is sent instead of the part's text, nil for none.
	template *transports.Template
	// mail is the head of a mail, nil on other transports; topic the thread to
	// write into, empty for none.
	mail  *transports.MailHead
	topic string
	// harmless is the account's HarmlessResend.
	harmless bool
	// queuedFor is how long the delivery had been queued at claimedAt.
	queuedFor time.Duration
	claimedAt time.Time
}

// answer is how a job ended.
type answer struct {
	job     job
	receipt transports.Receipt
	// err is nil when the provider accepted.
	err  *transports.SendError
	took time.Duration
}

// start sends a claimed part; its answer arrives in r.answers.
func (r *runner) start(j job, ref uuid.UUID) {
	r.busy[j.lane] = j
	r.rates.take(j.claimedAt, j.lane)
	sender := j.sender
	if sender == nil {
		sender = r.adapter.sender
	}
	out := transports.Outbound{
		To: j.lane, Part: j.part, ReplyTo: j.replyTo, Ref: ref.String(), Template: j.template, Mail: j.mail, Topic: j.topic,
	}
	go func() { r.answers <- r.send(sender, j, out) }()
}

// errDeadline is the answer of a provider that gave none in time.
var errDeadline = &transports.SendError{
	Outcome: transports.Unknown, Code: "no_answer",
	Words: "The provider did not answer in time, so it is not known whether the message arrived.",
}

// errNotStarted is the end of a claim that was never sent.
var errNotStarted = &transports.SendError{
	Outcome: transports.Retry, Code: "not_started", Words: "It was claimed too long ago to be sent.",
}

// send makes the one call of a claim. It returns by the deadline, whatever the
// adapter does; an answer that comes later is settled when it comes.
func (r *runner) send(sender transports.Sender, j job, out transports.Outbound) answer {
	// The deadline counts from the claim. A process that was frozen since must not
	// send: another may have the channel by now.
	ctx, cancel := context.WithDeadline(context.Background(), j.claimedAt.Add(r.d.opts.SendDeadline))
	if ctx.Err() != nil {
		cancel()
		return answer{job: j, err: errNotStarted}
	}
	start := time.Now()
	done := make(chan answer, 1)
	go func() {
		defer cancel()
		ctx, end := r.traced(ctx, &j)
		receipt, err := r.call(ctx, sender, out)
		end(err)
		done <- answer{job: j, receipt: receipt, err: err, took: time.Since(start)}
	}()
	select {
	case a := <-done:
		return a
	case <-ctx.Done():
	}
	// Adapters give up at the deadline and know more about why than we do.
	grace := time.NewTimer(r.d.opts.SendDeadline / 20)
	defer grace.Stop()
	select {
	case a := <-done:
		return a
	case <-grace.C:
	}
	r.d.late.Go(func() {
		select {
		case a := <-done:
			r.d.settleLate(r.d.life, []store.Settlement{r.settlement(a)})
		case <-r.d.life.Done():
		}
	})
	return answer{job: j, err: errDeadline, took: time.Since(start)}
}

// call is Send with its promises kept: errors are SendErrors, and a panic is an
// error like any other of which nobody knows what happened before.
func (r *runner) call(ctx context.Context, sender transports.Sender, out transports.Outbound) (receipt transports.Receipt, failed *transports.SendError) {
	defer func() {
		if p := recover(); p != nil {
			r.log.ErrorContext(ctx, "an adapter panicked while sending", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			failed = &transports.SendError{Outcome: transports.Unknown, Code: "panic", Words: "Sending broke off because of a bug."}
		}
	}()
	receipt, err := sender.Send(ctx, out)
	if err == nil {
		return receipt, nil
	}
	if errors.As(err, &failed) && failed != nil {
		return receipt, failed
	}
	return receipt, &transports.SendError{
		Outcome: transports.Unknown, Words: "Sending failed without saying whether the message arrived.", Err: err,
	}
}

// take notes an answer: what it means for the channel, and what is to be
// settled.
func (r *runner) take(a answer) {
	transport := string(r.channel.Transport)
	outcome := "sent"
	if a.err != nil {
		outcome = a.err.Outcome.String()
	}
	r.d.metrics.sends.WithLabelValues(transport, outcome).Inc()
	if a.took > 0 {
		r.d.metrics.duration.WithLabelValues(transport).Observe(a.took.Seconds())
	}
	r.log.DebugContext(r.traceOf(&a.job), "provider answered", slog.Int64("delivery", a.job.key.Delivery), slog.Int("part", a.job.key.Part), slog.Int("attempt", a.job.key.Attempt),
		slog.String("outcome", outcome), slog.Duration("took", a.took))
	now := time.Now()
	s := r.settlement(a)
	if s.To == inbox.Sent {
		r.d.metrics.latency.WithLabelValues(transport).Observe((a.job.queuedFor + now.Sub(a.job.claimedAt)).Seconds())
	}
	r.judge(now, a.err)
	s.LaneWait = r.rates.person(now, a.job.lane)
	r.settling = append(r.settling, s)
}

// judge draws what conclusions there are for the whole channel.
func (r *runner) judge(now time.Time, err *transports.SendError) {
	switch {
	case err == nil:
		r.gate.answered()
	case err.Credentials:
		r.gate.refused(now, err.Words)
	case err.RetryAfter > 0 && err.Throttled == transports.AccountThrottled:
		r.gate.answered()
		r.gate.throttled(now, honoured(err.RetryAfter))
	case err.Outcome == transports.Rejected, err.RetryAfter > 0, err.NewAddress != "":
		r.gate.answered()
	case err == errNotStarted:
	default:
		r.gate.failed(now, err.Words)
	}
}

// settlement is what an answer means for its delivery. It uses nothing that
// changes, so late answers may ask for it, too.
func (r *runner) settlement(a answer) store.Settlement {
	o, j := &r.d.opts, a.job
	s := store.Settlement{
		AttemptKey: j.key, Channel: r.channel.ID, Lane: j.lane,
		ProviderChat: a.receipt.Chat, ProviderID: a.receipt.ProviderID, Album: a.receipt.Album, AcceptedAt: a.receipt.AcceptedAt,
	}
	if a.err == nil {
		s.Outcome, s.To = store.AttemptSent, inbox.Sent
		if j.key.Part+1 < j.parts {
			s.To = inbox.Queued
		}
		return s
	}
	e := a.err
	s.Code, s.Words = e.Code, e.Words
	if s.Words == "" {
		s.Words = fmt.Sprintf("Sending failed (%s).", e.Outcome)
	}
	outcome := e.Outcome
	if e.Credentials && outcome == transports.Rejected {
		outcome = transports.Retry // it is the account that was refused, not the message
	}
	switch outcome {
	case transports.Retry:
		s.Outcome, s.To, s.NewAddress = store.AttemptRetry, inbox.Queued, e.NewAddress
		switch {
		case e.Credentials: // the gate decides when
		case e.RetryAfter > 0:
			s.Wait = honoured(e.RetryAfter)
		case e.NewAddress != "" && j.key.Attempt < 4, e == errNotStarted:
		default:
			s.Wait = waitAfter(j.key.Attempt, o.RetryFirst, o.RetryMost)
		}
	case transports.Rejected:
		s.Outcome, s.To = store.AttemptRejected, inbox.Failed
		s.Unreachable, s.OptedOut = e.Unreachable, e.OptedOut
	case transports.Unknown:
		s.Outcome, s.To, s.Wait = store.AttemptUncertain, inbox.Uncertain, 2*o.SendDeadline
		if j.harmless {
			s.To, s.Wait = inbox.Queued, waitAfter(j.key.Attempt, o.RetryFirst, o.RetryMost)
		}
	}
	return s
}

// settleLate settles what is certain without a lease, for as long as that takes
// within reason.
func (d *Dispatcher) settleLate(ctx context.Context, list []store.Settlement) {
	certain := 0
	for i := range list {
		if list[i].Outcome != store.AttemptUncertain {
			certain++
		}
	}
	if certain == 0 {
		return
	}
	pauses := growing(100*time.Millisecond, 5*time.Second)
	for range 20 { // about a minute and a half
		call, cancel := context.WithTimeout(ctx, turnTimeout)
		err := d.db.SettleLate(call, list)
		cancel()
		if err == nil {
			d.metrics.late.Add(float64(certain))
			return
		}
		d.log.WarnContext(ctx, "a late answer could not be stored yet", slog.Int("messages", certain), slog.Any("error", err))
		if !inbox.Pause(ctx, pauses.NextBackOff()) {
			return
		}
	}
}
