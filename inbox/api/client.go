package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
	"parley/store"
)

// ClientFields are the fields of a client; absent ones stay, empty ones are taken
// away.
type ClientFields struct {
	LastName    *string `json:"last_name,omitempty" maxLength:"255"`
	MiddleName  *string `json:"middle_name,omitempty" maxLength:"255"`
	Phone       *string `json:"phone,omitempty" maxLength:"50" doc:"Nobody else may have it."`
	Email       *string `json:"email,omitempty" maxLength:"255"`
	Address     *string `json:"address,omitempty" maxLength:"10000"`
	DateOfBirth *string `json:"date_of_birth,omitempty" maxLength:"10" example:"1990-12-31"`
	Gender      *string `json:"gender,omitempty" maxLength:"20"`
	PIN         *string `json:"pin,omitempty" maxLength:"20" doc:"Tax identification number; nobody else may have it."`
	Comments    *string `json:"comments,omitempty" maxLength:"10000"`
	Country     string  `json:"country,omitempty" maxLength:"2" example:"DE" doc:"ISO 3166 region of phone numbers without a prefix."`
}

func (f *ClientFields) change(first *string) store.ClientChange {
	return store.ClientChange{
		FirstName: first, LastName: f.LastName, MiddleName: f.MiddleName, Phone: f.Phone, Email: f.Email, Address: f.Address,
		DateOfBirth: f.DateOfBirth, Gender: f.Gender, PIN: f.PIN, Comments: f.Comments,
	}
}

// ContactFields are a contact's.
type ContactFields struct {
	Type  inbox.ContactType `json:"type" enum:"email,phone,telegram,whatsapp,other"`
	Value string            `json:"value" minLength:"1" maxLength:"255" doc:"A number, an address, a Telegram @name or user id."`
}

// ClientRef names a client. It is exported because huma skips embedded fields
// that are not.
type ClientRef struct {
	ForTenant
	Client int64 `path:"client" minimum:"1" doc:"The client's id."`
}

// clientOp registers an operation that answers with a client.
func clientOp[I any](a *api, h huma.API, op huma.Operation, f func(context.Context, *I) (inbox.ClientCard, error)) {
	handleTagged(a, h, op, func(c inbox.ClientCard) int64 { return c.Version }, f)
}

func (a *api) clients(h huma.API) {
	type listClients struct {
		ForTenant
		Search string `query:"search" maxLength:"200" doc:"Parts of names, numbers and addresses, all of which occur; or a whole contact."`
		Cursor string `query:"cursor" maxLength:"500" doc:"The next of the page before; none for the first."`
		Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"How many."`
	}
	handle(a, h, huma.Operation{
		OperationID: "list-clients", Method: http.MethodGet, Path: "/api/v1/clients", Summary: "Search clients, or list them, the newest first",
	}, func(ctx context.Context, in *listClients) (List[inbox.Client], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[inbox.Client]{}, err
		}
		cs, next, err := a.Desk.Store.Clients(ctx, tenant, store.ClientPage{Search: in.Search, Cursor: in.Cursor, Limit: in.Limit})
		return list(cs, next), err
	})
	type addClient struct {
		ForTenant
		ForKey
		Body struct {
			FirstName string `json:"first_name" minLength:"1" maxLength:"255"`
			ClientFields
			Contacts []ContactFields `json:"contacts,omitempty" maxItems:"200"`
		}
	}
	clientOp(a, h, huma.Operation{
		OperationID: "add-client", Method: http.MethodPost, Path: "/api/v1/clients", Summary: "Add a client",
		Description: "Their messages find them by the number, the address or a contact, which is refused with 409 when another client has it; data says who.", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *addClient) (inbox.ClientCard, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.ClientCard{}, err
		}
		n := desk.NewClient{ClientChange: in.Body.change(&in.Body.FirstName), Country: in.Body.Country, Key: in.Key}
		for _, c := range in.Body.Contacts {
			n.Contacts = append(n.Contacts, store.NewContact(c))
		}
		return a.Desk.AddClient(ctx, tenant, access.From(ctx).Actor, n)
	})
	clientOp(a, h, huma.Operation{
		OperationID: "get-client", Method: http.MethodGet, Path: "/api/v1/clients/{client}", Summary: "Show a client",
	}, func(ctx context.Context, in *ClientRef) (inbox.ClientCard, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.ClientCard{}, err
		}
		return a.Desk.Store.Client(ctx, tenant, in.Client)
	})
	type changeClient struct {
		ClientRef
		ForVersion
		Body struct {
			FirstName *string `json:"first_name,omitempty" minLength:"1" maxLength:"255"`
			ClientFields
		}
	}
	clientOp(a, h, huma.Operation{
		OperationID: "change-client", Method: http.MethodPatch, Path: "/api/v1/clients/{client}", Summary: "Change a client",
		Description: "Takes the ETag that was read as If-Match: 428 without, 412 when somebody else has changed the client since; data is the client as it is now.",
	}, func(ctx context.Context, in *changeClient) (inbox.ClientCard, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.ClientCard{}, err
		}
		version, err := in.needed()
		if err != nil {
			return inbox.ClientCard{}, err
		}
		return a.Desk.ChangeClient(ctx, tenant, access.From(ctx).Actor, in.Client, version, in.Body.Country, in.Body.change(in.Body.FirstName))
	})
	type removeClient struct {
		ClientRef
		Confirm int64 `query:"confirm" minimum:"1" doc:"The client's id once more."`
	}
	handle(a, h, huma.Operation{
		OperationID: "delete-client", Method: http.MethodDelete, Path: "/api/v1/clients/{client}", Summary: "Delete a client with their chat and everything in it",
		Description: "It cannot be taken back, so it takes the id once more.", DefaultStatus: http.StatusOK,
	}, func(ctx context.Context, in *removeClient) (nothing, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return nothing{}, err
		}
		if in.Confirm != in.Client {
			c, err := a.Desk.Store.Client(ctx, tenant, in.Client)
			if err != nil {
				return nothing{}, err
			}
			return nothing{}, &inbox.Error{
				Code: inbox.Invalid, Message: fmt.Sprintf("This deletes %s with all their messages and cannot be taken back.", c.FirstName),
				Hint: fmt.Sprintf("Confirm it with confirm=%d.", in.Client),
			}
		}
		return nothing{}, a.Desk.Store.DeleteClient(ctx, tenant, access.From(ctx).Actor, in.Client)
	})
	a.contacts(h)
}

func (a *api) contacts(h huma.API) {
	type addContact struct {
		ClientRef
		ForKey
		Body struct {
			ContactFields
			Country string `json:"country,omitempty" maxLength:"2" example:"DE" doc:"ISO 3166 region of phone numbers without a prefix."`
		}
	}
	clientOp(a, h, huma.Operation{
		OperationID: "add-contact", Method: http.MethodPost, Path: "/api/v1/clients/{client}/contacts", Summary: "Add a way to reach a client",
		Description: "One that they have already is left as it is.", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *addContact) (inbox.ClientCard, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.ClientCard{}, err
		}
		c, err := desk.TidyContact(store.NewContact(in.Body.ContactFields), in.Body.Country)
		if err != nil {
			return inbox.ClientCard{}, err
		}
		return a.Desk.Store.AddContact(ctx, tenant, access.From(ctx).Actor, in.Client, c, in.Key)
	})
	type contactRef struct {
		ClientRef
		Contact int64 `path:"contact" minimum:"1" doc:"The contact's id."`
	}
	type changeContact struct {
		ClientRef
		ForVersion
		Contact int64 `path:"contact" minimum:"1" doc:"The contact's id."`
		Body    struct {
			ContactFields
			Country string `json:"country,omitempty" maxLength:"2" example:"DE" doc:"ISO 3166 region of phone numbers without a prefix."`
		}
	}
	clientOp(a, h, huma.Operation{
		OperationID: "change-contact", Method: http.MethodPut, Path: "/api/v1/clients/{client}/contacts/{contact}", Summary: "Change a way to reach a client",
		Description: "Takes the client's ETag as If-Match: 428 without, 412 when somebody else has changed the client since.",
	}, func(ctx context.Context, in *changeContact) (inbox.ClientCard, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.ClientCard{}, err
		}
		version, err := in.needed()
		if err != nil {
			return inbox.ClientCard{}, err
		}
		c, err := desk.TidyContact(store.NewContact(in.Body.ContactFields), in.Body.Country)
		if err != nil {
			return inbox.ClientCard{}, err
		}
		return a.Desk.Store.ChangeContact(ctx, tenant, access.From(ctx).Actor, in.Client, in.Contact, version, c)
	})
	clientOp(a, h, huma.Operation{
		OperationID: "remove-contact", Method: http.MethodDelete, Path: "/api/v1/clients/{client}/contacts/{contact}", Summary: "Remove a way to reach a client",
		DefaultStatus: http.StatusOK,
	}, func(ctx context.Context, in *contactRef) (inbox.ClientCard, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.ClientCard{}, err
		}
		return a.Desk.Store.RemoveContact(ctx, tenant, access.From(ctx).Actor, in.Client, in.Contact)
	})
}
