package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/store"
)

// A webhook is deleted while one of its calls fails: whoever notes the failure
// waits for the webhook, and keeps nothing meanwhile that the deletion needs.
func TestWebhookDeletedWhileCalled(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	hook, _, err := w.db.AddWebhook(ctx, w.a, byOperator, store.Webhook{ID: uuid.NewString(), URL: "https://example.com", Types: []string{}, Sealed: []byte("s"), Place: "0"}, "")
	must(err)
	must(w.db.QueueWebhook(ctx, w.a, byOperator, hook.ID, "{}", "webhook.test"))
	due, err := w.db.ClaimWebhooks(ctx, 1, 1, []string{}, time.Minute)
	must(err)
	if len(due) != 1 {
		t.Fatalf("%d deliveries are due", len(due))
	}

	conn, err := pgx.Connect(ctx, w.url)
	must(err)
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	tx, err := conn.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "SET LOCAL ROLE parley_worker")
	must(err)
	var pid int
	must(tx.QueryRow(ctx, "SELECT pg_backend_pid() FROM parley_webhooks WHERE id = $1 FOR UPDATE", hook.ID).Scan(&pid))
	settled := make(chan error, 1)
	go func() {
		settled <- w.db.SettleWebhook(ctx, due[0], store.WebhookOutcome{Status: 500, Error: "500", Again: time.Minute})
	}()
	watch, err := pgx.Connect(ctx, w.url)
	must(err)
	defer func() { _ = watch.Close(context.WithoutCancel(ctx)) }()
	for waits := false; !waits; {
		must(watch.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))", pid).Scan(&waits))
	}
	_, err = tx.Exec(ctx, "SET LOCAL lock_timeout = '10s'")
	must(err)
	_, err = tx.Exec(ctx, "DELETE FROM parley_webhooks WHERE id = $1", hook.ID)
	must(err)
	must(tx.Commit(ctx))
	must(<-settled)
}
