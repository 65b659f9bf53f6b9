package sandbox_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"parley/transports/sandbox"
)

func TestControl(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{})
	do := func(method, path, body string) (int, string) {
		t.Helper()
		r := httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		tg.ServeHTTP(w, r)
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	for _, test := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"POST", "/sandbox/telegram/say", `{"from":"anna","text":"hello"}`, 200, `{"message_id":1}`},
		{"POST", "/sandbox/telegram/say", `{"from":"Anna","text":"again","reply_to":1}`, 200, `{"message_id":2}`},
		{"POST", "/sandbox/telegram/say", `{"text":"hello"}`, 400, `{"error":"sandbox: say who"}`},
		{"POST", "/sandbox/telegram/say", `{"from":"anna"}`, 400, `{"error":"sandbox: nothing to say"}`},
		{"POST", "/sandbox/telegram/say", `{"from":"anna","text":"x","bot":"1:x"}`, 400, `no bot has this token`},
		{"POST", "/sandbox/telegram/say", `nonsense`, 400, `error`},
		{"POST", "/sandbox/telegram/file", `{"from":"anna","kind":"photo","name":"a.jpg","content":"SlBFRw==","text":"look"}`, 200, `{"message_id":3}`},
		{"POST", "/sandbox/telegram/file", `{"from":"anna","kind":"hologram"}`, 400, `no file is a`},
		{"POST", "/sandbox/telegram/location", `{"from":"anna","latitude":52.5,"longitude":13.4}`, 200, `{"message_id":4}`},
		{"POST", "/sandbox/telegram/contact", `{"from":"anna"}`, 200, `{"message_id":5}`},
		{"POST", "/sandbox/telegram/edit", `{"from":"anna","message_id":1,"text":"hallo"}`, 200, `{"ok":true}`},
		{"POST", "/sandbox/telegram/react", `{"from":"anna","message_id":2,"emoji":["👍"]}`, 200, `{"ok":true}`},
		{"POST", "/sandbox/telegram/react", `{"from":"anna","message_id":99}`, 400, `no such message`},
		{"POST", "/sandbox/telegram/press", `{"from":"anna","message_id":2,"data":"x"}`, 200, `{"ok":true}`},
		{"POST", "/sandbox/telegram/block", `{"from":"anna"}`, 200, `{"ok":true}`},
		{"POST", "/sandbox/telegram/say", `{"from":"anna","text":"x"}`, 400, `the bot is blocked`},
		{"POST", "/sandbox/telegram/unblock", `{"from":"anna"}`, 200, `{"ok":true}`},
		{"POST", "/sandbox/telegram/update", `{"update_id":77,"weather":{}}`, 200, `{"ok":true}`},
		{"POST", "/sandbox/telegram/dance", `{"from":"anna"}`, 404, ``},
		{"GET", "/sandbox/telegram/phone?who=anna", ``, 200, `"text":"hallo","edited":true}`},
		{"GET", "/sandbox/telegram/phone?who=anna", ``, 200, `"reply_to":1,"reactions":["👍"]}`},
		{"POST", "/sandbox/telegram/album", `{"from":"bob","text":"two","files":[{"kind":"photo","name":"a.jpg","content":"SlBFRw=="},{"kind":"photo","name":"b.jpg","content":"SlBFRw=="}]}`, 200, `{"message_ids":[6,7]}`},
		{"POST", "/sandbox/telegram/album", `{"from":"bob","files":[{"kind":"photo"}]}`, 400, `an album has 2 to 10 files`},
		{"POST", "/sandbox/telegram/location", `{"from":"bob","latitude":52.5,"longitude":13.4,"live":900}`, 200, `{"message_id":8}`},
		{"POST", "/sandbox/telegram/move", `{"from":"bob","message_id":8,"latitude":52.6,"longitude":13.5,"live":900}`, 200, `{"ok":true}`},
		{"POST", "/sandbox/telegram/move", `{"from":"bob","message_id":8,"latitude":52.6,"longitude":13.5}`, 200, `{"ok":true}`},
		{"POST", "/sandbox/telegram/move", `{"from":"bob","message_id":8}`, 400, `no live location`},
		{"POST", "/sandbox/telegram/location", `{"from":"bob","latitude":52.5,"longitude":13.4,"title":"Shop","address":"Street 1"}`, 200, `{"message_id":9}`},
		{"POST", "/sandbox/telegram/poll", `{"from":"bob","poll":["Red?","yes","no"]}`, 200, `{"message_id":10}`},
		{"POST", "/sandbox/telegram/dice", `{"from":"bob","text":"🎲"}`, 200, `{"message_id":11}`},
		{"POST", "/sandbox/telegram/story", `{"from":"bob","message_id":4}`, 200, `{"message_id":12}`},
		{"POST", "/sandbox/telegram/say", `{"from":"bob","text":"bold","marks":[{"type":"bold","offset":0,"length":4}],"topic":5,"forward_from":"Cleo"}`, 200, `{"message_id":13}`},
		{"POST", "/sandbox/telegram/say", `{"from":"bob","text":"this?","reply_to":13,"quote":"bo"}`, 200, `{"message_id":14}`},
		{"POST", "/sandbox/telegram/say", `{"from":"bob","text":"this?","reply_to":13,"quote":"not there"}`, 400, `the quote is not of that message`},
		{"POST", "/sandbox/telegram/file", `{"from":"bob","kind":"document","name":"a.pdf","content":"UERG"}`, 200, `{"message_id":15}`},
		{"POST", "/sandbox/telegram/editfile", `{"from":"bob","message_id":15,"kind":"document","name":"b.pdf","content":"UERG"}`, 200, `{"ok":true}`},
		{"GET", "/sandbox/telegram/phone?who=bob", ``, 200, `"text":"bold","marked":["bold:bold"],"topic":5}`},
		{"GET", "/sandbox/telegram/phone?who=bob", ``, 200, `"file":"b.pdf","file_id":"sandbox-file-5","edited":true}`},
		{"POST", "/sandbox/telegram/delete", `{"from":"bob","message_ids":[15]}`, 400, `bots are not told what people delete`},
		{"POST", "/sandbox/telegram/connect", `{"from":"olga"}`, 200, `{"connection":"sandbox-`},
		{"POST", "/sandbox/telegram/say", `{"from":"bob","connection":"none","text":"x"}`, 400, `no such business connection`},
		{"POST", "/sandbox/telegram/rights", `{"connection":"none"}`, 400, `no such business connection`},
		{"GET", "/sandbox/people", ``, 200, `[{"name":"anna","id":`},
		{"POST", "/sandbox/faults", `{"hang_after":0.5,"next":["too_many"]}`, 200, `{"hang_after":0.5,"next":["too_many"]}`},
		{"GET", "/sandbox/faults", ``, 200, `{"hang_after":0.5,"next":["too_many"]}`},
		{"POST", "/sandbox/faults", `{"hang_afterwards":0.5}`, 400, `unknown field`},
		{"POST", "/sandbox/faults", `{"next_changes":["nonsense"]}`, 400, `no fault is called`},
		{"POST", "/sandbox/faults", `{"reorder":2}`, 400, `the share of reorder is not between 0 and 1`},
		{"POST", "/sandbox/faults", `{"next":["nonsense"]}`, 400, `no fault is called`},
		{"POST", "/sandbox/faults", `{"hang_after":0.5,"too_many":0.6}`, 400, `the shares sum to 1.1`},
		{"GET", "/sandbox/log?after=1", ``, 200, `{"seq":2,`},
	} {
		code, body := do(test.method, test.path, test.body)
		if code != test.code || !strings.Contains(body, test.want) {
			t.Errorf("%s %s %s: %d %s, want %d %s", test.method, test.path, test.body, code, body, test.code, test.want)
		}
	}
}

// TestControlOnLoopbackOnly refuses other machines, and pages in browsers that
// call this one by another name.
func TestControlOnLoopbackOnly(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{})
	for _, test := range []struct {
		remote, host string
		code         int
	}{
		{"127.0.0.1:1", "127.0.0.1:8090", 200},
		{"[::1]:1", "localhost", 200},
		{"192.0.2.1:1", "127.0.0.1", 404},
		{"127.0.0.1:1", "evil.example", 404},
		{"127.0.0.1:1", "127.0.0.1.evil.example:80", 404},
	} {
		r := httptest.NewRequest(http.MethodGet, "/sandbox/people", nil)
		r.RemoteAddr, r.Host = test.remote, test.host
		w := httptest.NewRecorder()
		tg.ServeHTTP(w, r)
		if w.Code != test.code {
			t.Errorf("%+v: %d", test, w.Code)
		}
	}
}

// TestControlBusiness plays a business account's owner and a client by the
// endpoints alone.
func TestControlBusiness(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{})
	do := func(method, path, body string) string {
		t.Helper()
		r := httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		tg.ServeHTTP(w, r)
		if w.Code != 200 {
			t.Errorf("%s %s: %d %s", path, body, w.Code, w.Body)
		}
		return strings.TrimSpace(w.Body.String())
	}
	connected := do("POST", "/sandbox/telegram/connect", `{"from":"olga"}`)
	id := strings.TrimSuffix(strings.TrimPrefix(connected, `{"connection":"`), `"}`)
	for _, step := range []struct{ path, body string }{
		{"say", `{"from":"anna","connection":"` + id + `","text":"open?"}`},
		{"say", `{"from":"anna","connection":"` + id + `","owner":true,"text":"until 8"}`},
		{"edit", `{"from":"anna","connection":"` + id + `","owner":true,"message_id":2,"text":"until 9"}`},
		{"edit", `{"from":"anna","connection":"` + id + `","message_id":1,"text":"open today?"}`},
		{"delete", `{"from":"anna","connection":"` + id + `","message_ids":[1]}`},
		{"rights", `{"connection":"` + id + `","read_only":true}`},
		{"disconnect", `{"connection":"` + id + `"}`},
	} {
		do("POST", "/sandbox/telegram/"+step.path, step.body)
	}
	if got := do("GET", "/sandbox/telegram/phone?who=anna&connection="+id, ""); !strings.Contains(got, `"from_owner":true,"kind":"text","text":"until 9","edited":true}`) || strings.Contains(got, "open") {
		t.Errorf("phone %s", got)
	}
	if got := do("GET", "/sandbox/telegram/phone?who=anna", ""); got != "[]" {
		t.Errorf("in the bot's chat: %s", got)
	}
	_, updates := call(t, tg, "getUpdates", nil)
	for _, want := range []string{
		`"business_connection":{"id":"` + id + `","user":{`, `"is_enabled":true,"can_reply":true,"rights":{"can_read_messages":true,"can_reply":true}}`,
		`"business_message":{"business_connection_id":"` + id + `","message_id":1,"from":{`, `"edited_business_message":{"business_connection_id":"` + id + `","message_id":2,`,
		`"deleted_business_messages":{"business_connection_id":"` + id + `","chat":{`, `"message_ids":[1]}`, `"is_enabled":false`,
	} {
		if !strings.Contains(updates, want) {
			t.Errorf("no %s in %s", want, updates)
		}
	}
	if ids := updateIDs(t, updates); len(ids) != 8 {
		t.Errorf("%d updates", len(ids))
	}
}
