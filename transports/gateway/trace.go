package gateway

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"parley/events"
	"parley/events/tracing"
)

// traced begins the traces of events, each with the span of its being accepted, and
// returns what ends those.
func (g *Gateway) traced(ctx context.Context, evs []events.Inbound) (end func(error)) {
	if !g.tracer.On() {
		return func(error) {}
	}
	began := time.Now()
	spans := make([]trace.Span, len(evs))
	for i := range evs {
		ev := &evs[i]
		var below context.Context
		below, spans[i] = g.tracer.Begin(ctx, tracing.OfEvent(ev.ID), "accept "+string(ev.Transport), began, trace.SpanKindProducer,
			attribute.String("messaging.system", "nats"), attribute.String("messaging.operation.name", "publish"), attribute.String("messaging.message.id", string(ev.ID)),
			attribute.String("parley.kind", string(ev.Kind)), attribute.String("parley.channel", string(ev.Channel)), attribute.String("parley.tenant", string(ev.Tenant)))
		ev.Trace = tracing.Traceparent(below)
	}
	return func(err error) {
		for _, span := range spans {
			if err != nil {
				tracing.Fail(span, reason(err), time.Now())
				continue
			}
			span.End()
		}
	}
}
