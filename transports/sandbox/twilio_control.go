package sandbox

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// controlMux serves /sandbox/. Network is "sms" (the default) or "whatsapp", and
// stands for the account's first sender there; sender names another.
//
//	POST /sandbox/twilio/say       {"from":"anna","text":"hi","network":"whatsapp","reply_to":"SM…"} → {"sid":"SM…"}
//	POST /sandbox/twilio/file      {"from","name","mime","content"(base64),"text"}                   → {"sid"}
//	POST /sandbox/twilio/location  {"from","latitude","longitude"}                                   → {"sid"}
//	POST /sandbox/twilio/press     {"from","text","data"}                                            → {"sid"}
//	POST /sandbox/twilio/read      {"from"} reads all that came on WhatsApp
//	POST /sandbox/twilio/block     {"from"}, and unblock
//	GET  /sandbox/twilio/phone?who=anna&network=sms  → [TwilioPhoneMessage]
//	GET  /sandbox/people                   → [{"name","number"}]
//	GET  /sandbox/faults, POST /sandbox/faults   TwilioFaults
//	GET  /sandbox/log?after=7              → TwilioEntry, one JSON object per line
//
// "extra" of any of them holds further parameters of the webhook.
func (t *Twilio) controlMux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sandbox/twilio/{action}", t.controlAction)
	mux.HandleFunc("GET /sandbox/twilio/phone", t.controlPhone)
	mux.HandleFunc("GET /sandbox/people", t.controlPeople)
	handleFaults(mux, t.Faults, t.SetFaults)
	handleLog(mux, t.Log)
	return mux
}

// twilioControl is what any action takes.
type twilioControl struct {
	From      string            `json:"from"`
	Network   string            `json:"network"`
	Sender    string            `json:"sender"`
	Text      string            `json:"text"`
	ReplyTo   string            `json:"reply_to"`
	Data      string            `json:"data"`
	Name      string            `json:"name"`
	MIME      string            `json:"mime"`
	Content   []byte            `json:"content"`
	Latitude  float64           `json:"latitude"`
	Longitude float64           `json:"longitude"`
	Extra     map[string]string `json:"extra"`
}

func (t *Twilio) controlAction(w http.ResponseWriter, r *http.Request) {
	var req twilioControl
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControl)).Decode(&req); err != nil {
		refuse(w, err)
		return
	}
	who, err := t.who(req.From, req.Network, req.Sender)
	if err != nil {
		refuse(w, err)
		return
	}
	sid, err := who.act(r.PathValue("action"), req)
	switch {
	case errors.Is(err, errNoAction):
		http.NotFound(w, r)
	case err != nil:
		refuse(w, err)
	case sid != "":
		reply(w, map[string]string{"sid": sid})
	default:
		reply(w, map[string]bool{"ok": true})
	}
}

func (a TwilioPerson) act(action string, req twilioControl) (sid string, err error) {
	post := TwilioPost{Text: req.Text, ReplyTo: req.ReplyTo, Extra: url.Values{}}
	for name, value := range req.Extra {
		post.Extra.Set(name, value)
	}
	switch action {
	case "say":
	case "file":
		post.Files = []File{{Name: req.Name, MIME: req.MIME, Content: req.Content}}
	case "location":
		post.Location = &[2]float64{req.Latitude, req.Longitude}
	case "press":
		post.Button = &[2]string{req.Text, req.Data}
	case "read":
		return "", a.Read()
	case "block", "unblock":
		a.Change(func(o *TwilioPersonOptions) { o.Blocked = action == "block" })
		return "", nil
	default:
		return "", errNoAction
	}
	return a.Post(post)
}

func (t *Twilio) who(name, network, sender string) (TwilioPerson, error) {
	if strings.TrimSpace(name) == "" {
		return TwilioPerson{}, errors.New("sandbox: say who")
	}
	who := t.Person(name)
	switch {
	case sender != "":
		return who.With(sender)
	case network == "whatsapp":
		return who.WhatsApp()
	case network != "" && network != "sms":
		return TwilioPerson{}, errors.New(`sandbox: the network is "sms" or "whatsapp"`)
	}
	return who, nil
}

func (t *Twilio) controlPhone(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	who, err := t.who(query.Get("who"), query.Get("network"), query.Get("sender"))
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, who.Phone())
}

func (t *Twilio) controlPeople(w http.ResponseWriter, _ *http.Request) {
	type shown struct {
		Name   string `json:"name"`
		Number string `json:"number"`
	}
	t.mu.Lock()
	people := make([]shown, 0, len(t.people))
	for _, p := range t.people {
		people = append(people, shown{p.name, p.number})
	}
	t.mu.Unlock()
	slices.SortFunc(people, func(a, b shown) int { return strings.Compare(a.Name, b.Name) })
	reply(w, people)
}
