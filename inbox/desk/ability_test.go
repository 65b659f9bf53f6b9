package desk_test

import (
	"testing"
	"time"

	"parley/events"
	"parley/inbox"
)

// A channel's health is the worse of what its gateway and its dispatcher say.
func TestHealthIsTheWorstOfGatewayAndDispatcher(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ch := w.add("Support")
	put := func(gateway, sender events.HealthState) events.ChannelHealth {
		t.Helper()
		if gateway != "" {
			if err := w.bus.PutHealth(t.Context(), events.ChannelHealth{Channel: ch.ID, State: gateway, Error: "polling broke", Since: time.Now(), Pending: 3}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.db.PutSenderHealth(t.Context(), ch.Channel, sender, "The token is wrong."); err != nil {
			t.Fatal(err)
		}
		all, err := w.desk.Health(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all[ch.ID]
	}
	if h := put("", events.Connected); h.State != events.Connected || h.Pending != -1 {
		t.Errorf("of the dispatcher alone: %+v", h)
	}
	if h := put(events.Connected, events.NeedsAttention); h.State != events.NeedsAttention || h.Error != "sending: The token is wrong." || h.Pending != 3 {
		t.Errorf("the dispatcher's is worse: %+v", h)
	}
	if h := put(events.NeedsAttention, events.Degraded); h.State != events.NeedsAttention || h.Error != "polling broke" {
		t.Errorf("the gateway's is worse: %+v", h)
	}
}

func TestRoutesAreJudged(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	wrote := now.Add(-23 * time.Hour)
	window := inbox.Abilities{ReplyWindow: 24 * time.Hour, Templates: true}
	for name, tt := range map[string]struct {
		route   inbox.Route
		wrote   *time.Time
		trouble string
		can     inbox.Abilities
		blocked bool
		now     time.Time
		want    inbox.RouteState
	}{
		"no window":        {want: inbox.RouteOpen, now: now},
		"within":           {wrote: &wrote, can: window, now: now, want: inbox.RouteOpen},
		"at its end":       {wrote: &wrote, can: window, now: now.Add(time.Hour), want: inbox.RouteWindowClosed},
		"never wrote":      {can: window, now: now, want: inbox.RouteWindowClosed},
		"blocked first":    {blocked: true, can: window, now: now, want: inbox.RouteBlocked},
		"unreachable":      {route: inbox.Route{Unreachable: "opted out"}, now: now, want: inbox.RouteUnreachable},
		"paused":           {route: inbox.Route{Paused: true}, now: now, want: inbox.RoutePaused},
		"provider refuses": {trouble: "wrong token", now: now, want: inbox.RouteTrouble},
	} {
		r := tt.route
		r.Know(tt.wrote, tt.trouble)
		r.Judge(tt.can, tt.blocked, tt.now)
		refused := r.Refusal(false)
		if r.State != tt.want || (r.Reason == "") != (tt.want == inbox.RouteOpen) || (refused == nil) != (tt.want == inbox.RouteOpen) {
			t.Errorf("%s: %s %q, %v", name, r.State, r.Reason, refused)
		}
		if got := r.Refusal(true); (got == nil) != (tt.want == inbox.RouteOpen || tt.want == inbox.RouteWindowClosed) {
			t.Errorf("%s: a template gets %v", name, got)
		}
		if tt.wrote != nil && (r.WindowEndsAt == nil || !r.WindowEndsAt.Equal(wrote.Add(24*time.Hour))) {
			t.Errorf("%s: the window ends %v", name, r.WindowEndsAt)
		}
	}
}
