package dispatcher

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"parley/events/tracing"
	"parley/transports"
)

// traced is the context of a request to a provider, in the trace of its message, and
// what ends its span.
func (r *runner) traced(ctx context.Context, j *job) (context.Context, func(*transports.SendError)) {
	t := r.d.opts.Tracer
	if !t.On() {
		return ctx, func(*transports.SendError) {}
	}
	ctx, span := t.Span(t.Join(ctx, tracing.OfMessage(r.channel.Tenant, j.message)), "send "+string(r.channel.Transport), time.Now(), trace.SpanKindClient, nil,
		attribute.Int64("parley.message", j.message), attribute.Int64("parley.delivery", j.key.Delivery), attribute.Int("parley.part", j.key.Part), attribute.Int("parley.attempt", j.key.Attempt),
		attribute.Float64("parley.queued_seconds", j.queuedFor.Seconds()), attribute.String("parley.channel", string(r.channel.ID)), attribute.String("parley.tenant", string(r.channel.Tenant)))
	return ctx, func(err *transports.SendError) {
		if err == nil {
			span.SetAttributes(attribute.String("parley.outcome", "sent"))
			span.End()
			return
		}
		span.SetAttributes(attribute.String("parley.outcome", err.Outcome.String()), attribute.String("error.type", err.Code))
		tracing.Fail(span, err.Outcome.String(), time.Now())
	}
}

// traceOf is a context for what is logged about a job, outside its span.
func (r *runner) traceOf(j *job) context.Context {
	ctx := context.Background()
	if t := r.d.opts.Tracer; t.On() && r.log.Enabled(ctx, slog.LevelDebug) {
		return t.Join(ctx, tracing.OfMessage(r.channel.Tenant, j.message))
	}
	return ctx
}
