// Package api is Parley's JSON API: huma operations on the standard mux under
// /api/v1, described at /api/openapi.json.
//
// It is served on a Unix socket that only its owner can open, for the operator's
// own command line: whoever reaches it may do everything, in every tenant ([New]).
// Over TCP it takes a session or a token, and the rule of each operation says
// which ([Public]).
//
// Every tenant operation takes the header Parley-Tenant, an id or a name; where
// there is one tenant only, it may be left out. Errors are RFC 9457 problems;
// see [Problem].
package api

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
)

// Options of the API. All but Logger are required.
type Options struct {
	Desk       *desk.Desk
	Quarantine Quarantine
	Audit      func(ctx context.Context) (Audit, error)
	// Status says what runs and what is missing.
	Status func(ctx context.Context) Status
	// Stop ends the streams of facts when it is done, so that the server can shut
	// down; requests end with their own context.
	Stop    context.Context
	Version string
	Logger  *slog.Logger
	// Guard lets people and programs in.
	Guard *access.Guard
	// URL is where people reach Parley, without trailing slash, for links; HTTPS
	// whether they do so over https.
	URL   string
	HTTPS bool
	// Proxies are believed where a request comes from; Limits bound how fast each
	// caller may go on, nil for not at all. Neither is for the operator.
	Proxies access.Proxies
	Limits  *access.Limits
	// OIDC signs people in who are known elsewhere, nil for nobody.
	OIDC *access.OIDC
	// Pages are served by [Public] beside the API, for whoever is known or not; nil
	// for none.
	Pages http.Handler
}

// api has the operations as its methods, one noun per file.
type api struct {
	Options
	log *slog.Logger
}

// New makes the handler of everything under /api/ for the operator. Nobody else
// may reach it.
func New(o Options) http.Handler { return asOperator(mux(o)) }

func mux(o Options) http.Handler {
	mux := http.NewServeMux()
	servePage(mux, Describe(mux, o), o.URL)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(http.StatusNotFound, "There is nothing at "+r.URL.Path+".",
			"See /api/ for what there is, and /api/openapi.json for programs."))
	})
	return mux
}

// Describe registers the operations on mux and returns their description.
func Describe(mux *http.ServeMux, o Options) *huma.OpenAPI {
	useProblems()
	a := &api{Options: o, log: o.Logger}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	cfg := huma.DefaultConfig("Parley", o.Version)
	cfg.OpenAPIPath = "/api/openapi"
	// The docs page loads scripts from elsewhere, and links to schemas are noise.
	cfg.DocsPath, cfg.SchemasPath = "", ""
	cfg.CreateHooks = nil
	cfg.RejectUnknownQueryParameters = true
	cfg.OnAddOperation = append(cfg.OnAddOperation, declare())
	cfg.Components.SecuritySchemes = securitySchemes()
	h := humago.New(mux, cfg)
	h.UseMiddleware(a.authorize)
	a.tenants(h)
	a.channels(h)
	a.channelUpkeep(h)
	a.chats(h)
	a.chatWork(h)
	a.labels(h)
	a.teams(h)
	a.notes(h)
	a.drafts(h)
	a.clients(h)
	a.clientExports(h)
	a.clientImports(h)
	a.messages(h)
	a.journeys(h)
	a.alerts(h)
	a.templates(h)
	a.undos(h)
	a.schedules(h)
	a.starts(h)
	a.hours(h)
	a.attachments(h)
	a.resumables(h)
	a.deliveries(h)
	a.actions(h)
	a.quarantined(h)
	a.merges(h)
	a.blocks(h)
	a.erasures(h)
	a.audits(h)
	a.streams(h)
	a.searches(h)
	a.webhooks(h)
	a.statuses(h)
	a.sessions(h)
	a.signIns(h)
	a.users(h)
	a.invitations(h)
	a.tokens(h)
	a.auditLog(h)
	return h.OpenAPI()
}

// ForTenant is the header that names the tenant.
type ForTenant struct {
	Tenant string `header:"Parley-Tenant" doc:"The tenant's id or name; may be left out where there is only one."`
}

// tenant finds the request's tenant.
func (a *api) tenant(ctx context.Context, in ForTenant) (events.TenantID, error) {
	if p := access.From(ctx); p.Kind != inbox.Operator {
		return tenantOf(p, in)
	}
	t, err := a.Desk.Tenant(ctx, in.Tenant)
	return t.ID, err
}

// Body is a response with a JSON body.
type Body[T any] struct {
	Body T
}

// List is a page of things.
type List[T any] struct {
	Items []T `json:"items" nullable:"false"`
	// Next is the cursor of the next page, empty when this is the last.
	Next string `json:"next,omitempty" doc:"Cursor of the next page; absent on the last one."`
}

// handle registers an operation whose errors become problems.
func handle[I, O any](a *api, h huma.API, op huma.Operation, f func(context.Context, *I) (O, error)) {
	huma.Register(h, op, func(ctx context.Context, in *I) (*Body[O], error) {
		out, err := f(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, op.OperationID, err)
		}
		return &Body[O]{Body: out}, nil
	})
}

// list never has null items.
func list[T any](items []T, next string) List[T] {
	if items == nil {
		items = []T{}
	}
	return List[T]{Items: items, Next: next}
}
