package twilio

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	api "github.com/twilio/twilio-go/rest/api/v2010"

	"parley/events"
	"parley/transports"
)

// Send implements [transports.Sender] by creating a message
// (https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource).
func (n *Number) Send(ctx context.Context, part transports.Outbound) (transports.Receipt, error) {
	params, refused := n.params(part)
	if refused != nil {
		return transports.Receipt{}, refused
	}
	if err := ctx.Err(); err != nil {
		return transports.Receipt{}, &transports.SendError{Outcome: transports.Retry, Words: "stopped before sending", Err: err}
	}
	c := n.call(ctx, "send")
	service := api.NewApiService(c.handler())
	sent, err := service.CreateMessage(params)
	if err != nil {
		if c.answered.Load() {
			return transports.Receipt{}, nameless(n.redact.Error(c.op, err))
		}
		return transports.Receipt{}, n.sendError(err, c.left.Load())
	}
	if sent.Sid == nil || *sent.Sid == "" {
		return transports.Receipt{}, nameless(nil)
	}
	r := transports.Receipt{ProviderID: *sent.Sid, Chat: n.party(n.on(part.To)).chat()}
	if sent.DateCreated != nil {
		r.AcceptedAt = parseTime(*sent.DateCreated)
	}
	return r, nil
}

// nameless is an acceptance that cannot be tied to a message.
func nameless(err error) *transports.SendError {
	return &transports.SendError{
		Outcome: transports.Unknown, Words: "Twilio accepted the message but did not say as which", Err: err,
	}
}

// params is the request, or why there can be none.
func (n *Number) params(part transports.Outbound) (*api.CreateMessageParams, *transports.SendError) {
	rejected := func(format string, args ...any) (*api.CreateMessageParams, *transports.SendError) {
		return nil, &transports.SendError{Outcome: transports.Rejected, Words: fmt.Sprintf(format, args...)}
	}
	if !n.answerable(part.To) {
		return rejected("nothing can be sent to %q: it is no phone number", shortName(part.To))
	}
	params := &api.CreateMessageParams{}
	params.SetTo(n.on(part.To))
	if n.from != "" {
		params.SetFrom(n.on(n.from))
	}
	if n.service != "" {
		params.SetMessagingServiceSid(n.service)
	}
	if callback := n.statusCallback(part.Ref); callback != "" {
		params.SetStatusCallback(callback)
	}
	if part.Template != nil {
		return n.template(params, part.Template)
	}
	files, words := n.media(part.Part)
	switch {
	case words != "":
		return rejected("%s", words)
	case len(files) == 0 && strings.TrimSpace(part.Text) == "":
		return rejected("the message is empty")
	case n.caps.TextUnit.Count(part.Text) > maxText:
		return rejected("the message is longer than the %d signs that Twilio takes", maxText)
	}
	if part.Text != "" {
		params.SetBody(part.Text)
	}
	if len(files) > 0 {
		params.SetMediaUrl(files)
	}
	return params, nil
}

// template is an approved template instead of text
// (https://www.twilio.com/docs/content/send-templates-created-with-the-content-template-builder).
func (n *Number) template(params *api.CreateMessageParams, t *transports.Template) (*api.CreateMessageParams, *transports.SendError) {
	if t.ID == "" {
		return nil, &transports.SendError{Outcome: transports.Rejected, Words: "the template has no id of Twilio's"}
	}
	params.SetContentSid(t.ID)
	if len(t.Variables) > 0 {
		variables, err := json.Marshal(t.Variables)
		if err != nil {
			return nil, &transports.SendError{Outcome: transports.Rejected, Words: "the template's variables cannot be written", Err: err}
		}
		params.SetContentVariables(string(variables))
	}
	return params, nil
}

// media are the addresses at which Twilio fetches a part's files, or the words of
// why it cannot.
func (n *Number) media(part transports.Part) (urls []string, words string) {
	if part.Attachment == nil {
		return nil, ""
	}
	files := append([]transports.File{*part.Attachment}, part.Album...)
	if len(files) > max(n.caps.Album, 1) {
		return nil, fmt.Sprintf("%d files are more than one message takes", len(files))
	}
	var sum int64
	for _, file := range files {
		limit, ok := n.caps.Attachments[file.Kind]
		if file.Kind == events.Animation && len(n.caps.Attachments) > 0 && !n.whatsApp {
			limit, ok = maxImage, true // a GIF is an image to Twilio
		}
		switch {
		case !ok && !n.whatsApp:
			return nil, "this number sends text only: set \"mms\" to on if it can send files"
		case !ok:
			return nil, fmt.Sprintf("WhatsApp cannot be sent a %s", kindName(file.Kind))
		case file.Size > limit:
			return nil, fmt.Sprintf("the file has %d bytes; a %s may have %d", file.Size, kindName(file.Kind), limit)
		case !fetchable(file.URL):
			return nil, "the file has no address at which Twilio could fetch it: set the installation's public URL"
		}
		urls = append(urls, file.URL)
		sum += file.Size
	}
	if n.caps.AlbumBytes > 0 && sum > n.caps.AlbumBytes {
		return nil, fmt.Sprintf("the files have %d bytes together; one message may have %d", sum, n.caps.AlbumBytes)
	}
	return urls, ""
}

func kindName(kind events.ContentType) string { return strings.ReplaceAll(string(kind), "_", " ") }

func fetchable(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}
