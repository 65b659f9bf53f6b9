package transporttest_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"parley/events"
	"parley/transports"
)

// The network that the suite is tried on, which exists nowhere else.
const (
	fakeToken  = "fake-token-4711"
	fakeSecret = "fake-secret-0815"
)

// defect is one promise that a fake breaks; the empty one breaks none.
type defect string

// fake plays every role there is, and breaks one promise.
type fake struct {
	client *http.Client
	defect defect
	seen   int // of the adapter that numbers messages itself
	shared transports.Capabilities
}

func newFake(client *http.Client, d defect) *fake {
	f := &fake{client: client, defect: d, shared: fakeCapabilities()}
	if d == "logs the token" {
		slog.Info("connecting", "token", fakeToken) //nolint:sloglint // the defect
	}
	return f
}

func (f *fake) is(d defect) bool { return f.defect == d }

func fakeCapabilities() transports.Capabilities {
	return transports.Capabilities{
		MaxText: 100, MaxCaption: 50, Attachments: map[events.ContentType]int64{events.Photo: 1000},
		MaxFetch: 1000, ReplyWindow: transports.NoReplyWindow, Replies: true, Edits: true, Reactions: true, Typing: true,
		Album: 2, Reconcile: time.Hour,
	}
}

// Capabilities implements [transports.Transport].
func (f *fake) Capabilities() transports.Capabilities {
	caps := f.shared
	if !f.is("shares its limits") {
		caps.Attachments = maps.Clone(caps.Attachments)
	}
	switch f.defect {
	case "declares no edits":
		caps.Edits = false
	case "declares too much text":
		caps.MaxText = 101
	case "declares what the provider cannot":
		caps.ReadReceipts = true
	case "declares captions of a text it cannot send":
		caps.MaxText = 0
	case "declares a rate without a time":
		caps.Rate.Messages = 5
	}
	return caps
}

type fakeMessage struct {
	ID   string `json:"id"`
	From struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"from"`
	Text string `json:"text"`
}

func fakeSignature(body []byte) string {
	mac := hmac.New(sha256.New, []byte(fakeSecret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// ParseWebhook implements [transports.Webhook].
func (f *fake) ParseWebhook(r *http.Request, body []byte) (transports.Callback, error) {
	if given := r.Header.Get("Signature"); !hmac.Equal([]byte(given), []byte(fakeSignature(body))) && !f.is("believes forgeries") {
		return transports.Callback{}, transports.ErrForged
	}
	ev := f.parse(body)
	switch {
	case f.is("loses garbage") && !json.Valid(body):
		return transports.Callback{}, nil
	case f.is("fails on garbage") && !json.Valid(body):
		return transports.Callback{}, errors.New("not JSON")
	case f.is("changes the body") && len(body) > 0:
		body[0] ^= 1
	}
	return transports.Callback{Events: []events.Inbound{ev}}, nil
}

// Reparse implements [transports.Reparser].
func (f *fake) Reparse(raw json.RawMessage) ([]events.Inbound, error) {
	if !json.Valid(raw) || f.is("cannot read again") {
		return nil, errors.New("not a stored payload")
	}
	var verbatim string
	if raw[0] == '"' && json.Unmarshal(raw, &verbatim) == nil {
		raw = json.RawMessage(verbatim)
	}
	if f.is("loses replays") && !json.Valid(raw) {
		return nil, nil
	}
	return []events.Inbound{f.parse(raw)}, nil
}

func (f *fake) parse(body []byte) events.Inbound {
	ev := events.Inbound{Kind: events.Message, Raw: keep(body)}
	var m fakeMessage
	dec := json.NewDecoder(bytes.NewReader(body))
	if f.is("knows no new fields") {
		dec.DisallowUnknownFields()
	}
	err := dec.Decode(&m)
	if f.is("panics on null") && bytes.Contains(body, []byte("null")) {
		panic("null")
	}
	if err == nil && dec.More() {
		err = errors.New("more than one value")
	}
	if err != nil || m.ID == "" || m.From.ID == "" || f.is("understands nothing") {
		ev.Content = &events.Content{Type: events.Unsupported, Unsupported: "message"}
		if f.is("ignores without a reason") {
			ev.Kind, ev.Content = events.Ignored, nil
		}
		return ev
	}
	clean := func(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }
	if f.is("keeps NUL bytes") {
		clean = func(s string) string { return s }
	}
	who := clean(m.From.ID)
	ev.Person = events.Person{Identity: events.Identity{Kind: "fake", Value: who}, Address: who, FirstName: clean(m.From.Name)}
	ev.Key = events.MessageKey{Chat: who, Message: clean(m.ID)}
	ev.Content = &events.Content{Type: events.Text, Text: clean(m.Text)}
	switch f.defect {
	case "numbers messages itself":
		f.seen++
		ev.Key.Message = strconv.Itoa(f.seen)
	case "goes by names":
		ev.Person.Identity.Value = "name " + ev.Person.FirstName
	case "takes all for one":
		ev.Person.Identity.Value = "client"
	case "keeps no payload":
		ev.Raw = json.RawMessage(`{}`)
	case "makes up a kind":
		ev.Kind = "chirp"
	case "tells secrets in events":
		ev.Notes = append(ev.Notes, "checked with "+fakeSecret)
	}
	return ev
}

func keep(body []byte) json.RawMessage {
	// As deep as this and deeper, what wraps the payload could not be read.
	if json.Valid(body) && bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) < 9000 && strings.ToValidUTF8(string(body), "") == string(body) {
		return bytes.Clone(body)
	}
	quoted, err := json.Marshal(strings.ToValidUTF8(string(body), "\uFFFD"))
	if err != nil {
		panic(err)
	}
	return quoted
}

// failure is what went wrong on the way, and whether the request had left.
type failure struct {
	words string
	left  bool
	err   error
}

func (e *failure) Error() string { return e.words }
func (e *failure) Unwrap() error { return e.err }

func (f *fake) do(ctx context.Context, method, path string, in any, out any) error {
	if f.is("cannot be stopped") {
		ctx = context.WithoutCancel(ctx)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://fake.example"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+fakeToken)
	resp, err := f.client.Do(req)
	if err != nil {
		var op *net.OpError
		left := !errors.As(err, &op) || op.Op != "dial"
		words := &failure{words: "no answer", left: left, err: context.Cause(ctx)}
		if f.is("tells secrets in what it wraps") {
			words.err = errors.New("with " + fakeToken)
		}
		return words
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return &failure{words: "half an answer", left: true}
	}
	if f.is("repeats what the provider says") {
		return &failure{words: string(content), left: true}
	}
	if resp.StatusCode >= 300 {
		return &failure{words: "refused: " + strconv.Itoa(resp.StatusCode), left: resp.StatusCode >= 500}
	}
	if err := json.Unmarshal(content, out); err != nil {
		return &failure{words: "an answer of another kind", left: true}
	}
	return nil
}

// Send implements [transports.Sender].
func (f *fake) Send(ctx context.Context, part transports.Outbound) (transports.Receipt, error) {
	if f.is("sends what was cancelled") {
		ctx = context.WithoutCancel(ctx)
	}
	if err := ctx.Err(); err != nil {
		return transports.Receipt{}, &transports.SendError{Outcome: transports.Retry, Words: "stopped", Err: err}
	}
	message := map[string]any{"to": part.To, "text": part.Text}
	if part.Attachment != nil {
		message = map[string]any{"to": part.To, "photo": part.Attachment.URL}
	}
	var answer struct {
		ID string `json:"id"`
	}
	err := f.do(ctx, http.MethodPost, "/messages", message, &answer)
	if f.is("sends everything twice") || (err != nil && f.is("sends blindly again")) {
		err = f.do(ctx, http.MethodPost, "/messages", message, &answer)
	}
	receipt := transports.Receipt{ProviderID: answer.ID, Chat: part.To}
	if f.is("keeps no receipt") {
		receipt = transports.Receipt{}
	}
	return receipt, f.outcome(err)
}

func (f *fake) outcome(err error) error {
	if err == nil {
		return nil
	}
	e := &transports.SendError{Outcome: transports.Retry, Words: "the fake could not be reached", Err: err}
	var how *failure
	if errors.As(err, &how) && how.left {
		e.Outcome, e.Words = transports.Unknown, "the fake did not answer"
	}
	switch f.defect {
	case "is sure of everything":
		e.Outcome = transports.Retry
	case "is sure of nothing":
		e.Outcome = transports.Unknown
	case "fails without words":
		e.Words = ""
	case "tells secrets in words":
		e.Words += " with " + fakeToken
	case "fails in another way":
		return err
	}
	return e
}

// Poll implements [transports.Poller].
func (f *fake) Poll(ctx context.Context, cursor string, emit transports.Emit) error {
	at, _ := strconv.Atoi(cursor)
	for {
		var page struct {
			Messages []json.RawMessage `json:"messages"`
		}
		if err := f.do(ctx, http.MethodGet, "/messages?after="+strconv.Itoa(at), nil, &page); err != nil {
			if f.is("says nothing of failures") {
				return nil
			}
			return err
		}
		if len(page.Messages) == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			continue
		}
		var evs []events.Inbound
		for _, raw := range page.Messages {
			if f.is("polls without looking") && !json.Valid(raw[:len(raw)-1]) && bytes.Contains(raw, []byte("\\u0000")) {
				panic("NUL")
			}
			evs = append(evs, f.parse(raw))
		}
		if f.is("polls in reverse") {
			for i := range len(evs) / 2 {
				evs[i], evs[len(evs)-1-i] = evs[len(evs)-1-i], evs[i]
			}
		}
		next := at + len(page.Messages)
		if f.is("skips a message") {
			next++
		}
		err := emit(ctx, evs, strconv.Itoa(next))
		switch {
		case err != nil && f.is("goes on after a refusal"):
		case err != nil:
			return err
		}
		at = next
	}
}

// Connect implements [transports.Connector].
func (f *fake) Connect(ctx context.Context, url string) error {
	var answer struct{}
	return f.do(ctx, http.MethodPut, "/hook", map[string]string{"url": url}, &answer)
}

// Check implements [transports.Connector].
func (f *fake) Check(ctx context.Context) (transports.Report, error) {
	var answer struct{}
	return transports.Report{}, f.do(ctx, http.MethodGet, "/hook", nil, &answer)
}

// OpenMedia implements [transports.MediaOpener].
func (f *fake) OpenMedia(ctx context.Context, ref string) (transports.Media, error) {
	var answer struct{}
	err := f.do(ctx, http.MethodGet, "/files/"+ref, nil, &answer)
	return transports.Media{ReadCloser: io.NopCloser(strings.NewReader(""))}, err
}

// Edit implements [transports.Editor].
func (f *fake) Edit(ctx context.Context, change transports.Change) error {
	var answer struct{}
	return f.outcome(f.do(ctx, http.MethodPut, "/messages/"+change.ProviderID, change.Text, &answer))
}

// React implements [transports.Reactor].
func (f *fake) React(ctx context.Context, _, id string, emoji []string) error {
	var answer struct{}
	return f.outcome(f.do(ctx, http.MethodPut, "/messages/"+id+"/reactions", emoji, &answer))
}

// Typing implements [transports.Typer].
func (f *fake) Typing(ctx context.Context, to string) error {
	var answer struct{}
	err := f.do(ctx, http.MethodPost, "/typing", to, &answer)
	if f.is("hides that it failed") {
		return nil
	}
	return err
}

// Reconcile implements [transports.Reconciler].
func (f *fake) Reconcile(ctx context.Context, since time.Time, emit func(context.Context, []events.Inbound) error) error {
	var page struct {
		Messages []json.RawMessage `json:"messages"`
	}
	if err := f.do(ctx, http.MethodGet, fmt.Sprint("/messages?since=", since.Unix()), nil, &page); err != nil {
		return err
	}
	for _, raw := range page.Messages {
		if err := emit(ctx, []events.Inbound{f.parse(raw)}); err != nil {
			return err
		}
	}
	return nil
}

// Settle implements [transports.Settler].
func (f *fake) Settle(ctx context.Context, sent transports.Outbound, _ time.Time) (transports.Receipt, error) {
	var answer struct{}
	err := f.do(ctx, http.MethodGet, "/sent?to="+sent.To, nil, &answer)
	if err != nil && f.is("takes silence for proof") {
		return transports.Receipt{}, transports.ErrNotFound
	}
	return transports.Receipt{}, err
}
