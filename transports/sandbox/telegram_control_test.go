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
		{"GET", "/sandbox/people", ``, 200, `[{"name":"anna","id":`},
		{"POST", "/sandbox/faults", `{"hang_after":0.5,"next":["too_many"]}`, 200, `{"hang_after":0.5,"next":["too_many"]}`},
		{"GET", "/sandbox/faults", ``, 200, `{"hang_after":0.5,"next":["too_many"]}`},
		{"POST", "/sandbox/faults", `{"hang_afterwards":0.5}`, 400, `unknown field`},
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
