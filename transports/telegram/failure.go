package telegram

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"parley/transports"
)

// sendError says what a failed request means for the message. Left says whether
// all of the request may have left.
//
// The Bot API does not say whether a 429 is about the chat or the bot
// (https://core.telegram.org/bots/api#responseparameters), so that it holds for
// the account: waiting once too often delays, not waiting extends the ban.
func (b *Bot) sendError(err error, left bool) *transports.SendError {
	var refused *apiError
	if !errors.As(err, &refused) {
		if left {
			return &transports.SendError{Outcome: transports.Unknown, Words: "Telegram did not answer: the message may have arrived", Err: err}
		}
		return &transports.SendError{Outcome: transports.Retry, Words: "Telegram could not be reached", Err: err}
	}
	e := &transports.SendError{Code: strconv.Itoa(refused.Code), Words: inPlainWords(refused), Err: err}
	switch code := refused.Code; {
	case code >= 500 || code < 300:
		e.Outcome = transports.Unknown
		e.Words = "Telegram had an internal error: the message may have arrived"
	case refused.unknownMethod():
		e.Outcome = transports.Rejected
		e.Words = "the Bot API server does not know how to send this; it may be too old"
	case refused.badCredentials():
		e.Outcome, e.Credentials = transports.Retry, true
		e.Words = "Telegram refused the bot's token"
	case code == http.StatusTooManyRequests:
		e.Outcome, e.RetryAfter, e.Throttled = transports.Retry, refused.RetryAfter, transports.AccountThrottled
		e.Words = "Telegram asks to slow down"
	case code == http.StatusRequestEntityTooLarge:
		e.Outcome = transports.Rejected
		e.Words = "the file is too large for Telegram"
	case refused.Foreign:
		e.Outcome = transports.Retry
		e.Words = "something in front of the Bot API refused the request: " + refused.Words
	case refused.MigrateTo != 0:
		e.Outcome, e.NewAddress = transports.Retry, address{chat: refused.MigrateTo}.String()
	case code == http.StatusConflict:
		e.Outcome = transports.Retry
	case code == http.StatusForbidden:
		e.Outcome, e.Unreachable = transports.Rejected, true
	default:
		e.Outcome = transports.Rejected
	}
	return e
}

// inPlainWords tells the refusals that agents meet and what to do about them;
// the others are Telegram's own words, without a code in front. The Bot API has
// one code for most, so that its words decide; they have been the same for years
// and are the server's (https://github.com/tdlib/telegram-bot-api, Client.cpp) or,
// in capitals, Telegram's (https://core.telegram.org/api/errors).
func inPlainWords(e *apiError) string {
	_, said, ok := strings.Cut(e.Words, ": ")
	if !ok {
		said = e.Words
	}
	for _, known := range []struct{ said, words string }{
		{"bot was blocked by the user", "the client has blocked the bot"},
		{"user is deactivated", "the client's Telegram account no longer exists"},
		{"bot can't initiate conversation", "the client never wrote to the bot, so that it may not write to them"},
		{"bot can't send messages to bots", "the other side is a bot, and bots cannot write to each other"},
		{"bot was kicked", "the bot was removed from the group: have it added again"},
		{"bot is not a member", "the bot is not in the group: have it added again"},
		{"the group chat was deleted", "the group no longer exists"},
		{"chat not found", "Telegram knows no such chat: the client never wrote to this bot, or it is another bot than before"},
		{"group chat was upgraded", "the group became a supergroup and is written to there"},
		{"business connection not found", "the business account is no longer connected to the bot: connect it again in Telegram's business settings"},
		{"BUSINESS_CONNECTION_INVALID", "the business account is no longer connected to the bot: connect it again in Telegram's business settings"},
		{"BUSINESS_PEER_INVALID", "the business account does not let the bot write in this chat: include the client in Telegram's business settings"},
		{"BUSINESS_PEER_USAGE_MISSING", "a business account's bot may answer only for 24 hours after the client's last message: answer from the phone, or wait"},
		{"message thread not found", "the topic no longer exists: answer outside of it"},
		{"TOPIC_CLOSED", "the topic is closed: reopen it, or answer outside of it"},
		{"TOPIC_DELETED", "the topic no longer exists: answer outside of it"},
		{"message is too long", "the text is longer than Telegram takes"},
		{"MEDIA_CAPTION_TOO_LONG", "the text beside the file is longer than Telegram takes"},
		{"message caption is too long", "the text beside the file is longer than Telegram takes"},
		{"message text is empty", "there is nothing to read in the text"},
		{"message can't be edited", "Telegram no longer lets this message be changed"},
		{"MESSAGE_EDIT_TIME_EXPIRED", "Telegram no longer lets this message be changed"},
		{"message to edit not found", "the message is gone on Telegram, so that it cannot be changed"},
		{"message to react not found", "the message is gone on Telegram, so that there is nothing to react to"},
		{"REACTION_INVALID", "Telegram does not know this emoji as a reaction: choose another"},
		{"REACTIONS_TOO_MANY", "Telegram lets a bot give a message one reaction"},
		{"VOICE_MESSAGES_FORBIDDEN", "the client does not accept voice messages: send it as a file"},
		{"not enough rights", "the bot lacks the right to do this in the chat: its owner can give it"},
	} {
		if strings.Contains(said, known.said) {
			return known.words
		}
	}
	return "Telegram refused: " + said
}

// refusedWith reports whether the API refused a request with such words.
func refusedWith(err error, words string) bool {
	var refused *apiError
	return errors.As(err, &refused) && !refused.Foreign && refused.Code == http.StatusBadRequest && strings.Contains(refused.Words, words)
}
