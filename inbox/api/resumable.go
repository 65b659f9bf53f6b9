package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

const (
	// tusVersion is the one that is spoken (https://tus.io/protocols/resumable-upload).
	tusVersion    = "1.0.0"
	tusExtensions = "creation,expiration,termination"
	offsetType    = "application/offset+octet-stream"
	resumablePath = "/api/v1/resumable-uploads"
)

// ForTus is what requests of the protocol have in common. What they lack is told
// by the handlers, once it is known whose upload it is.
type ForTus struct {
	ForTenant
	Version string `header:"Tus-Resumable" doc:"1.0.0, the version of the tus protocol."`
}

// Resolve implements huma.Resolver: every answer says the version, a refusal too.
func (in *ForTus) Resolve(ctx huma.Context) []error {
	ctx.SetHeader("Tus-Resumable", tusVersion)
	ctx.SetHeader("Tus-Version", tusVersion)
	return nil
}

func (in *ForTus) speaks() error {
	if in.Version != tusVersion {
		return problem(http.StatusPreconditionFailed, fmt.Sprintf("Tus-Resumable is %q.", in.Version), "Send Tus-Resumable: "+tusVersion+", the version that is spoken here.")
	}
	return nil
}

// ResumableRef names an upload that arrives in pieces.
type ResumableRef struct {
	ForTus
	ID string `path:"id" maxLength:"64" doc:"The unfinished upload's id, the end of its Location."`
}

// tusAnswer is how far an upload is.
type tusAnswer struct {
	Location string `header:"Location"`
	Offset   string `header:"Upload-Offset" doc:"How many bytes have arrived."`
	Length   string `header:"Upload-Length"`
	Metadata string `header:"Upload-Metadata"`
	Expires  string `header:"Upload-Expires" doc:"When it is forgotten, unless more arrives before."`
	Upload   string `header:"Parley-Upload" doc:"Once all has arrived: the id that a reply names among its attachments."`
}

func answerOf(r inbox.Resumable) *tusAnswer {
	a := &tusAnswer{Offset: strconv.FormatInt(r.Received, 10), Expires: r.ExpiresAt.UTC().Format(http.TimeFormat)}
	if r.Upload != 0 {
		a.Upload = strconv.FormatInt(r.Upload, 10)
	}
	return a
}

func (a *api) resumables(h huma.API) {
	type options struct{ ForTus }
	type described struct {
		Extension string `header:"Tus-Extension"`
		MaxSize   string `header:"Tus-Max-Size" doc:"The largest file in bytes."`
	}
	huma.Register(h, huma.Operation{
		OperationID: "describe-resumables", Method: http.MethodOptions, Path: resumablePath, Summary: "Say what of the tus protocol is spoken",
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *options) (*described, error) {
		if _, err := a.tenant(ctx, in.ForTenant); err != nil {
			return nil, a.problem(ctx, "describe-resumables", err)
		}
		return &described{Extension: tusExtensions, MaxSize: strconv.FormatInt(a.Desk.MaxUpload(), 10)}, nil
	})
	type begin struct {
		ForTus
		ForKey
		Length   string `header:"Upload-Length" doc:"The whole file's size in bytes."`
		Metadata string `header:"Upload-Metadata" doc:"filename and filetype, each with its value in base64, separated by a comma."`
	}
	huma.Register(h, huma.Operation{
		OperationID: "create-resumable", Method: http.MethodPost, Path: resumablePath, Summary: "Begin an upload that can go on after a lost connection",
		Description: "The tus protocol, version 1.0.0, with creation, expiration and termination: any tus client will do. " +
			"What nobody goes on with for a day is removed.",
		DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *begin) (*tusAnswer, error) {
		r, err := a.beginUpload(ctx, &in.ForTus, in.Length, store.NewResumable{Metadata: in.Metadata, Key: in.Key})
		if err != nil {
			return nil, a.problem(ctx, "create-resumable", err)
		}
		out := answerOf(r)
		out.Location = resumablePath + "/" + r.ID
		return out, nil
	})
	huma.Register(h, huma.Operation{
		OperationID: "show-resumable", Method: http.MethodHead, Path: resumablePath + "/{id}", Summary: "Say how far an upload is",
		Description: "One's own only.",
	}, func(ctx context.Context, in *ResumableRef) (*tusAnswer, error) {
		r, _, _, err := a.resumable(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, "show-resumable", err)
		}
		out := answerOf(r)
		out.Length, out.Metadata = strconv.FormatInt(r.Size, 10), r.Metadata
		return out, nil
	})
	huma.Register(h, huma.Operation{
		OperationID: "continue-resumable", Method: http.MethodPatch, Path: resumablePath + "/{id}", Summary: "Go on with an upload",
		Description: "The body is the file from Upload-Offset on, as much of it as one likes. What arrives before a connection is lost has arrived. " +
			"Of two requests at once one wins, and the other is told.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			offsetType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
		}},
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *pieceBody) (*tusAnswer, error) {
		r, err := a.continueUpload(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, "continue-resumable", err)
		}
		return answerOf(r), nil
	})
	huma.Register(h, huma.Operation{
		OperationID: "cancel-resumable", Method: http.MethodDelete, Path: resumablePath + "/{id}", Summary: "Forget an upload that arrives in pieces",
		Description: "What a finished one became stays.", DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *ResumableRef) (*struct{}, error) {
		_, tenant, user, err := a.resumable(ctx, in)
		if err == nil {
			err = a.Desk.CancelUpload(ctx, tenant, user, in.ID)
		}
		if err != nil {
			return nil, a.problem(ctx, "cancel-resumable", err)
		}
		return nil, nil
	})
}

// pieceBody is a piece of a file. It is read as it comes.
type pieceBody struct {
	ResumableRef
	Type   string `header:"Content-Type" doc:"application/offset+octet-stream"`
	Offset string `header:"Upload-Offset" doc:"Where in the file the body begins: how many bytes have arrived."`
	length int64
	body   io.Reader
}

// Resolve implements huma.Resolver: it takes the body as a stream.
func (in *pieceBody) Resolve(ctx huma.Context) []error {
	r, w := humago.Unwrap(ctx)
	// Not every server can; then its own limit holds.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(uploadTime))
	in.length, in.body = r.ContentLength, ctx.BodyReader()
	return in.ForTus.Resolve(ctx)
}

func (a *api) beginUpload(ctx context.Context, in *ForTus, length string, n store.NewResumable) (r inbox.Resumable, err error) {
	tenant, err := a.tenant(ctx, in.ForTenant)
	if err != nil {
		return r, err
	}
	if err := in.speaks(); err != nil {
		return r, err
	}
	if n.Size, err = strconv.ParseInt(length, 10, 64); err != nil || n.Size < 0 {
		return r, problem(http.StatusBadRequest, "Upload-Length is no number of bytes.", "Send the whole file's size; it cannot be told later.")
	}
	if limit := a.Desk.MaxUpload(); limit > 0 && n.Size > limit {
		return r, problem(http.StatusRequestEntityTooLarge, fmt.Sprintf("The file has %d bytes, and %d are taken.", n.Size, limit), "Send a smaller one, or a link.")
	}
	pairs, err := parseMetadata(n.Metadata)
	if err != nil {
		return r, problem(http.StatusBadRequest, err.Error()+".", "Send it as the tus protocol has it, such as: filename bGFtcC5wbmc=,filetype aW1hZ2UvcG5n")
	}
	n.Name, n.MIME = fileOf(pairs)
	user, err := a.user(ctx, tenant)
	if err != nil {
		return r, err
	}
	return a.Desk.BeginUpload(ctx, tenant, user, n)
}

// resumable finds the upload that a request of the protocol names.
func (a *api) resumable(ctx context.Context, in *ResumableRef) (r inbox.Resumable, tenant events.TenantID, user int64, err error) {
	if tenant, err = a.tenant(ctx, in.ForTenant); err != nil {
		return r, tenant, 0, err
	}
	if user, err = a.user(ctx, tenant); err != nil {
		return r, tenant, user, err
	}
	if r, err = a.Desk.Resumable(ctx, tenant, user, in.ID); err != nil {
		return r, tenant, user, err
	}
	if err = in.speaks(); err != nil {
		return r, tenant, user, err
	}
	if time.Now().After(r.ExpiresAt) {
		err = problem(http.StatusGone, "Nobody went on with this upload for a day.", "Begin it anew.")
	}
	return r, tenant, user, err
}

func (a *api) continueUpload(ctx context.Context, in *pieceBody) (inbox.Resumable, error) {
	r, tenant, user, err := a.resumable(ctx, &in.ResumableRef)
	if err != nil {
		return r, err
	}
	if in.Type != offsetType {
		return r, problem(http.StatusUnsupportedMediaType, fmt.Sprintf("The Content-Type is %q.", in.Type), "Send Content-Type: "+offsetType+".")
	}
	offset, err := strconv.ParseInt(in.Offset, 10, 64)
	if err != nil || offset < 0 {
		return r, problem(http.StatusBadRequest, "Upload-Offset is no number of bytes.", "Ask with HEAD how far the upload is.")
	}
	if offset == r.Received && in.length > r.Size-offset {
		return r, problem(http.StatusRequestEntityTooLarge, fmt.Sprintf("There are %d bytes left to send, and here are %d.", r.Size-offset, in.length), "Begin an upload with the file's size.")
	}
	return a.Desk.ContinueUpload(ctx, tenant, user, in.ID, offset, in.body)
}
