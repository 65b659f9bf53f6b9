package router_test

import (
	"fmt"
	"testing"
	"time"

	"parley/store"
	"parley/store/storetest"
)

// TestGrowingTablesKeepTheirPlans stores on empty tables first, so that a plan
// made for them would be kept, and then checks that no batch reads whole tables.
func TestGrowingTablesKeepTheirPlans(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	lease, err := w.db.TakePartition(w.ctx, "growing", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	round := func(batches, size int) {
		t.Helper()
		for range batches {
			batch := make([]store.InboundRecord, 0, size)
			for i := range size {
				sent++
				who := sent // every other message is somebody new
				if i%2 == 1 {
					who = sent - 1
				}
				ev := w.text(who, sent, "hello")
				batch = append(batch, store.InboundRecord{Seq: lease.LastSeq + uint64(i) + 1, Event: &ev})
			}
			if _, err := w.db.StoreBatch(w.ctx, lease, batch); err != nil {
				t.Fatal(err)
			}
		}
	}
	round(30, 4) // enough executions for a generic plan
	round(20, 500)
	storetest.ExecAsOwner(t, w.url, `ANALYZE`)
	w.flushed(sent)
	before := w.wholeReads()
	round(60, 20)
	w.flushed(sent)
	after := w.wholeReads()
	for table, tuples := range after {
		if read := tuples - before[table]; read > 0 {
			t.Errorf("%s: %d rows read by sequential scans", table, read)
		}
	}
	clients := storetest.Int(t, w.url, `SELECT count(*) FROM crm_clients`)
	if last := storetest.Int(t, w.url, `SELECT last_value FROM crm_clients_id_seq`); last != clients {
		t.Errorf("%d client ids drawn for %d clients", last, clients)
	}
}

// flushed waits until the statistics know of every message.
func (w *world) flushed(messages int) {
	w.t.Helper()
	w.until("statistics", func() bool {
		if _, err := w.db.Partitions(w.ctx); err != nil { // ends a transaction, which flushes
			w.t.Fatal(err)
		}
		return storetest.Int(w.t, w.url, `SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'crm_chat_messages'`) >= int64(messages)
	})
}

// wholeReads is how many rows sequential scans have read, by table.
func (w *world) wholeReads() map[string]int64 {
	w.t.Helper()
	reads := make(map[string]int64)
	for _, table := range []string{"crm_clients", "crm_client_contacts", "crm_chats", "crm_chat_members", "crm_chat_messages", "parley_identities"} {
		reads[table] = storetest.Int(w.t, w.url, fmt.Sprintf(
			`SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = '%s'`, table))
	}
	return reads
}
