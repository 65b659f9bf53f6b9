package store_test

import (
	"sync"
	"testing"
	"time"

	"parley/inbox"
	"parley/store"
)

func TestUndoBeforeItLeaves(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	if err := w.db.SetDeskSettings(t.Context(), w.tenant, store.DeskSettings{UndoSeconds: 5}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.db.SetDeskSettings(t.Context(), w.tenant, store.DeskSettings{UndoSeconds: 61}), inbox.Invalid)
	chat := w.says(1, "hello")
	wait := func(r store.Reply, want time.Duration) inbox.Message {
		t.Helper()
		m := w.mustReply(r)
		if got := m.Delivery.DueAt.Sub(m.CreatedAt).Round(time.Second); got != want {
			t.Errorf("%q leaves after %s, want %s", r.Text, got, want)
		}
		return m
	}
	r := w.reply(chat, "at once")
	wait(r, 0)
	r.Text, r.Undo = "as usual", store.UndoDefault
	usual := wait(r, 5*time.Second)
	r.Text, r.Undo = "later", 30*time.Second
	wait(r, 30*time.Second)
	r.Undo = 2 * time.Minute
	_, err := w.db.Reply(t.Context(), r)
	wantCode(t, err, inbox.Invalid)

	for range 2 {
		m, err := w.db.Undo(t.Context(), w.tenant, usual.ID)
		if err != nil || m.Delivery.State != inbox.Cancelled {
			t.Fatalf("%+v, %v", m.Delivery, err)
		}
	}
	w.exec("UPDATE parley_deliveries SET state = 'sent' WHERE message_id <> $1", usual.ID)
	_, err = w.db.Undo(t.Context(), w.tenant, usual.ID+1)
	if e := errorOf(t, err, inbox.Conflict); e.Detail != (store.Left{State: inbox.Sent}) {
		t.Errorf("detail is %+v", e.Detail)
	}
	inbound := w.int("SELECT id FROM crm_chat_messages WHERE direction = 'in'")
	_, err = w.db.Undo(t.Context(), w.tenant, inbound)
	wantCode(t, err, inbox.NotFound)
}

// An undo against the dispatcher's claim: one of the two wins, and who loses
// knows.
func TestUndoAgainstSending(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	lease, ok, err := w.db.AcquireLease(t.Context(), "dispatch:"+string(w.channel), "test", time.Minute)
	if err != nil || !ok {
		t.Fatal(err)
	}
	undone, left := 0, 0
	for i := range int64(20) {
		m := w.mustReply(w.reply(w.says(100+i, "hello"), "maybe"))
		var wg sync.WaitGroup
		var claimed bool
		var undoErr error
		wg.Go(func() {
			res, err := w.db.Dispatch(t.Context(), store.DispatchTurn{Lease: lease, Channel: w.channel, Limit: 10}, func(hs []store.Head) []store.Claim {
				claims := make([]store.Claim, len(hs))
				for i := range claims {
					claims[i] = store.Claim{Parts: 1}
				}
				return claims
			})
			if err != nil {
				t.Error(err)
			}
			for i, h := range res.Heads {
				if h.Message == m.ID {
					claimed = res.Claimed[i]
				}
			}
		})
		wg.Go(func() { _, undoErr = w.db.Undo(t.Context(), w.tenant, m.ID) })
		wg.Wait()
		switch {
		case undoErr == nil && !claimed:
			undone++
		case inbox.CodeOf(undoErr) == inbox.Conflict && claimed:
			left++
		default:
			t.Fatalf("claimed %t and undone with %v", claimed, undoErr)
		}
	}
	t.Logf("%d undone, %d left", undone, left)
}
