package jetstream

import (
	"context"
	"fmt"
	"log/slog"
)

// serverLog carries the embedded server's log into slog.
type serverLog struct {
	log   *slog.Logger
	fatal chan error // the first fatal error; the server itself would exit the process
	disk  chan error // the first error of a disk that takes nothing more
}

func newServerLog(log *slog.Logger) *serverLog {
	return &serverLog{log: log.With("component", "nats"), fatal: make(chan error, 1), disk: make(chan error, 1)}
}

func (l *serverLog) at(level slog.Level, format string, v ...any) {
	l.log.Log(context.Background(), level, fmt.Sprintf(format, v...)) //nolint:sloglint // the server's own words
}

// Noticef is debug here: the server's notices are about itself.
func (l *serverLog) Noticef(format string, v ...any) { l.at(slog.LevelDebug, format, v...) }

// Warnf is a warning.
func (l *serverLog) Warnf(format string, v ...any) { l.at(slog.LevelWarn, format, v...) }

// Errorf is an error.
func (l *serverLog) Errorf(format string, v ...any) {
	l.at(slog.LevelError, format, v...)
	for _, arg := range v {
		// The log is the only place where the server says so while it goes on.
		if err, ok := arg.(error); ok && refusesWrites(err) {
			select {
			case l.disk <- err:
			default:
			}
		}
	}
}

// Fatalf is an error that ends the start.
func (l *serverLog) Fatalf(format string, v ...any) {
	l.at(slog.LevelError, format, v...)
	select {
	case l.fatal <- fmt.Errorf(format, v...):
	default:
	}
}

// Debugf is off.
func (l *serverLog) Debugf(string, ...any) {}

// Tracef is off: it would show message bodies.
func (l *serverLog) Tracef(string, ...any) {}

// logger is l, or one that discards.
func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
