package tracing

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// header is the name under which trace context travels, as in HTTP.
const header = "traceparent"

// Traceparent is the context's span as W3C trace context; empty where it has none
// that is sampled.
func Traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[header]
}

// Under is the context below the span of a traceparent; ctx itself where that is
// none, or was not sampled.
func Under(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	below := propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{header: traceparent})
	if !trace.SpanContextFromContext(below).IsSampled() {
		return ctx
	}
	return below
}
