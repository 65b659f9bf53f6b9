package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"parley/inbox/access"
)

func (a *api) clientExports(h huma.API) {
	op := huma.Operation{
		OperationID: "export-client", Method: http.MethodGet, Path: "/api/v1/clients/{client}/export", Summary: "Export all that is kept of a client",
		Description: "A ZIP archive: client.json, chat.json, messages.ndjson (one a line, the oldest first, with routed_by: why each is here), notes.ndjson, " +
			"files/, and missing.txt if a file is not there. It is streamed; one that was cut short has no end and cannot be opened. The export is itself noted.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The archive", Content: map[string]*huma.MediaType{"application/zip": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
		}},
	}
	huma.Register(h, op, func(ctx context.Context, in *ClientRef) (*huma.StreamResponse, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return nil, a.problem(ctx, op.OperationID, err)
		}
		export, err := a.Desk.ExportClient(ctx, tenant, access.From(ctx).Actor, in.Client)
		if err != nil {
			return nil, a.problem(ctx, op.OperationID, err)
		}
		return &huma.StreamResponse{Body: func(hctx huma.Context) {
			_, w := humago.Unwrap(hctx)
			hctx.SetHeader("Content-Type", "application/zip")
			hctx.SetHeader("Content-Disposition", `attachment; filename="`+export.Name()+`"`)
			hctx.SetHeader("Cache-Control", "no-store")
			if err := export.Write(hctx.Context(), w); err != nil {
				a.log.WarnContext(hctx.Context(), "export of a client cut short", "client", in.Client, "error", err)
				panic(http.ErrAbortHandler)
			}
		}}, nil
	})
}
