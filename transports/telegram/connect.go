package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	tgbotapi "github.com/go-telegram-bot-api/telegram-bot-api/v5"

	"parley/transports"
)

// maxConnections is how many webhook requests Telegram makes at once; 40 is its
// default (https://core.telegram.org/bots/api#setwebhook).
const maxConnections = "40"

// Connect implements [transports.Connector]: setWebhook, or deleteWebhook when
// webhookURL is empty. Neither drops pending updates.
func (b *Bot) Connect(ctx context.Context, webhookURL string) error {
	if webhookURL == "" {
		_, _, err := b.call(ctx, "deleteWebhook", tgbotapi.Params{"drop_pending_updates": "false"})
		return refusal(err)
	}
	if b.secret == "" {
		return errors.New(`telegram setWebhook: set the secret "webhook_secret" first`)
	}
	_, _, err := b.call(ctx, "setWebhook", tgbotapi.Params{
		"url":             webhookURL,
		"secret_token":    b.secret,
		"allowed_updates": allowedUpdates,
		"max_connections": maxConnections,
	})
	return refusal(err)
}

// Check implements [transports.Connector] by getMe and getWebhookInfo.
func (b *Bot) Check(ctx context.Context) (transports.Report, error) {
	var (
		report transports.Report
		me     user
		info   struct {
			URL              string `json:"url"`
			Pending          int    `json:"pending_update_count"`
			LastErrorDate    int64  `json:"last_error_date"`
			LastErrorMessage string `json:"last_error_message"`
			LastSyncError    int64  `json:"last_synchronization_error_date"`
		}
	)
	if err := b.ask(ctx, "getMe", &me); err != nil {
		return report, err
	}
	report.Account = me.FirstName
	if me.Username != "" {
		report.Account = "@" + me.Username
	}
	if err := b.ask(ctx, "getWebhookInfo", &info); err != nil {
		return report, err
	}
	report.WebhookURL = info.URL
	report.Pending = info.Pending
	report.LastError = b.redact.Words(info.LastErrorMessage)
	report.LastErrorAt = unix(info.LastErrorDate)
	if info.LastSyncError > info.LastErrorDate {
		report.LastError = "the Bot API server could not fetch updates from Telegram's data centres"
		report.LastErrorAt = unix(info.LastSyncError)
	}
	return report, nil
}

// ask calls a method without parameters.
func (b *Bot) ask(ctx context.Context, method string, into any) error {
	result, _, err := b.call(ctx, method, nil)
	if err != nil {
		return refusal(err)
	}
	if err := json.Unmarshal(result, into); err != nil {
		return b.redact.Error(method, fmt.Errorf("read the answer: %w", err))
	}
	return nil
}
