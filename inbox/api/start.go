package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/desk"
)

func (a *api) starts(h huma.API) {
	type startChat struct {
		ForTenant
		ForKey
		Body struct {
			To          string            `json:"to" minLength:"1" maxLength:"512" doc:"A phone number or a mail address; on Telegram the id of somebody who has written to the bot."`
			FirstName   string            `json:"first_name,omitempty" maxLength:"255" doc:"What a new client is called."`
			LastName    string            `json:"last_name,omitempty" maxLength:"255"`
			Channel     string            `json:"channel,omitempty" doc:"Id or name of the channel; may be left out where only one can reach them."`
			Text        string            `json:"text,omitempty" doc:"What to say."`
			Attachments []int64           `json:"attachments,omitempty" maxItems:"20" doc:"Ids of uploads to send, in order."`
			TemplateID  int64             `json:"template_id,omitempty" minimum:"1" doc:"The tenant's own template to send instead of a text. WhatsApp takes only one with an approved template from a business that writes first."`
			Variables   map[string]string `json:"variables,omitempty" doc:"What the template asks for."`
			Template    *inbox.Template   `json:"template,omitempty" doc:"Or the provider's approved template itself."`
			Subject     string            `json:"subject,omitempty" maxLength:"900" doc:"Of a mail."`
			Seen        int64             `json:"seen,omitempty" minimum:"0" doc:"Seq of the newest message that was seen, if they have a chat already."`
			Force       bool              `json:"force,omitempty" doc:"Send even when they have a chat with messages that were not seen."`
			UndoSeconds *int              `json:"undo_seconds,omitempty" minimum:"0" maximum:"60" doc:"How long it waits to be undone before it leaves; the tenant's usual time when absent."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "start-chat", Method: http.MethodPost, Path: "/api/v1/chats", Summary: "Write to somebody first",
		Description: "Finds who they are by the rules by which inbound messages are routed, makes a client and chat of who is new, and sends the " +
			"message there; their answer comes to the same chat. Where they have a chat with messages that were not seen, it is refused " +
			"with 409 and the code stale. What their network does not let a business write first is refused with the code refused.",
		DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *startChat) (inbox.Message, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Message{}, err
		}
		b := &in.Body
		words := ReplyBody{
			Channel: b.Channel, Text: b.Text, Attachments: b.Attachments, TemplateID: b.TemplateID, Variables: b.Variables, Template: b.Template,
			Subject: b.Subject, Seen: b.Seen, Force: b.Force, UndoSeconds: b.UndoSeconds,
		}
		return a.Desk.Start(ctx, desk.Start{
			Reply: words.reply(ctx, tenant, 0, in.Key), To: b.To, FirstName: b.FirstName, LastName: b.LastName,
		})
	})
}
