package jetstream_test

import (
	"context"
	"log/slog"
	"sync"
)

// signalHandler closes signal at the first warning.
type signalHandler struct {
	slog.Handler
	signal chan struct{}
	once   sync.Once
}

func (h *signalHandler) logger() *slog.Logger {
	h.Handler = slog.DiscardHandler
	return slog.New(h)
}

func (h *signalHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *signalHandler) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		h.once.Do(func() { close(h.signal) })
	}
	return nil
}
