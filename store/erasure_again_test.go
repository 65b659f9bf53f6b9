package store_test

import (
	"testing"
	"time"

	"parley/store/storetest"
)

// A client who has a name and nothing else is known again when a backup brings them
// back; somebody who has the number since is not.
func TestErasedAgainByTheirRow(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	ctx := t.Context()
	ada := w.client("Ada", "Lovelace", "", "")
	created := storetest.Int(t, w.url, "SELECT (extract(epoch FROM created_at) * 1000000)::bigint FROM crm_clients WHERE id = $1", ada.ID)
	p, err := w.db.EraseClient(ctx, w.tenant, byOperator, ada.ID)
	if err != nil || len(p.Todo.Identities) != 1 {
		t.Fatal(len(p.Todo.Identities), err)
	}
	restore := func(name string, at time.Time) {
		t.Helper()
		storetest.Exec(t, w.url, "DELETE FROM parley_erased")
		storetest.Exec(t, w.url, "DELETE FROM parley_tombstones")
		storetest.Exec(t, w.url, "INSERT INTO crm_clients (id, tenant_id, first_name, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)", ada.ID, string(w.tenant), name, at)
	}
	left := func() int64 { return storetest.Int(t, w.url, "SELECT count(*) FROM crm_clients WHERE id = $1", ada.ID) }

	restore("Ada", time.UnixMicro(created))
	if err := w.db.EraseAgain(ctx, w.tenant, p.ID, p.At, p.Todo.Identities); err != nil || left() != 0 {
		t.Errorf("%d of her are left, %v", left(), err)
	}
	restore("Bob", time.UnixMicro(created).Add(-time.Second))
	if err := w.db.EraseAgain(ctx, w.tenant, p.ID, p.At, p.Todo.Identities); err != nil || left() != 1 {
		t.Errorf("%d of somebody else are left, %v", left(), err)
	}
}
