package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/store"
	"parley/store/outboundtest"
)

// TestClaimMediaPlan holds the query that runs once a second to the index of
// what is due, however many files wait for later.
func TestClaimMediaPlan(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 1)
	w.Exec(`INSERT INTO parley_media (tenant_id, message_id, position, channel_id, due_at, state, upload_id)
		SELECT tenant_id, id, i, channel_id, now() + interval '1 h', 'failed', NULL
		  FROM crm_chat_messages, generate_series(1, 20000) i`)
	w.Exec("UPDATE parley_media SET state = 'pending' WHERE position % 2 = 0")
	w.Exec("UPDATE parley_media SET due_at = now() - interval '1 s' WHERE position = 500")
	conn, err := pgx.Connect(t.Context(), w.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), "ANALYZE parley_media; SET ROLE parley_worker"); err != nil {
		t.Fatal(err)
	}
	rows, _ := conn.Query(t.Context(), `EXPLAIN SELECT id FROM parley_media
		WHERE state = 'pending' AND due_at <= statement_timestamp() AND channel_id <> ALL ('{}'::uuid[])
		ORDER BY due_at LIMIT 4 FOR UPDATE SKIP LOCKED`)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if plan := strings.Join(lines, "\n"); !strings.Contains(plan, "Index Scan using parley_media_due") || !strings.Contains(plan, "Index Cond: (due_at <=") {
		t.Errorf("the plan is\n%s", plan)
	}
	jobs, err := w.DB.ClaimMedia(t.Context(), 4, time.Minute, nil)
	if err != nil || len(jobs) != 1 || jobs[0].Position != 500 || jobs[0].Attempt != 1 {
		t.Fatalf("claimed %+v, %v", jobs, err)
	}
	if again, err := w.DB.ClaimMedia(t.Context(), 4, time.Minute, nil); err != nil || len(again) != 0 {
		t.Errorf("claimed again: %+v, %v", again, err)
	}
	// Its message names no such file, and goes while it is looked for.
	w.Exec("DELETE FROM crm_clients")
	for _, err := range []error{
		w.DB.FailMedia(t.Context(), &jobs[0], "gone", "gone"),
		w.DB.RetryMedia(t.Context(), &jobs[0], "gone", "gone", 0),
		w.DB.StoreMedia(t.Context(), &jobs[0], store.NewUpload{BlobKey: "media/x"}),
	} {
		if !errors.Is(err, store.ErrMediaSettled) {
			t.Errorf("settling a file whose message is gone: %v", err)
		}
	}
	waiting, _, err := w.DB.MediaBacklog(t.Context())
	if err != nil || waiting != 0 {
		t.Errorf("%d wait, %v", waiting, err)
	}
}
