package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	tgbotapi "github.com/go-telegram-bot-api/telegram-bot-api/v5"

	"parley/events"
	"parley/transports"
)

// Send implements [transports.Sender] by sendMessage, by the method of the
// attachment's kind or, for an album, by sendMediaGroup; files as a streamed
// multipart upload (https://core.telegram.org/bots/api#sending-files). Texts go
// out without parse_mode: what an agent writes is what a client reads, marked up
// by the part's entities alone. A message answered that is gone by now does not
// stop the answer.
func (b *Bot) Send(ctx context.Context, part transports.Outbound) (transports.Receipt, error) {
	to, params, err := b.target(ctx, part.To)
	if err != nil {
		return transports.Receipt{}, err
	}
	// Keys that are no message ids (a pressed button's) cannot be answered.
	if id, err := strconv.ParseInt(part.ReplyTo, 10, 64); err == nil && id > 0 {
		params["reply_parameters"] = `{"message_id":` + strconv.FormatInt(id, 10) + `,"allow_sending_without_reply":true}`
	}
	addTopic(params, part.Topic)
	var (
		result json.RawMessage
		left   bool
	)
	switch {
	case part.Attachment == nil && len(part.Album) > 0:
		return transports.Receipt{}, rejected("an album without its first file cannot be sent")
	case part.Attachment == nil:
		params["text"] = part.Text
		addEntities(params, "entities", part.Text, part.Entities)
		result, left, err = b.call(ctx, "sendMessage", params)
	case len(part.Album) > 0:
		result, left, err = b.uploadAlbum(ctx, params, part.Part)
	default:
		result, left, err = b.uploadOne(ctx, params, part.Part)
	}
	if err != nil {
		return transports.Receipt{}, b.failed(err, left)
	}
	if len(part.Album) > 0 {
		return albumReceipt(to, result, 1+len(part.Album))
	}
	return receipt(to, result)
}

// target begins the parameters of a request about a chat.
func (b *Bot) target(ctx context.Context, to string) (address, tgbotapi.Params, error) {
	a, ok := parseAddress(to)
	if !ok {
		return a, nil, rejected("the address is not a Telegram chat id")
	}
	if err := ctx.Err(); err != nil {
		return a, nil, &transports.SendError{Outcome: transports.Retry, Words: "stopped before sending", Err: err}
	}
	params := tgbotapi.Params{"chat_id": strconv.FormatInt(a.chat, 10)}
	params.AddNonEmpty("business_connection_id", a.connection)
	return a, params, nil
}

// addTopic names the thread to write into, by what topic made of one.
func addTopic(params tgbotapi.Params, topic string) {
	name := "message_thread_id"
	if direct, ok := strings.CutPrefix(topic, directPrefix); ok {
		name, topic = "direct_messages_topic_id", direct
	}
	if id, err := strconv.ParseInt(topic, 10, 64); err == nil && id > 0 {
		params[name] = strconv.FormatInt(id, 10)
	}
}

// rejected is a refusal of ours, before the network.
func rejected(words string) *transports.SendError {
	return &transports.SendError{Outcome: transports.Rejected, Words: words}
}

// failed is the *SendError of whatever a request failed with.
func (b *Bot) failed(err error, left bool) *transports.SendError {
	var known *transports.SendError
	if errors.As(err, &known) {
		return known
	}
	return b.sendError(err, left)
}

// sentMessage is the part of a Message that a send answers with.
type sentMessage struct {
	MessageID int64 `json:"message_id"`
	Date      int64 `json:"date"`
	Chat      struct {
		ID int64 `json:"id"`
	} `json:"chat"`
}

// errUnnamed is a send that was accepted, nobody knows as which message.
func errUnnamed(err error) *transports.SendError {
	return &transports.SendError{
		Outcome: transports.Unknown,
		Words:   "Telegram accepted the message but did not say as which",
		Err:     err,
	}
}

// receipt reads the Message that a send answers with.
func receipt(to address, result json.RawMessage) (transports.Receipt, error) {
	var sent sentMessage
	if err := json.Unmarshal(result, &sent); err != nil || sent.MessageID == 0 || sent.Chat.ID == 0 {
		return transports.Receipt{}, errUnnamed(err)
	}
	return to.receipt(sent), nil
}

// albumReceipt reads the Messages that sendMediaGroup answers with, one for each
// file in the order they were given.
func albumReceipt(to address, result json.RawMessage, files int) (transports.Receipt, error) {
	var sent []sentMessage
	if err := json.Unmarshal(result, &sent); err != nil || len(sent) != files {
		return transports.Receipt{}, errUnnamed(err)
	}
	var r transports.Receipt
	for i, m := range sent {
		if m.MessageID == 0 || m.Chat.ID == 0 {
			return transports.Receipt{}, errUnnamed(nil)
		}
		if i == 0 {
			r = to.receipt(m)
			continue
		}
		r.Album = append(r.Album, strconv.FormatInt(m.MessageID, 10))
	}
	return r, nil
}

// receipt is for a message that was sent to a. The chat is what Telegram says,
// as it may have changed on the way.
func (a address) receipt(m sentMessage) transports.Receipt {
	a.chat = m.Chat.ID
	return transports.Receipt{ProviderID: strconv.FormatInt(m.MessageID, 10), Chat: a.String(), AcceptedAt: unix(m.Date)}
}

// sendingMethod names the method and the field of the file
// (https://core.telegram.org/bots/api#available-methods).
func sendingMethod(kind events.ContentType) (method, field string, ok bool) {
	switch kind {
	case events.Photo:
		return "sendPhoto", "photo", true
	case events.Video:
		return "sendVideo", "video", true
	case events.Animation:
		return "sendAnimation", "animation", true
	case events.Audio:
		return "sendAudio", "audio", true
	case events.Voice:
		return "sendVoice", "voice", true
	case events.VideoNote:
		return "sendVideoNote", "video_note", true
	case events.Document:
		return "sendDocument", "document", true
	default: // nothing else is a file that bots upload
	}
	return "", "", false
}
