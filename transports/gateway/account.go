package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"parley/events"
	"parley/transports"
)

// account is one Version of one channel with its adapter. It does not change;
// a newer Version is another account.
type account struct {
	ch   events.Channel
	hide *redactor
	// broken says why there is no adapter, in plain words; empty when there is.
	broken string

	transport transports.Transport
	// The roles that transport plays; nil where it does not.
	webhook   transports.Webhook
	poller    transports.Poller
	connector transports.Connector
	// reconciler is nil, too, where it does not say how often to ask: every.
	reconciler transports.Reconciler
	every      time.Duration
	missed     reconciliation

	// lastAccepted is when a webhook was last answered 200 here, in Unix
	// nanoseconds: proof that an older delivery error is overcome.
	lastAccepted atomic.Int64
	// lastComplaint keeps an outage from being logged once per request.
	lastComplaint atomic.Int64
}

// build makes an account; where that fails, one that is broken.
func (g *Gateway) build(ch events.Channel) *account {
	acc := &account{ch: ch, hide: newRedactor(ch, nil), missed: reconciliation{wake: make(chan struct{}, 1)}}
	// Nothing but the adapter's constructor needs the sealed secrets.
	acc.ch.Sealed = nil
	if ch.Paused {
		return acc
	}
	secrets, err := g.unseal(ch)
	if err != nil {
		acc.broken = "the secrets could not be opened: " + acc.hide.words(err)
		return acc
	}
	acc.hide = newRedactor(ch, secrets)
	factory, ok := g.factories[ch.Transport]
	if !ok {
		acc.broken = fmt.Sprintf("this program has no adapter for %q", ch.Transport)
		return acc
	}
	t, err := g.construct(factory, transports.Account{
		Channel: acc.ch, Secrets: secrets, HTTPClient: g.client, PublicURL: g.publicURL,
	})
	if err != nil {
		acc.broken = acc.hide.words(err)
		return acc
	}
	acc.transport = t
	acc.webhook, _ = t.(transports.Webhook)
	acc.poller, _ = t.(transports.Poller)
	acc.connector, _ = t.(transports.Connector)
	if acc.every = g.reconcileEvery(ch.Transport, t); acc.every > 0 {
		acc.reconciler = t.(transports.Reconciler)
	}
	// The adapter stays: what the provider still pushes, after a change of mode
	// or on its way, is taken.
	acc.broken = acc.unusable(g.publicURL)
	return acc
}

// unusable says why the channel's mode cannot work, if so.
func (a *account) unusable(publicURL string) string {
	switch a.ch.Mode {
	case events.Polling:
		if a.poller == nil {
			return fmt.Sprintf("%s cannot be polled: set the channel's mode to webhook", a.ch.Transport)
		}
	case events.Webhook:
		switch {
		case a.webhook == nil:
			return fmt.Sprintf("%s has no webhooks: set the channel's mode to polling", a.ch.Transport)
		case a.ch.WebhookPath == "":
			return "the channel has no webhook path: save it again to give it one"
		case publicURL == "":
			return "webhooks need a public URL: set the installation's public URL to the https address at which " +
				"providers reach it, or set the channel's mode to polling"
		}
	default:
		return fmt.Sprintf("%q is not a channel mode: use webhook or polling", a.ch.Mode)
	}
	return ""
}

// webhookURL is where the provider shall deliver, empty when it shall not.
func (a *account) webhookURL(publicURL string) string {
	if a.ch.Mode != events.Webhook {
		return ""
	}
	return publicURL + transports.WebhookPrefix + a.ch.WebhookPath
}

func (g *Gateway) unseal(ch events.Channel) (secrets map[string]string, err error) {
	defer g.contain(ch.Transport, &err)
	if len(ch.Sealed) == 0 {
		return nil, nil
	}
	if g.openSecrets == nil {
		return nil, errors.New("this program was given no key")
	}
	return g.openSecrets(ch)
}

func (g *Gateway) construct(f transports.Factory, a transports.Account) (t transports.Transport, err error) {
	defer g.contain(a.Channel.Transport, &err)
	t, err = f(a)
	if err == nil && t == nil {
		err = errors.New("the adapter was not built, without a reason")
	}
	return t, err
}

// panicError is a recovered panic.
type panicError struct{ what string }

func (e *panicError) Error() string { return "failed unexpectedly: " + e.what }

// contain turns a panic into an error. It is to be deferred.
func (g *Gateway) contain(t events.Transport, err *error) {
	v := recover()
	if v == nil {
		return
	}
	g.metrics.panics.WithLabelValues(string(t)).Inc()
	// A runtime error's text is Go's own. Any other value may hold what the
	// adapter was given, so only its type is told.
	what := fmt.Sprintf("panic of type %T", v)
	var re runtime.Error
	if e, ok := v.(error); ok && errors.As(e, &re) {
		what = re.Error()
	}
	g.log.LogAttrs(context.Background(), slog.LevelError, "adapter panicked",
		slog.String("transport", string(t)), slog.String("panic", what), slog.String("stack", string(debug.Stack())))
	*err = &panicError{what}
}

// logAttrs name the account in logs. The name is people's own, the path and the
// settings stay out.
func (a *account) logAttrs() []slog.Attr {
	return []slog.Attr{
		slog.String("channel", string(a.ch.ID)),
		slog.String("tenant", string(a.ch.Tenant)),
		slog.String("transport", string(a.ch.Transport)),
	}
}

// complaintPause is the least time between two warnings of one channel.
const complaintPause = 10 * time.Second

// complains reports whether a warning is due, and takes it.
func (a *account) complains(now time.Time) bool {
	last := a.lastComplaint.Load()
	return now.UnixNano()-last >= int64(complaintPause) && a.lastComplaint.CompareAndSwap(last, now.UnixNano())
}
