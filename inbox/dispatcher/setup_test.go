package dispatcher_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/inbox/dispatcher"
	"parley/store/outboundtest"
	"parley/store/storetest"
	"parley/transports"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// provider is a stand-in for everything behind an adapter: it accepts what it
// gets unless told otherwise.
type provider struct {
	caps transports.Capabilities
	// script decides about a part; nil accepts it.
	script func(ctx context.Context, part transports.Outbound) error

	mu   sync.Mutex
	got  []transports.Outbound
	next int
}

func unlimited() transports.Capabilities {
	return transports.Capabilities{MaxText: 4096, ReplyWindow: transports.NoReplyWindow}
}

func newProvider() *provider { return &provider{caps: unlimited()} }

func (p *provider) Capabilities() transports.Capabilities { return p.caps }

func (p *provider) Send(ctx context.Context, part transports.Outbound) (transports.Receipt, error) {
	if p.script != nil {
		if err := p.script(ctx, part); err != nil {
			return transports.Receipt{}, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, part)
	p.next++
	return transports.Receipt{ProviderID: fmt.Sprint("m", p.next), Chat: part.To}, nil
}

// accepted lists what was accepted, as "<address>: <text>", in order.
func (p *provider) accepted() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]string, len(p.got))
	for i, part := range p.got {
		list[i] = part.To + ": " + part.Text
	}
	return list
}

// count is how many parts were accepted.
func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.got)
}

// acceptedBy lists the texts that one person got.
func (p *provider) acceptedBy(address string) []string {
	var list []string
	for _, s := range p.accepted() {
		if text, ok := strings.CutPrefix(s, address+": "); ok {
			list = append(list, text)
		}
	}
	return list
}

// factories gives every channel of each transport this provider.
func (p *provider) factories() map[events.Transport]transports.Factory {
	build := func(transports.Account) (transports.Transport, error) { return p, nil }
	return map[events.Transport]transports.Factory{events.Telegram: build, events.SMS: build}
}

var _ transports.Sender = (*provider)(nil)

// running is a dispatcher at work.
type running struct {
	t    testing.TB
	stop context.CancelFunc
	done chan error
}

// dispatch runs a dispatcher with this provider until the test ends or end is
// called.
func dispatch(w *outboundtest.World, p *provider, adjust ...func(*dispatcher.Options)) *running {
	w.T.Helper()
	o := dispatcher.Options{
		Store: w.DB, Factories: p.factories(), Owner: uuid.NewString(),
		RefreshEvery: 20 * time.Millisecond, PollEvery: 50 * time.Millisecond,
		RetryFirst: time.Millisecond, RetryMost: 10 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(w.T.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	for _, a := range adjust {
		a(&o)
	}
	d, err := dispatcher.New(o)
	if err != nil {
		w.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: w.T, stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- d.Run(ctx) }()
	w.T.Cleanup(r.end)
	return r
}

// end stops the dispatcher and waits for it.
func (r *running) end() {
	r.t.Helper()
	if r.done == nil {
		return
	}
	r.stop()
	if err := <-r.done; err != nil {
		r.t.Errorf("dispatcher: %v", err)
	}
	r.done = nil
}
