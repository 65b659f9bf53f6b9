package storetest

import (
	"context"
	"os"
	"testing"

	"parley/store"
	"parley/store/localpg"
	"parley/store/storetest/scratch"
)

// Server is a PostgreSQL of a test's own, to be stopped, killed and started again.
// Its methods are for one goroutine; they end the test when they fail.
type Server struct {
	t       testing.TB
	opts    localpg.Options
	url     string
	running *localpg.Server
}

// NewServer starts a server with Parley's schema in its database. It ends, and its data
// goes, when the test ends. It does not need Main. Starting one takes seconds: for
// everything but outages there is NewDatabase.
func NewServer(t testing.TB) *Server {
	t.Helper()
	dir, err := scratch.Dir()
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	s := &Server{t: t, opts: serverOptions(dir)}
	t.Cleanup(func() {
		if s.running != nil {
			if err := s.running.Kill(); err != nil {
				t.Error("storetest: ", err)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error("storetest: ", err)
		}
	})
	s.Start()
	if _, err := store.Migrate(t.Context(), s.url); err != nil {
		t.Fatal("storetest: ", err)
	}
	return s
}

// URL is the database's URL. It stays the same over restarts.
func (s *Server) URL() string { return s.url }

// Start starts the server again after Stop or Kill, and returns when it can be used.
func (s *Server) Start() {
	s.t.Helper()
	if s.running != nil {
		s.t.Fatal("storetest: the server runs")
	}
	running, err := localpg.Start(s.t.Context(), s.opts)
	if err != nil {
		s.t.Fatal("storetest: ", err)
	}
	s.running, s.url = running, running.URL()
}

// Stop ends the server in good order, sessions included.
func (s *Server) Stop() {
	s.t.Helper()
	s.end(func(r *localpg.Server) error { return r.Stop(context.WithoutCancel(s.t.Context())) })
}

// Kill ends the server as a crash would; the next Start recovers what was committed.
func (s *Server) Kill() {
	s.t.Helper()
	s.end((*localpg.Server).Kill)
}

func (s *Server) end(how func(*localpg.Server) error) {
	s.t.Helper()
	if s.running == nil {
		s.t.Fatal("storetest: the server does not run")
	}
	running := s.running
	s.running = nil
	if err := how(running); err != nil {
		s.t.Fatal("storetest: ", err)
	}
}
