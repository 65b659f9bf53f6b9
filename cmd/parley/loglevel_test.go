package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestLogLevels logs by components, of which the one named last decides.
func TestLogLevels(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := newLogger(&out, "text", "warn, router=debug,media=error")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("no 1")
	log.Warn("yes 1")
	router := log.With("channel", 7).With("role", "router")
	router.Debug("yes 2")
	router.WithGroup("more").With("role", "dispatcher").Debug("yes 3") // not named: as before
	media := log.With("role", "dispatcher", "part", "media")
	media.Warn("no 2")
	media.Error("yes 4")
	for _, want := range []string{"yes 1", "yes 2", "yes 3", "yes 4"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not logged", want)
		}
	}
	if strings.Contains(out.String(), "no ") {
		t.Errorf("too much is logged:\n%s", out.String())
	}
	for _, wrong := range []string{"", "loud", "router", "rooter=debug", "router=", "info,,", "=debug"} {
		if _, err := newLogger(&out, "text", wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		} else {
			t.Log(err)
		}
	}
}
