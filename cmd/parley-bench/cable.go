package main

import (
	"context"
	"net"
	"sync"
	"time"
)

// cableState is what a cable does to what goes over it.
type cableState int

const (
	cablePasses cableState = iota
	// cableCut ends every connection, and refuses new ones.
	cableCut
	// cableStalls holds everything back, new connections included, and lets it go on later.
	cableStalls
	// cableHalfOpen lets the far end forget every connection, and tells the near end
	// nothing; not later either.
	cableHalfOpen
	// cableSlow delays what is sent, both ways.
	cableSlow
)

// cableDelay is what a slow cable adds to each piece, each way.
const cableDelay = 150 * time.Millisecond

// cable is a TCP connection to somewhere that can be made to fail.
type cable struct {
	addr     string
	listener net.Listener
	dial     func(ctx context.Context) (net.Conn, error)

	mu    sync.Mutex
	state cableState
	// turned is closed when the state changes.
	turned chan struct{}
	spans  map[*span]bool
	closed bool
	work   sync.WaitGroup
}

// span is one connection over a cable; far is nil until it is dialled.
type span struct {
	near, far net.Conn
	// orphan lives on at the near end alone.
	orphan bool
}

// startCable leads to a network and address from a port of its own on the loopback.
func startCable(ctx context.Context, network, address string) (*cable, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &cable{
		addr: l.Addr().String(), listener: l, turned: make(chan struct{}), spans: map[*span]bool{},
		dial: func(ctx context.Context) (net.Conn, error) {
			d := net.Dialer{Timeout: 5 * time.Second}
			return d.DialContext(ctx, network, address)
		},
	}
	w.work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			w.work.Go(func() { w.serve(context.WithoutCancel(ctx), conn) })
		}
	})
	return w, nil
}

// close ends everything on it.
func (w *cable) close() {
	_ = w.listener.Close()
	w.mu.Lock()
	w.closed = true
	for s := range w.spans {
		s.end()
	}
	close(w.turned)
	w.turned = make(chan struct{})
	w.mu.Unlock()
	w.work.Wait()
}

// turn changes what the cable does.
func (w *cable) turn(to cableState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = to
	for s := range w.spans {
		switch to {
		case cableCut:
			s.end()
		case cableHalfOpen:
			s.orphan = true
			if s.far != nil {
				_ = s.far.Close()
			}
		case cablePasses, cableStalls, cableSlow:
		}
	}
	close(w.turned)
	w.turned = make(chan struct{})
}

func (s *span) end() {
	_ = s.near.Close()
	if s.far != nil {
		_ = s.far.Close()
	}
}

// passes waits while the cable stalls, and reports whether the span still leads anywhere.
func (w *cable) passes(s *span) bool {
	for {
		w.mu.Lock()
		state, turned, dead := w.state, w.turned, w.closed || s.orphan || !w.spans[s]
		w.mu.Unlock()
		switch {
		case dead || state == cableCut:
			return false
		case state == cableStalls:
			<-turned
			continue
		case state == cableSlow:
			time.Sleep(cableDelay)
		}
		return true
	}
}

// serve connects one near end, and carries both ways until one ends.
func (w *cable) serve(ctx context.Context, near net.Conn) {
	s := &span{near: near}
	w.mu.Lock()
	if w.closed || w.state == cableCut {
		w.mu.Unlock()
		_ = near.Close()
		return
	}
	s.orphan = w.state == cableHalfOpen
	w.spans[s] = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.spans, s)
		s.end()
		w.mu.Unlock()
	}()
	if !w.passes(s) {
		w.linger(s)
		return
	}
	far, err := w.dial(ctx)
	if err != nil {
		return
	}
	w.mu.Lock()
	s.far = far
	if s.orphan || w.state == cableCut {
		_ = far.Close()
	}
	w.mu.Unlock()
	back := make(chan struct{})
	w.work.Go(func() {
		defer close(back)
		w.carry(s, near, far)
	})
	w.carry(s, far, near)
	w.linger(s)
	s.end()
	<-back
}

// carry copies one way, and ends the other way unless the near end is to know nothing.
func (w *cable) carry(s *span, to, from net.Conn) {
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 {
			if !w.passes(s) {
				break
			}
			if _, err := to.Write(piece[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !s.orphan {
		s.end()
	}
}

// linger keeps an orphan's near end until it gives up by itself.
func (w *cable) linger(s *span) {
	w.mu.Lock()
	orphan := s.orphan && !w.closed
	w.mu.Unlock()
	if !orphan {
		return
	}
	piece := make([]byte, 4<<10)
	for {
		if _, err := s.near.Read(piece); err != nil {
			return
		}
	}
}
