package store_test

import (
	"sync"
	"testing"
	"time"

	"parley/inbox"
	"parley/store"
)

func (w *deskWorld) schedule(r store.Reply) inbox.Scheduled {
	w.t.Helper()
	s, err := w.db.Schedule(w.t.Context(), store.NewScheduled{Reply: r, DueAt: time.Now().Add(time.Hour)})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// due lets the time come of what is scheduled.
func (w *deskWorld) due() {
	w.exec("UPDATE parley_scheduled SET due_at = now() - interval '1 second' WHERE state = 'waiting'")
}

func (w *deskWorld) release(id int64) inbox.Scheduled {
	w.t.Helper()
	if _, err := w.db.ReleaseScheduled(w.t.Context(), w.tenant, id, nil); err != nil {
		w.t.Fatal(err)
	}
	s, err := w.db.OneScheduled(w.t.Context(), w.tenant, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// A scheduled reply is no message until it is due, holds nothing up, and is sent
// once, however many release it.
func TestScheduledReplyIsReleasedOnce(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "hello")
	r := w.reply(chat, "tomorrow")
	r.Key = "k"
	s := w.schedule(r)
	if again := w.schedule(r); again.ID != s.ID {
		t.Errorf("the same request made %d and %d", s.ID, again.ID)
	}
	other := r
	other.Text = "something else"
	_, err := w.db.Schedule(t.Context(), store.NewScheduled{Reply: other, DueAt: time.Now().Add(time.Hour)})
	wantCode(t, err, inbox.Conflict)
	if c := w.chat(chat); c.LastSeq != 1 || s.State != inbox.ScheduleWaiting || s.Text != "tomorrow" {
		t.Errorf("the chat is %+v, scheduled %+v", c, s)
	}
	if got := w.release(s.ID); got.State != inbox.ScheduleWaiting {
		t.Fatalf("before its time it is %+v", got)
	}
	now := w.mustReply(w.reply(chat, "today"))
	w.due()
	due, err := w.db.DueReplies(t.Context(), 10)
	if err != nil || len(due) != 1 || due[0] != (store.DueReply{Tenant: w.tenant, ID: s.ID}) {
		t.Fatalf("due are %+v, %v", due, err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := w.db.ReleaseScheduled(t.Context(), w.tenant, s.ID, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s = w.release(s.ID)
	m, err := w.db.Message(t.Context(), w.tenant, s.MessageID)
	if err != nil || s.State != inbox.ScheduleSent || m.Text != "tomorrow" || m.Seq != now.Seq+1 || m.Delivery.ID <= now.Delivery.ID {
		t.Fatalf("%+v became %+v, %v", s, m, err)
	}
	if n := w.int("SELECT count(*) FROM crm_chat_messages WHERE message = 'tomorrow'"); n != 1 {
		t.Errorf("it was written %d times", n)
	}
	if again := w.schedule(r); again.ID != s.ID { // long after
		t.Errorf("the same request made %d", again.ID)
	}
}

func TestScheduledReplyIsChangedAndCancelled(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "hello")
	s := w.schedule(w.reply(chat, "one"))
	at := time.Now().Add(2 * time.Hour).UTC().Truncate(time.Second)
	changed, err := w.db.Reschedule(t.Context(), w.tenant, s.ID, 1, store.ScheduledChange{DueAt: &at, Text: new("two")})
	if err != nil || !changed.DueAt.Equal(at) || changed.Text != "two" || changed.Version != 2 {
		t.Fatalf("%+v, %v", changed, err)
	}
	_, err = w.db.Reschedule(t.Context(), w.tenant, s.ID, 1, store.ScheduledChange{Text: new("lost")})
	wantCode(t, err, inbox.Changed)
	_, err = w.db.Reschedule(t.Context(), w.tenant, s.ID, 0, store.ScheduledChange{DueAt: new(time.Now().Add(-time.Minute))})
	wantCode(t, err, inbox.Invalid)
	for range 2 {
		if s, err = w.db.CancelScheduled(t.Context(), w.tenant, s.ID); err != nil || s.State != inbox.ScheduleCancelled {
			t.Fatal(s, err)
		}
	}
	w.due()
	if got := w.release(s.ID); got.State != inbox.ScheduleCancelled {
		t.Errorf("cancelled it is %+v", got)
	}
	if list, err := w.db.Scheduled(t.Context(), w.tenant, store.ScheduledPage{Chat: chat, Limit: 10}); err != nil || len(list) != 0 {
		t.Errorf("waiting are %+v, %v", list, err)
	}
	if list, err := w.db.Scheduled(t.Context(), w.tenant, store.ScheduledPage{All: true, Limit: 10}); err != nil || len(list) != 1 {
		t.Errorf("all are %+v, %v", list, err)
	}
}

// A cancel against a release: one of the two wins, and who loses knows.
func TestCancelAgainstRelease(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "hello")
	cancelled, left := 0, 0
	for range 20 {
		s := w.schedule(w.reply(chat, "maybe"))
		w.due()
		var wg sync.WaitGroup
		var cancelErr error
		wg.Go(func() {
			if _, err := w.db.ReleaseScheduled(t.Context(), w.tenant, s.ID, nil); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() { _, cancelErr = w.db.CancelScheduled(t.Context(), w.tenant, s.ID) })
		wg.Wait()
		s, err := w.db.OneScheduled(t.Context(), w.tenant, s.ID)
		switch {
		case err == nil && cancelErr == nil && s.State == inbox.ScheduleCancelled && s.MessageID == 0:
			cancelled++
		case err == nil && inbox.CodeOf(cancelErr) == inbox.Conflict && s.State == inbox.ScheduleSent && s.MessageID != 0:
			left++
		default:
			t.Fatalf("it is %+v, cancelled with %v", s, cancelErr)
		}
	}
	t.Logf("%d cancelled, %d left", cancelled, left)
	if n := w.int("SELECT count(*) FROM crm_chat_messages WHERE direction = 'out'"); n != int64(left) {
		t.Errorf("%d messages were written, %d left", n, left)
	}
}

func TestScheduledReplyIsJudgedWhenItIsDue(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	chat := w.says(1, "hello")
	up, err := w.db.CreateUpload(t.Context(), w.tenant, store.NewUpload{BlobKey: store.NewMediaKey(w.tenant), Name: "f", MIME: "text/plain", Size: 1, SHA256: store.SecretHash{1}})
	if err != nil {
		t.Fatal(err)
	}
	r := w.reply(chat, "with a file")
	r.Uploads = []int64{up.ID}
	filed := w.schedule(r)
	if n, err := w.db.SweepUploads(t.Context(), 0); err != nil || n != 0 {
		t.Errorf("%d files of scheduled replies were swept up, %v", n, err)
	}
	silent, err := w.db.Schedule(t.Context(), store.NewScheduled{Reply: w.reply(chat, "still there?"), DueAt: time.Now().Add(time.Hour), UnlessAnswered: true})
	if err != nil {
		t.Fatal(err)
	}
	paused, blocked := w.schedule(w.reply(chat, "paused")), w.schedule(w.reply(chat, "blocked"))
	w.says(1, "I am here")
	w.due()
	if s := w.release(silent.ID); s.State != inbox.ScheduleCancelled || s.Words == "" {
		t.Errorf("answered before it is %+v", s)
	}
	if s := w.release(filed.ID); s.State != inbox.ScheduleSent || w.int("SELECT count(*) FROM crm_chat_message_attachments WHERE message_id = $1", s.MessageID) != 1 {
		t.Errorf("with its file it is %+v", s)
	}
	w.exec("UPDATE parley_channels SET paused_at = now()")
	if s := w.release(paused.ID); s.State != inbox.ScheduleWaiting || s.Words == "" || !s.DueAt.After(time.Now()) {
		t.Errorf("on a paused channel it is %+v", s)
	}
	w.exec("UPDATE crm_clients SET blocked_at = now()")
	if s := w.release(blocked.ID); s.State != inbox.ScheduleRefused || s.Words == "" {
		t.Errorf("of a blocked client it is %+v", s)
	}
	_, err = w.db.Schedule(t.Context(), store.NewScheduled{Reply: w.reply(chat, "x"), DueAt: time.Now().Add(time.Hour)})
	wantCode(t, err, inbox.Refused)
	w.exec("UPDATE crm_clients SET blocked_at = NULL")
	w.exec("DELETE FROM core_users")
	w.due()
	if s := w.release(paused.ID); s.State != inbox.ScheduleRefused {
		t.Errorf("of somebody gone it is %+v", s)
	}
}
