package telegram

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"

	"parley/transports"
)

// secretHeader carries what setWebhook was given as secret_token
// (https://core.telegram.org/bots/api#setwebhook).
const secretHeader = "X-Telegram-Bot-Api-Secret-Token" //nolint:gosec // a header's name

// ParseWebhook implements [transports.Webhook]. A pressed button is answered in
// the response itself (https://core.telegram.org/bots/api#making-requests-when-getting-updates),
// so that it stops spinning without a request of its own.
func (b *Bot) ParseWebhook(r *http.Request, body []byte) (transports.Callback, error) {
	given := r.Header.Get(secretHeader)
	if b.secret == "" || subtle.ConstantTimeCompare([]byte(given), []byte(b.secret)) != 1 {
		return transports.Callback{}, transports.ErrForged
	}
	evs, pressed := b.parse(body)
	callback := transports.Callback{Events: evs}
	if pressed != "" {
		answer, err := json.Marshal(map[string]string{"method": "answerCallbackQuery", "callback_query_id": pressed})
		if err == nil {
			callback.ContentType, callback.Body = "application/json", answer
		}
	}
	return callback, nil
}
