package sandbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what Twilio signs with
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SignTwilio is Twilio's signature of a webhook with form parameters
// (https://www.twilio.com/docs/usage/webhooks/webhooks-security).
func SignTwilio(token, webhookURL string, form url.Values) string {
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	mac := hmac.New(sha1.New, []byte(token))
	_, _ = io.WriteString(mac, webhookURL) // never fails
	for _, name := range names {
		_, _ = io.WriteString(mac, name)
		_, _ = io.WriteString(mac, form.Get(name))
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// webhookOf is where a sender's inbound messages go; mu is held.
func (t *Twilio) webhookOf(s *twilioSender) (to, service string) {
	for sid, svc := range t.services {
		if slices.Contains(svc.Senders, s.Address) {
			if svc.onNumber {
				return s.Webhook, sid
			}
			return svc.Webhook, sid
		}
	}
	return s.Webhook, ""
}

// deliver makes an inbound message's webhook, once more after a failure, and as
// often as faults want; mu is held.
func (t *Twilio) deliver(m *twilioMessage, to string, form url.Values) {
	plan := t.faults.Load()
	n := int64(len(t.messages))
	drop := plan.DropInbound > 0 && dice(t.opts.Seed, "drop", n, 0) < plan.DropInbound
	again := plan.Redeliver > 0 && dice(t.opts.Seed, "redeliver", n, 0) < plan.Redeliver
	wait := plan.jitter(t.opts.Seed, n, 0)
	if to == "" || drop {
		t.log.add(TwilioEntry{What: LogDelivered, Sender: m.to, Person: m.from, SID: m.sid, Fault: faultDropInbound})
		return
	}
	token := newSID("")
	once := func() bool {
		code := t.post(to, form, token)
		t.log.add(TwilioEntry{What: LogDelivered, Sender: m.to, Person: m.from, SID: m.sid, Status: "received", Code: code})
		return code >= 200 && code < 300
	}
	for range max(plan.Copies, 1) {
		t.goes(func() {
			if !t.sleep(wait) {
				return
			}
			if once() {
				if again {
					once()
				}
				return
			}
			if t.sleep(t.opts.WebhookRetry) {
				once()
			}
		})
	}
}

// sleep waits, and reports whether the stand-in is still there.
func (t *Twilio) sleep(d time.Duration) bool {
	if d <= 0 {
		return t.stop.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.stop.Done():
		return false
	}
}

// post makes one signed request, and yields the answer's status, 0 for none.
func (t *Twilio) post(to string, form url.Values, token string) int {
	req, err := http.NewRequestWithContext(t.stop, http.MethodPost, to, strings.NewReader(form.Encode())) //nolint:gosec // where it was told to
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	req.Header.Set("User-Agent", "TwilioProxy/1.1")
	req.Header.Set("I-Twilio-Idempotency-Token", token)
	req.Header.Set("X-Twilio-Signature", SignTwilio(t.opts.Token, to, form))
	resp, err := t.opts.HTTPClient.Do(req) //nolint:gosec // as above
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	_ = resp.Body.Close()
	return resp.StatusCode
}

// proceed sends a message that was accepted: its steps, with a callback each.
func (t *Twilio) proceed(m *twilioMessage, plan *twilioPlan) {
	if plan.Early {
		t.step(m, "sent", 0)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.goes(func() {
		if t.opts.FetchMedia && !t.fetched(m) {
			code := 12300
			if on, _ := split(m.to); on {
				code = 63019
			}
			t.step(m, "failed", code)
			return
		}
		t.mu.Lock()
		last, code := t.verdict(m, plan)
		t.mu.Unlock()
		steps := []twilioStep{{"sent", 0}, {last, code}}
		if plan.Early || last == "failed" {
			steps = steps[1:]
		}
		if plan.OutOfOrder {
			slices.Reverse(steps)
		}
		for i, s := range steps {
			if !t.sleep(plan.jitter(t.opts.Seed, int64(len(m.sid))+int64(i), 1)) {
				return
			}
			t.step(m, s.status, s.code)
		}
	})
}

type twilioStep struct {
	status string
	code   int
}

// rank orders statuses; a message's only rises.
func rank(status string) int {
	return slices.Index([]string{"accepted", "queued", "sent", "delivered", "read"}, status)
}

// step moves a message on and calls back.
func (t *Twilio) step(m *twilioMessage, status string, code int) {
	t.mu.Lock()
	now := t.opts.Now()
	if failed := rank(status) < 0; failed || rank(status) > rank(m.status) {
		m.status, m.updated = status, now
		if m.code = code; m.sent.IsZero() {
			m.sent = now
		}
	}
	form := t.statusForm(m, status, code)
	to := m.callback
	t.mu.Unlock()
	plan := t.faults.Load()
	entry := TwilioEntry{What: LogStatus, Sender: m.from, Person: m.to, SID: m.sid, Status: status}
	if to == "" || (plan.DropStatus > 0 && dice(t.opts.Seed, "status "+m.sid+status, 0, 0) < plan.DropStatus) {
		entry.Fault = faultDropStatus
		t.log.add(entry)
		return
	}
	for range max(plan.StatusCopies, 1) {
		entry.Code = t.post(to, form, newSID(""))
		t.log.add(entry)
	}
}

// statusForm is what a status callback says
// (https://www.twilio.com/docs/messaging/guides/track-outbound-message-status); mu is
// held.
func (t *Twilio) statusForm(m *twilioMessage, status string, code int) url.Values {
	form := url.Values{
		"MessageSid": {m.sid}, "SmsSid": {m.sid}, "MessageStatus": {status}, "SmsStatus": {status}, "To": {m.to}, "From": {m.from},
		"AccountSid": {t.opts.Account}, "ApiVersion": {"2010-04-01"},
	}
	if m.service != "" {
		form.Set("MessagingServiceSid", m.service)
	}
	if code != 0 {
		form.Set("ErrorCode", strconv.Itoa(code))
		form.Set("ErrorMessage", "error "+strconv.Itoa(code))
	}
	if on, _ := split(m.to); on {
		form.Set("ChannelPrefix", "whatsapp")
		form.Set("ChannelToAddress", m.to)
		form.Set("StructuredMessage", "false")
		if status == "read" || status == "delivered" {
			form.Set("EventType", strings.ToUpper(status))
		}
	}
	return form
}

// fetched fetches the files of a message, as Twilio does, and reports whether all
// came with a content type.
func (t *Twilio) fetched(m *twilioMessage) bool {
	for _, address := range m.urls {
		for _, method := range []string{http.MethodHead, http.MethodGet} {
			if err := t.fetch(t.stop, method, address); err != nil {
				t.log.add(TwilioEntry{What: LogFetched, Person: m.to, SID: m.sid, Status: err.Error()})
				return false
			}
		}
		t.log.add(TwilioEntry{What: LogFetched, Person: m.to, SID: m.sid, Status: "ok"})
	}
	return true
}

func (t *Twilio) fetch(ctx context.Context, method, address string) error {
	req, err := http.NewRequestWithContext(ctx, method, address, nil) //nolint:gosec // where it was told to
	if err != nil {
		return fmt.Errorf("the address cannot be used")
	}
	resp, err := t.opts.HTTPClient.Do(req) //nolint:gosec // as above
	if err != nil {
		return fmt.Errorf("%s: no answer", method)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxUploadSize))
	_ = resp.Body.Close()
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %d", method, resp.StatusCode)
	case resp.Header.Get("Content-Type") == "":
		return fmt.Errorf("%s: no content type", method)
	}
	return nil
}
