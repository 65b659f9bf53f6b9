package sandbox

import (
	"errors"
	"net/http"
	"slices"
	"strings"
)

// controlMux serves /sandbox/:
//
//	POST /sandbox/telegram/say       {"from":"anna","text":"hi","reply_to":7,"bot":"token"} → {"message_id":8}
//	POST /sandbox/telegram/file      {"from","kind","name","mime","content"(base64),"text"}  → {"message_id"}
//	POST /sandbox/telegram/album     {"from","text","files":[{"kind","name","mime","content"},…]} → {"message_ids":[8,9]}
//	POST /sandbox/telegram/location  {"from","latitude","longitude"}; live for "live" seconds, a venue with "title" and "address"
//	POST /sandbox/telegram/move      {"from","message_id","latitude","longitude","live":0 to stop}
//	POST /sandbox/telegram/contact   {"from"} shares one's own, with "phone" and "name" another's
//	POST /sandbox/telegram/poll      {"from","poll":["question","answer",…]}
//	POST /sandbox/telegram/dice      {"from","text":"🎲"}
//	POST /sandbox/telegram/story     {"from","message_id":the story's}
//	POST /sandbox/telegram/edit      {"from","message_id","text"}
//	POST /sandbox/telegram/editfile  {"from","message_id","kind","name","mime","content"}
//	POST /sandbox/telegram/react     {"from","message_id","emoji":["👍"]}
//	POST /sandbox/telegram/press     {"from","message_id","data"}
//	POST /sandbox/telegram/block     {"from"}, and unblock
//	POST /sandbox/telegram/migrate   {"from","message_id":the new chat id}
//	POST /sandbox/telegram/update    any update, verbatim
//	POST /sandbox/telegram/connect   {"from":"olga","read_only":false} connects her account to the bot → {"connection":"…"}
//	POST /sandbox/telegram/rights    {"connection","read_only"}, and disconnect {"connection"}
//	POST /sandbox/telegram/delete    {"from","connection","message_ids":[8]}
//	GET  /sandbox/telegram/phone?who=anna&connection=…  → [PhoneMessage]
//	GET  /sandbox/people                   → [{"name","id",…}]
//	GET  /sandbox/faults, POST /sandbox/faults   TelegramFaults
//	GET  /sandbox/log?after=7              → TelegramEntry, one JSON object per line
//
// Whatever a person posts can have "reply_to", "quote", "forward_from", "topic"
// and "marks". With "connection" they write to that business account instead of
// the bot; with "owner":true its owner writes to them.
func (t *Telegram) controlMux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sandbox/telegram/{action}", t.controlAction)
	mux.HandleFunc("GET /sandbox/telegram/phone", t.controlPhone)
	mux.HandleFunc("POST /sandbox/telegram/connect", t.controlConnect)
	mux.HandleFunc("POST /sandbox/telegram/rights", t.controlRights)
	mux.HandleFunc("POST /sandbox/telegram/disconnect", t.controlDisconnect)
	mux.HandleFunc("GET /sandbox/people", t.controlPeople)
	handleFaults(mux, t.Faults, t.SetFaults)
	handleLog(mux, t.Log)
	return mux
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
	if connection := r.URL.Query().Get("connection"); err == nil && connection != "" {
		var b BusinessAccount
		b, err = t.business(connection)
		if err == nil {
			who = who.At(b)
		}
	}
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
