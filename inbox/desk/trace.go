package desk

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"parley/events"
	"parley/events/tracing"
	"parley/inbox"
)

// traceWritten begins the trace of a message that was written here: its id, which
// the trace follows from, is known only now.
func (d *Desk) traceWritten(ctx context.Context, tenant events.TenantID, m inbox.Message, began time.Time) {
	if !d.Tracer.On() {
		return
	}
	_, span := d.Tracer.Begin(ctx, tracing.OfMessage(tenant, m.ID), "write reply", began, trace.SpanKindServer,
		attribute.Int64("parley.message", m.ID), attribute.Int64("parley.chat", m.ChatID), attribute.String("parley.tenant", string(tenant)))
	span.End()
}

// traceOf is the id of a message's trace, empty while nothing is traced.
func (d *Desk) traceOf(tenant events.TenantID, j inbox.Journey) string {
	switch {
	case !d.Tracer.On():
		return ""
	case j.EventID != "":
		return tracing.OfEvent(j.EventID).String()
	}
	return tracing.OfMessage(tenant, j.MessageID).String()
}
