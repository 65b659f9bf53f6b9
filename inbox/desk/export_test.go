package desk

import (
	"strconv"
	"time"
)

// Sign signs as a webhook's call is signed.
func Sign(id, at, body string, secrets ...string) string {
	seconds, _ := strconv.ParseInt(at, 10, 64)
	sum, err := signWebhook(id, time.Unix(seconds, 0), body, secrets...)
	if err != nil {
		return err.Error()
	}
	return sum
}

// WebhookWaits are the waits between tries.
func WebhookWaits() []time.Duration { return webhookWaits() }
