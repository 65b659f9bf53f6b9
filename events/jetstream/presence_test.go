package jetstream_test

import (
	"testing"
	"time"

	"parley/events/jetstream/natstest"
)

// Members count each other; who fell silent is not counted for long, and who left
// is not at all.
func TestPresent(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	b, other := s.Dial(t, one), s.Dial(t, one)
	const ttl = 300 * time.Millisecond
	count := func() int {
		t.Helper()
		n, err := b.Present(within(t), "group", "a", ttl)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(); n != 1 {
		t.Errorf("%d alone", n)
	}
	if n, err := other.Present(within(t), "group", "b", ttl); err != nil || n != 2 {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := other.Present(within(t), "another", "c", ttl); err != nil || n != 1 {
		t.Errorf("%d in another group, %v", n, err)
	}
	began := time.Now()
	if n := count(); n != 2 {
		t.Errorf("%d of two", n)
	}
	for count() != 1 {
		if time.Since(began) > time.Minute {
			t.Fatal("the silent one is still counted")
		}
	}
	if silent := time.Since(began); silent < ttl {
		t.Errorf("not counted after %s", silent)
	}
	if n, err := other.Present(within(t), "group", "b", ttl); err != nil || n != 2 {
		t.Errorf("%d, %v", n, err)
	}
	if n := count(); n != 2 {
		t.Errorf("%d once it is back", n)
	}
	if err := other.Absent(within(t), "group", "b"); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 1 {
		t.Errorf("%d once it left", n)
	}
}
