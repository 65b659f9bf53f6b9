package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"parley/transports"
)

// retryAfter is what a 503 asks for, in seconds. Telegram and Meta have their
// own schedule; proxies and stand-ins heed it.
const retryAfter = "5"

// unknownTransport labels requests whose path belongs to no channel.
const unknownTransport = "unknown"

// Handler serves what providers call: POST /webhook/{path}, where the path is a
// channel's WebhookPath.
//
//	200  every event of the request is durable
//	403  the request does not prove its origin
//	404  no channel has this path
//	405  not a POST
//	408  the body took longer than Limits.BodyTime
//	413  the body is larger than Limits.Body, or its event fits neither the bus
//	     nor a blob storage
//	431  the header is larger than Limits.Header
//	500  the adapter failed; nothing was accepted
//	503  the bus cannot take it now, the channel is paused or cannot be built,
//	     or this replica is starting, full or draining: deliver again
//
// The handler may be served before [Gateway.Run] is called and after it
// returned; it answers 503 then. It sets the connection's read deadline, so
// middleware around it must implement Unwrap as [http.ResponseController] asks.
// A handler begins once the header is there: how long that takes, and how long a
// header may be at most, are the server's ReadHeaderTimeout and MaxHeaderBytes.
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(transports.WebhookPrefix+"{path}", g.serveWebhook)
	return mux
}

// reply is an answer to a provider.
type reply struct {
	code int
	// words go into the body of an error: they help who tests by hand, and say
	// nothing about what would have been accepted.
	words       string
	contentType string
	body        []byte
	// hangUp closes the connection at once: what is left of the request is not
	// worth reading.
	hangUp bool
	// cause is for the log; it is redacted there.
	cause error
}

func (g *Gateway) serveWebhook(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	g.metrics.inFlight.Inc()
	defer g.metrics.inFlight.Dec()

	// Before anything is refused: the server itself reads what a handler left of a
	// body, however slowly it comes. Recorders and some middleware know no
	// deadlines; the server's own hold there.
	line := http.NewResponseController(w)
	_ = line.SetReadDeadline(began.Add(g.limits.BodyTime))

	// A method is refused before the path is looked at, so that the answer says
	// nothing about it.
	var acc *account
	var re reply
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		re = reply{code: http.StatusMethodNotAllowed, words: "providers deliver with POST"}
	case !g.gate.enter():
		g.table.byPath(r.PathValue("path")).miss()
		re = reply{code: http.StatusServiceUnavailable, words: "busy, deliver again"}
	default:
		acc, re = g.attend(w, r, line)
	}
	if re.hangUp {
		_ = line.SetReadDeadline(began)
	}
	re.write(w)
	g.note(r.Context(), acc, re, time.Since(began))
}

// attend finds the account and lets it receive. It leaves the gate before the
// answer is written: a provider that reads slowly holds nothing back.
func (g *Gateway) attend(w http.ResponseWriter, r *http.Request, line *http.ResponseController) (acc *account, re reply) {
	defer g.gate.leave()
	known := g.table.loaded()
	acc = g.table.byPath(r.PathValue("path"))
	switch {
	case acc != nil:
		return acc, g.receive(w, r, acc, line)
	case known:
		return nil, reply{code: http.StatusNotFound, words: "no such webhook"}
	}
	return nil, reply{code: http.StatusServiceUnavailable, words: "starting, deliver again"}
}

// write sends the answer.
func (re reply) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if re.hangUp {
		h.Set("Connection", "close")
	}
	if re.code == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	body := re.body
	if re.code >= http.StatusBadRequest {
		body = []byte(re.words + "\n")
		re.contentType = "text/plain; charset=utf-8"
	}
	if re.contentType != "" {
		h.Set("Content-Type", re.contentType)
		h.Set("X-Content-Type-Options", "nosniff")
	}
	w.WriteHeader(re.code)
	// A provider that hung up delivers again, and its events are durable already.
	_, _ = w.Write(body)
}

// note counts and logs an answer, without the path.
func (g *Gateway) note(ctx context.Context, acc *account, re reply, took time.Duration) {
	transport := unknownTransport
	if acc != nil {
		transport = string(acc.ch.Transport)
		if re.code != http.StatusOK && re.code != http.StatusForbidden {
			acc.miss()
		}
	}
	g.metrics.requests.WithLabelValues(transport, strconv.Itoa(re.code)).Inc()
	g.metrics.duration.WithLabelValues(transport).Observe(took.Seconds())

	level := slog.LevelDebug
	if acc != nil && re.cause != nil && acc.complains(time.Now()) {
		level = slog.LevelWarn
	}
	if !g.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.Int("code", re.code), slog.Duration("took", took)}
	if acc != nil {
		attrs = append(attrs, acc.logAttrs()...)
		if re.cause != nil {
			attrs = append(attrs, slog.String("error", acc.hide.words(re.cause)))
		}
	}
	g.log.LogAttrs(ctx, level, "webhook answered", attrs...)
}

// receive reads, authenticates, decodes and makes durable. A panic, most likely
// the adapter's, is an error of this one request.
func (g *Gateway) receive(w http.ResponseWriter, r *http.Request, acc *account, line *http.ResponseController) (re reply) {
	var panicked error
	defer func() {
		if panicked != nil {
			re = reply{code: http.StatusInternalServerError, words: "could not be read", cause: panicked}
		}
	}()
	defer g.contain(acc.ch.Transport, &panicked)
	switch {
	case acc.ch.Paused:
		return reply{code: http.StatusServiceUnavailable, words: "this channel is paused, deliver again later"}
	case acc.webhook == nil:
		return reply{code: http.StatusServiceUnavailable, words: "this channel cannot receive yet, deliver again later"}
	case headerSize(r.Header) > g.limits.Header:
		return reply{code: http.StatusRequestHeaderFieldsTooLarge, words: "the request header is too large", hangUp: true}
	}
	body, refused := g.readBody(w, r)
	if refused != nil {
		return *refused
	}
	r.Body = http.NoBody
	// The server goes on reading in the background, to notice a provider that
	// hangs up; the body's deadline would look like one.
	_ = line.SetReadDeadline(time.Time{})
	callback, err := acc.webhook.ParseWebhook(r, body)
	switch {
	case errors.Is(err, transports.ErrForged):
		g.metrics.forged.WithLabelValues(string(acc.ch.Transport)).Inc()
		return reply{code: http.StatusForbidden, words: "forbidden"}
	case err != nil:
		return reply{code: http.StatusInternalServerError, words: "could not be read", cause: err}
	}
	// The provider may have hung up by now. What it told us is worth keeping all
	// the same: not every provider tells it again.
	err = g.accept(context.WithoutCancel(r.Context()), acc.ch, callback.Events)
	switch {
	case err == nil:
		acc.lastAccepted.Store(time.Now().UnixNano())
		return reply{code: http.StatusOK, contentType: callback.ContentType, body: callback.Body}
	case reason(err) == reasonTooLarge:
		return reply{
			code: http.StatusRequestEntityTooLarge, cause: err,
			words: "the event is too large, and no blob storage is configured that could hold it",
		}
	default:
		return reply{code: http.StatusServiceUnavailable, words: "not durable yet, deliver again", cause: err}
	}
}

// firstRead is how many bytes of a body are made room for at once, whatever its
// header announces.
const firstRead = 64 << 10

// readBody reads a body within the limits, or says what to answer.
func (g *Gateway) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *reply) {
	tooLarge := &reply{
		code: http.StatusRequestEntityTooLarge, hangUp: true,
		words: "the request body is larger than " + strconv.FormatInt(g.limits.Body, 10) + " bytes",
	}
	if r.ContentLength > g.limits.Body {
		return nil, tooLarge
	}
	var body []byte
	var err error
	if n := r.ContentLength; n >= 0 && n <= firstRead {
		body = make([]byte, n)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, g.limits.Body))
	}
	var tooMany *http.MaxBytesError
	switch {
	case err == nil:
	case errors.As(err, &tooMany):
		return nil, tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &reply{code: http.StatusRequestTimeout, words: "the request body took too long", hangUp: true}
	default:
		return nil, &reply{code: http.StatusBadRequest, words: "the request body is incomplete", hangUp: true}
	}
	return body, nil
}

// headerSize is the sum of the lengths of all names and values.
func headerSize(h http.Header) int {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return n
}
