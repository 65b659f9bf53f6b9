package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Strangers who connect and say nothing, or little by little, are hung up on in
// bounded time, and nobody else waits for them.
func TestSlowConnections(t *testing.T) {
	t.Parallel()
	p := start(t, shared(t, Config{DataDir: dataFolder(t), APIListen: "127.0.0.1:0"}))
	api := strings.TrimPrefix(p.Pages, "http://")
	const each = 100
	type stranger struct {
		conn  net.Conn
		begun time.Time
	}
	var strangers []stranger
	dial := func(address, says string) stranger {
		t.Helper()
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, says); err != nil {
			t.Fatal(err)
		}
		return stranger{conn, time.Now()}
	}
	for range each {
		for _, address := range []string{api, p.Listen} {
			strangers = append(strangers, dial(address, ""), dial(address, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: a"))
		}
		// Who may not is told before anything of the body was read, and holds nobody up.
		dial(api, "POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var dripping sync.WaitGroup
	for i, s := range strangers {
		if i%2 == 1 { // a byte now and then does not help
			dripping.Go(func() {
				tick := time.NewTicker(time.Second)
				defer tick.Stop()
				for {
					select {
					case <-tick.C:
						if _, err := io.WriteString(s.conn, "a"); err != nil {
							return
						}
					case <-ctx.Done():
						return
					}
				}
			})
		}
	}

	// Nor do heads take as much memory as they like.
	for _, url := range []string{"http://" + p.Listen + "/healthz", p.Pages + "/api/openapi.json"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Large", strings.Repeat("a", maxHeaderBytes+8<<10))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s with a large head: %s", url, res.Status)
		}
	}

	// Honest users, with connections of their own, meanwhile.
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for range 20 {
		for _, url := range []string{"http://" + p.Listen + "/healthz", p.Pages + "/login", p.Pages + "/api/openapi.json"} {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := client.Do(req)
			if err != nil {
				t.Fatalf("%d slow connections keep others out: %v", len(strangers), err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", url, res.Status)
			}
		}
	}

	// A machine under load may be late, but nobody is held for as long as they like.
	const bound = readHeaderTimeout + 20*time.Second
	for _, s := range strangers {
		_ = s.conn.SetReadDeadline(s.begun.Add(bound))
		_, err := io.Copy(io.Discard, s.conn) // an answer, perhaps, and the end
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			t.Fatalf("a slow connection was held for %s", time.Since(s.begun))
		}
	}
	stop()
	dripping.Wait()
}
