package inbox_test

import (
	"testing"

	"parley/inbox"
)

func TestStatesOnlyMoveForward(t *testing.T) {
	t.Parallel()
	forward := []inbox.DeliveryState{inbox.Queued, inbox.Sending, inbox.Uncertain, inbox.Sent, inbox.Delivered, inbox.Read}
	for i, from := range forward {
		for j, to := range forward {
			if got := inbox.Advances(from, to); got != (j > i) {
				t.Errorf("%s to %s: %t", from, to, got)
			}
		}
	}
	for _, tt := range []struct {
		from, to inbox.DeliveryState
		want     bool
	}{
		{inbox.Sent, inbox.Failed, true}, // a bounce
		{inbox.Uncertain, inbox.Failed, true},
		{inbox.Delivered, inbox.Failed, false},
		{inbox.Read, inbox.Failed, false},
		{inbox.Failed, inbox.Failed, false},
		{inbox.Failed, inbox.Sent, false},
		{inbox.Failed, inbox.Delivered, true}, // it arrived all the same
		{inbox.Cancelled, inbox.Sent, false},
		{inbox.Cancelled, inbox.Read, false},
		{inbox.Cancelled, inbox.Failed, false},
		{inbox.Queued, inbox.Cancelled, true},
		{inbox.Sending, inbox.Cancelled, false},
		{inbox.Sent, inbox.Cancelled, false},
	} {
		if got := inbox.Advances(tt.from, tt.to); got != tt.want {
			t.Errorf("%s to %s: %t, want %t", tt.from, tt.to, got, tt.want)
		}
	}
}
