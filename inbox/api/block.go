package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"parley/inbox"
	"parley/inbox/access"
)

// BlockRef names a block rule. It is exported because huma skips embedded fields
// that are not.
type BlockRef struct {
	ForTenant
	Block int64 `path:"block" minimum:"1" doc:"The block rule's id."`
}

func (a *api) blocks(h huma.API) {
	type listBlocks struct {
		ForTenant
		Paged
	}
	handle(a, h, huma.Operation{
		OperationID: "list-blocks", Method: http.MethodGet, Path: "/api/v1/blocks",
		Summary: "List who may not write, the newest rule first",
	}, func(ctx context.Context, in *listBlocks) (List[inbox.BlockRule], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[inbox.BlockRule]{}, err
		}
		before, err := numbered(in.Cursor)
		if err != nil {
			return List[inbox.BlockRule]{}, err
		}
		rules, err := a.Desk.Store.Blocks(ctx, tenant, before, in.Limit+1)
		return page(rules, in.Limit, func(r inbox.BlockRule) string { return strconv.FormatInt(r.ID, 10) }), err
	})
	type addBlock struct {
		ForTenant
		Body struct {
			Kind  inbox.BlockKind `json:"kind" enum:"value,domain,pattern" doc:"A number, address or account in full; a mail domain and what is below it; or a pattern with * and ?."`
			Value string          `json:"value" minLength:"1" maxLength:"512"`
			Note  string          `json:"note,omitempty" maxLength:"500" doc:"Why, for colleagues."`
		}
	}
	handle(a, h, huma.Operation{
		OperationID: "add-block", Method: http.MethodPost, Path: "/api/v1/blocks", DefaultStatus: http.StatusCreated,
		Summary:     "Block everybody whom a rule fits",
		Description: "What they write is kept as ignored. A rule that is there already is returned, so a repeated request adds one.",
	}, func(ctx context.Context, in *addBlock) (inbox.BlockRule, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.BlockRule{}, err
		}
		return a.Desk.Store.AddBlock(ctx, tenant, access.From(ctx).Actor, inbox.BlockRule{Kind: in.Body.Kind, Value: in.Body.Value, Note: in.Body.Note})
	})
	handle(a, h, huma.Operation{
		OperationID: "remove-block", Method: http.MethodDelete, Path: "/api/v1/blocks/{block}", Summary: "Remove a block rule",
	}, func(ctx context.Context, in *BlockRef) (struct{}, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, a.Desk.Store.RemoveBlock(ctx, tenant, access.From(ctx).Actor, in.Block)
	})
	for _, op := range []struct {
		verb, summary string
		blocked       bool
	}{{"block", "Ignore what a client writes", true}, {"unblock", "Listen to a client again", false}} {
		handle(a, h, huma.Operation{
			OperationID: op.verb + "-client", Method: http.MethodPost, Path: "/api/v1/clients/{client}/" + op.verb,
			Summary: op.summary, Description: "What is written while a client is blocked is kept as ignored and not shown.",
		}, func(ctx context.Context, in *ClientRef) (struct{}, error) {
			tenant, err := a.tenant(ctx, in.ForTenant)
			if err != nil {
				return struct{}{}, err
			}
			return struct{}{}, a.Desk.Store.BlockClient(ctx, tenant, access.From(ctx).Actor, in.Client, op.blocked)
		})
	}
}
