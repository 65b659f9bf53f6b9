package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"parley/events"
	"parley/events/jetstream"
	"parley/transports"
)

func TestChannelsComeChangeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		r := newRig(t, bus, nil)
		wantCode(t, r.answer(delivery("0")), http.StatusServiceUnavailable)
		r.run(t)
		synctest.Wait()
		if !r.table.loaded() {
			t.Fatal("not ready after the channels were listed")
		}
		wantCode(t, r.answer(delivery("0")), http.StatusNotFound)

		ch := webhookChannel()
		bus.put(ch)
		wantCode(t, r.answer(delivery("1")), http.StatusOK)

		rotated := ch
		rotated.Version, rotated.Sealed = 2, []byte("sealed:another-token")
		bus.put(rotated)
		wantCode(t, r.answer(delivery("2")), http.StatusForbidden)
		req := delivery("2")
		req.Header.Set("X-Secret", "another-token")
		wantCode(t, r.answer(req), http.StatusOK)

		bus.put(ch) // an older projection never replaces a newer one
		wantCode(t, r.answer(delivery("3")), http.StatusForbidden)

		paused := ch
		paused.Version, paused.Paused = 3, true
		bus.put(paused)
		wantCode(t, r.answer(delivery("4")), http.StatusServiceUnavailable)
		synctest.Wait()
		if n := bus.leased(); n != 0 {
			t.Errorf("a paused channel holds %d leases", n)
		}

		moved := ch
		moved.Version, moved.WebhookPath = 4, "another-path"
		bus.put(moved)
		wantCode(t, r.answer(delivery("5")), http.StatusNotFound)
		req = delivery("5")
		req.SetPathValue("path", "")
		req.URL.Path = transports.WebhookPrefix + "another-path"
		wantCode(t, r.answer(req), http.StatusOK)

		bus.remove(ch.ID)
		wantCode(t, r.answer(req), http.StatusNotFound)
		synctest.Wait()
		if n := testutil.CollectAndCount(r.Gateway.metrics.health) + testutil.CollectAndCount(r.Gateway.metrics.lease); n != 0 {
			t.Errorf("%d metrics of a channel that is gone", n)
		}
		if n := bus.leased(); n != 0 {
			t.Errorf("%d leases of a channel that is gone", n)
		}
		bus.put(ch)
		wantCode(t, r.answer(delivery("6")), http.StatusOK)
		r.logs.wantNoSecrets(t)
	})
}

// What the bus holds is all that a restart needs.
func TestRestartFromTheBusAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.put(webhookChannel())
		first := newRig(t, bus, nil)
		stop := first.run(t)
		advance(time.Hour)
		wantCode(t, first.answer(delivery("1")), http.StatusOK)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		since := bus.lastHealth(t).Since
		second := newRig(t, bus, nil)
		second.run(t)
		advance(time.Hour)
		wantCode(t, second.answer(delivery("1")), http.StatusOK)
		if h := bus.lastHealth(t); h.State != events.Connected || !h.Since.Equal(since) {
			t.Errorf("connected since %s, after a restart since %s", since, h.Since)
		}
	})
}

// A gateway that cannot follow the bus goes on with what it knows.
func TestChannelsAreFollowedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.put(webhookChannel())
		var down atomic.Bool
		bus.onWatch = func() error {
			if down.Load() {
				return jetstream.ErrUnavailable
			}
			return nil
		}
		down.Store(true)
		r := newRig(t, bus, nil)
		r.run(t)
		advance(time.Minute)
		if r.table.loaded() {
			t.Error("ready without having seen the channels")
		}
		down.Store(false)
		advance(2 * time.Minute)
		wantCode(t, r.answer(delivery("1")), http.StatusOK)

		down.Store(true)
		bus.hangUp()
		advance(time.Minute)
		ch := webhookChannel()
		ch.Version, ch.WebhookPath = 2, "another-path"
		bus.put(ch)
		wantCode(t, r.answer(delivery("2")), http.StatusOK)
		down.Store(false)
		advance(2 * time.Minute)
		wantCode(t, r.answer(delivery("3")), http.StatusNotFound)

		bus.tell(jetstream.ChannelChange{Channel: events.Channel{ID: testChannel}, Err: errors.New("not JSON")})
		req := delivery("4")
		req.URL.Path = transports.WebhookPrefix + "another-path"
		wantCode(t, r.answer(req), http.StatusOK)
		if s := r.logs.String(); !strings.Contains(s, "cannot be followed") || !strings.Contains(s, "cannot be read") {
			t.Errorf("the log does not say so: %s", s)
		}
	})
}

func TestChannelThatCannotWorkNeedsAttention(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		channel func(*events.Channel)
		tune    func(*Options)
		adapter func(*fakeAdapter) error
		words   string
	}{
		"secrets do not open": {
			channel: func(ch *events.Channel) { ch.Sealed = []byte("damaged") },
			words:   "the secrets could not be opened: the key does not fit",
		},
		"no key": {
			tune:  func(o *Options) { o.OpenSecrets = nil },
			words: "the secrets could not be opened: this program was given no key",
		},
		"opening panics": {
			tune: func(o *Options) {
				o.OpenSecrets = func(events.Channel) (map[string]string, error) { panic(testSecret) }
			},
			words: "the secrets could not be opened: failed unexpectedly: panic of type string",
		},
		"unknown transport": {
			channel: func(ch *events.Channel) { ch.Transport = "pigeon" },
			words:   `this program has no adapter for "pigeon"`,
		},
		"adapter refuses": {
			adapter: func(*fakeAdapter) error { return errors.New("set the token, not " + testSecret) },
			words:   "set the token, not [redacted]",
		},
		"no public URL": {
			tune:  func(o *Options) { o.PublicURL = "" },
			words: "webhooks need a public URL: set the installation's public URL to the https address at which providers reach it, or set the channel's mode to polling",
		},
		"no path": {
			channel: func(ch *events.Channel) { ch.WebhookPath = "" },
			words:   "the channel has no webhook path: save it again to give it one",
		},
		"no mode": {
			channel: func(ch *events.Channel) { ch.Mode = "pull" },
			words:   `"pull" is not a channel mode: use webhook or polling`,
		},
		"credentials refused": {
			adapter: func(a *fakeAdapter) error {
				a.connect = func(context.Context, string) error { return refused() }
				return nil
			},
			words: "401 for bot[redacted]: the provider refused our credentials",
		},
		"credentials refused later": {
			adapter: func(a *fakeAdapter) error {
				a.check = func(context.Context) (transports.Report, error) { return transports.Report{}, refused() }
				return nil
			},
			words: "401 for bot[redacted]: the provider refused our credentials",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bus := newFakeBus()
				ch := webhookChannel()
				if tc.channel != nil {
					tc.channel(&ch)
				}
				bus.put(ch)
				other := webhookChannel()
				other.ID, other.WebhookPath = "33333333-3333-4333-8333-333333333333", "other-path"
				r := newRig(t, bus, tc.tune)
				r.adapter = func(a *fakeAdapter) error {
					if a.account.Channel.ID == other.ID || tc.adapter == nil {
						return nil
					}
					return tc.adapter(a)
				}
				r.run(t)
				synctest.Wait()
				h := bus.lastHealth(t)
				if h.State != events.NeedsAttention || h.Error != tc.words || h.Channel != testChannel {
					t.Errorf("health %+v, want words %q", h, tc.words)
				}
				if n := testutil.ToFloat64(r.Gateway.metrics.health.WithLabelValues(string(ch.ID), string(ch.Transport), "needs_attention")); n != 1 {
					t.Errorf("the gauge says %v", n)
				}
				if tc.tune == nil {
					bus.put(other)
					synctest.Wait()
					if h := bus.lastHealth(t); h.Channel != other.ID || h.State != events.Connected {
						t.Errorf("the other channel: %+v", h)
					}
				}
				r.logs.wantNoSecrets(t)
			})
		})
	}
}

// refused is what an adapter says about a token that the provider revoked.
func refused() error {
	return fmt.Errorf("401 for bot%s: %w", testSecret, transports.ErrCredentials)
}

func TestConnectIsRetriedAndTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := newFakeBus()
		bus.put(webhookChannel())
		r := newRig(t, bus, nil)
		var urls []string
		r.adapter = func(a *fakeAdapter) error {
			a.connect = func(_ context.Context, url string) error {
				r.mu.Lock()
				defer r.mu.Unlock()
				if urls = append(urls, url); len(urls) < 5 {
					return errors.New("no route to " + url)
				}
				return nil
			}
			return nil
		}
		r.run(t)
		synctest.Wait()
		if h := bus.lastHealth(t); h.State != events.Degraded || !strings.Contains(h.Error, "no route to https://inbox.example.com/webhook/[redacted]") {
			t.Errorf("health %+v", h)
		}
		advance(5 * time.Minute)
		if h := bus.lastHealth(t); h.State != events.Connected || h.Error != "" {
			t.Errorf("health %+v", h)
		}
		if len(urls) != 5 || urls[0] != "https://inbox.example.com/webhook/"+testPath {
			t.Errorf("connected to %q", urls)
		}
		r.logs.wantNoSecrets(t)
	})
}

// Somebody else's webhook, or none, is noticed and taken back.
func TestChannelIsTakenBack(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		channel   events.Channel
		elsewhere string
	}{
		"webhook removed":         {webhookChannel(), ""},
		"webhook replaced":        {webhookChannel(), "https://elsewhere.example.com/"},
		"webhook set while polls": {pollingChannel(), "https://elsewhere.example.com/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bus := newFakeBus()
				bus.put(tc.channel)
				r := newRig(t, bus, nil)
				var current string
				connects := 0
				r.adapter = func(a *fakeAdapter) error {
					a.connect = func(_ context.Context, url string) error {
						r.do(func() {
							current = url
							connects++
						})
						return nil
					}
					a.check = func(context.Context) (report transports.Report, _ error) {
						r.do(func() { report.WebhookURL = current })
						return report, nil
					}
					return nil
				}
				r.run(t)
				advance(10 * time.Minute)
				r.do(func() {
					if connects != 1 {
						t.Errorf("connected %d times without a reason", connects)
					}
					current = tc.elsewhere
				})
				advance(5 * time.Minute)
				r.do(func() {
					if connects != 2 || current == tc.elsewhere {
						t.Errorf("connected %d times, delivered to %q", connects, current)
					}
				})
				want := []events.HealthState{events.Connected, events.Degraded, events.Connected}
				if got := bus.states(); !slices.Equal(got, want) {
					t.Errorf("health went %q, want %q", got, want)
				}
			})
		})
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{
		{},
		{Bus: newFakeBus(), PublicURL: "inbox.example.com"},
		{Bus: newFakeBus(), PublicURL: "ftp://inbox.example.com"},
		{Bus: newFakeBus(), PublicURL: "https://inbox.example.com/?a=b"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("took %+v", o)
		}
	}
}
