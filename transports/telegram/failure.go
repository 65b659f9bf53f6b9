package telegram

import (
	"errors"
	"net/http"
	"strconv"

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
	e := &transports.SendError{Code: strconv.Itoa(refused.Code), Words: refused.Words, Err: err}
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
		e.Outcome, e.NewAddress = transports.Retry, strconv.FormatInt(refused.MigrateTo, 10)
	case code == http.StatusConflict:
		e.Outcome = transports.Retry
	case code == http.StatusForbidden:
		e.Outcome, e.Unreachable = transports.Rejected, true
	default:
		e.Outcome = transports.Rejected
	}
	return e
}
