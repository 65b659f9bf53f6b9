package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// Atomic batches that survive a server's kill need 2.15
// (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-50.md).
const minMajor, minMinor = 2, 15

// link is the connection with its ups and downs as channels to wait on.
type link struct {
	conn *nats.Conn

	mu   sync.Mutex
	up   chan struct{} // closed while connected
	down chan struct{} // closed while not

	closed chan struct{} // closed for good
}

func newLink() *link {
	return &link{up: make(chan struct{}), down: closedChan(), closed: make(chan struct{})}
}

func closedChan() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func (l *link) set(connected bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.up:
		if !connected {
			l.up = make(chan struct{})
			close(l.down)
		}
	default:
		if connected {
			l.down = make(chan struct{})
			close(l.up)
		}
	}
}

// restored is closed while the connection stands.
func (l *link) restored() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up
}

// lost is closed once the connection that stands now is gone: answers to what
// was sent on it will not come.
func (l *link) lost() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down
}

// connect dials until it succeeds, ctx ends, or trying again cannot help.
func (b *Bus) connect(ctx context.Context) error {
	o := b.opts
	l := newLink()
	b.link = l
	nopts := []nats.Option{
		nats.Name(o.Name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.IgnoreAuthErrorAbort(),
		// What cannot be sent now fails now: buffered events would arrive after
		// their callers were told that they had not.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			subject := ""
			if s != nil {
				subject = s.Subject
			}
			b.log.Warn("NATS reports an error", "error", err, "subject", subject)
		}),
		nats.ConnectHandler(func(*nats.Conn) {
			l.set(true)
			o.Observer.connected()
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			l.set(false)
			if err != nil { // nil when we close it
				b.log.Warn("NATS connection is lost, reconnecting", "error", err)
			}
			o.Observer.disconnected(err)
		}),
		nats.ClosedHandler(func(*nats.Conn) { close(l.closed) }),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			l.set(true)
			b.log.Info("NATS connection is back", "url", nc.ConnectedUrlRedacted())
			o.Observer.connected()
		}),
	}
	target := o.URL
	if o.Embedded != nil {
		target = o.Embedded.creds.URL
		nopts = append(nopts, nats.InProcessServer(o.Embedded),
			nats.UserInfo(o.Embedded.creds.User, o.Embedded.creds.Password))
	}
	if o.CredentialsFile != "" {
		nopts = append(nopts, nats.UserCredentials(o.CredentialsFile))
	}
	if o.CAFile != "" {
		nopts = append(nopts, nats.RootCAs(o.CAFile))
	}
	err := retry(ctx, b.log, "connecting to NATS at "+redact(target), func(context.Context) error {
		nc, err := nats.Connect(target, nopts...)
		if err != nil {
			if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) {
				return backoff.Permanent(fmt.Errorf("connect to NATS at %s: %w", redact(target), err))
			}
			return err
		}
		if err := checkVersion(nc.ConnectedServerVersion()); err != nil {
			nc.Close()
			return backoff.Permanent(err)
		}
		l.conn = nc
		return nil
	})
	if err != nil {
		return err
	}
	select {
	case <-b.link.restored(): // the handlers run in order, beside us
	case <-ctx.Done():
		b.link.conn.Close()
		return fmt.Errorf("connect to NATS: %w", ctx.Err())
	}
	b.js, err = natsjs.New(b.link.conn, natsjs.WithDefaultTimeout(o.AckTimeout))
	if err != nil {
		b.link.conn.Close()
		return fmt.Errorf("JetStream client: %w", err)
	}
	return nil
}

// retry runs f until it succeeds, fails for good (backoff.Permanent) or ctx
// ends; then the error is f's last one joined with ctx's.
func retry(ctx context.Context, log *slog.Logger, doing string, f func(context.Context) error) error {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval = 100 * time.Millisecond
	wait.MaxInterval = 5 * time.Second
	wait.MaxElapsedTime = 0 // only ctx ends it
	var last error
	err := backoff.RetryNotify(func() error {
		err := f(ctx)
		if err != nil && ctx.Err() == nil {
			last = err
		}
		return err
	}, backoff.WithContext(wait, ctx), func(err error, next time.Duration) {
		log.Warn("not yet, trying again", "doing", doing, "error", err, "wait", next.Round(time.Millisecond))
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, errors.Join(context.Cause(ctx), last))
	}
	return err
}

// checkVersion refuses servers without what the promises rest on.
func checkVersion(v string) error {
	major, rest, _ := strings.Cut(strings.TrimPrefix(v, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	maj, err1 := strconv.Atoi(major)
	mnr, err2 := strconv.Atoi(minor)
	if err1 != nil || err2 != nil || maj < minMajor || maj == minMajor && mnr < minMinor {
		return fmt.Errorf("%w: it is version %q, Parley needs %d.%d or later; upgrade it, or start without a NATS URL to use the embedded server",
			ErrVersion, v, minMajor, minMinor)
	}
	return nil
}

// redact hides passwords and tokens in a comma-separated list of URLs.
func redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, p := range parts {
		u, err := url.Parse(strings.TrimSpace(p))
		if err != nil {
			parts[i] = "(unreadable URL)"
			continue
		}
		if _, ok := u.User.Password(); !ok && u.User != nil {
			u.User = url.User("xxxxx") // a lone user name is a token
		}
		parts[i] = u.Redacted()
	}
	return strings.Join(parts, ",")
}
