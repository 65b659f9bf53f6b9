package api

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
)

// importBody is a request whose body is a file of clients.
type importBody struct {
	ForTenant
	DryRun  bool   `query:"dry_run" doc:"Only say what would happen."`
	Country string `query:"country" maxLength:"2" doc:"ISO 3166 region of phone numbers without a prefix, such as DE."`
	body    io.Reader
}

// Resolve implements huma.Resolver: it takes the body as a stream.
func (in *importBody) Resolve(ctx huma.Context) []error {
	_, w := humago.Unwrap(ctx)
	// Not every server can; then its own limits hold.
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(uploadTime))
	_ = c.SetWriteDeadline(time.Now().Add(uploadTime))
	in.body = ctx.BodyReader()
	return nil
}

func (a *api) clientImports(h huma.API) {
	text := map[string]*huma.MediaType{"text/csv": {Schema: &huma.Schema{Type: huma.TypeString}}}
	handle(a, h, huma.Operation{
		OperationID: "import-clients", Method: http.MethodPost, Path: "/api/v1/clients/import", Summary: "Import clients from comma-separated values",
		Description: "UTF-8 with a head, at most 10 MB and 5,000 lines, separated by commas, semicolons or tabs. The columns: name or first_name and last_name, middle_name, phone, email, " +
			"telegram, whatsapp, other, address, date_of_birth (1990-12-31), gender, pin, comments. Who has one of a line's numbers, addresses or accounts already " +
			"gets what they lack and keeps what they have; the others are made. Each line is imported or refused for itself, with why and what to do; " +
			"importing it again makes nobody twice. dry_run says what would happen.",
		RequestBody: &huma.RequestBody{Required: true, Content: text},
	}, func(ctx context.Context, in *importBody) (inbox.ImportReport, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.ImportReport{}, err
		}
		return a.Desk.ImportClients(ctx, tenant, access.From(ctx).Actor, desk.Import{DryRun: in.DryRun, Country: in.Country}, in.body)
	})
}
