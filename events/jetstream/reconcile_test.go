package jetstream_test

import (
	"errors"
	"testing"

	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
)

// What a reconciliation knows survives a restart and goes with its channel.
func TestReconciled(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	b := s.Embedded(t, one)
	if _, err := b.Reconciled(within(t), "a"); !errors.Is(err, jetstream.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if asked, err := b.ReconcileAsked(within(t), "a"); err != nil || asked != "" {
		t.Errorf("asked %q, %v", asked, err)
	}
	if err := errors.Join(b.SetReconciled(within(t), "a", "then"), b.SetCursor(within(t), "a", "12"), b.AskReconcile(within(t), "a")); err != nil {
		t.Fatal(err)
	}
	first, err := b.ReconcileAsked(within(t), "a")
	if err != nil || first == "" {
		t.Fatalf("asked %q, %v", first, err)
	}
	b.Close()
	s.Stop(t)
	s.Start(t)
	b = s.Embedded(t, one)
	if got, err := b.Reconciled(within(t), "a"); err != nil || got != "then" {
		t.Errorf("after restart: %q, %v", got, err)
	}
	if got, err := b.Cursor(within(t), "a"); err != nil || got != "12" {
		t.Errorf("the polling cursor is %q, %v", got, err)
	}
	if got, err := b.ReconcileAsked(within(t), "a"); err != nil || got != first {
		t.Errorf("asked %q after restart, was %q, %v", got, first, err)
	}
	if err := b.AskReconcile(within(t), "a"); err != nil {
		t.Fatal(err)
	}
	if got, err := b.ReconcileAsked(within(t), "a"); err != nil || got == first {
		t.Errorf("another request is %q as the first, %v", got, err)
	}
	if err := b.DeleteChannel(within(t), "a", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Reconciled(within(t), "a"); !errors.Is(err, jetstream.ErrNotFound) {
		t.Errorf("after deletion: %v", err)
	}
	if asked, err := b.ReconcileAsked(within(t), "a"); err != nil || asked != "" {
		t.Errorf("after deletion asked %q, %v", asked, err)
	}
}
