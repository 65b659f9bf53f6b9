package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Audit says whether every accepted event ended as exactly one thing.
type Audit struct {
	Clean      bool             `json:"clean"`
	Partitions []AuditPartition `json:"partitions" nullable:"false"`
	Findings   []string         `json:"findings" nullable:"false" doc:"Sentences about what is wrong and what to do."`
}

// AuditPartition is one partition's part of it.
type AuditPartition struct {
	Partition   int    `json:"partition"`
	Stream      string `json:"stream"`
	From        int64  `json:"from" doc:"The first sequence this database answers for."`
	To          int64  `json:"to" doc:"The last one stored."`
	Frames      int64  `json:"frames" doc:"Stream messages read; each holds the events that were accepted together."`
	Events      int64  `json:"events" doc:"Events in them."`
	Waiting     int64  `json:"waiting" doc:"Frames accepted and not stored yet."`
	Persisted   int64  `json:"persisted"`
	Duplicate   int64  `json:"duplicate"`
	Ignored     int64  `json:"ignored"`
	Quarantined int64  `json:"quarantined"`
	Rows        int64  `json:"rows" doc:"Stored messages and updates found."`
	Erased      int64  `json:"erased" doc:"Those that left with their client."`
	Fenced      int64  `json:"fenced" doc:"Batches rolled back because the lease was lost."`
	Examined    int64  `json:"examined" doc:"Records still in the stream whose row was looked up."`
}

func (a *api) audits(h huma.API) {
	handle(a, h, huma.Operation{
		OperationID: "audit", Method: http.MethodPost, Path: "/api/v1/audit",
		Summary:     "Hold what was accepted against what was stored",
		Description: "Changes nothing. It reads whole tables and streams: minutes on large ones.",
	}, func(ctx context.Context, _ *struct{}) (Audit, error) {
		return a.Audit(ctx)
	})
}
