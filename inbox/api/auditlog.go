package api

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"parley/events"
	"parley/inbox/access"
	"parley/store"
)

func (a *api) auditLog(h huma.API) {
	type listAudit struct {
		ForTenant
		Paged
	}
	handle(a, h, huma.Operation{
		OperationID: "list-audit-log", Method: http.MethodGet, Path: "/api/v1/audit-log", Summary: "List who did what, the newest first",
	}, func(ctx context.Context, in *listAudit) (List[store.AuditEntry], error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return List[store.AuditEntry]{}, err
		}
		before, err := numbered(in.Cursor)
		if err != nil {
			return List[store.AuditEntry]{}, err
		}
		es, err := a.Desk.Store.AuditLog(ctx, tenant, before, in.Limit+1)
		return page(es, in.Limit, func(e store.AuditEntry) string { return strconv.FormatInt(e.ID, 10) }), err
	})
	type export struct {
		ForTenant
		After  int64     `query:"after" minimum:"0" doc:"Only entries with higher ids: where an earlier export ended."`
		From   time.Time `query:"from" doc:"Only what was done at this time or later."`
		Until  time.Time `query:"until" doc:"Only what was done before this time."`
		Format string    `query:"format" enum:"ndjson,csv" default:"ndjson" doc:"Lines of JSON, or comma-separated values with a head (RFC 4180)."`
	}
	op := huma.Operation{
		OperationID: "export-audit-log", Method: http.MethodGet, Path: "/api/v1/audit-log/export", Summary: "Export who did what, the oldest first",
		Description: "Streamed. An answer that is cut short can be gone on with: after is the id of the last entry that came. " +
			"What was still under way meanwhile comes later with an id that was passed: who exports again and again gives a from a few minutes before the last export instead, and keeps each id once. " +
			"In comma-separated values a cell that a spreadsheet would take for a formula begins with an apostrophe. The export is itself noted.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The entries", Content: map[string]*huma.MediaType{
				"application/x-ndjson": {Schema: &huma.Schema{Type: huma.TypeString}},
				"text/csv":             {Schema: &huma.Schema{Type: huma.TypeString}},
			},
		}},
	}
	huma.Register(h, op, func(ctx context.Context, in *export) (*huma.StreamResponse, error) {
		tenant, err := a.tenant(ctx, in.ForTenant)
		if err != nil {
			return nil, a.problem(ctx, op.OperationID, err)
		}
		if err := a.Desk.Store.AppendAudit(ctx, tenant, access.From(ctx).Actor, store.NewAuditEntry{
			Action: "audit.export", TargetKind: "audit", Detail: map[string]any{"format": in.Format, "after": in.After},
		}); err != nil {
			return nil, a.problem(ctx, op.OperationID, err)
		}
		since := store.AuditSince{After: in.After, From: in.From, Until: in.Until, Limit: exportPage}
		return &huma.StreamResponse{Body: func(hctx huma.Context) { a.exportAudit(hctx, tenant, since, in.Format) }}, nil
	})
}

// exportPage is how many entries are read at a time.
const exportPage = 500

// exportAudit streams the log. What can no longer be told by a status ends the
// connection, so that nobody takes a part for the whole.
func (a *api) exportAudit(hctx huma.Context, tenant events.TenantID, since store.AuditSince, format string) {
	var out auditWriter = ndjsonAudit{json.NewEncoder(hctx.BodyWriter())}
	kind := "application/x-ndjson"
	if format == "csv" {
		kind, out = "text/csv; charset=utf-8; header=present", newCSVAudit(hctx.BodyWriter())
	}
	hctx.SetHeader("Content-Type", kind)
	hctx.SetHeader("Content-Disposition", `attachment; filename="audit-log.`+format+`"`)
	if hctx.Method() == http.MethodHead {
		return
	}
	for {
		es, err := a.Desk.Store.AuditLogSince(hctx.Context(), tenant, since)
		for _, e := range es {
			if err == nil {
				err = out.write(e)
			}
			since.After = e.ID
		}
		if err == nil {
			err = out.flush()
		}
		if err != nil {
			a.log.WarnContext(hctx.Context(), "export of the audit log cut short", "after", since.After, "error", err)
			panic(http.ErrAbortHandler)
		}
		if len(es) < since.Limit {
			return
		}
	}
}

// auditWriter is a format of the export.
type auditWriter interface {
	write(e store.AuditEntry) error
	flush() error
}

type ndjsonAudit struct{ *json.Encoder }

func (w ndjsonAudit) write(e store.AuditEntry) error { return w.Encode(e) }
func (ndjsonAudit) flush() error                     { return nil }

type csvAudit struct{ *csv.Writer }

var auditHead = []string{
	"id", "at", "actor_kind", "actor_id", "actor_name", "action", "target_kind", "target_id", "address", "user_agent", "request_id", "detail",
}

func newCSVAudit(to io.Writer) csvAudit {
	w := csvAudit{csv.NewWriter(to)}
	_ = w.Write(auditHead) // flush tells
	return w
}

func (w csvAudit) write(e store.AuditEntry) error {
	row := []string{
		strconv.FormatInt(e.ID, 10), e.At.UTC().Format(time.RFC3339Nano), string(e.ActorKind), e.ActorID, e.ActorName, e.Action,
		e.TargetKind, e.TargetID, e.Address, e.UserAgent, e.RequestID, string(e.Detail),
	}
	for i := range row {
		row[i] = harmless(row[i])
	}
	return w.Write(row)
}

func (w csvAudit) flush() error {
	w.Flush()
	return w.Error()
}

// harmless keeps a spreadsheet from running what people called themselves
// (https://owasp.org/www-community/attacks/CSV_Injection).
func harmless(cell string) string {
	if strings.IndexAny(cell, "=+-@\t\r\n＝＋－＠") == 0 {
		return "'" + cell
	}
	return cell
}
