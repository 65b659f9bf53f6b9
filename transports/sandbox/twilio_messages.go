package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxTwilioForm bounds a request in bytes.
const maxTwilioForm = 1 << 20

// Limits of what is sent (https://www.twilio.com/docs/messaging/api/message-resource).
const (
	maxTwilioBody  = 1600
	maxTwilioMedia = 10
	twilioWindow   = 24 * time.Hour
)

// twilioRequest is a request to create a message that was found good.
type twilioRequest struct {
	sender  *twilioSender // nil while the messaging service has not chosen
	service string
	to      string
	person  *twilioPerson
	form    url.Values
}

func (t *Twilio) serveCreate(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxTwilioForm)
	if err := r.ParseForm(); err != nil {
		twilioBad(20001, "the request cannot be read").write(w)
		return
	}
	plan := t.faults.Load()
	t.mu.Lock()
	req, refused := t.examine(r.PostForm)
	fault := ""
	if refused == nil {
		t.creates++
		if wait := t.bucket.take(t.opts.Now(), t.opts.Rate, max(t.opts.Rate, 1)); wait > 0 {
			refused = tooManyTwilio(int(wait/time.Second) + 1)
		} else {
			fault = plan.pick(t.opts.Seed, t.creates)
		}
	}
	var m *twilioMessage
	var shown wireTwilioMessage
	switch {
	case refused == nil && strikesBefore(fault):
		refused = plan.before(fault)
		t.refusedEntry(r.PostForm, fault, refused)
	case refused != nil:
		t.refusedEntry(r.PostForm, "", refused)
	default:
		m = t.accept(req, fault)
		shown = t.wire(m)
	}
	t.mu.Unlock()
	if m != nil {
		t.proceed(m, plan)
	}
	if plan.DelayMS > 0 {
		hold(t.stop, r.Context(), time.Duration(plan.DelayMS)*time.Millisecond)
	}
	switch {
	case refused != nil:
		refused.write(w)
	case fault == faultHangBefore, fault == faultHangAfter:
		hold(t.stop, r.Context(), -1)
		panic(http.ErrAbortHandler)
	case fault == faultResetBefore, fault == faultResetAfter:
		reset(w)
	case fault == faultHalfCloseAfter:
		halfClose(w, t.stop)
	case fault == faultCutAfter:
		cutTwilio(w, shown)
	case fault == faultServerErrorAfter:
		internalTwilio().write(w)
	default:
		writeTwilio(w, http.StatusCreated, shown)
	}
}

func (t *Twilio) refusedEntry(form url.Values, fault string, refused *twilioRefusal) {
	e := TwilioEntry{What: LogRefused, Sender: form.Get("From"), Person: form.Get("To"), Text: form.Get("Body"), Fault: fault}
	if e.Sender == "" {
		e.Sender = form.Get("MessagingServiceSid")
	}
	if refused != nil {
		e.Code = refused.Code
	}
	t.log.add(e)
}

// cutTwilio ends the connection halfway through an answer.
func cutTwilio(w http.ResponseWriter, v any) {
	if body, err := json.Marshal(v); err == nil {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
	}
	panic(http.ErrAbortHandler)
}

// examine refuses what Twilio refuses; mu is held.
func (t *Twilio) examine(form url.Values) (*twilioRequest, *twilioRefusal) {
	req := &twilioRequest{to: form.Get("To"), form: form}
	whatsApp, number := split(req.to)
	switch {
	case req.to == "":
		return nil, twilioBad(21604, "A 'To' phone number is required.")
	case !twilioNumber.MatchString(number) && (whatsApp || !twilioCode.MatchString(number)):
		return nil, twilioBad(21211, "Invalid 'To' Phone Number: "+shorten(number))
	}
	if refused := t.examineSender(req, whatsApp); refused != nil {
		return nil, refused
	}
	if refused := examineContent(form, whatsApp); refused != nil {
		return nil, refused
	}
	if callback := form.Get("StatusCallback"); callback != "" && (!isHTTP(callback) || len(callback) > 8000) {
		return nil, twilioBad(21609, "The StatusCallback URL "+shorten(callback)+" is not a valid URL.")
	}
	for _, beginning := range t.opts.NoPermission {
		if strings.HasPrefix(number, beginning) {
			return nil, twilioBad(21408, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: "+number+".")
		}
	}
	req.person = t.stranger(number)
	if req.person.Landline && !whatsApp {
		return nil, twilioBad(21614, "'To' number: "+number+", is not a valid mobile number")
	}
	// With a messaging service the sender is chosen later, and so is this.
	if req.service == "" && !whatsApp && t.thread(req.sender.Address, number).optedOut {
		return nil, twilioBad(21610, "Attempt to send to unsubscribed recipient")
	}
	return req, nil
}

func (t *Twilio) examineSender(req *twilioRequest, whatsApp bool) *twilioRefusal {
	from := req.form.Get("From")
	req.service = req.form.Get("MessagingServiceSid")
	if from == "" && req.service == "" {
		return twilioBad(21603, "A 'From' phone number is required.")
	}
	if req.service != "" {
		service := t.services[req.service]
		if service == nil {
			return twilioBad(21705, "The Messaging Service Sid "+shorten(req.service)+" is invalid.")
		}
		if from == "" {
			for _, address := range service.Senders {
				if on, _ := split(address); on == whatsApp {
					from = address
					break
				}
			}
			if from == "" {
				return twilioBad(21703, "The Messaging Service contains no phone numbers.")
			}
		}
	}
	if fromWhatsApp, _ := split(from); fromWhatsApp != whatsApp {
		return twilioBad(21910, "Invalid From and To pair. From and To should be of the same channel")
	}
	for _, s := range t.senders {
		if s.Address == from {
			req.sender = s
			return nil
		}
	}
	switch _, number := split(from); {
	case whatsApp:
		return twilioBad(63007, "Twilio could not find a Channel with the specified From address")
	case twilioNumber.MatchString(number):
		return twilioBad(21606, "The 'From' phone number "+number+" is not a valid, SMS-capable inbound phone number or short code for your account.")
	}
	return twilioBad(21212, "Invalid From Number (caller ID): "+shorten(from))
}

func examineContent(form url.Values, whatsApp bool) *twilioRefusal {
	body, media, template := form.Get("Body"), form["MediaUrl"], form.Get("ContentSid")
	limit := maxTwilioMedia
	if whatsApp {
		limit = 1
	}
	switch {
	case template != "" && (!strings.HasPrefix(template, "HX") || len(template) != 34):
		return twilioBad(21655, "The ContentSid is invalid")
	case template != "" && form.Get("ContentVariables") != "" && !isStringMap(form.Get("ContentVariables")):
		return twilioBad(21656, "The ContentVariables Parameter is invalid")
	case body == "" && len(media) == 0 && template == "":
		return twilioBad(21602, "Message body is required.")
	case utf16Len(body) > maxTwilioBody:
		return twilioBad(21617, "The concatenated message body exceeds the 1600 character limit")
	case len(media) > limit:
		return twilioBad(21623, "Number of media files exceeds allowed limit")
	case slices.ContainsFunc(media, func(one string) bool { return !isHTTP(one) || len(one) > 8000 }):
		return twilioBad(21620, "Invalid media URL(s)")
	}
	return nil
}

func isStringMap(text string) bool {
	var variables map[string]string
	return json.Unmarshal([]byte(text), &variables) == nil
}

func shorten(s string) string {
	if len(s) > 100 {
		return s[:100]
	}
	return s
}

// accept takes a message; mu is held.
func (t *Twilio) accept(req *twilioRequest, fault string) *twilioMessage {
	now := t.opts.Now()
	m := &twilioMessage{
		sid: newSID("SM"), direction: "outbound-api", from: req.sender.Address, to: req.to, body: req.form.Get("Body"), status: "queued",
		service: req.service, callback: req.form.Get("StatusCallback"), template: req.form.Get("ContentSid"), urls: req.form["MediaUrl"],
		created: now, updated: now, person: req.person,
	}
	if len(m.urls) > 0 {
		m.sid = newSID("MM")
	}
	if m.service != "" {
		m.status = "accepted"
	}
	if m.template != "" {
		m.body = "[template " + m.template + "] " + req.form.Get("ContentVariables")
	}
	t.keep(m)
	t.log.add(TwilioEntry{
		What: LogSent, Sender: m.from, Person: m.to, SID: m.sid, Text: m.body, Files: len(m.urls), Template: m.template, Fault: fault,
	})
	return m
}

// keep adds a message to what is known; mu is held.
func (t *Twilio) keep(m *twilioMessage) {
	t.messages = append(t.messages, m)
	t.bySID[m.sid] = m
	own, other := m.from, m.to
	if m.direction == "inbound" {
		own, other = m.to, m.from
	}
	_, number := split(other)
	th := t.thread(own, number)
	th.messages = append(th.messages, m)
}

// thread finds or opens a conversation; mu is held.
func (t *Twilio) thread(sender, number string) *twilioThread {
	pair := twilioPair{sender, number}
	th := t.threads[pair]
	if th == nil {
		th = &twilioThread{}
		t.threads[pair] = th
	}
	return th
}

// verdict is how a message ends that was accepted; mu is held.
func (t *Twilio) verdict(m *twilioMessage, plan *twilioPlan) (status string, code int) {
	whatsApp, number := split(m.to)
	th := t.thread(m.from, number)
	switch {
	case m.person.Blocked && whatsApp:
		return "failed", 63014
	case th.optedOut && !whatsApp:
		return "undelivered", 21610
	case m.person.Unreachable:
		return "undelivered", 30003
	case whatsApp && !t.opts.OpenWindow && m.template == "" && t.opts.Now().Sub(th.lastInbound) > twilioWindow:
		return "failed", 63016
	case plan.Undelivered > 0 && dice(t.opts.Seed, "undelivered", int64(len(t.messages)), 0) < plan.Undelivered:
		return "undelivered", 30008
	}
	return "delivered", 0
}

// serveList is the list of messages, newest first
// (https://www.twilio.com/docs/messaging/api/message-resource#read-multiple-message-resources).
func (t *Twilio) serveList(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	size, err := strconv.Atoi(query.Get("PageSize"))
	if err != nil || size < 1 {
		size = 50
	}
	size = min(size, 1000)
	number, _ := strconv.Atoi(query.Get("Page"))
	match, refused := dateFilter(query)
	if refused != nil {
		refused.write(w)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*twilioMessage
	for _, m := range slices.Backward(t.messages) {
		if (query.Get("To") == "" || m.to == query.Get("To")) && (query.Get("From") == "" || m.from == query.Get("From")) && match(m) {
			all = append(all, m)
		}
	}
	// A page begins behind the message that the token names, so that what comes in
	// between moves nothing.
	start := 0
	if token, ok := strings.CutPrefix(query.Get("PageToken"), "PA"); ok {
		start = 1 + slices.IndexFunc(all, func(m *twilioMessage) bool { return m.sid == token })
	}
	end := min(start+size, len(all))
	answer := struct {
		Messages []wireTwilioMessage `json:"messages"`
		Next     *string             `json:"next_page_uri"`
		Page     int                 `json:"page"`
		PageSize int                 `json:"page_size"`
		URI      string              `json:"uri"`
	}{Messages: []wireTwilioMessage{}, Page: number, PageSize: size, URI: r.URL.RequestURI()}
	for _, m := range all[start:end] {
		answer.Messages = append(answer.Messages, t.wire(m))
	}
	if end < len(all) {
		query.Set("PageSize", strconv.Itoa(size))
		query.Set("Page", strconv.Itoa(number+1))
		query.Set("PageToken", "PA"+all[end-1].sid)
		next := r.URL.Path + "?" + query.Encode()
		answer.Next = &next
	}
	writeTwilio(w, http.StatusOK, answer)
}

// dateFilter reads DateSent, DateSent< and DateSent>, which are days in GMT.
func dateFilter(query url.Values) (func(*twilioMessage) bool, *twilioRefusal) {
	type bound struct {
		how string
		day string
	}
	var bounds []bound
	for _, name := range []string{"DateSent", "DateSent<", "DateSent>"} {
		value := query.Get(name)
		if value == "" {
			continue
		}
		day, err := time.Parse(time.DateOnly, value[:min(len(value), len(time.DateOnly))])
		if err != nil {
			return nil, twilioBad(20001, fmt.Sprintf("%s: %q is not a date", name, shorten(value)))
		}
		bounds = append(bounds, bound{strings.TrimPrefix(name, "DateSent"), day.Format(time.DateOnly)})
	}
	return func(m *twilioMessage) bool {
		day := m.sent.UTC().Format(time.DateOnly)
		for _, b := range bounds {
			switch {
			case m.sent.IsZero(), b.how == "" && day != b.day, b.how == "<" && day > b.day, b.how == ">" && day < b.day:
				return false
			}
		}
		return true
	}, nil
}

func (t *Twilio) serveMessage(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.bySID[strings.TrimSuffix(r.PathValue("message"), ".json")]
	if m == nil {
		notHere(r).write(w)
		return
	}
	writeTwilio(w, http.StatusOK, t.wire(m))
}
