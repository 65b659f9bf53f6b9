package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
)

func (t *Twilio) serveAccount(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.PathValue("account"), ".json") {
		notHere(r).write(w)
		return
	}
	writeTwilio(w, http.StatusOK, map[string]any{
		"sid": t.opts.Account, "friendly_name": "Sandbox", "status": "active", "type": "Full",
		"uri": "/2010-04-01/Accounts/" + t.opts.Account + ".json",
	})
}

func (t *Twilio) serveBalance(w http.ResponseWriter, _ *http.Request) {
	writeTwilio(w, http.StatusOK, map[string]string{"account_sid": t.opts.Account, "balance": "12.34", "currency": "USD"})
}

// serveNumbers lists numbers, or short codes.
func (t *Twilio) serveNumbers(w http.ResponseWriter, r *http.Request) {
	codes := strings.Contains(r.URL.Path, "ShortCodes")
	filter, list, shape := "PhoneNumber", "incoming_phone_numbers", twilioNumber
	if codes {
		filter, list, shape = "ShortCode", "short_codes", twilioCode
	}
	wanted := r.URL.Query().Get(filter)
	t.mu.Lock()
	defer t.mu.Unlock()
	found := []map[string]any{}
	for _, s := range t.senders {
		if shape.MatchString(s.Address) && (wanted == "" || s.Address == wanted) {
			found = append(found, map[string]any{
				"sid": s.sid, "account_sid": t.opts.Account, "friendly_name": s.Address, "phone_number": s.Address, "sms_url": s.Webhook, "sms_method": "POST",
			})
		}
	}
	writeTwilio(w, http.StatusOK, map[string]any{list: found, "page": 0, "page_size": 50, "next_page_uri": nil, "uri": r.URL.RequestURI()})
}

func (t *Twilio) serveSetNumber(w http.ResponseWriter, r *http.Request) {
	sid := strings.TrimSuffix(r.PathValue("number"), ".json")
	r.Body = http.MaxBytesReader(w, r.Body, maxTwilioForm)
	if err := r.ParseForm(); err != nil {
		twilioBad(20001, "the request cannot be read").write(w)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.senders {
		if s.sid != sid {
			continue
		}
		if to, given := r.PostForm["SmsUrl"]; given {
			if to[0] != "" && !isHTTP(to[0]) {
				twilioBad(21502, "SmsUrl is not valid: "+shorten(to[0])).write(w)
				return
			}
			s.Webhook = to[0]
			t.log.add(TwilioEntry{What: LogCalled, Sender: s.Address, Status: "webhook"})
		}
		writeTwilio(w, http.StatusOK, map[string]any{"sid": s.sid, "friendly_name": s.Address, "phone_number": s.Address, "sms_url": s.Webhook, "sms_method": "POST"})
		return
	}
	notHere(r).write(w)
}

func (s *twilioService) resource(sid string) map[string]any {
	return map[string]any{
		"sid": sid, "friendly_name": s.Name, "inbound_request_url": s.Webhook, "inbound_method": "POST", "use_inbound_webhook_on_number": s.onNumber,
	}
}

func (t *Twilio) serveService(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sid := r.PathValue("service")
	if t.services[sid] == nil {
		notHere(r).write(w)
		return
	}
	writeTwilio(w, http.StatusOK, t.services[sid].resource(sid))
}

func (t *Twilio) serveSetService(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxTwilioForm)
	if err := r.ParseForm(); err != nil {
		twilioBad(20001, "the request cannot be read").write(w)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	sid := r.PathValue("service")
	s := t.services[sid]
	if s == nil {
		notHere(r).write(w)
		return
	}
	if to, given := r.PostForm["InboundRequestUrl"]; given {
		s.Webhook = to[0]
		t.log.add(TwilioEntry{What: LogCalled, Sender: sid, Status: "webhook"})
	}
	if own := r.PostForm.Get("UseInboundWebhookOnNumber"); own != "" {
		s.onNumber = own == "true"
	}
	writeTwilio(w, http.StatusOK, s.resource(sid))
}

func (s *twilioSender) resource() map[string]any {
	return map[string]any{
		"sid": s.sid, "sender_id": s.Address, "status": "ONLINE",
		"webhook": map[string]any{"callback_url": s.Webhook, "callback_method": "POST"},
	}
}

// serveSenders lists WhatsApp senders
// (https://www.twilio.com/docs/whatsapp/api/senders), one a page.
func (t *Twilio) serveSenders(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*twilioSender
	for _, s := range t.senders {
		if on, _ := split(s.Address); on && !s.Unlisted {
			all = append(all, s)
		}
	}
	token := r.URL.Query().Get("PageToken")
	list, next := []map[string]any{}, any(nil)
	for i, s := range all {
		if token != "" && token != s.sid {
			continue
		}
		list = append(list, s.resource())
		if i+1 < len(all) {
			next = t.base + "/v2/Channels/Senders?Channel=whatsapp&PageSize=1&PageToken=" + all[i+1].sid
		}
		break
	}
	writeTwilio(w, http.StatusOK, map[string]any{"senders": list, "meta": map[string]any{"key": "senders", "page": 0, "page_size": 1, "next_page_url": next}})
}

func (t *Twilio) serveSetSender(w http.ResponseWriter, r *http.Request) {
	var change struct {
		Webhook struct {
			URL string `json:"callback_url"`
		} `json:"webhook"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxTwilioForm)).Decode(&change); err != nil {
		twilioBad(20001, "the request cannot be read").write(w)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.senders {
		if s.sid == r.PathValue("sender") {
			s.Webhook = change.Webhook.URL
			t.log.add(TwilioEntry{What: LogCalled, Sender: s.Address, Status: "webhook"})
			writeTwilio(w, http.StatusAccepted, s.resource())
			return
		}
	}
	notHere(r).write(w)
}
