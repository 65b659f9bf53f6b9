package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"parley/events"
	"parley/transports"
)

// benchBus encodes as the real bus does and stores nothing.
type benchBus struct{ *fakeBus }

func (benchBus) Publish(_ context.Context, evs ...events.Inbound) error {
	for i := range evs {
		if _, err := json.Marshal(&evs[i]); err != nil {
			return err
		}
	}
	return nil
}

// benchUpdate is about what Telegram sends for a short message.
const benchUpdate = `{"update_id":794381220,"message":{"message_id":1365,"from":{"id":1111111,"is_bot":false,` +
	`"first_name":"Ada","last_name":"Lovelace","username":"ada","language_code":"en"},"chat":{"id":1111111,` +
	`"first_name":"Ada","last_name":"Lovelace","username":"ada","type":"private"},"date":1441645532,` +
	`"text":"Hello, I would like to change my order 4711 to two pieces, please."}}`

// BenchmarkWebhook is the handler's own work for one webhook: find, read,
// decode, stamp, encode, count, answer.
func BenchmarkWebhook(b *testing.B) {
	g, err := New(Options{
		Bus: benchBus{newFakeBus()}, OpenSecrets: openTestSecrets, PublicURL: "https://inbox.example.com",
		Logger: slog.New(slog.DiscardHandler),
		Factories: map[events.Transport]transports.Factory{testKind: func(acc transports.Account) (transports.Transport, error) {
			return &fakeAdapter{account: acc, parse: parseBenchUpdate}, nil
		}},
	})
	if err != nil {
		b.Fatal(err)
	}
	g.table.put(g.build(webhookChannel()))
	g.table.setLoaded()
	h := g.Handler()
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, transports.WebhookPrefix+testPath, bytes.NewReader([]byte(benchUpdate)))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}

func parseBenchUpdate(_ *http.Request, body []byte) (transports.Callback, error) {
	var update struct {
		ID      json.Number `json:"update_id"`
		Message struct {
			ID   json.Number `json:"message_id"`
			Text string      `json:"text"`
			From struct {
				ID        json.Number `json:"id"`
				FirstName string      `json:"first_name"`
				LastName  string      `json:"last_name"`
				Username  string      `json:"username"`
			} `json:"from"`
			Chat struct {
				ID json.Number `json:"id"`
			} `json:"chat"`
		} `json:"message"`
	}
	if err := json.Unmarshal(body, &update); err != nil {
		return transports.Callback{}, err
	}
	m := update.Message
	return transports.Callback{Events: []events.Inbound{{
		Kind: events.Message,
		Person: events.Person{
			Identity: events.Identity{Kind: events.TelegramUser, Value: m.From.ID.String()}, Address: m.Chat.ID.String(),
			FirstName: m.From.FirstName, LastName: m.From.LastName, Username: m.From.Username,
		},
		Key:           events.MessageKey{Chat: m.Chat.ID.String(), Message: m.ID.String()},
		ProviderEvent: update.ID.String(),
		Content:       &events.Content{Type: events.Text, Text: m.Text},
		Raw:           body,
	}}}, nil
}
