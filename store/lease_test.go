package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"parley/store"
	"parley/store/outboundtest"
)

func TestLease(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ctx := t.Context()

	first, ok, err := w.DB.AcquireLease(ctx, "x:1", "a", time.Hour)
	if err != nil || !ok || first.Epoch != 1 {
		t.Fatalf("acquiring a free lease: %+v, %v, %v", first, ok, err)
	}
	for _, owner := range []string{"a", "b"} {
		if _, ok, err := w.DB.AcquireLease(ctx, "x:1", owner, time.Hour); ok || err != nil {
			t.Errorf("%s acquired a held lease: %v, %v", owner, ok, err)
		}
	}
	renewed, err := w.DB.RenewLease(ctx, first, 2*time.Hour)
	if err != nil || !renewed.Until.After(first.Until) || renewed.Epoch != 1 {
		t.Errorf("renewing: %+v, %v", renewed, err)
	}
	if live, err := w.DB.LiveLeases(ctx, "x:"); err != nil || len(live) != 1 || live[0].Owner != "a" {
		t.Errorf("live leases: %+v, %v", live, err)
	}

	// It runs out, and is still its holder's until somebody takes it.
	w.Exec("UPDATE parley_leases SET lease_until = now() - interval '1 s'")
	if n, err := w.DB.CountLeases(ctx, "x:"); n != 0 || err != nil {
		t.Errorf("an expired lease counts: %d, %v", n, err)
	}
	if _, err := w.DB.RenewLease(ctx, first, time.Hour); err != nil {
		t.Errorf("renewing what nobody took: %v", err)
	}
	w.Exec("UPDATE parley_leases SET lease_until = now() - interval '1 s'")
	second, ok, err := w.DB.AcquireLease(ctx, "x:1", "b", time.Hour)
	if err != nil || !ok || second.Epoch != 2 {
		t.Fatalf("taking over: %+v, %v, %v", second, ok, err)
	}
	if _, err := w.DB.RenewLease(ctx, first, time.Hour); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the first holder renews: %v", err)
	}
	if err := w.DB.ReleaseLease(ctx, first); err != nil {
		t.Error(err)
	}
	if n, _ := w.DB.CountLeases(ctx, "x:"); n != 1 {
		t.Error("the first holder released what is no longer its own")
	}

	if err := w.DB.ReleaseLease(ctx, second); err != nil {
		t.Error(err)
	}
	if err := w.DB.SweepLeases(ctx, "x:2", 0); err != nil {
		t.Error(err)
	}
	if third, ok, err := w.DB.AcquireLease(ctx, "x:1", "a", time.Hour); err != nil || !ok || third.Epoch != 3 {
		t.Errorf("after a release: %+v, %v, %v", third, ok, err)
	}
}

func TestSweepLeases(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ctx := t.Context()
	for _, name := range []string{"x:held", "x:released", "y:released"} {
		lease, _, err := w.DB.AcquireLease(ctx, name, "a", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if name != "x:held" {
			if err := w.DB.ReleaseLease(ctx, lease); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.DB.SweepLeases(ctx, "x:", time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := w.Strings("SELECT name FROM parley_leases ORDER BY name"); !slices.Equal(got, []string{"x:held", "y:released"}) {
		t.Errorf("left are %q", got)
	}
}

// Of many who ask at once for a lease that is free, or ran out, one gets it.
func TestLeaseHasOneHolder(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	for epoch := int64(1); epoch <= 5; epoch++ {
		const askers = 8
		won := make(chan store.Lease, askers)
		done := make(chan error, askers)
		for range askers {
			go func() {
				lease, ok, err := w.DB.AcquireLease(t.Context(), "x", "somebody", time.Hour)
				if ok {
					won <- lease
				}
				done <- err
			}()
		}
		for range askers {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		close(won)
		var got []store.Lease
		for l := range won {
			got = append(got, l)
		}
		if len(got) != 1 || got[0].Epoch != epoch {
			t.Fatalf("round %d: %+v", epoch, got)
		}
		w.Exec("UPDATE parley_leases SET lease_until = now()")
	}
}
