package store_test

import (
	"fmt"
	"testing"
	"time"

	"parley/inbox"
	"parley/store"
	"parley/store/storetest"
)

// Replies keep the plans that were made for the first of them, when there was
// next to nothing: none may read a table as a whole, or it would for ever.
func TestRepliesReadNoTableWhole(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	r := w.reply(w.says(1, "hello"), "Hi!")
	w.says(1, "something unseen")
	storetest.ExecAsOwner(t, w.url, `ANALYZE`) // so that it is known how little there is to read
	w.db.Close()
	before := w.wholeReads()
	db, err := store.Open(t.Context(), w.url, &store.Options{APIConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 10 { // a plan is kept from the sixth time on
		r.Key, r.Force = fmt.Sprint("key ", n), false
		_, err := db.Reply(t.Context(), r)
		wantCode(t, err, inbox.Stale)
		r.Force = true
		if _, err := db.Reply(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	for table, rows := range w.wholeReads() {
		if read := rows - before[table]; read > 0 {
			t.Errorf("%s: %d rows read by sequential scans", table, read)
		}
	}
}

// wholeReads is how many rows sequential scans have read, by table. Connections tell
// of theirs when they end, so those of before are waited for.
func (w *deskWorld) wholeReads() map[string]int64 {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); w.int(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`) > 0; {
		if time.Now().After(end) {
			w.t.Fatal("somebody is still connected")
		}
		time.Sleep(10 * time.Millisecond)
	}
	reads := make(map[string]int64)
	for _, table := range []string{
		"crm_clients", "crm_client_contacts", "crm_chats", "crm_chat_members", "crm_chat_messages",
		"crm_chat_message_attachments", "parley_deliveries", "parley_attempts", "parley_lanes", "parley_facts", "parley_drafts",
	} {
		reads[table] = w.int(`SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = $1`, table)
	}
	return reads
}
