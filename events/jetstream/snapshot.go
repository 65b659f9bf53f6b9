package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// Snapshot says what a copy of a stream is a copy of. It is needed to restore it.
type Snapshot struct {
	Stream string `json:"stream"`
	// Identity is the stream's, as in [StreamState]. A copy that is restored gets
	// another one.
	Identity string          `json:"identity"`
	Config   json.RawMessage `json:"config"`
	State    json.RawMessage `json:"state"`
}

// Archive copies whole streams out of a NATS server and back, with their
// sequence numbers and times.
type Archive struct {
	conn *nats.Conn
	js   natsjs.JetStream
}

// chunkSilence is how long the server may say nothing while it copies.
const chunkSilence = 30 * time.Second

// OpenArchive connects to the server at url once.
func OpenArchive(url string) (*Archive, error) {
	nc, err := nats.Connect(url, nats.Name("parley-archive"), nats.NoReconnect(), nats.Timeout(defaultAckTimeout))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", redact(url), err)
	}
	if err := checkVersion(nc.ConnectedServerVersion()); err != nil {
		nc.Close()
		return nil, err
	}
	js, err := natsjs.New(nc, natsjs.WithDefaultTimeout(defaultAckTimeout))
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("JetStream client: %w", err)
	}
	return &Archive{conn: nc, js: js}, nil
}

// Close disconnects.
func (a *Archive) Close() { a.conn.Close() }

// ServerVersion is the NATS server's.
func (a *Archive) ServerVersion() string { return a.conn.ConnectedServerVersion() }

// Streams lists Parley's streams by what has to be copied when: before are those that
// may not be ahead of the database, after those that may not be behind it. Leases are
// in neither: they are of who runs.
func (a *Archive) Streams(ctx context.Context) (before, after []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, defaultAckTimeout)
	defer cancel()
	names := a.js.StreamNames(ctx)
	for name := range names.Name() {
		switch {
		case name == factStream, name == kvStream(cursorsBucket):
			before = append(before, name)
		case strings.HasPrefix(name, inboundPrefix), name == kvStream(channelsBucket), name == kvStream(erasuresBucket), name == kvStream(healthBucket):
			after = append(after, name)
		}
	}
	if err := names.Err(); err != nil {
		return nil, nil, fmt.Errorf("list streams: %w", err)
	}
	return before, after, nil
}

// Identity is a stream's, as in [StreamState].
func (a *Archive) Identity(ctx context.Context, stream string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, defaultAckTimeout)
	defer cancel()
	s, err := a.js.Stream(ctx, stream)
	if err != nil {
		return "", fmt.Errorf("look up stream %s: %w", stream, err)
	}
	return identity(s.CachedInfo()), nil
}

// apiAnswer is what JetStream's API answers to either request.
type apiAnswer struct {
	Error *struct {
		Description string `json:"description"`
	} `json:"error"`
	Config         json.RawMessage `json:"config"`
	State          json.RawMessage `json:"state"`
	DeliverSubject string          `json:"deliver_subject"`
}

func (a *Archive) request(ctx context.Context, subject string, body any) (answer apiAnswer, err error) {
	data, err := json.Marshal(body)
	if err != nil {
		return answer, err
	}
	ctx, cancel := context.WithTimeout(ctx, chunkSilence)
	defer cancel()
	msg, err := a.conn.RequestWithContext(ctx, subject, data)
	if err == nil {
		err = decodeAnswer(msg.Data, &answer)
	}
	return answer, err
}

func decodeAnswer(data []byte, into *apiAnswer) error {
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("JetStream's answer: %w", err)
	}
	if into.Error != nil {
		return errors.New(into.Error.Description)
	}
	return nil
}

// Save writes a stream, as the server has it now and checked by it, to w
// (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-44.md names the API).
func (a *Archive) Save(ctx context.Context, stream string, w io.Writer) (s Snapshot, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("copy stream %s: %w", stream, err)
		}
	}()
	was, err := a.Identity(ctx, stream)
	if err != nil {
		return s, err
	}
	inbox := a.conn.NewInbox()
	chunks, err := a.conn.SubscribeSync(inbox)
	if err != nil {
		return s, err
	}
	defer func() { _ = chunks.Unsubscribe() }()
	if err := chunks.SetPendingLimits(-1, -1); err != nil { // the server waits for our answers
		return s, err
	}
	answer, err := a.request(ctx, "$JS.API.STREAM.SNAPSHOT."+stream, map[string]any{
		"deliver_subject": inbox, "no_consumers": true, "jsck": true, "chunk_size": 128 << 10,
	})
	if err != nil {
		return s, err
	}
	for {
		chunk, err := a.chunk(ctx, chunks)
		if err != nil {
			return s, err
		}
		if len(chunk.Data) == 0 {
			if status := chunk.Header.Get("Status"); status != "" && status != "204" {
				return s, fmt.Errorf("the server gave up: %s %s", status, chunk.Header.Get("Description"))
			}
			return Snapshot{Stream: stream, Identity: was, Config: answer.Config, State: answer.State}, nil
		}
		if _, err := w.Write(chunk.Data); err != nil {
			return s, err
		}
		if chunk.Reply != "" {
			if err := chunk.Respond(nil); err != nil {
				return s, err
			}
		}
	}
}

func (a *Archive) chunk(ctx context.Context, chunks *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, chunkSilence)
	defer cancel()
	return chunks.NextMsgWithContext(ctx)
}

// Load makes the stream of a snapshot from what Save wrote. A stream of that name must
// not be there.
func (a *Archive) Load(ctx context.Context, s Snapshot, r io.Reader) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("restore stream %s: %w", s.Stream, err)
		}
	}()
	answer, err := a.request(ctx, "$JS.API.STREAM.RESTORE."+s.Stream, map[string]any{"config": s.Config, "state": s.State})
	if err != nil {
		return err
	}
	buf := make([]byte, 128<<10)
	for done := false; !done; {
		n, err := io.ReadFull(r, buf)
		done = err != nil
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if n > 0 {
			if err := a.put(ctx, answer.DeliverSubject, buf[:n]); err != nil {
				return err
			}
		}
	}
	return a.put(ctx, answer.DeliverSubject, nil) // the end
}

// put hands over a chunk. The server says nothing to a good one, and what it made of
// all of them at the end.
func (a *Archive) put(ctx context.Context, subject string, chunk []byte) error {
	ctx, cancel := context.WithTimeout(ctx, chunkSilence)
	defer cancel()
	msg, err := a.conn.RequestWithContext(ctx, subject, chunk)
	if err != nil || len(msg.Data) == 0 {
		return err
	}
	return decodeAnswer(msg.Data, new(apiAnswer))
}
