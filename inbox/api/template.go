package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
	"parley/store"
)

// TemplateRef names a template.
type TemplateRef struct {
	ForTenant
	Template int64 `path:"template" minimum:"1" doc:"The template's id."`
}

func templateVersion(m inbox.MessageTemplate) int64 { return m.Version }

func (a *api) templates(h huma.API) {
	type listTemplates struct {
		ForTenant
		Paged
	}
	handle(a, h, huma.Operation{
		OperationID: "list-templates", Method: http.MethodGet, Path: "/api/v1/templates", Summary: "List templates",
	}, func(ctx context.Context, in *listTemplates) (List[inbox.MessageTemplate], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[inbox.MessageTemplate]{}, err
		}
		after, err := numbered(in.Cursor)
		if err != nil {
			return List[inbox.MessageTemplate]{}, err
		}
		ts, err := a.Desk.Store.MessageTemplates(ctx, tenant, after, in.Limit+1)
		return page(ts, in.Limit, func(t inbox.MessageTemplate) string { return strconv.FormatInt(t.ID, 10) }), err
	})
	handleTagged(a, h, huma.Operation{
		OperationID: "get-template", Method: http.MethodGet, Path: "/api/v1/templates/{template}", Summary: "Read a template",
	}, templateVersion, func(ctx context.Context, in *TemplateRef) (inbox.MessageTemplate, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.MessageTemplate{}, err
		}
		return a.Desk.Store.MessageTemplate(ctx, tenant, in.Template)
	})
	type addTemplate struct {
		ForTenant
		ForKey
		Body struct {
			Name     string                   `json:"name" minLength:"1" maxLength:"100" doc:"What people call it."`
			Text     string                   `json:"text" minLength:"1" maxLength:"65536" doc:"What it says, with variables like {{first_name|there}}; \\{{ are braces."`
			Approved []inbox.ApprovedTemplate `json:"approved,omitempty" maxItems:"20" doc:"The providers' approved templates that say the same."`
		}
	}
	handleTagged(a, h, huma.Operation{
		OperationID: "add-template", Method: http.MethodPost, Path: "/api/v1/templates", Summary: "Add a template",
		Description: "Variables of the client are first_name, last_name, middle_name, name, phone and email, of who writes agent_name, " +
			"agent_first_name and agent_email; business is the tenant's name. All others are asked of who writes.",
		DefaultStatus: http.StatusCreated,
	}, templateVersion, func(ctx context.Context, in *addTemplate) (inbox.MessageTemplate, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.MessageTemplate{}, err
		}
		return a.Desk.Store.AddMessageTemplate(ctx, tenant, store.NewMessageTemplate{
			Name: in.Body.Name, Text: in.Body.Text, Approved: in.Body.Approved, Key: in.Key,
		})
	})
	type changeTemplate struct {
		TemplateRef
		ForVersion
		Body struct {
			Name     *string                   `json:"name,omitempty" minLength:"1" maxLength:"100"`
			Text     *string                   `json:"text,omitempty" minLength:"1" maxLength:"65536"`
			Approved *[]inbox.ApprovedTemplate `json:"approved,omitempty" maxItems:"20" doc:"All of them; an empty list removes all."`
		}
	}
	handleTagged(a, h, huma.Operation{
		OperationID: "change-template", Method: http.MethodPatch, Path: "/api/v1/templates/{template}", Summary: "Change a template",
	}, templateVersion, func(ctx context.Context, in *changeTemplate) (inbox.MessageTemplate, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.MessageTemplate{}, err
		}
		version, err := in.version()
		if err != nil {
			return inbox.MessageTemplate{}, err
		}
		return a.Desk.Store.ChangeMessageTemplate(ctx, tenant, in.Template, version, store.MessageTemplateChange{
			Name: in.Body.Name, Text: in.Body.Text, Approved: in.Body.Approved,
		})
	})
	type removeTemplate struct {
		TemplateRef
		ForVersion
	}
	handle(a, h, huma.Operation{
		OperationID: "remove-template", Method: http.MethodDelete, Path: "/api/v1/templates/{template}", Summary: "Remove a template",
		Description: "What was written with it stays.",
	}, func(ctx context.Context, in *removeTemplate) (Removed, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return Removed{}, err
		}
		version, err := in.version()
		if err != nil {
			return Removed{}, err
		}
		return Removed{in.Template}, a.Desk.Store.RemoveMessageTemplate(ctx, tenant, in.Template, version)
	})
	type previewTemplate struct {
		ChatRef
		Body struct {
			Template  int64             `json:"template_id,omitempty" minimum:"1" doc:"The template to fill in."`
			Text      string            `json:"text,omitempty" maxLength:"65536" doc:"Or a text, to count it."`
			Variables map[string]string `json:"variables,omitempty" doc:"What the template asks for."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "preview", Method: http.MethodPost, Path: "/api/v1/chats/{chat}/preview", Summary: "See what a template says in a chat",
		Description: "Fills in the template, names what is missing, and says for each way to the client whether it goes as text or as the " +
			"provider's approved template, and in how many messages or segments. Sends nothing.",
	}, func(ctx context.Context, in *previewTemplate) (desk.Preview, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return desk.Preview{}, err
		}
		return a.Desk.Preview(ctx, desk.PreviewRequest{
			Tenant: tenant, Chat: in.Chat, Template: in.Body.Template, Text: in.Body.Text, Variables: in.Body.Variables, User: access.From(ctx).User,
		})
	})
}

// Removed says what is no longer there.
type Removed struct {
	ID int64 `json:"id"`
}
