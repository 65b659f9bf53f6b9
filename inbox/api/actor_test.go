package api_test

import (
	"fmt"
	"strings"
	"testing"

	"parley/inbox"
	"parley/store"
	"parley/store/storetest"
)

// What somebody writes or does through the API is theirs, in the chat, in the
// facts and for their colleagues; the command line's is the operator's.
func TestAgentsActInTheirOwnName(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	const email = "bea@acme.example"
	bea := w.join(w.a, email, inbox.Agent)
	cookie := w.logIn(w.a, email)
	path := fmt.Sprintf("/api/v1/chats/%d/messages", w.a.chat)
	var m inbox.Message
	w.ask(cookie, "POST", path, `{"text":"From Bea.","seen":2}`, 201, &m)
	if m.Sender != "Ann" || m.Delivery == nil { // join calls everybody Ann
		t.Errorf("sent by %q", m.Sender)
	}
	userOf := func(message int64) (user int64) {
		t.Helper()
		ms, _, err := w.db.Messages(t.Context(), w.a.tenant.ID, w.a.chat, store.MessagePage{})
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range ms {
			if one.ID == message {
				return storetest.Int(t, w.url, "SELECT user_id FROM crm_chat_members WHERE id = $1", one.SenderID.String())
			}
		}
		t.Fatalf("no message %d", message)
		return 0
	}
	if userOf(m.ID) != bea.ID {
		t.Errorf("it is user %d's, not %d's", userOf(m.ID), bea.ID)
	}
	// Her own message is no news to her; to the owner it is.
	w.ask(cookie, "POST", path, `{"text":"And more.","seen":2}`, 201, nil)
	w.ask(w.a.session, "POST", path, `{"text":"Me, too.","seen":2}`, 409, nil)
	var typing struct{ Shown bool }
	for range 2 { // the second within its four seconds
		w.ask(cookie, "POST", fmt.Sprintf("/api/v1/chats/%d/typing", w.a.chat), `{"channel":"support"}`, 200, &typing)
		if !typing.Shown {
			t.Error("it is not shown that she writes")
		}
	}
	// A program is a user of its own.
	var byToken inbox.Message
	w.ask(w.a.tokenSecret, "POST", path, `{"text":"Beep.","seen":2,"force":true}`, 201, &byToken)
	if user := userOf(byToken.ID); user == bea.ID || user == w.a.owner.ID || user == 0 {
		t.Errorf("the program's is user %d's", user)
	}
	for no, action := range []string{`edit-{"text":"From Bea, really."}`, `react-{"emoji":["x"]}`} {
		verb, body, _ := strings.Cut(action, "-")
		w.ask(cookie, "POST", fmt.Sprintf("/api/v1/messages/%d/%s", m.ID, verb), body, 202, nil)
		if user := storetest.Int(t, w.url, "SELECT (action ->> 'user')::bigint FROM parley_deliveries WHERE message_id = $1 AND action_no = $2", m.ID, no+1); user != bea.ID {
			t.Errorf("%s is user %d's", verb, user)
		}
	}
	if n := storetest.Int(t, w.url, "SELECT count(*) FROM parley_facts WHERE data ->> 'user_id' = $1", fmt.Sprint(bea.ID)); n != 2 {
		t.Errorf("%d facts of hers", n)
	}
}
