package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// frontTimeout is how long the front waits for a gateway. Who has not answered
	// by then is left alone until it is alive again.
	frontTimeout = 3 * time.Second
	// probeEvery is how often it looks who is alive, and how long it waits for the
	// answer.
	probeEvery = 500 * time.Millisecond
)

// front is the load balancer before the gateways: it hands each request to the
// next gateway that answers. What nobody answers is the provider's to repeat.
type front struct {
	url    string
	server *http.Server
	client *http.Client
	next   atomic.Uint64
	stop   context.CancelFunc

	mu       sync.Mutex
	backends []*backend
}

// backend is one gateway.
type backend struct {
	host string
	down atomic.Bool
}

func startFront(ctx context.Context) (*front, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &front{
		url:    "http://" + l.Addr().String(),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 400}},
	}
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: time.Second}
	go func() { _ = f.server.Serve(l) }() // until close
	ctx, f.stop = context.WithCancel(ctx)
	go f.probe(ctx)
	return f, nil
}

// probe looks who is alive until ctx ends.
func (f *front) probe(ctx context.Context) {
	for ctx.Err() == nil {
		f.mu.Lock()
		all := slices.Clone(f.backends)
		f.mu.Unlock()
		var wg sync.WaitGroup
		for _, b := range all {
			wg.Go(func() {
				look, cancel := context.WithTimeout(ctx, probeEvery)
				defer cancel()
				code, _, err := ask(look, http.MethodGet, "http://"+b.host+"/healthz")
				b.down.Store(err != nil || code != http.StatusOK)
			})
		}
		wg.Wait()
		select {
		case <-time.After(probeEvery):
		case <-ctx.Done():
		}
	}
}

func (f *front) close() {
	f.stop()
	_ = f.server.Close()
	f.client.CloseIdleConnections()
}

func (f *front) add(host string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.backends = append(f.backends, &backend{host: host})
}

// ServeHTTP tries each gateway once, those that are down last.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for _, b := range f.order() {
		if r.Context().Err() != nil {
			break
		}
		code, answer, err := f.forward(r, b, body)
		if err != nil {
			b.down.Store(true)
			continue
		}
		w.WriteHeader(code)
		_, _ = w.Write(answer) //nolint:gosec // for no browser; a provider that hung up asks again
		return
	}
	w.WriteHeader(http.StatusBadGateway)
}

func (f *front) order() []*backend {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := f.next.Add(1)
	var up, down []*backend
	for i := range f.backends {
		b := f.backends[(first+uint64(i))%uint64(len(f.backends))]
		if b.down.Load() {
			down = append(down, b)
		} else {
			up = append(up, b)
		}
	}
	return append(up, down...)
}

func (f *front) forward(r *http.Request, b *backend, body []byte) (code int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), frontTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.Method, "http://"+b.host+r.URL.RequestURI(), bytes.NewReader(body)) //nolint:gosec // to our own gateways
	if err != nil {
		return 0, nil, err
	}
	req.Header = r.Header.Clone()
	resp, err := f.client.Do(req) //nolint:gosec // to our own gateways
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, answer, err
}
