package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// components are what log lines are marked with, as their role or part.
var components = []string{"api", "dispatcher", "gateway", "media", "nats", "postgres", "router"}

// levels say which lines are logged: those of other components by the level of "".
type levels map[string]slog.Level

// parseLevels reads "info,router=debug": a level for all, and levels of components.
func parseLevels(text string) (levels, error) {
	l := levels{"": slog.LevelInfo}
	for item := range strings.SplitSeq(text, ",") {
		name, level, named := strings.Cut(strings.TrimSpace(item), "=")
		if !named {
			name, level = "", name
		}
		if named && !slices.Contains(components, name) {
			return nil, errorf("log level %q: nothing is called %q; there are %s", item, name, strings.Join(components, ", "))
		}
		var at slog.Level
		switch strings.ToLower(level) {
		case "debug":
			at = slog.LevelDebug
		case "info":
			at = slog.LevelInfo
		case "warn":
			at = slog.LevelWarn
		case "error":
			at = slog.LevelError
		default:
			return nil, errorf("log level %q: use debug, info, warn or error, alone or as in router=debug", item)
		}
		l[name] = at
	}
	return l, nil
}

// leveled passes on the lines that a component is to log.
type leveled struct {
	slog.Handler
	levels levels
	least  slog.Level
}

func newLeveled(h slog.Handler, l levels) slog.Handler { return leveled{h, l, l[""]} }

// Enabled implements [slog.Handler].
func (h leveled) Enabled(_ context.Context, at slog.Level) bool { return at >= h.least }

// Handle implements [slog.Handler]: a line about something traced says so.
func (h leveled) Handle(ctx context.Context, line slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
		line.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, line)
}

// WithAttrs implements [slog.Handler]: the component named last decides.
func (h leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key != "role" && a.Key != "part" {
			continue
		}
		if at, named := h.levels[a.Value.String()]; named {
			h.least = at
		}
	}
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup implements [slog.Handler].
func (h leveled) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}
