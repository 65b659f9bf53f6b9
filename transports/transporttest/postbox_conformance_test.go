package transporttest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/events"
	"parley/transports"
	"parley/transports/transporttest"
)

func TestPostbox(t *testing.T) {
	const key, secret = "postbox-key-42", "postbox-secret-43"
	message := func(n int, phone, text string) []byte {
		return fmt.Appendf(nil, `{"id":"p%d","from":{"phone":%q,"name":"Anna"},"text":%q,"sent_at":"2026-11-22T10:00:00Z"}`, n, phone, text)
	}
	transporttest.Run(t, transporttest.Harness{
		Transport:  "postbox",
		Documented: postboxFacts(),
		New: func(t *testing.T, client *http.Client) transports.Transport {
			account, err := newPostbox(transports.Account{
				Channel:    events.Channel{Country: "DE", Settings: map[string]string{"api_url": "https://postbox.example/v1"}},
				Secrets:    map[string]string{"key": key, "webhook_secret": secret},
				HTTPClient: client,
			})
			if err != nil {
				t.Fatal(err)
			}
			return account
		},
		Secrets:  []string{key, secret},
		Provider: postboxStandIn(key),
		To:       "+4915112345678",
		Webhook: func(body []byte) *http.Request {
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write(body)
			r := httptest.NewRequest(http.MethodPost, "/webhook/x", nil)
			r.Header.Set("Postbox-Signature", hex.EncodeToString(mac.Sum(nil)))
			return r
		},
		Forgeries: map[string]func(*http.Request){
			"unsigned":     transporttest.WithoutHeader("Postbox-Signature"),
			"signed wrong": transporttest.WithHeader("Postbox-Signature", strings.Repeat("00", sha256.Size)),
		},
		Message: func(n int, text string) []byte { return message(n, "+4915112345678", text) },
		Recorded: []transporttest.Payload{
			{Name: "text", Body: message(1, "+4915112345678", "hello")},
			{Name: "from a name", Body: message(2, "BANK", "your code is 1")},
		},
		Persons: map[string][][]byte{
			"anna": {message(1, "+4915112345678", "hi"), message(2, "0151 12345678", "hi"), message(3, "0049151/12345678", "hi")},
			"bob":  {message(4, "+4915112345679", "hi")},
		},
		StandIn: &transporttest.StandIn{
			New:    func(*testing.T) http.Handler { return postboxStandIn(key) },
			Fields: postboxRules(),
		},
	})
}

func postboxFacts() []transporttest.Fact {
	const docs = "https://postbox.example/docs"
	facts := []transporttest.Fact{
		{Field: "MaxText", Most: 500, Source: docs + "#send"},
		{Field: "ReplyWindow", Source: docs + "#send"},
		{Field: "HarmlessResend", Source: docs + "#once"},
		{Field: "Rate", Source: docs + "#limits"},
	}
	for _, field := range []string{
		"MaxCaption", "TextUnit", "Captionless", "MaxFetch", "Replies", "Edits", "Reactions", "Templates", "Typing", "Mail",
		"Segments", "Album", "AlbumBytes", "AlbumKinds", "FetchesMedia", "OptOut", "DeliveryReceipts", "ReadReceipts", "Reconcile", "PersonRate",
	} {
		facts = append(facts, transporttest.Fact{Field: field, Has: transporttest.Absent, Source: "the documentation names nothing like it"})
	}
	return facts
}

// postboxStandIn is a provider that is no more than what its documentation says
// of sending.
func postboxStandIn(key string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct{ To, Text, Once string }
		err := json.NewDecoder(r.Body).Decode(&m)
		switch {
		case r.Header.Get("Authorization") != "Bearer "+key:
			w.WriteHeader(http.StatusUnauthorized)
		case err != nil || !strings.HasPrefix(m.To, "+") || m.Text == "" || len(m.Text) > 500 || len(m.Once) > 100:
			w.WriteHeader(http.StatusBadRequest)
		default:
			_, _ = io.WriteString(w, `{"id":"p77"}`)
		}
	})
}

func postboxRules() map[string]transporttest.Spoiled {
	const docs, refused, denied = "https://postbox.example/docs#send", http.StatusBadRequest, http.StatusUnauthorized
	return map[string]transporttest.Spoiled{
		"header Authorization": {Dropped: denied, Emptied: denied, Nonsense: denied, Huge: denied, Source: docs},
		"to":                   {Dropped: refused, Emptied: refused, Nonsense: refused, Huge: refused, Source: docs},
		"text":                 {Dropped: refused, Emptied: refused, Huge: refused, Source: docs},
		"once":                 {Huge: refused, Source: docs},
	}
}

// TestAddingATransport wants the Go code in docs/adding-a-transport.md to be code
// that is compiled and tested here.
func TestAddingATransport(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "adding-a-transport.md"))
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, file := range []string{"postbox_test.go", "postbox_conformance_test.go"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(content)
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	if len(blocks) < 4 {
		t.Fatalf("%d blocks of Go code", len(blocks))
	}
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		for _, piece := range strings.Split(block, "\n…\n") { // what was left out
			if !strings.Contains(code.String(), strings.Trim(piece, "\n")) {
				t.Errorf("this is not in the tested example:\n%s", piece)
			}
		}
	}
}
