package main

import (
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestCable makes sure that what the cluster's faults cut is cut, and comes back.
func TestCable(t *testing.T) {
	t.Parallel()
	far, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	go func() {
		for {
			conn, err := far.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn) }() // until either end is closed
		}
	}()
	w, err := startCable(t.Context(), "tcp", far.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	dial := func() net.Conn {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	// say sends a word and yields what comes back of it, or why nothing does.
	say := func(conn net.Conn, patience time.Duration) error {
		t.Helper()
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("word")); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, make([]byte, 4))
		return err
	}
	const soon, late = 100 * time.Millisecond, 10 * time.Second
	silent := func(err error) bool { return os.IsTimeout(err) }

	conn := dial()
	if err := say(conn, late); err != nil {
		t.Fatal(err)
	}
	w.turn(cableStalls)
	if err := say(conn, soon); !silent(err) {
		t.Errorf("stalled: %v", err)
	}
	w.turn(cablePasses)
	// What was held back arrives.
	if err := conn.SetDeadline(time.Now().Add(late)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 4)); err != nil {
		t.Errorf("no longer stalled: %v", err)
	}
	w.turn(cableHalfOpen)
	if err := say(conn, soon); !silent(err) {
		t.Errorf("half open: %v", err)
	}
	w.turn(cablePasses)
	if err := say(conn, soon); !silent(err) {
		t.Errorf("half open before: %v", err)
	}
	conn = dial()
	if err := say(conn, late); err != nil {
		t.Errorf("a new one: %v", err)
	}
	w.turn(cableCut)
	if err := say(conn, late); err == nil || silent(err) {
		t.Errorf("cut: %v", err)
	}
	if err := say(dial(), late); err == nil || silent(err) {
		t.Errorf("a new one while cut: %v", err)
	}
	w.turn(cableSlow)
	began := time.Now()
	if err := say(dial(), late); err != nil || time.Since(began) < 2*cableDelay {
		t.Errorf("slow: %v after %s", err, time.Since(began))
	}
}
