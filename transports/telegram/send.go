package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	tgbotapi "github.com/go-telegram-bot-api/telegram-bot-api/v5"

	"parley/events"
	"parley/transports"
)

// Send implements [transports.Sender] by sendMessage, or by the method of the
// attachment's kind, as a streamed multipart upload
// (https://core.telegram.org/bots/api#sending-files). Texts go out without
// parse_mode: what an agent writes is what a client reads. A message answered
// that is gone by now does not stop the answer.
func (b *Bot) Send(ctx context.Context, part transports.Outbound) (transports.Receipt, error) {
	chat, err := strconv.ParseInt(part.To, 10, 64)
	if err != nil || chat == 0 {
		return transports.Receipt{}, &transports.SendError{Outcome: transports.Rejected, Words: "the address is not a Telegram chat id"}
	}
	if err := ctx.Err(); err != nil {
		return transports.Receipt{}, &transports.SendError{Outcome: transports.Retry, Words: "stopped before sending", Err: err}
	}
	params := tgbotapi.Params{"chat_id": strconv.FormatInt(chat, 10)}
	// Keys that are no message ids (a pressed button's) cannot be answered.
	if id, err := strconv.ParseInt(part.ReplyTo, 10, 64); err == nil && id > 0 {
		params["reply_parameters"] = `{"message_id":` + strconv.FormatInt(id, 10) + `,"allow_sending_without_reply":true}`
	}
	var (
		result json.RawMessage
		left   bool
	)
	if part.Attachment == nil {
		params["text"] = part.Text
		result, left, err = b.call(ctx, "sendMessage", params)
	} else {
		params.AddNonEmpty("caption", part.Text)
		result, left, err = b.upload(ctx, params, part.Attachment)
	}
	if err != nil {
		var known *transports.SendError
		if errors.As(err, &known) {
			return transports.Receipt{}, known
		}
		return transports.Receipt{}, b.sendError(err, left)
	}
	return receipt(result)
}

// receipt reads the Message that a send answers with.
func receipt(result json.RawMessage) (transports.Receipt, error) {
	var sent struct {
		MessageID int64 `json:"message_id"`
		Date      int64 `json:"date"`
		Chat      struct {
			ID int64 `json:"id"`
		} `json:"chat"`
	}
	if err := json.Unmarshal(result, &sent); err != nil || sent.MessageID == 0 || sent.Chat.ID == 0 {
		return transports.Receipt{}, &transports.SendError{
			Outcome: transports.Unknown,
			Words:   "Telegram accepted the message but did not say as which",
			Err:     err,
		}
	}
	r := transports.Receipt{ProviderID: strconv.FormatInt(sent.MessageID, 10), Chat: strconv.FormatInt(sent.Chat.ID, 10)}
	if sent.Date > 0 {
		r.AcceptedAt = time.Unix(sent.Date, 0).UTC()
	}
	return r, nil
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
	case events.Text, events.Sticker, events.Place, events.ContactCard, events.Service, events.Unsupported:
	}
	return "", "", false
}

func (b *Bot) upload(ctx context.Context, params tgbotapi.Params, file *transports.File) (json.RawMessage, bool, error) {
	method, field, ok := sendingMethod(file.Kind)
	if !ok {
		return nil, false, &transports.SendError{Outcome: transports.Rejected, Words: fmt.Sprintf("Telegram cannot be sent a %s", file.Kind)}
	}
	if limit := b.caps.Attachments[file.Kind]; file.Size > limit {
		return nil, false, &transports.SendError{
			Outcome: transports.Rejected,
			Words:   fmt.Sprintf("the file has %d bytes; Telegram takes a %s of up to %d", file.Size, file.Kind, limit),
		}
	}
	content, err := file.Open(ctx)
	if err != nil {
		return nil, false, &transports.SendError{Outcome: transports.Retry, Words: "the file could not be opened", Err: b.redact.error(method, err)}
	}
	source := &uploadSource{content: content}
	defer source.stop()
	result, left, err := b.call(ctx, method, params, tgbotapi.RequestFile{
		Name: field,
		Data: tgbotapi.FileReader{Name: uploadName(file), Reader: source},
	})
	ended, broken := source.state()
	// A server may act on the closing boundary, which follows the file's end,
	// without waiting for the end of the request.
	left = left || ended
	if err != nil && broken != nil && !left {
		return nil, false, &transports.SendError{Outcome: transports.Retry, Words: "the file could not be read", Err: b.redact.error(method, broken)}
	}
	return result, left, err
}

// uploadName is the file's name on the wire; the API wants one.
func uploadName(file *transports.File) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F || r == '/' || r == '\\' {
			return '_'
		}
		return r
	}, file.Name)
	if name == "" {
		return string(file.Kind)
	}
	return name
}

// uploadSource is a file that the SDK reads in a goroutine of its own, which may
// still be at it when the call is over.
type uploadSource struct {
	mu      sync.Mutex
	content io.ReadCloser
	stopped bool
	ended   bool
	failed  error
}

// Read implements [io.Reader].
func (s *uploadSource) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return 0, io.ErrClosedPipe
	}
	n, err := s.content.Read(p)
	if errors.Is(err, io.EOF) {
		s.ended = true
	} else if err != nil {
		s.failed = err
	}
	return n, err
}

// stop closes the file once nobody reads it, after which nobody can.
func (s *uploadSource) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	_ = s.content.Close()
}

func (s *uploadSource) state() (ended bool, failed error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended, s.failed
}
