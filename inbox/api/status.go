package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Status says what runs.
type Status struct {
	Version string    `json:"version"`
	Since   time.Time `json:"since" doc:"When this process started."`
	Roles   []string  `json:"roles" nullable:"false"`
	Ready   bool      `json:"ready"`
	Missing []string  `json:"missing" nullable:"false" doc:"What is not ready, in words."`
	// Places say where things are, for people: none of them is a secret.
	Places map[string]string `json:"places" doc:"Where things are: data folder, addresses."`
}

func (a *api) statuses(h huma.API) {
	handle(a, h, huma.Operation{
		OperationID: "status", Method: http.MethodGet, Path: "/api/v1/status", Summary: "Say what runs and what is missing",
	}, func(ctx context.Context, _ *struct{}) (Status, error) {
		return a.Status(ctx), nil
	})
}
