package jetstream

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// Examination is what a NATS server says of itself, for somebody who looks for what
// is wrong with it.
type Examination struct {
	Version string
	// MaxPayload is the most that one message may hold, in bytes.
	MaxPayload int64
	// Cluster is the name of the servers' cluster; empty for a server alone.
	Cluster string
	// RoundTrip is how long a question takes.
	RoundTrip time.Duration
	// Store and MaxStore are what all streams of the account hold and may hold, in
	// bytes; -1 is no limit.
	Store, MaxStore int64
	// Streams are those of Parley's; none before the first start.
	Streams []StreamUse
}

// MinPayload is what an event may need: payloads up to 256 kB travel in it, encoded.
const MinPayload = 1 << 20

// Examine connects to the NATS server at o.URL once, within o.AckTimeout, and looks at
// it without changing anything. [ErrVersion] is one that is too old.
func Examine(ctx context.Context, o Options) (e Examination, err error) {
	if err := o.setDefaults(); err != nil {
		return e, err
	}
	opts := []nats.Option{nats.Name(o.Name), nats.NoReconnect(), nats.Timeout(o.AckTimeout)}
	if o.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(o.CredentialsFile))
	}
	if o.CAFile != "" {
		opts = append(opts, nats.RootCAs(o.CAFile))
	}
	nc, err := nats.Connect(o.URL, opts...)
	if err != nil {
		return e, fmt.Errorf("connect to NATS at %s: %w", redact(o.URL), err)
	}
	defer nc.Close()
	e.Version, e.MaxPayload = nc.ConnectedServerVersion(), nc.MaxPayload()
	e.Cluster = nc.ConnectedClusterName()
	if err := checkVersion(e.Version); err != nil {
		return e, err
	}
	if e.RoundTrip, err = nc.RTT(); err != nil {
		return e, fmt.Errorf("ask NATS: %w", err)
	}
	js, err := natsjs.New(nc, natsjs.WithDefaultTimeout(o.AckTimeout))
	if err != nil {
		return e, fmt.Errorf("JetStream client: %w", err)
	}
	b := &Bus{opts: o, js: js}
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	account, err := js.AccountInfo(ctx)
	if err != nil {
		return e, fmt.Errorf("ask JetStream: %w", err)
	}
	e.Store, e.MaxStore = int64(account.Store), account.Limits.MaxStore //nolint:gosec // bytes on a disk
	e.Streams, err = b.Usage(ctx)
	return e, err
}

// EmbeddedURL is where the embedded server of a data folder listens, as far as its
// last run said; the URL holds its password.
func EmbeddedURL(dataDir string) (string, error) {
	c, err := readCredentials(filepath.Join(dataDir, credentialsFile))
	if err != nil {
		return "", err
	}
	return c.withPassword()
}
