package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/access"
)

func (a *api) notes(h huma.API) {
	type listNotes struct {
		ChatRef
		Paged
	}
	handle(a, h, huma.Operation{
		OperationID: "list-notes", Method: http.MethodGet, Path: "/api/v1/chats/{chat}/notes", Summary: "List a chat's private notes, the newest first",
		Description: "Those of clients that were merged into this one, too. A note is shown after the message after_seq.",
	}, func(ctx context.Context, in *listNotes) (List[inbox.Note], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[inbox.Note]{}, err
		}
		before, err := numbered(in.Cursor)
		if err != nil {
			return List[inbox.Note]{}, err
		}
		notes, err := a.Desk.Store.Notes(ctx, tenant, in.Chat, before, in.Limit+1)
		return page(notes, in.Limit, func(n inbox.Note) string { return strconv.FormatInt(n.ID, 10) }), err
	})
	type addNote struct {
		ChatRef
		ForKey
		Body struct {
			Text string `json:"text" minLength:"1" maxLength:"16384"`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "add-note", Method: http.MethodPost, Path: "/api/v1/chats/{chat}/notes", Summary: "Write a private note",
		Description: "Only colleagues see it; nothing sends it.", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *addNote) (inbox.Note, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Note{}, err
		}
		user, err := a.user(ctx, tenant)
		if err != nil {
			return inbox.Note{}, err
		}
		return a.Desk.Store.AddNote(ctx, tenant, access.From(ctx).Actor, in.Chat, user, in.Body.Text, in.Key)
	})
	type noteRef struct {
		ForTenant
		Note int64 `path:"note" minimum:"1" doc:"The note's id."`
	}
	type changeNote struct {
		ForTenant
		ForVersion
		Note int64 `path:"note" minimum:"1" doc:"The note's id."`
		Body struct {
			Text string `json:"text" minLength:"1" maxLength:"16384"`
		}
	}
	edit := func(ctx context.Context, in ForTenant, note int64, text *string, version int64) (inbox.Note, error) {
		tenant, err := a.tenant(ctx, in)
		if err != nil {
			return inbox.Note{}, err
		}
		p := access.From(ctx)
		return a.Desk.Store.ChangeNote(ctx, tenant, p.Actor, note, p.User, p.Role.AtLeast(inbox.Admin), text, version)
	}
	handleTagged(a, h, huma.Operation{
		OperationID: "change-note", Method: http.MethodPatch, Path: "/api/v1/notes/{note}", Summary: "Change a private note",
		Description: "Its writer may, and admins.",
	}, func(n inbox.Note) int64 { return n.Version }, func(ctx context.Context, in *changeNote) (inbox.Note, error) {
		v, err := in.needed()
		if err != nil {
			return inbox.Note{}, err
		}
		return edit(ctx, in.ForTenant, in.Note, &in.Body.Text, v)
	})
	handle(a, h, huma.Operation{
		OperationID: "delete-note", Method: http.MethodDelete, Path: "/api/v1/notes/{note}", Summary: "Delete a private note",
		Description: "Its writer may, and admins.", DefaultStatus: http.StatusOK,
	}, func(ctx context.Context, in *noteRef) (nothing, error) {
		_, err := edit(ctx, in.ForTenant, in.Note, nil, 0)
		return nothing{}, err
	})
}
