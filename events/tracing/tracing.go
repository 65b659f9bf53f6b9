// Package tracing makes OpenTelemetry spans of what happens to one message, from a
// provider's webhook to the database, and from an agent's reply to the provider.
//
// The trace of an event or a message follows from its id (see [OfEvent] and
// [OfMessage]), so that whoever knows the id finds the trace, and each process joins
// it without being told which it is. That it was sampled, and below which span it
// goes on, travels with events on the bus as W3C trace context
// (https://www.w3.org/TR/trace-context/).
//
// Spans name tenants, channels and ids. They hold no text, no name or address of a
// client, no secret and no URL.
package tracing

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"parley/events"
)

// Key is what a trace and its first span follow from.
type Key [sha256.Size]byte

// OfEvent is the trace of something that came from a provider.
func OfEvent(id events.EventID) Key { return sha256.Sum256([]byte("event " + string(id))) }

// OfMessage is the trace of a message that somebody wrote here. Numbers of messages
// repeat in other installations, which may report to the same collector; those of
// tenants do not.
func OfMessage(tenant events.TenantID, id int64) Key {
	return sha256.Sum256([]byte("message " + string(tenant) + " " + strconv.FormatInt(id, 10)))
}

// TraceID is the trace's id.
func (k Key) TraceID() trace.TraceID { return trace.TraceID(k[:16]) }

// String is the trace's id in hex, as collectors show it.
func (k Key) String() string { return hex.EncodeToString(k[:16]) }

// spanID is the id of the trace's first span.
func (k Key) spanID() trace.SpanID { return trace.SpanID(k[16:24]) }

type contextKey struct{}

// IDs generates the ids of spans for the SDK (its IDGenerator): those of a key where
// [Tracer.Begin] begins a trace, random ones otherwise.
type IDs struct{}

// NewIDs returns the ids of a trace's first span.
func (IDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if k, ok := ctx.Value(contextKey{}).(Key); ok {
		return k.TraceID(), k.spanID()
	}
	var k Key
	_, _ = rand.Read(k[:]) // never fails: https://pkg.go.dev/crypto/rand#Read
	return k.TraceID(), k.spanID()
}

// NewSpanID returns the id of a further span.
func (g IDs) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	_, id := g.NewIDs(context.Background())
	return id
}

// Tracer makes spans. A nil one makes none, at no cost.
type Tracer struct{ tracer trace.Tracer }

// New makes a Tracer of a provider that generates ids by [IDs].
func New(p trace.TracerProvider) *Tracer { return &Tracer{p.Tracer("parley")} }

// On reports whether there may be spans.
func (t *Tracer) On() bool { return t != nil }

// Begin begins the first span of a trace. Its context is for what is done below it.
func (t *Tracer) Begin(ctx context.Context, k Key, name string, at time.Time, kind trace.SpanKind, attrs ...attribute.KeyValue) (context.Context, trace.Span) {
	return t.tracer.Start(context.WithValue(ctx, contextKey{}, k), name, trace.WithNewRoot(), trace.WithTimestamp(at), trace.WithSpanKind(kind), trace.WithAttributes(attrs...))
}

// Span begins a span below what the context says; a trace of its own without any.
func (t *Tracer) Span(ctx context.Context, name string, at time.Time, kind trace.SpanKind, links []trace.Link, attrs ...attribute.KeyValue) (context.Context, trace.Span) {
	return t.tracer.Start(context.WithValue(ctx, contextKey{}, nil), name, trace.WithTimestamp(at), trace.WithSpanKind(kind), trace.WithLinks(links...), trace.WithAttributes(attrs...))
}

// Join is the context below the first span of a trace that began elsewhere, or began
// long ago. Whether it is sampled is decided as it was there, which takes the same
// sampler here.
func (t *Tracer) Join(ctx context.Context, k Key) context.Context {
	_, probe := t.tracer.Start(context.WithValue(ctx, contextKey{}, k), "", trace.WithNewRoot()) // never ended, so never told
	return trace.ContextWithRemoteSpanContext(ctx, probe.SpanContext().WithRemote(true))
}

// Fail ends a span of something that went wrong; why is a code or a few words of
// ours, nothing that somebody else said.
func Fail(span trace.Span, why string, at time.Time) {
	span.SetStatus(codes.Error, why)
	span.End(trace.WithTimestamp(at))
}
