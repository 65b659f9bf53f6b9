package router

import (
	"context"
	"encoding/json"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"parley/events"
	"parley/events/tracing"
	"parley/store"
)

// traced is the context for storing a batch, and what ends its spans. A batch that
// has events of traces is a trace of its own, with the database's statements below
// it; each of those events gets a span in its own trace. They link to each other.
func (r *Router) traced(ctx context.Context, batch []store.InboundRecord) (work context.Context, end func(store.BatchResult, error)) {
	none := func(store.BatchResult, error) {}
	if !r.opts.Tracer.On() {
		return ctx, none
	}
	began := time.Now()
	below := make([]context.Context, len(batch))
	var links []trace.Link
	for i := range batch {
		if ev := batch[i].Event; ev != nil && ev.Trace != "" {
			below[i] = tracing.Under(ctx, ev.Trace)
			links = append(links, trace.LinkFromContext(below[i]))
		}
	}
	if len(links) == 0 {
		return ctx, none
	}
	work, whole := r.opts.Tracer.Span(ctx, "store batch", began, trace.SpanKindInternal, links, attribute.Int("messaging.batch.message_count", len(batch)))
	return work, func(res store.BatchResult, err error) {
		ended := time.Now()
		for i := range batch {
			if below[i] == nil {
				continue
			}
			_, span := r.opts.Tracer.Span(below[i], "store", began, trace.SpanKindConsumer, []trace.Link{trace.LinkFromContext(work)},
				attribute.String("messaging.system", "nats"), attribute.String("messaging.operation.name", "process"), attribute.String("messaging.message.id", string(batch[i].Event.ID)),
				attribute.Int64("parley.stream.seq", int64(batch[i].Seq))) //nolint:gosec // far below
			if err != nil {
				tracing.Fail(span, store.SQLState(err), ended)
				continue
			}
			if i < len(res.Outcomes) {
				span.SetAttributes(attribute.String("parley.outcome", string(res.Outcomes[i])))
			}
			span.End(trace.WithTimestamp(ended))
		}
		if err != nil {
			tracing.Fail(whole, store.SQLState(err), ended)
			return
		}
		whole.End(trace.WithTimestamp(ended))
	}
}

// tracedFacts gives facts about messages a span in their message's trace, and that
// to the fact. It returns what ends them.
func (r *Router) tracedFacts(ctx context.Context, facts []events.Fact) (end func(error)) {
	if !r.opts.Tracer.On() {
		return func(error) {}
	}
	about := make([]int64, len(facts))
	for i := range facts {
		var data struct {
			Message int64 `json:"message_id"`
		}
		if json.Unmarshal(facts[i].Data, &data) == nil {
			about[i] = data.Message
		}
	}
	origins, err := r.db.EventsOf(ctx, about)
	if err != nil {
		r.log.Warn("the traces of facts are not known", "error", err)
		return func(error) {}
	}
	began := time.Now()
	var spans []trace.Span
	for i := range facts {
		f := &facts[i]
		if about[i] == 0 {
			continue
		}
		key := tracing.OfMessage(f.Tenant, about[i])
		if event, theirs := origins[about[i]]; theirs {
			key = tracing.OfEvent(event)
		}
		below, span := r.opts.Tracer.Span(r.opts.Tracer.Join(ctx, key), "publish fact "+f.Noun+"."+f.Verb, began, trace.SpanKindProducer, nil,
			attribute.String("messaging.system", "nats"), attribute.String("messaging.operation.name", "publish"), attribute.Int64("parley.fact", f.ID),
			attribute.Int64("parley.message", about[i]), attribute.Int64("parley.chat", f.Chat), attribute.String("parley.tenant", string(f.Tenant)))
		f.Trace = tracing.Traceparent(below)
		spans = append(spans, span)
	}
	return func(err error) {
		for _, span := range spans {
			if err != nil {
				tracing.Fail(span, "not published", time.Now())
				continue
			}
			span.End()
		}
	}
}
