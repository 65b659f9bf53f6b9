package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// readiness is what the process still lacks, by part, in words.
type readiness struct {
	mu      sync.Mutex
	missing map[string]string
	// changed is closed and replaced whenever missing changes.
	changed chan struct{}
}

// newReadiness begins with every part missing.
func newReadiness(missing map[string]string) *readiness {
	return &readiness{missing: missing, changed: make(chan struct{})}
}

// lacks says what part is waiting for.
func (r *readiness) lacks(part, words string) { r.change(func() { r.missing[part] = words }) }

// has says that part is ready.
func (r *readiness) has(part string) { r.change(func() { delete(r.missing, part) }) }

func (r *readiness) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

// state lists what is missing, and a channel that closes when that changes.
func (r *readiness) state() (missing []string, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, part := range slices.Sorted(maps.Keys(r.missing)) {
		missing = append(missing, r.missing[part])
	}
	return missing, r.changed
}

// ServeHTTP answers 200 when nothing is missing, else 503 with what is.
func (r *readiness) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	missing, _ := r.state()
	if len(missing) == 0 {
		_, _ = fmt.Fprintln(w, "ready")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = fmt.Fprintln(w, "not ready:\n- "+strings.Join(missing, "\n- "))
}
