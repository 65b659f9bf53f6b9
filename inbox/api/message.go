package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
	"parley/store"
)

// Messages is a page of a chat's messages by rising seq.
type Messages struct {
	Items []inbox.Message `json:"items" nullable:"false"`
	More  bool            `json:"more" doc:"Whether there are more beyond the page's open end."`
}

func (a *api) messages(h huma.API) {
	type listMessages struct {
		ChatRef
		Before int64 `query:"before" minimum:"1" doc:"The ones before this seq."`
		After  int64 `query:"after" minimum:"1" doc:"The ones after this seq."`
		Around int64 `query:"around" minimum:"1" doc:"This seq and some on both sides."`
		Limit  int   `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many."`
	}
	handle(a, h, huma.Operation{
		OperationID: "list-messages", Method: http.MethodGet, Path: "/api/v1/chats/{chat}/messages",
		Summary: "List a chat's messages", Description: "The newest ones, or those before, after or around a seq.",
	}, func(ctx context.Context, in *listMessages) (Messages, error) {
		if n := positive(in.Before) + positive(in.After) + positive(in.Around); n > 1 {
			return Messages{}, &inbox.Error{Code: inbox.Invalid, Message: "Only one of before, after and around can be given."}
		}
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return Messages{}, err
		}
		ms, more, err := a.Desk.Messages(ctx, tenant, in.Chat, store.MessagePage{
			Before: in.Before, After: in.After, Around: in.Around, Limit: in.Limit,
		})
		if ms == nil {
			ms = []inbox.Message{}
		}
		return Messages{Items: ms, More: more}, err
	})
	type reply struct {
		ChatRef
		Key  string `header:"Idempotency-Key" maxLength:"255" doc:"The same key with the same reply sends once."`
		Body ReplyBody
	}
	handle(a, h, huma.Operation{
		OperationID: "reply", Method: http.MethodPost, Path: "/api/v1/chats/{chat}/messages", Summary: "Reply to the client",
		Description: "Stores the message and queues its delivery. A reply that did not see the client's or a colleague's newest " +
			"message is refused with 409 and the code stale, and data says what was missed. What cannot be sent now (the client is " +
			"blocked, opted out or unreachable, the reply window is over, the channel is paused or needs attention) is refused with " +
			"409 and the code refused, in words; data says the route's state.",
		DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *reply) (inbox.Message, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Message{}, err
		}
		return a.Desk.Reply(ctx, in.Body.reply(ctx, tenant, in.Chat, in.Key))
	})
}

func positive(n int64) int {
	if n > 0 {
		return 1
	}
	return 0
}

// ReplyBody is what an agent writes.
type ReplyBody struct {
	Text    string `json:"text,omitempty" doc:"What to say; may be left out when there are attachments."`
	Channel string `json:"channel,omitempty" doc:"Id or name of the channel; the one the client wrote on last when absent."`
	Seen    int64  `json:"seen" minimum:"0" doc:"Seq of the newest message that the agent saw: the chat's last_seq when it was shown."`
	Force   bool   `json:"force,omitempty" doc:"Send even when something newer was not seen."`
	ReplyTo int64  `json:"reply_to,omitempty" minimum:"1" doc:"Id of the message that is answered in particular."`
	// Attachments are uploads.
	Attachments []int64 `json:"attachments,omitempty" maxItems:"20" doc:"Ids of uploads to send, in order."`
	// Template replaces the text.
	Template *inbox.Template `json:"template,omitempty" doc:"An approved template to send instead of the text, which is then only what is shown."`
	// TemplateID and Variables make the text.
	TemplateID  int64             `json:"template_id,omitempty" minimum:"1" doc:"The tenant's own template to send instead of a text. Outside the reply window its approved template goes."`
	Variables   map[string]string `json:"variables,omitempty" doc:"What the template asks for."`
	UndoSeconds *int              `json:"undo_seconds,omitempty" minimum:"0" maximum:"60" doc:"How long it waits to be undone before it leaves; the tenant's usual time when absent."`
	Subject     string            `json:"subject,omitempty" maxLength:"900" doc:"Of a mail; that of the mail answered when absent."`
	// To and Cc are the recipients of a mail.
	To []string  `json:"to,omitempty" maxItems:"50" doc:"Recipients of a mail, like Ada <ada@example.com>; those of the mail answered when absent."`
	Cc *[]string `json:"cc,omitempty" doc:"Further recipients of a mail; an empty list leaves out those of the mail answered."`
}

func (b *ReplyBody) reply(ctx context.Context, tenant events.TenantID, chat int64, key string) desk.Reply {
	var cc []string
	if b.Cc != nil {
		cc = append([]string{}, *b.Cc...)
	}
	return desk.Reply{
		Tenant: tenant, User: access.From(ctx).User, Chat: chat, Channel: b.Channel, Text: b.Text, Attachments: b.Attachments, Seen: b.Seen, Force: b.Force,
		Key: key, ReplyTo: b.ReplyTo, Template: b.Template, Subject: b.Subject, To: b.To, Cc: cc,
		TemplateID: b.TemplateID, Variables: b.Variables, Undo: undoFor(b.UndoSeconds),
	}
}
