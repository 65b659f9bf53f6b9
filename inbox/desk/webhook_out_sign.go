package desk

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// webhookSecretPrefix begins a secret of the Standard Webhooks scheme
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
const webhookSecretPrefix = "whsec_"

// newWebhookSecret makes a secret of 32 random bytes; the scheme asks for 24 to 64.
func newWebhookSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return webhookSecretPrefix + base64.StdEncoding.EncodeToString(key)
}

// signWebhook is the header webhook-signature: one signature by each secret.
func signWebhook(id string, at time.Time, body string, secrets ...string) (string, error) {
	var all []string
	for _, secret := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, webhookSecretPrefix))
		if err != nil || len(key) == 0 {
			return "", fmt.Errorf("the secret of a webhook is not one of ours")
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "." + body))
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " "), nil
}
