package transporttest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parley/transports"
)

// Network is how the way to the provider behaves.
type Network int

// The networks.
const (
	// Working: the provider takes whatever is sent.
	Working Network = iota
	// Offline: whoever uses it fails the test.
	Offline
	// Unreachable: no connection comes about, and the words for it repeat the
	// address that was asked for.
	Unreachable
	// Lost: the provider takes a send in full, then the connection is reset.
	Lost
	// Silent: the provider takes a send in full and never answers; nor does it
	// answer anything else.
	Silent
	// Refusing: the provider refuses whatever is asked, for good, repeating the
	// secrets in its words.
	Refusing
	// Unauthorised: the provider refuses the credentials.
	Unauthorised
	// Failing: the provider has an internal error.
	Failing
	// Garbled: what answers does not speak the provider's protocol.
	Garbled
)

// String names the network.
func (n Network) String() string {
	return [...]string{"working", "offline", "unreachable", "lost", "silent", "refused", "unauthorised", "internal error", "no answer of it"}[n]
}

// broken are the networks on which nothing works.
func broken() []Network {
	return []Network{Unreachable, Lost, Refusing, Unauthorised, Failing, Garbled}
}

// account builds one, and counts the requests that were taken in full.
func (h Harness) account(t *testing.T, network Network) (transports.Transport, func() int) {
	t.Helper()
	if h.On != nil {
		return h.On(t, network)
	}
	if h.New == nil {
		t.Fatal("the harness offers neither New nor On")
	}
	var n atomic.Int64
	echo := strings.Join(h.Secrets, " ")
	client := map[Network]func() *http.Client{
		Working:     func() *http.Client { return counting(h.Provider, &n) },
		Offline:     func() *http.Client { return noNetwork(t) },
		Unreachable: unreachable,
		Lost:        func() *http.Client { return lostAfter(&n) },
		Silent:      func() *http.Client { return silent(&n) },
		Refusing: func() *http.Client {
			return saying(http.StatusBadRequest, fmt.Sprintf(`{"ok":false,"error_code":400,"code":400,"description":%q,"message":%q}`, echo, echo), &n)
		},
		Unauthorised: func() *http.Client { return saying(http.StatusUnauthorized, echo, &n) },
		Failing:      func() *http.Client { return saying(http.StatusInternalServerError, echo, &n) },
		Garbled:      func() *http.Client { return saying(http.StatusOK, echo, &n) },
	}[network]()
	return h.New(t, client), func() int { return int(n.Load()) }
}

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

// lostAfter takes a request in full and fails then.
func lostAfter(n *atomic.Int64) *http.Client {
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
		// Whoever cannot be stopped is let go in the end, to be told how late it was.
		const late = time.Hour
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-time.After(late):
			return nil, errors.New("nothing came")
		}
	})
}

// saying answers everything with a status and a body.
func saying(status int, body string, n *atomic.Int64) *http.Client {
	return counting(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}), n)
}

func drain(r *http.Request) error {
	if r.Body == nil {
		return nil
	}
	_, err := io.Copy(io.Discard, r.Body)
	return err
}
