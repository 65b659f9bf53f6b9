package sandbox

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// twilioPerson is somebody with a phone. Fields are guarded by the stand-in's mu.
type twilioPerson struct {
	name   string
	number string // as an address, without "whatsapp:"
	TwilioPersonOptions
}

// TwilioPersonOptions describe a person.
type TwilioPersonOptions struct {
	// Number is in E.164, a short code or a sender name; made up from the name when
	// empty.
	Number string
	// Profile is the name that WhatsApp shows.
	Profile string
	// Landline takes no messages, Unreachable is off, Blocked has blocked the
	// business on WhatsApp.
	Landline, Unreachable, Blocked bool
}

// TwilioPerson is somebody who writes to one sender. Its methods do what they would
// do on their phone. The values are small and may be copied.
type TwilioPerson struct {
	t      *Twilio
	p      *twilioPerson
	sender string
}

// Person finds somebody by name, or introduces them, in front of the account's
// first sender. The same name has the same number in every run with the same seed.
func (t *Twilio) Person(name string) TwilioPerson {
	return t.AddPerson(name, TwilioPersonOptions{})
}

// AddPerson introduces somebody. A name that is known already stays who it is.
func (t *Twilio) AddPerson(name string, o TwilioPersonOptions) TwilioPerson {
	name = strings.ToLower(strings.TrimSpace(name))
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.byName[name]
	if p == nil {
		if o.Number == "" {
			h := fnv.New64a()
			_, _ = fmt.Fprintf(h, "%d/%s", t.opts.Seed, name)
			// Mobile numbers of Germany.
			for n := h.Sum64(); o.Number == "" || t.people[o.Number] != nil; n++ {
				o.Number = "+491511" + strconv.FormatUint(1_000_000+n%9_000_000, 10)
			}
		}
		if o.Profile == "" {
			first, size := utf8.DecodeRuneInString(name)
			o.Profile = string(unicode.ToUpper(first)) + name[size:]
		}
		p = &twilioPerson{name: name, number: o.Number, TwilioPersonOptions: o}
		t.byName[name] = p
		t.people[o.Number] = p
	}
	return TwilioPerson{t: t, p: p, sender: t.senders[0].Address}
}

// stranger is a person known by number only; mu is held.
func (t *Twilio) stranger(number string) *twilioPerson {
	p := t.people[number]
	if p == nil {
		p = &twilioPerson{name: number, number: number, TwilioPersonOptions: TwilioPersonOptions{Number: number}}
		t.people[number] = p
		t.byName[number] = p
	}
	return p
}

// With is the same person in front of another sender.
func (a TwilioPerson) With(sender string) (TwilioPerson, error) {
	a.t.mu.Lock()
	defer a.t.mu.Unlock()
	for _, s := range a.t.senders {
		if s.Address == sender {
			a.sender = sender
			return a, nil
		}
	}
	return TwilioPerson{}, errors.New("sandbox: the account has no sender " + sender)
}

// WhatsApp is the same person in front of the account's first WhatsApp sender.
func (a TwilioPerson) WhatsApp() (TwilioPerson, error) {
	a.t.mu.Lock()
	defer a.t.mu.Unlock()
	for _, s := range a.t.senders {
		if on, _ := split(s.Address); on {
			a.sender = s.Address
			return a, nil
		}
	}
	return TwilioPerson{}, errors.New("sandbox: the account has no WhatsApp sender")
}

// Number is the person's number.
func (a TwilioPerson) Number() string { return a.p.number }

// Change changes what can be said about the person.
func (a TwilioPerson) Change(change func(*TwilioPersonOptions)) {
	a.t.mu.Lock()
	defer a.t.mu.Unlock()
	change(&a.p.TwilioPersonOptions)
	a.p.Number = a.p.number
}

// TwilioPost is something a person sends.
type TwilioPost struct {
	Text string
	// Files make it an MMS; WhatsApp sends one at a time.
	Files []File
	// Location is latitude and longitude, for WhatsApp.
	Location *[2]float64
	// Button is the label and the payload of a pressed quick reply, for WhatsApp.
	Button *[2]string
	// ReplyTo is the SID of the message answered, for WhatsApp.
	ReplyTo string
	// Forwarded marks it so, for WhatsApp.
	Forwarded bool
	// OptOutType is what Advanced Opt-Out says: STOP, START or HELP.
	OptOutType string
	// Extra are further parameters of the webhook, by Twilio's names.
	Extra url.Values
}

// Say writes a text and yields its SID.
func (a TwilioPerson) Say(text string) (string, error) { return a.Post(TwilioPost{Text: text}) }

// Post sends anything and yields its SID.
func (a TwilioPerson) Post(post TwilioPost) (string, error) {
	t := a.t
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.senders, func(s *twilioSender) bool { return s.Address == a.sender })
	whatsApp, _ := split(a.sender)
	switch {
	case i < 0:
		return "", errors.New("sandbox: the account has no sender " + a.sender)
	case strings.TrimSpace(post.Text) == "" && len(post.Files) == 0 && post.Location == nil && post.Button == nil:
		return "", errors.New("sandbox: nothing to say")
	case !whatsApp && (post.Location != nil || post.Button != nil || post.ReplyTo != ""):
		return "", errors.New("sandbox: SMS has text and files only")
	case whatsApp && len(post.Files) > 1:
		return "", errors.New("sandbox: WhatsApp sends one file at a time")
	case post.ReplyTo != "" && t.bySID[post.ReplyTo] == nil:
		return "", ErrNoMessage
	}
	now := t.opts.Now()
	from := a.p.number
	if whatsApp {
		from = "whatsapp:" + from
	}
	to, service := t.webhookOf(t.senders[i])
	m := &twilioMessage{
		sid: newSID("SM"), direction: "inbound", from: from, to: a.sender, body: post.Text, status: "received",
		service: service, created: now, sent: now, updated: now, person: a.p, answers: post.ReplyTo,
	}
	if post.Button != nil && m.body == "" {
		m.body = post.Button[0]
	}
	if len(post.Files) > 0 {
		m.sid = newSID("MM")
	}
	for _, f := range post.Files {
		m.media = append(m.media, t.store(f, m.sid).sid)
	}
	t.keep(m)
	th := t.thread(a.sender, a.p.number)
	th.lastInbound = now
	if !whatsApp {
		switch strings.ToUpper(strings.TrimSpace(post.Text)) {
		case "STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT":
			th.optedOut = true
		case "START", "YES", "UNSTOP":
			th.optedOut = false
		}
	}
	t.log.add(TwilioEntry{What: LogWrote, Sender: a.sender, Person: from, SID: m.sid, Text: m.body, Files: len(m.media)})
	t.deliver(m, to, t.inboundForm(m, post))
	return m.sid, nil
}

// inboundForm is what an inbound webhook says
// (https://www.twilio.com/docs/messaging/guides/webhook-request); mu is held.
func (t *Twilio) inboundForm(m *twilioMessage, post TwilioPost) url.Values {
	form := url.Values{
		"MessageSid": {m.sid}, "SmsSid": {m.sid}, "SmsMessageSid": {m.sid}, "AccountSid": {t.opts.Account}, "From": {m.from}, "To": {m.to},
		"Body": {m.body}, "NumMedia": {strconv.Itoa(len(m.media))}, "NumSegments": {"1"}, "SmsStatus": {"received"}, "ApiVersion": {"2010-04-01"},
	}
	if m.service != "" {
		form.Set("MessagingServiceSid", m.service)
	}
	for i, sid := range m.media {
		n := strconv.Itoa(i)
		form.Set("MediaUrl"+n, t.base+"/2010-04-01/Accounts/"+t.opts.Account+"/Messages/"+m.sid+"/Media/"+sid)
		form.Set("MediaContentType"+n, t.media[sid].MIME)
	}
	if whatsApp, number := split(m.from); whatsApp {
		form.Set("ProfileName", m.person.Profile)
		form.Set("WaId", strings.TrimPrefix(number, "+"))
		form.Set("MessageType", "text")
		form.Set("ChannelMetadata", `{"type":"whatsapp","data":{"context":{"ProfileName":"`+url.PathEscape(m.person.Profile)+`"}}}`)
		if len(m.media) > 0 {
			form.Set("MessageType", whatsAppType(t.media[m.media[0]].MIME))
		}
	} else {
		form.Set("ToCountry", "US")
		form.Set("FromCountry", "DE")
	}
	if post.Location != nil {
		form.Set("MessageType", "location")
		form.Set("Latitude", strconv.FormatFloat(post.Location[0], 'f', -1, 64))
		form.Set("Longitude", strconv.FormatFloat(post.Location[1], 'f', -1, 64))
	}
	if post.Button != nil {
		form.Set("MessageType", "button")
		form.Set("ButtonText", post.Button[0])
		form.Set("ButtonPayload", post.Button[1])
	}
	if post.ReplyTo != "" {
		form.Set("OriginalRepliedMessageSid", post.ReplyTo)
		form.Set("OriginalRepliedMessageSender", m.to)
	}
	if post.Forwarded {
		form.Set("Forwarded", "true")
	}
	if post.OptOutType != "" {
		form.Set("OptOutType", post.OptOutType)
	}
	for name, values := range post.Extra {
		form[name] = slices.Clone(values)
	}
	return form
}

func whatsAppType(kind string) string {
	for _, known := range []string{"image", "audio", "video"} {
		if strings.HasPrefix(kind, known+"/") {
			return known
		}
	}
	return "document"
}

// Read reads everything on WhatsApp that came to the person so far.
func (a TwilioPerson) Read() error {
	if whatsApp, _ := split(a.sender); !whatsApp {
		return errors.New("sandbox: SMS tells nobody what was read")
	}
	a.t.mu.Lock()
	var unread []*twilioMessage
	for _, m := range a.t.thread(a.sender, a.p.number).messages {
		if m.direction != "inbound" && m.status == "delivered" {
			unread = append(unread, m)
		}
	}
	a.t.mu.Unlock()
	for _, m := range unread {
		a.t.step(m, "read", 0)
	}
	return nil
}

// TwilioPhoneMessage is a message as it shows on a person's phone.
type TwilioPhoneMessage struct {
	SID  string    `json:"sid"`
	Time time.Time `json:"time"`
	// FromBusiness is false for the person's own messages.
	FromBusiness bool   `json:"from_business"`
	Text         string `json:"text,omitempty"`
	// Files are the addresses of files that the business sent, names of one's own.
	Files   []string `json:"files,omitempty"`
	ReplyTo string   `json:"reply_to,omitempty"`
	Status  string   `json:"status"`
}

// Phone is what the person sees of their conversation with the sender, oldest
// first: what did not arrive does not show.
func (a TwilioPerson) Phone() []TwilioPhoneMessage {
	a.t.mu.Lock()
	defer a.t.mu.Unlock()
	out := []TwilioPhoneMessage{}
	for _, m := range a.t.thread(a.sender, a.p.number).messages {
		business := m.direction != "inbound"
		if business && (m.status == "failed" || m.status == "undelivered") {
			continue
		}
		shown := TwilioPhoneMessage{SID: m.sid, Time: m.created, FromBusiness: business, Text: m.body, Files: slices.Clone(m.urls), ReplyTo: m.answers, Status: m.status}
		for _, sid := range m.media {
			shown.Files = append(shown.Files, a.t.media[sid].Name)
		}
		out = append(out, shown)
	}
	return out
}
