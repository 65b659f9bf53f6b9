package transporttest

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// roundTrip is a network made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func client(f roundTrip) *http.Client { return &http.Client{Transport: f} }

// noNetwork fails the test that uses it.
func noNetwork(t *testing.T) *http.Client {
	return client(func(r *http.Request) (*http.Response, error) {
		t.Errorf("a request to %s where there should be none", r.URL.Host)
		return nil, errors.New("no network here")
	})
}

// counting lets a handler answer, and counts its requests.
func counting(h http.Handler, n *atomic.Int64) *http.Client {
	return client(func(r *http.Request) (*http.Response, error) {
		n.Add(1)
		if r.Body == nil {
			r.Body = http.NoBody
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
		resp := w.Result()
		resp.Request = r
		return resp, nil
	})
}

// unreachable fails before anything of a request is read. Its words repeat the
// URL, as those of proxies and resolvers do.
func unreachable() *http.Client {
	return client(func(r *http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused: " + r.URL.String())}
	})
}

// lost takes a request in full and fails then.
func lost(n *atomic.Int64) *http.Client {
	return client(func(r *http.Request) (*http.Response, error) {
		if err := drain(r); err != nil {
			return nil, err
		}
		n.Add(1)
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer: " + r.URL.String())}
	})
}

// silent takes a request in full and never answers.
func silent(n *atomic.Int64) *http.Client {
	return client(func(r *http.Request) (*http.Response, error) {
		if err := drain(r); err != nil {
			return nil, err
		}
		n.Add(1)
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
}

// saying answers everything with a status and a body.
func saying(status int, body string) *http.Client {
	var n atomic.Int64
	return counting(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}), &n)
}

func drain(r *http.Request) error {
	if r.Body == nil {
		return nil
	}
	_, err := io.Copy(io.Discard, r.Body)
	return err
}
