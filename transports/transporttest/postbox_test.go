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
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"parley/events"
	"parley/transports"
)

// Postbox is a made-up network and the worked example of
// docs/adding-a-transport.md: it posts signed JSON to a webhook, and takes JSON
// with a key against doubles.

// The roles a postbox plays.
var (
	_ transports.Factory  = newPostbox
	_ transports.Webhook  = (*postbox)(nil)
	_ transports.Reparser = (*postbox)(nil)
	_ transports.Sender   = (*postbox)(nil)
)

// postbox is one account. It holds no state but its configuration.
type postbox struct {
	key, secret string
	base        *url.URL
	client      *http.Client
	country     string
}

// newPostbox builds an account. Secrets: "key", which sends, and
// "webhook_secret", which signs. Setting: "api_url".
func newPostbox(account transports.Account) (transports.Transport, error) {
	p := &postbox{
		key: account.Secrets["key"], secret: account.Secrets["webhook_secret"],
		client: account.HTTPClient, country: account.Channel.Country,
	}
	if p.client == nil {
		return nil, errors.New("postbox: the account has no HTTP client")
	}
	if p.key == "" || p.secret == "" {
		return nil, errors.New(`postbox: set the secrets "key" and "webhook_secret"`)
	}
	base, err := url.Parse(account.Channel.Settings["api_url"])
	if err != nil || base.Scheme != "https" || base.Host == "" || base.User != nil {
		return nil, errors.New(`postbox: setting "api_url" must be an https URL`)
	}
	p.base = base
	return p, nil
}

// Capabilities implements [transports.Transport].
func (p *postbox) Capabilities() transports.Capabilities {
	return transports.Capabilities{
		MaxText:        500,
		TextUnit:       transports.Runes,
		ReplyWindow:    transports.NoReplyWindow,
		HarmlessResend: true, // the key against doubles
		Rate:           transports.Rate{Messages: 10, Per: time.Second},
	}
}

// ParseWebhook implements [transports.Webhook].
func (p *postbox) ParseWebhook(r *http.Request, body []byte) (transports.Callback, error) {
	mac := hmac.New(sha256.New, []byte(p.secret))
	mac.Write(body)
	given, err := hex.DecodeString(r.Header.Get("Postbox-Signature"))
	if err != nil || !hmac.Equal(given, mac.Sum(nil)) {
		return transports.Callback{}, transports.ErrForged
	}
	return transports.Callback{Events: []events.Inbound{p.parse(body)}}, nil
}

// Reparse implements [transports.Reparser].
func (p *postbox) Reparse(raw json.RawMessage) ([]events.Inbound, error) {
	if !json.Valid(raw) {
		return nil, errors.New("postbox: not a stored payload")
	}
	var verbatim string
	if raw[0] == '"' && json.Unmarshal(raw, &verbatim) == nil {
		raw = json.RawMessage(verbatim)
	}
	return []events.Inbound{p.parse(raw)}, nil
}

// parse makes one event of one payload, and never fails: what it cannot read is
// shown as unsupported.
func (p *postbox) parse(body []byte) events.Inbound {
	var m struct {
		ID   string `json:"id"`
		From struct {
			Phone string `json:"phone"`
			Name  string `json:"name"`
		} `json:"from"`
		Text string    `json:"text"`
		Sent time.Time `json:"sent_at"`
	}
	err := json.Unmarshal(body, &m)
	ev := events.Inbound{Kind: events.Message, Raw: postboxRaw(body, err == nil)}
	who, nobody := transports.NormalisePhone(m.From.Phone, p.country)
	if err != nil || nobody != nil || m.ID == "" {
		ev.Content = &events.Content{Type: events.Unsupported, Unsupported: "a payload of another shape"}
		return ev
	}
	clean := func(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") } // PostgreSQL stores no NUL
	ev.Person = events.Person{Identity: who, Address: who.Value, FirstName: clean(m.From.Name)}
	ev.Key = events.MessageKey{Chat: who.Value, Message: clean(m.ID)}
	ev.Content = &events.Content{Type: events.Text, Text: clean(m.Text)}
	if year := m.Sent.Year(); year > 1970 && year < 9999 {
		ev.ProviderTime = m.Sent.UTC()
	}
	return ev
}

// postboxRaw is the payload as an event keeps it: JSON verbatim, anything else as
// a JSON string.
func postboxRaw(body []byte, isJSON bool) json.RawMessage {
	if isJSON && utf8.Valid(body) {
		return bytes.Clone(body)
	}
	quoted, err := json.Marshal(string(body))
	if err != nil { // strings always marshal
		return json.RawMessage(`""`)
	}
	return quoted
}

// leaving is a request's body that knows whether any of it left.
// It has no other method: what reads by WriterTo would leave unseen.
type leaving struct {
	content *bytes.Reader
	left    atomic.Bool
}

// Read implements [io.Reader].
func (l *leaving) Read(b []byte) (int, error) {
	l.left.Store(true)
	return l.content.Read(b)
}

// Send implements [transports.Sender].
func (p *postbox) Send(ctx context.Context, part transports.Outbound) (transports.Receipt, error) {
	fail := func(outcome transports.Outcome, words string, err error) (transports.Receipt, error) {
		return transports.Receipt{}, &transports.SendError{Outcome: outcome, Words: words, Err: err}
	}
	if err := ctx.Err(); err != nil {
		return fail(transports.Retry, "stopped before sending", err)
	}
	content, err := json.Marshal(map[string]string{"to": part.To, "text": part.Text, "once": part.Ref})
	if err != nil {
		return fail(transports.Rejected, "the message has no JSON form", err)
	}
	body := &leaving{content: bytes.NewReader(content)}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base.JoinPath("messages").String(), body)
	if err != nil {
		return fail(transports.Rejected, "the request could not be made", err)
	}
	req.ContentLength = int64(len(content))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+p.key)
	resp, err := p.client.Do(req)
	switch {
	case err != nil && body.left.Load():
		return fail(transports.Unknown, "Postbox did not answer: the message may have arrived", err)
	case err != nil:
		return fail(transports.Retry, "Postbox could not be reached", err)
	}
	defer resp.Body.Close()
	return p.receipt(resp, part)
}

// receipt reads an answer. Of what Postbox says no words are repeated: they may
// hold anything.
func (p *postbox) receipt(resp *http.Response, part transports.Outbound) (transports.Receipt, error) {
	e := &transports.SendError{Code: fmt.Sprint(resp.StatusCode)}
	var accepted struct {
		ID string `json:"id"`
	}
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized:
		e.Outcome, e.Credentials, e.Words = transports.Retry, true, "Postbox refused the key: set a new one"
	case code == http.StatusTooManyRequests:
		e.Outcome, e.Throttled, e.Words = transports.Retry, transports.AccountThrottled, "Postbox asks to slow down"
	case code >= 500:
		e.Words = "Postbox had an internal error: the message may have arrived"
	case code >= 300:
		e.Outcome, e.Words = transports.Rejected, "Postbox refused the message"
	default:
		if json.NewDecoder(resp.Body).Decode(&accepted) == nil && accepted.ID != "" {
			return transports.Receipt{ProviderID: accepted.ID, Chat: part.To}, nil
		}
		e.Words = "Postbox accepted the message but did not say as which"
	}
	return transports.Receipt{}, e
}
