package telegram

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	tgbotapi "github.com/go-telegram-bot-api/telegram-bot-api/v5"

	"parley/transports"
)

// Edit implements [transports.Editor] by editMessageText or editMessageCaption
// (https://core.telegram.org/bots/api#editmessagetext). A message that says so
// already counts as edited: what an attempt without an answer may have done can
// be tried again.
func (b *Bot) Edit(ctx context.Context, change transports.Change) error {
	params, err := b.about(ctx, change.To, change.ProviderID)
	if err != nil {
		return err
	}
	method, limit := "editMessageText", maxText
	if change.Caption {
		method, limit = "editMessageCaption", maxCaption
		params["caption"] = change.Text
		addEntities(params, "caption_entities", change.Text, change.Entities)
	} else {
		params["text"] = change.Text
		addEntities(params, "entities", change.Text, change.Entities)
	}
	if n := transports.UTF16Units.Count(change.Text); n > limit {
		return rejected(fmt.Sprintf("the new text has %d characters; Telegram takes up to %d here", n, limit))
	}
	_, left, err := b.call(ctx, method, params)
	if err == nil || refusedWith(err, "message is not modified") {
		return nil
	}
	return b.changeError(err, left, "the change may have been made")
}

// React implements [transports.Reactor] by setMessageReaction
// (https://core.telegram.org/bots/api#setmessagereaction). Telegram has a list of
// emoji that are reactions, and lets a bot set one of them.
func (b *Bot) React(ctx context.Context, to, providerID string, emoji []string) error {
	params, err := b.about(ctx, to, providerID)
	if err != nil {
		return err
	}
	if params["business_connection_id"] != "" {
		return rejected("Telegram lets bots react in their own chats only, not in those of a business account")
	}
	if len(emoji) > 1 {
		return rejected("Telegram lets a bot give a message one reaction")
	}
	set := make([]reactionType, 0, 1)
	for _, e := range emoji {
		set = append(set, reactionOf(e))
	}
	encoded, err := json.Marshal(set)
	if err != nil {
		return rejected("the reaction cannot be sent")
	}
	params["reaction"] = string(encoded)
	_, left, err := b.call(ctx, "setMessageReaction", params)
	if err == nil {
		return nil
	}
	return b.changeError(err, left, "the reaction may have been set")
}

// customEmoji precedes the id of a reaction that is no standard emoji, as it
// comes in and goes out.
const customEmoji = "custom_emoji:"

// reactionOf undoes emojiOf. Keyboards add a variation selector that Telegram's
// list of reactions is without.
func reactionOf(emoji string) reactionType {
	if id, ok := strings.CutPrefix(emoji, customEmoji); ok {
		return reactionType{Type: "custom_emoji", CustomEmojiID: id}
	}
	return reactionType{Type: "emoji", Emoji: strings.ReplaceAll(emoji, "\uFE0F", "")}
}

// Typing implements [transports.Typer] by sendChatAction: it shows for five
// seconds, or until a message arrives
// (https://core.telegram.org/bots/api#sendchataction).
func (b *Bot) Typing(ctx context.Context, to string) error {
	_, params, err := b.target(ctx, to)
	if err != nil {
		return err
	}
	params["action"] = "typing"
	_, left, err := b.call(ctx, "sendChatAction", params)
	if err == nil {
		return nil
	}
	return b.changeError(err, left, "the client may not see that somebody types")
}

// about begins the parameters of a request about a message.
func (b *Bot) about(ctx context.Context, to, providerID string) (tgbotapi.Params, error) {
	_, params, err := b.target(ctx, to)
	if err != nil {
		return nil, err
	}
	id, err := strconv.ParseInt(providerID, 10, 64)
	if err != nil || id <= 0 {
		return nil, rejected("this is no message that Telegram can change")
	}
	params["message_id"] = strconv.FormatInt(id, 10)
	return params, nil
}

// changeError is sendError for requests that send nothing: uncertain says what
// nobody knows then.
func (b *Bot) changeError(err error, left bool, uncertain string) *transports.SendError {
	e := b.failed(err, left)
	if e.Outcome == transports.Unknown {
		e.Words = "Telegram gave no clear answer: " + uncertain
	}
	return e
}
