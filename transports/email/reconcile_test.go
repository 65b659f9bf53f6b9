package email_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"parley/events"
)

// TestReconcile lists what arrived since a day, in all folders.
func TestReconcile(t *testing.T) {
	t.Parallel()
	d := startDovecot(t, "")
	c := d.client(t)
	now := time.Now()
	put(t, c, "INBOX", now.AddDate(0, 0, -30), []byte(letter(1, "long ago")))
	put(t, c, "INBOX", now.AddDate(0, 0, -1), []byte(letter(2, "yesterday")))
	put(t, c, "Sent", now, []byte(letter(3, "sent")))
	put(t, c, "INBOX", now, []byte(letter(4, "today")))
	m := newMailbox(t, d.settings(nil), direct)
	var got []events.Inbound
	emit := func(_ context.Context, evs []events.Inbound) error {
		got = append(got, evs...)
		return nil
	}
	if err := m.Reconcile(t.Context(), now.AddDate(0, 0, -2), emit); err != nil {
		t.Fatal(err)
	}
	expect(t, got, 3, 2, 4)
	if err := m.Reconcile(t.Context(), now, func(context.Context, []events.Inbound) error { return errRefused }); !errors.Is(err, errRefused) {
		t.Errorf("a failed emit ends it with %v", err)
	}
}
