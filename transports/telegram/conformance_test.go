package telegram_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"parley/transports"
	"parley/transports/sandbox"
	"parley/transports/transporttest"
)

func TestConformance(t *testing.T) {
	const header = "X-Telegram-Bot-Api-Secret-Token"
	transporttest.Run(t, transporttest.Harness{
		New: func(t *testing.T, client *http.Client) transports.Transport {
			return newBot(t, client, nil)
		},
		Secrets: []string{sandbox.DefaultTelegramToken, strings.Split(sandbox.DefaultTelegramToken, ":")[1], webhookSecret, "opaque-path"},
		Provider: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, accepted)
		}),
		To: "190000001",
		Webhook: func([]byte) *http.Request {
			r := httptest.NewRequest(http.MethodPost, "/hooks/opaque-path", nil)
			r.Header.Set(header, webhookSecret)
			return r
		},
		Forgeries: map[string]func(*http.Request){
			"no secret":    transporttest.WithoutHeader(header),
			"empty secret": transporttest.WithHeader(header, ""),
			"wrong secret": transporttest.WithHeader(header, webhookSecret+"x"),
		},
		Message: func(n int, text string) []byte {
			return fmt.Appendf(nil, `{"update_id":%d,"message":{"message_id":%d,"from":{"id":190000001,"is_bot":false,"first_name":"Anna"},"chat":{"id":190000001,"type":"private"},"date":1785000000,"text":%q}}`, 870000000+n, n, text)
		},
	})
}
