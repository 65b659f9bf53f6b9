package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// controlMux serves /sandbox/. Who is a name ("anna" has anna@people.example) or
// an address.
//
//	POST /sandbox/mail/say        {"from":"anna","subject":"Order 7","text":"hi"} → {"message_id":"…"}
//	GET  /sandbox/mail/phone?who=anna  → [MailPhoneMessage]
//	GET  /sandbox/people          → [{"name","address"}]
//	GET  /sandbox/faults, POST /sandbox/faults   MailFaults
//
// Without a subject one answers the last mail that came from the business.
func (m *Mail) controlMux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sandbox/mail/say", m.controlSay)
	mux.HandleFunc("GET /sandbox/mail/phone", m.controlPhone)
	mux.HandleFunc("GET /sandbox/people", m.controlPeople)
	handleFaults(mux, m.Faults, m.SetFaults)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !FromLoopback(r) {
			http.NotFound(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (m *Mail) controlSay(w http.ResponseWriter, r *http.Request) {
	var req struct{ From, Subject, Text string }
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControl)).Decode(&req)
	if err != nil {
		refuse(w, err)
		return
	}
	who, err := m.Person(req.From)
	if err != nil {
		refuse(w, err)
		return
	}
	id, err := who.Write(req.Subject, req.Text)
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, map[string]string{"message_id": id})
}

func (m *Mail) controlPhone(w http.ResponseWriter, r *http.Request) {
	who, err := m.Person(r.URL.Query().Get("who"))
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, who.Phone())
}

func (m *Mail) controlPeople(w http.ResponseWriter, _ *http.Request) {
	type shown struct {
		Name    string `json:"name"`
		Address string `json:"address"`
	}
	m.mu.Lock()
	people := make([]shown, 0, len(m.people))
	for address, name := range m.people {
		people = append(people, shown{name, address})
	}
	m.mu.Unlock()
	slices.SortFunc(people, func(a, b shown) int { return strings.Compare(a.Address, b.Address) })
	reply(w, people)
}
