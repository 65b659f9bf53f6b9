package sandbox_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"parley/transports/sandbox"
)

// FuzzBotAPI calls any method with any parameters, in both encodings: each is
// answered as the Bot API answers, and what was accepted is on the phone.
func FuzzBotAPI(f *testing.F) {
	for _, seed := range [][2]string{
		{"sendMessage", `chat_id=190000001&text=hi&entities=[{"type":"bold","offset":0,"length":2}]&reply_parameters={"message_id":1}`},
		{"sendMediaGroup", `chat_id=190000001&media=[{"type":"photo","media":"sandbox-file-1"},{"type":"photo","media":"sandbox-file-1"}]`},
		{"editMessageText", `chat_id=190000001&message_id=2&text=x`},
		{"editMessageCaption", `chat_id=190000001&message_id=3&caption=x`},
		{"setMessageReaction", `chat_id=190000001&message_id=1&reaction=[{"type":"emoji","emoji":"👍"}]`},
		{"sendChatAction", `chat_id=190000001&action=typing`},
		{"getUpdates", `offset=-1&limit=5&allowed_updates=["message"]`},
		{"getFile", `file_id=sandbox-file-1`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, method, query string) {
		form, err := url.ParseQuery(query)
		if err != nil || strings.EqualFold(method, "setWebhook") || form.Has("timeout") {
			return // nothing is to leave the machine, or to wait
		}
		fields := map[string]string{}
		for name, values := range form {
			fields[name] = values[0]
		}
		asJSON, err := json.Marshal(fields)
		if err != nil {
			return
		}
		for kind, body := range map[string]string{"application/x-www-form-urlencoded": form.Encode(), "application/json": string(asJSON)} {
			tg, _ := scene(t)
			before := len(tg.Person("anna").Phone())
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			r.URL.Path = "/bot" + sandbox.DefaultTelegramToken + "/" + method
			r.Header.Set("Content-Type", kind)
			w := httptest.NewRecorder()
			tg.ServeHTTP(w, r)
			var answer struct {
				OK     *bool           `json:"ok"`
				Code   int             `json:"error_code"`
				Words  string          `json:"description"`
				Result json.RawMessage `json:"result"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.OK == nil || *answer.OK != (w.Code == 200) {
				t.Fatalf("%d %s: %v", w.Code, w.Body, err)
			}
			if !*answer.OK && (answer.Code != w.Code || answer.Words == "") {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if !*answer.OK && len(tg.Person("anna").Phone()) != before {
				t.Fatalf("refused, and on the phone all the same: %s", w.Body)
			}
		}
	})
}
