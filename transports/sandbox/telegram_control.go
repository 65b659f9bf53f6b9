package sandbox

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxControl bounds the body of a control request in bytes; files travel in it
// as base64.
const maxControl = 32 << 20

// controlMux serves /sandbox/:
//
//	POST /sandbox/telegram/say       {"from":"anna","text":"hi","reply_to":7,"bot":"token"} → {"message_id":8}
//	POST /sandbox/telegram/file      {"from","kind","name","mime","content"(base64),"text"}  → {"message_id"}
//	POST /sandbox/telegram/location  {"from","latitude","longitude"}                         → {"message_id"}
//	POST /sandbox/telegram/contact   {"from"} shares one's own, with "phone" and "name" another's
//	POST /sandbox/telegram/edit      {"from","message_id","text"}
//	POST /sandbox/telegram/react     {"from","message_id","emoji":["👍"]}
//	POST /sandbox/telegram/press     {"from","message_id","data"}
//	POST /sandbox/telegram/block     {"from"}, and unblock
//	POST /sandbox/telegram/update    any update, verbatim
//	GET  /sandbox/telegram/phone?who=anna  → [PhoneMessage]
//	GET  /sandbox/people                   → [{"name","id",…}]
//	GET  /sandbox/faults, POST /sandbox/faults   TelegramFaults
//	GET  /sandbox/log?after=7              → TelegramEntry, one JSON object per line
func (t *Telegram) controlMux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sandbox/telegram/{action}", t.controlAction)
	mux.HandleFunc("GET /sandbox/telegram/phone", t.controlPhone)
	mux.HandleFunc("GET /sandbox/people", t.controlPeople)
	mux.HandleFunc("GET /sandbox/faults", func(w http.ResponseWriter, _ *http.Request) { reply(w, t.Faults()) })
	mux.HandleFunc("POST /sandbox/faults", t.controlFaults)
	mux.HandleFunc("GET /sandbox/log", t.controlLog)
	return mux
}

// controlRequest is what any action takes.
type controlRequest struct {
	From      string   `json:"from"`
	Bot       string   `json:"bot"`
	Text      string   `json:"text"`
	ReplyTo   int64    `json:"reply_to"`
	MessageID int64    `json:"message_id"`
	Emoji     []string `json:"emoji"`
	Data      string   `json:"data"`
	Kind      string   `json:"kind"`
	Name      string   `json:"name"`
	MIME      string   `json:"mime"`
	Content   []byte   `json:"content"`
	Group     string   `json:"group"`
	Phone     string   `json:"phone"`
	Latitude  float64  `json:"latitude"`
	Longitude float64  `json:"longitude"`
}

func (t *Telegram) controlAction(w http.ResponseWriter, r *http.Request) {
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControl))
	action := r.PathValue("action")
	if action == "update" {
		var raw json.RawMessage
		if err := body.Decode(&raw); err != nil {
			refuse(w, err)
			return
		}
		t.Inject(raw)
		reply(w, map[string]bool{"ok": true})
		return
	}
	var req controlRequest
	if err := body.Decode(&req); err != nil {
		refuse(w, err)
		return
	}
	who, err := t.who(req.From, req.Bot)
	if err != nil {
		refuse(w, err)
		return
	}
	id, err := who.act(action, req)
	switch {
	case errors.Is(err, errNoAction):
		http.NotFound(w, r)
	case err != nil:
		refuse(w, err)
	case id != 0:
		reply(w, map[string]int64{"message_id": id})
	default:
		reply(w, map[string]bool{"ok": true})
	}
}

var errNoAction = errors.New("sandbox: no such action")

func (a Person) act(action string, req controlRequest) (messageID int64, err error) {
	post := Post{Text: req.Text, ReplyTo: req.ReplyTo, Group: req.Group}
	switch action {
	case "say":
	case "file":
		post.Kind = req.Kind
		post.File = &File{Name: req.Name, MIME: req.MIME, Content: req.Content}
	case "location":
		post.Location = &[2]float64{req.Latitude, req.Longitude}
	case "contact":
		post.OwnContact = req.Phone == ""
		post.Contact = &[2]string{req.Phone, req.Name}
	case "edit":
		return 0, a.Edit(req.MessageID, req.Text)
	case "react":
		return 0, a.React(req.MessageID, req.Emoji...)
	case "press":
		return 0, a.Press(req.MessageID, req.Data)
	case "block":
		return 0, a.Block()
	case "unblock":
		return 0, a.Unblock()
	default:
		return 0, errNoAction
	}
	return a.Post(post)
}

func (t *Telegram) who(name, token string) (Person, error) {
	if strings.TrimSpace(name) == "" {
		return Person{}, errors.New("sandbox: say who")
	}
	who := t.Person(name)
	if token == "" {
		return who, nil
	}
	return who.With(token)
}

func (t *Telegram) controlPhone(w http.ResponseWriter, r *http.Request) {
	who, err := t.who(r.URL.Query().Get("who"), r.URL.Query().Get("bot"))
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, who.Phone())
}

func (t *Telegram) controlPeople(w http.ResponseWriter, _ *http.Request) {
	type shown struct {
		Name string `json:"name"`
		wireUser
		Phone string `json:"phone,omitempty"`
	}
	t.peopleMu.RLock()
	people := make([]shown, 0, len(t.people))
	for _, p := range t.people {
		people = append(people, shown{Name: p.name, wireUser: p.user, Phone: p.phone})
	}
	t.peopleMu.RUnlock()
	slices.SortFunc(people, func(a, b shown) int { return strings.Compare(a.Name, b.Name) })
	reply(w, people)
}

func (t *Telegram) controlFaults(w http.ResponseWriter, r *http.Request) {
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControl))
	body.DisallowUnknownFields() // a fault misspelt would not strike
	var f TelegramFaults
	err := body.Decode(&f)
	if err == nil {
		err = f.check()
	}
	if err != nil {
		refuse(w, err)
		return
	}
	t.SetFaults(f)
	reply(w, t.Faults())
}

func (t *Telegram) controlLog(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	w.Header().Set("Content-Type", "application/jsonl")
	out := json.NewEncoder(w)
	for _, e := range t.Log(after) {
		if out.Encode(e) != nil {
			return
		}
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}
