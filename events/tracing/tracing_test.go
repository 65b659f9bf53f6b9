package tracing_test

import (
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"

	"parley/events"
	"parley/events/tracing"
)

const event = events.EventID("018f0000-0000-7000-8000-000000000001")

func newTracer(t *testing.T, sampler trace.Sampler) (*tracing.Tracer, *tracetest.SpanRecorder) {
	t.Helper()
	told := tracetest.NewSpanRecorder()
	p := trace.NewTracerProvider(trace.WithSpanProcessor(told), trace.WithSampler(sampler), trace.WithIDGenerator(tracing.IDs{}))
	t.Cleanup(func() { _ = p.Shutdown(t.Context()) })
	return tracing.New(p), told
}

// A trace is the same in each process, whichever of them looks first.
func TestTracesFollowFromIDs(t *testing.T) {
	t.Parallel()
	gateway, begun := newTracer(t, trace.ParentBased(trace.AlwaysSample()))
	dispatcher, joined := newTracer(t, trace.ParentBased(trace.AlwaysSample()))
	below, first := gateway.Begin(t.Context(), tracing.OfEvent(event), "first", time.Now(), api.SpanKindProducer)
	first.End()
	_, later := dispatcher.Span(dispatcher.Join(t.Context(), tracing.OfEvent(event)), "later", time.Now(), api.SpanKindClient, nil)
	later.End()
	_, carried := dispatcher.Span(tracing.Under(t.Context(), tracing.Traceparent(below)), "carried", time.Now(), api.SpanKindConsumer, nil)
	carried.End()
	if len(begun.Ended()) != 1 || len(joined.Ended()) != 2 {
		t.Fatalf("%d and %d spans", len(begun.Ended()), len(joined.Ended()))
	}
	root := begun.Ended()[0]
	if got := root.SpanContext().TraceID().String(); got != tracing.OfEvent(event).String() || root.Parent().IsValid() {
		t.Errorf("the first span is of trace %s below %v", got, root.Parent())
	}
	for _, s := range joined.Ended() {
		if s.SpanContext().TraceID() != root.SpanContext().TraceID() || s.Parent().SpanID() != root.SpanContext().SpanID() || !s.Parent().IsRemote() || s.SpanContext().SpanID() == root.SpanContext().SpanID() {
			t.Errorf("%s is %v below %v", s.Name(), s.SpanContext(), s.Parent())
		}
	}
	other, _ := newTracer(t, trace.AlwaysSample())
	_, one := other.Span(t.Context(), "alone", time.Now(), api.SpanKindInternal, nil)
	_, two := other.Span(t.Context(), "alone", time.Now(), api.SpanKindInternal, nil)
	if one.SpanContext().TraceID() == two.SpanContext().TraceID() {
		t.Error("two batches are one trace")
	}
	if tracing.OfMessage("a", 1) == tracing.OfMessage("b", 1) || tracing.OfMessage("a", 1) == tracing.OfMessage("a", 2) {
		t.Error("two messages are one trace")
	}
}

// What is not sampled is told by nobody, and nothing travels.
func TestTracesThatAreNotSampled(t *testing.T) {
	t.Parallel()
	sampled := 0
	for i := range 400 {
		id := events.EventID(event[:len(event)-3]) + events.EventID([]byte{byte('0' + i/100), byte('0' + i/10%10), byte('0' + i%10)})
		one, told := newTracer(t, trace.ParentBased(trace.TraceIDRatioBased(0.25)))
		two, later := newTracer(t, trace.ParentBased(trace.TraceIDRatioBased(0.25)))
		below, span := one.Begin(t.Context(), tracing.OfEvent(id), "first", time.Now(), api.SpanKindProducer)
		span.End()
		_, next := two.Span(two.Join(t.Context(), tracing.OfEvent(id)), "next", time.Now(), api.SpanKindClient, nil)
		next.End()
		if len(told.Ended()) != len(later.Ended()) || len(told.Ended()) == 1 != (tracing.Traceparent(below) != "") {
			t.Fatalf("%s is told %d and %d times, and carried as %q", id, len(told.Ended()), len(later.Ended()), tracing.Traceparent(below))
		}
		sampled += len(told.Ended())
	}
	if sampled < 50 || sampled > 150 {
		t.Errorf("%d of 400 are sampled, a quarter was asked for", sampled)
	}
}

func TestTracingOffCostsNothing(t *testing.T) {
	var off *tracing.Tracer
	if n := testing.AllocsPerRun(100, func() {
		if off.On() || tracing.Under(t.Context(), "") != t.Context() {
			t.Error("it is on")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzUnder(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Add("-")
	f.Fuzz(func(t *testing.T, text string) {
		sc := api.SpanContextFromContext(tracing.Under(t.Context(), text))
		if sc.IsValid() && (!sc.IsSampled() || !sc.IsRemote()) {
			t.Errorf("%q is %v", text, sc)
		}
	})
}
