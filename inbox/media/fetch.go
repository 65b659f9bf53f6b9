package media

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/transports"
)

// work fetches the files of a group, one after the other. LookUp is why the
// channels are not known, if so.
func (f *Fetcher) work(ctx context.Context, channels map[events.ChannelID]events.Channel, lookUp error, group []store.MediaJob) {
	ctx, cancel := context.WithTimeout(ctx, f.opts.Timeout)
	defer cancel()
	var raw json.RawMessage
	err := own(lookUp)
	if err == nil && group[0].Attachment.InRaw {
		select {
		case f.payloads <- struct{}{}:
			defer func() { <-f.payloads }()
		case <-ctx.Done():
		}
		raw, err = f.payload(ctx, &group[0])
	}
	for i := range group {
		j := &group[i]
		ch, known := channels[j.Channel]
		start := time.Now()
		failed := err
		if failed == nil {
			failed = f.fetch(ctx, j, ch, known, raw)
		}
		f.metrics.duration.Observe(time.Since(start).Seconds())
		f.settle(ctx, j, ch.Transport, failed)
	}
}

// payload reads what the provider sent, whole.
func (f *Fetcher) payload(ctx context.Context, j *store.MediaJob) (json.RawMessage, error) {
	switch {
	case j.Raw != nil:
		return j.Raw, nil
	case j.RawKey != "":
		b, err := f.opts.Library.opts.Blobs.Open(ctx, j.RawKey)
		if errors.Is(err, store.ErrNoBlob) {
			return nil, fmt.Errorf("%w: %w", ErrNoPayload, err)
		}
		if err != nil {
			return nil, &ownError{err}
		}
		// Once, into as many bytes as it has.
		raw := make([]byte, min(b.Size(), f.opts.Library.opts.MaxBytes*2))
		_, err = io.ReadFull(b, raw)
		return raw, own(errors.Join(err, b.Close()))
	case j.StreamSeq == 0 || f.opts.Payload == nil:
		return nil, ErrNoPayload
	}
	raw, err := f.opts.Payload(ctx, j)
	if err == nil && raw == nil {
		err = ErrNoPayload
	}
	return raw, own(err)
}

// ownError is a failure of Parley's own parts, which say nothing of the file.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }
func (e *ownError) Unwrap() error { return e.err }

func own(err error) error {
	if err == nil {
		return nil
	}
	return &ownError{err}
}

// errPaused is a channel that fetches nothing just now; errNoChannel one that is
// gone; errUnnamed a file that its message no longer names.
var (
	errPaused    = errors.New("the channel is paused")
	errNoChannel = errors.New("the channel is gone")
	errUnnamed   = errors.New("the message no longer names this file")
)

// fetch fetches one file and stores it.
func (f *Fetcher) fetch(ctx context.Context, j *store.MediaJob, ch events.Channel, known bool, raw json.RawMessage) (err error) {
	defer func() {
		if v := recover(); v != nil {
			f.log.ErrorContext(ctx, "fetching a file panicked", slog.Int64("media", j.ID), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
			err = errors.New("fetching it broke off because of a bug")
		}
	}()
	limit := f.opts.Library.opts.MaxBytes
	switch {
	case j.Attachment.Kind == "" && j.Attachment.Ref == "":
		return errUnnamed
	case !known:
		return errNoChannel
	case ch.Paused:
		return errPaused
	case j.Attachment.Size > limit:
		return errTooLarge
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The provider may hang before the first byte, too.
	first := time.AfterFunc(2*f.opts.Stall, func() { cancel(errStalled) })
	file, err := f.opts.Open(ctx, ch, j.Attachment, raw)
	first.Stop()
	if err != nil {
		if errors.Is(context.Cause(ctx), errStalled) {
			return errStalled
		}
		return err
	}
	closing := sync.OnceFunc(func() { _ = file.Close() })
	defer closing()
	if file.Size > limit {
		return errTooLarge
	}
	// A read that ignores its context ends when its file is closed.
	context.AfterFunc(ctx, closing)
	r := newPatient(ctx, file, f.opts.Stall, cancel)
	defer r.stop()
	s, err := spool(ctx, f.opts.Library.opts.TempDir, r, limit)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	defer func() { _ = s.Close() }()
	r.stop()
	if file.Size >= 0 && s.size != file.Size {
		return fmt.Errorf("it ended after %d of %d bytes", s.size, file.Size)
	}
	name, declared := j.Attachment.Name, j.Attachment.MIME
	if name == "" {
		name = file.Name
	}
	if declared == "" {
		declared = file.MIME
	}
	var preview func() []byte
	if j.Attachment.Preview != "" {
		preview = func() []byte { return f.preview(ctx, ch, j.Attachment.Preview) }
	}
	err = f.opts.Library.keep(ctx, j.Tenant, s, name, declared, preview, func(u store.NewUpload) error {
		return f.opts.DB.StoreMedia(ctx, j, u)
	})
	if err == nil {
		f.metrics.bytes.WithLabelValues(string(ch.Transport)).Add(float64(s.size))
	}
	return own(err)
}

// Limits of a small picture that a provider made.
const (
	maxPreview  = 1 << 20
	previewTime = 20 * time.Second
)

// preview fetches a small picture that the provider made, or nil: a file without
// one is better than none.
func (f *Fetcher) preview(ctx context.Context, ch events.Channel, ref string) []byte {
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	file, err := f.opts.Open(ctx, ch, events.Attachment{Kind: events.Photo, Ref: ref}, nil)
	if err != nil {
		f.log.DebugContext(ctx, "a file has no small picture", slog.Any("error", err))
		return nil
	}
	closing := sync.OnceFunc(func() { _ = file.Close() })
	defer closing()
	defer context.AfterFunc(ctx, closing)()
	s, err := spool(ctx, f.opts.Library.opts.TempDir, file, maxPreview)
	if err != nil {
		f.log.DebugContext(ctx, "a file's small picture could not be read", slog.Any("error", err))
		return nil
	}
	defer func() { _ = s.Close() }()
	l := f.opts.Library
	select {
	case l.decoding <- struct{}{}:
		defer func() { <-l.decoding }()
	case <-ctx.Done():
		return nil
	}
	return shrunk(s, s.mime)
}

// verdict is what a failed try means.
type verdict struct {
	// code is for programs, words are for people.
	code, words string
	// final says that no other try mends it.
	final bool
	// wait is how long until the next, 0 for the usual.
	wait time.Duration
}

// judge says what a failure means.
func (f *Fetcher) judge(j *store.MediaJob, err error) verdict {
	var after *transports.RetryAfterError
	var ours *ownError
	size := ""
	if j.Attachment.Size > 0 {
		size = " (" + inWords(j.Attachment.Size) + ")"
	}
	switch {
	case errors.Is(err, errTooLarge):
		return verdict{
			code: "too_large", final: true,
			words: fmt.Sprintf("The file%s is too large: up to %s are kept.", size, inWords(f.opts.Library.opts.MaxBytes)),
		}
	case errors.Is(err, transports.ErrMediaTooLarge):
		return verdict{
			code: "too_large", final: true,
			words: fmt.Sprintf("The file%s is larger than the provider hands out. Ask the client for a smaller one, or a link.", size),
		}
	case errors.Is(err, transports.ErrMediaGone):
		return verdict{code: "gone", final: true, words: "The provider no longer has the file. Ask the client to send it again."}
	case errors.Is(err, ErrNoPayload):
		return verdict{code: "gone", final: true, words: "What the provider sent is no longer kept, and the file was in it."}
	case errors.Is(err, errUnnamed):
		return verdict{code: "gone", final: true, words: "The message no longer has this file."}
	case errors.Is(err, errNoChannel):
		return verdict{code: "no_channel", final: true, words: "The channel that it came by is gone."}
	case errors.Is(err, ErrCannotFetch):
		return verdict{code: "unsupported", final: true, words: "This program cannot fetch files from this kind of channel."}
	case errors.Is(err, errPaused):
		return verdict{code: "paused", words: "The channel is paused. Resume it to have the file fetched.", wait: time.Minute}
	case errors.Is(err, transports.ErrCredentials):
		return verdict{code: "credentials", words: "The provider refused the channel's credentials: check them.", wait: 5 * time.Minute}
	case errors.As(err, &after) && after.After > 0:
		return verdict{code: "throttled", words: "The provider asks to wait.", wait: min(after.After, f.opts.RetryMost)}
	case errors.Is(err, errStalled), errors.Is(err, context.DeadlineExceeded):
		return verdict{code: "slow", words: "The provider took too long to hand out the file."}
	case errors.As(err, &ours):
		return verdict{code: "storage", words: "The file could not be stored; the server's log says why."}
	}
	return verdict{code: "unavailable", words: fmt.Sprintf("The provider did not hand out the file: %v.", err)}
}

// settleTimeout is how long the database may take to settle a try, also when the
// process ends.
const settleTimeout = 10 * time.Second

// settle records how a try ended.
func (f *Fetcher) settle(ctx context.Context, j *store.MediaJob, transport events.Transport, err error) {
	count := func(outcome string) { f.metrics.fetches.WithLabelValues(string(transport), outcome).Inc() }
	switch {
	case err == nil:
		count("stored")
		return
	case errors.Is(err, store.ErrMediaSettled):
		count("superseded")
		return
	}
	stopping := errors.Is(ctx.Err(), context.Canceled)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if stopping {
		// Nobody's fault: the next process tries at once.
		count("retry")
		f.settled(ctx, j, f.opts.DB.RetryMedia(ctx, j, "interrupted", "Fetching it was interrupted.", 0))
		return
	}
	v := f.judge(j, err)
	ours := (*ownError)(nil)
	if errors.As(err, &ours) || v.code == "unavailable" {
		f.log.WarnContext(ctx, "a file could not be fetched", slog.Int64("message", j.Message), slog.Int("position", j.Position),
			slog.String("channel", string(j.Channel)), slog.Int("attempt", j.Attempt), slog.Any("error", err))
	}
	if !v.final && ours == nil && time.Since(j.CreatedAt) > f.opts.GiveUp {
		v.final = true
		v.words += fmt.Sprintf(" Given up after %d tries.", j.Attempt)
	}
	if v.final {
		count("failed")
		f.settled(ctx, j, f.opts.DB.FailMedia(ctx, j, v.code, v.words))
		return
	}
	count("retry")
	if v.wait == 0 {
		v.wait = f.waitAfter(j.Attempt)
	}
	f.settled(ctx, j, f.opts.DB.RetryMedia(ctx, j, v.code, v.words, v.wait))
}

// settled notes a try that could not be settled: it is made again once its lease
// runs out.
func (f *Fetcher) settled(ctx context.Context, j *store.MediaJob, err error) {
	if err != nil && !errors.Is(err, store.ErrMediaSettled) {
		f.log.WarnContext(ctx, "how fetching a file ended could not be stored; it is tried again later",
			slog.Int64("message", j.Message), slog.Any("error", err))
	}
}

// waitAfter grows with each try.
func (f *Fetcher) waitAfter(attempt int) time.Duration {
	wait := f.opts.RetryFirst << min(attempt-1, 20)
	if wait <= 0 || wait > f.opts.RetryMost {
		wait = f.opts.RetryMost
	}
	return inbox.Around(wait)
}
