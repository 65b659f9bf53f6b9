package gateway_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parley/events"
	"parley/events/jetstream/natstest"
	"parley/transports"
	"parley/transports/gateway"
	"parley/transports/sandbox"
	"parley/transports/telegram"
)

// BenchmarkTelegramWebhookToDisk is a webhook until its event is fsynced, by 256
// callers at once: the providers of a busy installation.
func BenchmarkTelegramWebhookToDisk(b *testing.B) {
	bus := natstest.Start(b)
	g, err := gateway.New(gateway.Options{
		Bus:       gateway.OnJetStream(bus),
		Factories: map[events.Transport]transports.Factory{events.Telegram: telegram.New},
		OpenSecrets: func(events.Channel) (map[string]string, error) {
			return map[string]string{"token": sandbox.DefaultTelegramToken, "webhook_secret": webhookSecret}, nil
		},
		Logger: slog.New(slog.DiscardHandler),
		// The provider is not asked for anything here.
		HTTPClient: &http.Client{Transport: refusal{}},
		PublicURL:  "https://inbox.example.com",
	})
	if err != nil {
		b.Fatal(err)
	}
	err = bus.PutChannel(b.Context(), events.Channel{
		ID: channel, Tenant: tenant, Transport: events.Telegram, Mode: events.Webhook, WebhookPath: opaquePath,
		Sealed: []byte("sealed"), Version: 1,
	})
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = g.Run(b.Context()) }()
	h := g.Handler()
	var id atomic.Int64
	post := func() int {
		n := id.Add(1)
		body := fmt.Sprintf(`{"update_id":%d,"message":{"message_id":%d,"from":{"id":%d,"is_bot":false,"first_name":"Ada"},`+
			`"chat":{"id":%d,"first_name":"Ada","type":"private"},"date":1441645532,"text":"Hello number %d"}}`, n, n, n%1000+1, n%1000+1, n)
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/webhook/"+opaquePath, strings.NewReader(body))
		r.Header.Set("X-Telegram-Bot-Api-Secret-Token", webhookSecret)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for deadline := time.Now().Add(10 * time.Second); post() != http.StatusOK; {
		if time.Now().After(deadline) {
			b.Fatal("the channel did not come up")
		}
	}
	b.SetParallelism(128)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if code := post(); code != http.StatusOK {
				b.Errorf("status %d", code)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "webhooks/s")
}

// refusal is a provider that cannot be reached.
type refusal struct{}

func (refusal) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, http.ErrServerClosed
}
