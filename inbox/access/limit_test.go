package access_test

import (
	"encoding/binary"
	"testing"
	"time"

	"parley/inbox/access"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	l := access.NewLimiter(access.Limit{Name: "user", PerSecond: 2, Burst: 3}, func() time.Time { return now })
	one, other := [32]byte{1}, [32]byte{2}
	for i := range 3 {
		if a := l.Take(one); !a.OK || a.Left != 2-i {
			t.Fatalf("request %d: %+v", i, a)
		}
	}
	refused := l.Take(one)
	if refused.OK || refused.Wait != 500*time.Millisecond {
		t.Errorf("%+v", refused)
	}
	if policy, left := refused.Headers(); policy != `"user";q=3;w=2` || left != `"user";r=0;t=1` {
		t.Errorf("%s, %s", policy, left)
	}
	if !l.Take(other).OK {
		t.Error("another caller waits, too")
	}
	now = now.Add(refused.Wait)
	if !l.Take(one).OK || l.Take(one).OK {
		t.Error("not one more after the wait")
	}
	// However many there are, it remembers the last; who was longest away begins anew.
	for i := range 30_000 {
		var key [32]byte
		binary.BigEndian.PutUint64(key[8:], uint64(i)+1)
		l.Take(key)
	}
	if l.Len() != 20_000 {
		t.Errorf("%d callers are remembered", l.Len())
	}
	if !l.Take(one).OK {
		t.Error("not forgotten")
	}
}
