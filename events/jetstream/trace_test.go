package jetstream_test

import (
	"slices"
	"testing"

	"parley/events"
	"parley/events/jetstream/natstest"
)

// Trace context travels in the header of the frame, each event's with its own.
func TestTraceContextTravelsInHeaders(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	b := s.Embedded(t, one)
	const context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	evs := []events.Inbound{event("ann", 1), event("ann", 2), event("ann", 3)}
	evs[1].Trace = context
	mustPublish(t, b, evs...)
	mustPublish(t, b, event("ann", 4))
	var got []string
	for _, r := range read(t, b, 0, 4) {
		got = append(got, r.Event.Trace)
	}
	if !slices.Equal(got, []string{"", context, "", ""}) {
		t.Errorf("read %q", got)
	}
	stream, err := client(t, s).Stream(within(t), "PARLEY_IN_00")
	if err != nil {
		t.Fatal(err)
	}
	for seq, want := range map[uint64][]string{1: {"-", context, "-"}, 2: nil} {
		m, err := stream.GetMsg(within(t), seq)
		if err != nil || !slices.Equal(m.Header["traceparent"], want) {
			t.Errorf("frame %d has %q, %v", seq, m.Header["traceparent"], err)
		}
	}
}
