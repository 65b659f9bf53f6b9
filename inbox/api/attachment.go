package api

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"parley/inbox"
	"parley/inbox/media"
)

// uploadTime is how long an upload's body may take to arrive, whatever limit the
// server has for other requests.
const uploadTime = 10 * time.Minute

// UploadRef names an upload.
type UploadRef struct {
	ForTenant
	Upload int64 `path:"upload" minimum:"1" doc:"The upload's id."`
}

// uploadBody is a request whose body is a file. It is read as it comes.
type uploadBody struct {
	ForTenant
	ForKey
	Name string `query:"name" maxLength:"255" doc:"The file's name."`
	Type string `header:"Content-Type" doc:"Believed only where the bytes do not say what they are."`
	body io.Reader
}

// Resolve implements huma.Resolver: it takes the body as a stream.
func (in *uploadBody) Resolve(ctx huma.Context) []error {
	_, w := humago.Unwrap(ctx)
	// Not every server can; then its own limit holds.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(uploadTime))
	in.body = ctx.BodyReader()
	return nil
}

func (a *api) attachments(h huma.API) {
	binary := map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
	handle(a, h, huma.Operation{
		OperationID: "upload", Method: http.MethodPost, Path: "/api/v1/uploads", Summary: "Upload a file to send",
		Description: "The body is the file itself. A reply names the id among its attachments; a file that no message gets is removed after a day.",
		RequestBody: &huma.RequestBody{Required: true, Content: binary}, DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *uploadBody) (inbox.Upload, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Upload{}, err
		}
		return a.Desk.Upload(ctx, tenant, in.Key, in.Name, in.Type, in.body)
	})
	handle(a, h, huma.Operation{
		OperationID: "get-upload", Method: http.MethodGet, Path: "/api/v1/uploads/{upload}", Summary: "Say what is known of a file",
	}, func(ctx context.Context, in *UploadRef) (inbox.Upload, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return inbox.Upload{}, err
		}
		return a.Desk.UploadInfo(ctx, tenant, in.Upload)
	})
	a.download(h, huma.Operation{
		OperationID: "download", Path: "/api/v1/uploads/{upload}/content", Summary: "Download a file",
		Description: "Ranges and conditional requests work. A browser neither runs nor guesses anything of it.",
	}, false)
	a.download(h, huma.Operation{
		OperationID: "download-thumbnail", Path: "/api/v1/uploads/{upload}/thumbnail", Summary: "Download a file's small picture",
		Description: "A JPEG of at most 320 pixels; not found when there is none.",
	}, true)
	type refetch struct {
		ForTenant
		Message int64 `path:"message" minimum:"1" doc:"The message's id."`
	}
	type refetched struct {
		Files int64 `json:"files" doc:"How many files are fetched again."`
	}
	handle(a, h, huma.Operation{
		OperationID: "refetch", Method: http.MethodPost, Path: "/api/v1/messages/{message}/refetch",
		Summary: "Fetch files again that could not be fetched",
	}, func(ctx context.Context, in *refetch) (refetched, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return refetched{}, err
		}
		n, err := a.Desk.Refetch(ctx, tenant, in.Message)
		return refetched{Files: n}, err
	})
}

// downloadRef names a file and how to hand it out.
type downloadRef struct {
	UploadRef
	Inline bool `query:"inline" doc:"Show it rather than save it, if its kind is harmless."`
}

// download registers an operation that hands out a file.
func (a *api) download(h huma.API, op huma.Operation, thumbnail bool) {
	op.Method = http.MethodGet
	op.Responses = map[string]*huma.Response{
		"200": {Description: "The file", Content: map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}},
		"206": {Description: "The part of it that was asked for"},
	}
	huma.Register(h, op, func(ctx context.Context, in *downloadRef) (*huma.StreamResponse, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return nil, a.problem(ctx, op.OperationID, err)
		}
		f, err := a.Desk.OpenUpload(ctx, tenant, in.Upload, thumbnail)
		if err != nil {
			return nil, a.problem(ctx, op.OperationID, err)
		}
		return &huma.StreamResponse{Body: func(hctx huma.Context) {
			defer func() { _ = f.Close() }()
			r, w := humago.Unwrap(hctx)
			media.Serve(w, r, f, in.Inline || thumbnail)
		}}, nil
	})
}
