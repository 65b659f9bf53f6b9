package api_test

import (
	"strings"
	"testing"
	"time"

	"parley/inbox"
	"parley/inbox/api"
	"parley/inbox/desk"
	"parley/store"
)

func TestTemplatesAreWrittenReadAndUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says(1, "hello")
	var m, again inbox.MessageTemplate
	const body = `{"name":"Shipped","text":"Hello {{first_name|there}}, {{order}} left. {{business}}"}`
	w.do("POST", "/api/v1/templates", body, 201, &m, "Idempotency-Key", "k")
	w.do("POST", "/api/v1/templates", body, 201, &again, "Idempotency-Key", "k")
	if m.ID != again.ID || len(m.Variables) != 3 || m.Variables[1].From != "asked" {
		t.Errorf("made %+v and %+v", m, again)
	}
	var problem api.Problem
	w.do("POST", "/api/v1/templates", `{"name":"Bad","text":"Hello {{first name}}"}`, 422, &problem)
	if !strings.Contains(problem.Detail, "{{first name}}") || problem.Hint == "" {
		t.Errorf("it is refused with %+v", problem)
	}
	w.do("PATCH", "/api/v1/templates/1", `{"text":"Hi {{first_name|there}}, {{order}} left. {{business}}"}`, 200, &m, "If-Match", `"1"`)
	w.do("PATCH", "/api/v1/templates/1", `{"text":"lost"}`, 412, &problem, "If-Match", `"1"`)
	if problem.Code != inbox.Changed {
		t.Errorf("code %s", problem.Code)
	}
	w.do("PATCH", "/api/v1/templates/1", `{"text":"lost"}`, 422, &problem, "If-Match", `"x"`)

	var p desk.Preview
	w.do("POST", "/api/v1/chats/1/preview", `{"template_id":1}`, 200, &p)
	if p.Text != "Hi Client 1, {{order}} left. Acme" || len(p.Missing) != 1 || p.Missing[0] != "order" || len(p.Routes) != 1 || p.Routes[0].SentAs != "text" {
		t.Errorf("preview is %+v", p)
	}
	w.do("POST", "/api/v1/chats/1/messages", `{"template_id":1,"seen":1}`, 422, &problem)
	if !strings.Contains(problem.Detail, "order") || problem.Data == nil {
		t.Errorf("it is refused with %+v", problem)
	}
	w.do("POST", "/api/v1/chats/1/messages", `{"template_id":1,"text":"and mine","seen":1}`, 422, &problem)
	var sent inbox.Message
	w.do("POST", "/api/v1/chats/1/messages", `{"template_id":1,"variables":{"order":"17"},"seen":1}`, 201, &sent)
	if sent.Text != "Hi Client 1, 17 left. Acme" {
		t.Errorf("sent %+v", sent)
	}
	w.do("DELETE", "/api/v1/templates/1", "", 412, &problem, "If-Match", `"1"`)
	w.do("DELETE", "/api/v1/templates/1", "", 200, nil, "If-Match", `"2"`)
	w.do("GET", "/api/v1/templates/1", "", 404, &problem)
	var list api.List[inbox.MessageTemplate]
	w.do("GET", "/api/v1/templates", "", 200, &list)
	if len(list.Items) != 0 {
		t.Errorf("left are %+v", list.Items)
	}
}

func TestUndoAndStaleSight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says(1, "hello")
	w.do("PUT", "/api/v1/desk-settings", `{"undo_seconds":20}`, 200, nil)
	var m inbox.Message
	w.do("POST", "/api/v1/chats/1/messages", `{"text":"oops","seen":1}`, 201, &m)
	if wait := time.Until(m.Delivery.DueAt); wait < 10*time.Second || wait > 20*time.Second {
		t.Errorf("it leaves in %s", wait)
	}
	w.do("POST", "/api/v1/messages/2/undo", "", 200, &m)
	if m.Delivery.State != inbox.Cancelled {
		t.Errorf("undone it is %+v", m.Delivery)
	}
	w.do("POST", "/api/v1/chats/1/messages", `{"text":"at once","seen":2,"undo_seconds":0}`, 201, &m)
	w.exec("UPDATE parley_deliveries SET state = 'sent' WHERE message_id = 3")
	var problem struct {
		api.Problem
		Data store.Left `json:"data"`
	}
	w.do("POST", "/api/v1/messages/3/undo", "", 409, &problem)
	if problem.Code != inbox.Conflict || problem.Data.State != inbox.Sent {
		t.Errorf("too late it is %+v", problem)
	}

	// What was missed comes with the refusal.
	w.says(1, "wait")
	w.says(1, "one more thing")
	var stale struct {
		api.Problem
		Data store.Missed `json:"data"`
	}
	w.do("POST", "/api/v1/chats/1/messages", `{"text":"as I said","seen":3}`, 409, &stale)
	if stale.Code != inbox.Stale || stale.Data.LastSeq != 5 || len(stale.Data.Messages) != 2 || stale.Data.Messages[1].Text != "one more thing" {
		t.Errorf("missed are %+v", stale.Data)
	}
}
