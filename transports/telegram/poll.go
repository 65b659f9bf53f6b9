package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	tgbotapi "github.com/go-telegram-bot-api/telegram-bot-api/v5"

	"parley/events"
	"parley/transports"
)

// longPoll is how long one getUpdates waits for news, in seconds: below the 30
// after which proxies commonly give up.
const longPoll = 25 * time.Second

// maxUpdates is the most that getUpdates hands out at once
// (https://core.telegram.org/bots/api#getupdates).
const maxUpdates = "100"

// allowedUpdates are the kinds of updates asked for: those that are read.
// Reactions come only when asked for. Changing it takes effect with the next
// Connect or Poll.
const allowedUpdates = `["message","edited_message","business_connection","business_message","edited_business_message",` +
	`"deleted_business_messages","message_reaction","callback_query","my_chat_member"]`

// Poll implements [transports.Poller] by getUpdates. The cursor is the next
// offset in decimal. Asking with an offset is what confirms everything before
// it, so that an update is confirmed only once emit took it.
//
// A 409 says that a webhook is set or that somebody else polls with this token.
func (b *Bot) Poll(ctx context.Context, cursor string, emit transports.Emit) error {
	offset := int64(0)
	if cursor != "" {
		var err error
		if offset, err = strconv.ParseInt(cursor, 10, 64); err != nil {
			return fmt.Errorf("telegram getUpdates: the cursor %q is no offset", cursor)
		}
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch, err := b.fetch(ctx, offset)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
		if len(batch) == 0 {
			continue
		}
		asked := offset
		evs := make([]events.Inbound, 0, len(batch))
		var pressed []string
		for _, raw := range batch {
			of, id := b.parse(raw)
			evs = append(evs, of...)
			if id != "" {
				pressed = append(pressed, id)
			}
			offset = nextOffset(of[0], offset)
		}
		if err := emit(ctx, evs, strconv.FormatInt(offset, 10)); err != nil {
			return fmt.Errorf("telegram getUpdates: keep updates: %w", err)
		}
		b.answerPressed(ctx, pressed)
		if offset == asked {
			// A server that does not understand an offset starts over at its first
			// update, and would for ever.
			return errors.New("telegram getUpdates: the Bot API server hands out the same updates again and again")
		}
	}
}

// nextOffset follows the last update, up or down: after a week without updates
// ids continue anywhere. An update without a readable id has the next one, as
// ids are sequential; standing still would fetch it for ever.
func nextOffset(ev events.Inbound, offset int64) int64 {
	if id, err := strconv.ParseInt(ev.ProviderEvent, 10, 64); err == nil && id > 0 {
		return id + 1
	}
	return offset + 1
}

func (b *Bot) fetch(ctx context.Context, offset int64) ([]json.RawMessage, error) {
	params := tgbotapi.Params{
		"timeout":         strconv.Itoa(int(b.pollTimeout() / time.Second)),
		"limit":           maxUpdates,
		"allowed_updates": allowedUpdates,
	}
	params.AddNonZero64("offset", offset)
	result, _, err := b.call(ctx, "getUpdates", params)
	if err != nil {
		var refused *apiError
		if errors.As(err, &refused) && refused.Code == http.StatusConflict {
			return nil, fmt.Errorf("another program polls with this bot's token, or its webhook is set: %w", err)
		}
		return nil, refusal(err)
	}
	var batch []json.RawMessage
	if err := json.Unmarshal(result, &batch); err != nil {
		return nil, b.redact.Error("getUpdates", fmt.Errorf("read the answer: %w", err))
	}
	return batch, nil
}

// pollTimeout stays below the client's own time limit, which would otherwise cut
// every quiet poll off.
func (b *Bot) pollTimeout() time.Duration {
	const margin = 5 * time.Second
	if limit := b.client.Timeout; limit > 0 && limit < longPoll+margin {
		return max(limit-margin, limit/2).Truncate(time.Second)
	}
	return longPoll
}

// answerPressed stops buttons from spinning. It matters to nothing else, so that
// failures are left alone and the time for it is short.
func (b *Bot) answerPressed(ctx context.Context, ids []string) {
	if len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, id := range ids {
		if _, _, err := b.call(ctx, "answerCallbackQuery", tgbotapi.Params{"callback_query_id": id}); err != nil && ctx.Err() != nil {
			return
		}
	}
}
