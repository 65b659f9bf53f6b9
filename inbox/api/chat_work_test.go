package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"parley/inbox"
	"parley/inbox/api"
	"parley/store"
)

func TestInboxWork(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	me, chat := w.a.session, fmt.Sprintf("/api/v1/chats/%d", w.a.chat)
	listed := func(query string) int {
		t.Helper()
		var page api.List[inbox.Chat]
		w.ask(me, "GET", "/api/v1/chats?"+query, "", 200, &page)
		return len(page.Items)
	}
	var c inbox.Chat
	w.ask(me, "GET", chat, "", 200, &c)
	if c.Status != inbox.ChatOpen || len(c.Labels) != 1 || c.Labels[0].Name != "urgent" || c.LastDirection != inbox.Out || c.LastTransport != "telegram" {
		t.Errorf("chat is %+v", c)
	}
	w.ask(me, "PUT", chat+"/assignment", fmt.Sprintf(`{"user":%d,"team":%d,"free":true}`, w.a.owner.ID, w.a.team), 200, &c)
	if c.Assignee == nil || c.Assignee.Name != "Ann" || c.Team == nil || c.Team.Name != "Sales" {
		t.Errorf("chat is %+v", c)
	}
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	w.ask(me, "PUT", chat+"/status", `{"status":"snoozed","until":"`+until+`"}`, 200, &c)
	for query, want := range map[string]int{
		"assignee=me": 1, "assignee=none": 0, fmt.Sprint("assignee=", w.a.owner.ID): 1, fmt.Sprint("team=", w.a.team): 1, "": 1,
		"status=open": 0, "status=snoozed": 1, "unread=true": 0, fmt.Sprint("label=", w.a.label): 1, "transport=telegram": 1, "transport=sms": 0,
		"assignee=me&status=snoozed&transport=telegram": 1, "assignee=4711": 0,
	} {
		if got := listed(query); got != want {
			t.Errorf("%s lists %d, want %d", query, got, want)
		}
	}
	w.ask(me, "GET", "/api/v1/chats?assignee=her", "", 422, nil)
	w.ask(me, "PUT", chat+"/status", `{"status":"open"}`, 200, nil)
	var marked struct{ Messages int64 }
	w.ask(me, "POST", chat+"/unread", `{"seq":1}`, 200, &marked)
	var counts inbox.ChatCounts
	w.ask(me, "GET", "/api/v1/chats/counts", "", 200, &counts)
	one := inbox.ChatCount{Chats: 1, Unread: 1}
	if marked.Messages != 1 || counts.Open != one || counts.Mine != one || len(counts.Teams) != 1 || counts.Teams[0].ChatCount != one || counts.Snoozed.Chats != 0 {
		t.Errorf("marked %d, counts are %+v", marked.Messages, counts)
	}

	// A note is its writer's; an agent's token may not change the owner's.
	w.ask(w.a.tokenSecret, "PATCH", fmt.Sprintf("/api/v1/notes/%d", w.a.note), `{"text":"x"}`, 403, nil)
	var note inbox.Note
	w.ask(w.a.tokenSecret, "POST", chat+"/notes", `{"text":"From the bot"}`, 201, &note)
	if note.User == nil || note.User.Name != "bot" || note.AfterSeq != 2 {
		t.Errorf("note is %+v", note)
	}
	w.ask(me, "DELETE", fmt.Sprintf("/api/v1/notes/%d", note.ID), "", 200, nil)
	var notes api.List[inbox.Note]
	w.ask(me, "GET", chat+"/notes", "", 200, &notes)
	if len(notes.Items) != 1 || notes.Items[0].Text != "Pays late." {
		t.Errorf("notes are %+v", notes)
	}

	// Drafts are one's own.
	var draft inbox.Draft
	w.ask(me, "PUT", chat+"/draft", `{"text":"We are"}`, 200, &draft)
	if draft.Text != "We are" {
		t.Errorf("draft is %+v", draft)
	}
	w.ask(w.a.tokenSecret, "GET", chat+"/draft", "", 200, &draft)
	if draft.Text != "" {
		t.Errorf("the token sees %+v", draft)
	}
}

func TestClientsByAPI(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	me := w.a.session
	var ada inbox.ClientCard
	body := `{"first_name":" Ada ","last_name":"Lovelace","phone":"030 1234567","country":"DE","email":"Ada@Example.COM",
		"contacts":[{"type":"telegram","value":"https://t.me/ada_l"},{"type":"whatsapp","value":"+44 20 7946 0018"}]}`
	w.ask(me, "POST", "/api/v1/clients", body, 201, &ada, "Idempotency-Key", "a")
	if ada.FirstName != "Ada" || ada.Phone != "+49301234567" || ada.Email != "Ada@example.com" || len(ada.Contacts) != 2 ||
		ada.Contacts[0].Value != "@ada_l" || ada.Contacts[1].Value != "+442079460018" {
		t.Errorf("client is %+v", ada)
	}
	path := fmt.Sprintf("/api/v1/clients/%d", ada.ID)
	tag := w.ask(me, "GET", path, "", 200, nil).Header.Get("ETag")
	w.ask(me, "PATCH", path, `{"comments":"Counts."}`, 428, nil, "If-Match", "")
	w.ask(me, "PATCH", path, `{"comments":"Counts."}`, 200, nil, "If-Match", tag)
	var p struct {
		api.Problem
		Data inbox.ClientCard `json:"data"`
	}
	w.ask(me, "PATCH", path, `{"comments":"Lost."}`, 412, &p, "If-Match", tag)
	if p.Code != inbox.Changed || p.Data.Comments != "Counts." {
		t.Errorf("problem is %+v", p)
	}
	w.ask(me, "PATCH", path, `{"last_name":""}`, 200, &ada, "If-Match", "*")
	if ada.Comments != "Counts." {
		t.Errorf("client is %+v", ada)
	}
	var found api.List[inbox.Client]
	for _, search := range []string{"@ada_l", "%2B442079460018"} {
		w.ask(me, "GET", "/api/v1/clients?search="+search, "", 200, &found)
		if len(found.Items) != 1 || found.Items[0].ID != ada.ID {
			t.Errorf("%s finds %+v", search, found)
		}
	}
	var taken struct {
		Data store.OtherClient `json:"data"`
	}
	w.ask(me, "POST", "/api/v1/clients", `{"first_name":"Eve","contacts":[{"type":"phone","value":"+442079460018"}]}`, 409, &taken)
	if taken.Data.Client != ada.ID {
		t.Errorf("taken by %+v", taken)
	}
	for body, says := range map[string]string{
		`{"type":"phone","value":"12"}`:         "phone number",
		`{"type":"email","value":"ada"}`:        "mail address",
		`{"type":"telegram","value":"@a b"}`:    "Telegram user",
		`{"type":"pigeon","value":"x"}`:         "type",
		`{"type":"other","value":" "}`:          "text of at most",
		`{"type":"telegram","value":"@123456"}`: "Telegram user",
	} {
		if res := w.ask(me, "POST", path+"/contacts", body, 422, nil); !strings.Contains(res.body, says) {
			t.Errorf("%s: %s", body, res.body)
		}
	}
	for body, says := range map[string]string{
		`{"first_name":" "}`:                                    "first name",
		`{"first_name":"X","date_of_birth":"2990-01-01"}`:       "no day that has been",
		`{"first_name":"X","phone":"030 1234567"}`:              "country",
		`{"first_name":"X","email":"` + "a b" + `"}`:            "mail address",
		`{"first_name":"X","contacts":[{"type":"email"}]}`:      "value",
		`{"first_name":"X","pin":"` + `123456789012345678901"}`: "pin",
	} {
		if res := w.ask(me, "POST", "/api/v1/clients", body, 422, nil); !strings.Contains(res.body, says) {
			t.Errorf("%s: %s", body, res.body)
		}
	}
	contact := fmt.Sprintf("%s/contacts/%d", path, ada.Contacts[0].ID)
	read := w.ask(me, "GET", path, "", 200, nil).Header.Get("ETag")
	w.ask(me, "PUT", contact, `{"type":"telegram","value":"123456"}`, 428, nil, "If-Match", "")
	w.ask(me, "PUT", contact, `{"type":"telegram","value":"123456"}`, 200, &ada, "If-Match", read)
	w.ask(me, "PUT", contact, `{"type":"telegram","value":"654321"}`, 412, nil, "If-Match", read)
	w.ask(me, "DELETE", contact, "", 200, &ada)
	if len(ada.Contacts) != 1 {
		t.Errorf("client is %+v", ada)
	}
	w.ask(me, "DELETE", path, "", 422, nil)
	w.ask(w.a.tokenSecret, "DELETE", fmt.Sprintf("%s?confirm=%d", path, ada.ID), "", 403, nil)
	w.ask(me, "DELETE", fmt.Sprintf("%s?confirm=%d", path, ada.ID), "", 200, nil)
	w.ask(me, "GET", path, "", 404, nil)
}
