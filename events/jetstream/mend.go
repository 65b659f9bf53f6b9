package jetstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"time"
)

// The server gives a stream up for good once its file could not be written, even
// when there is room again, and gives JetStream up as a whole in some cases; only a
// new start helps (fileStore.setWriteErr and Server.handleOutOfSpace of nats-server
// 2.15). So the server is started again as soon as the disk takes what is written.
const (
	// mendEvery is how often it is looked whether there is room.
	mendEvery = 2 * time.Second
	// mendRoom is as much room in bytes as there has to be: enough for what waits,
	// and little enough not to be what fills the disk for others.
	mendRoom = 1 << 20
)

var errJetStreamOff = errors.New("JetStream switched itself off")

// refusesWrites reports whether an error is the disk's: full, over a quota, a file
// grown to the process's limit, read-only, or broken.
func refusesWrites(err error) bool {
	return slices.ContainsFunc([]syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.EROFS, syscall.EIO}, func(no syscall.Errno) bool {
		return errors.Is(err, no)
	})
}

// InProcessConn implements nats.InProcessConnProvider on whichever server runs now.
func (e *Embedded) InProcessConn() (net.Conn, error) { return e.running.Load().InProcessConn() }

// mend waits for the disk to refuse, then for room, and starts the server again.
func (e *Embedded) mend(ctx context.Context) {
	tick := time.NewTicker(mendEvery)
	defer tick.Stop()
	var cause error
	for {
		running := e.running.Load()
		select {
		case <-ctx.Done():
			return
		case err := <-running.log.disk:
			cause = e.trouble(cause, err)
		case <-tick.C:
			if cause == nil && !running.JetStreamEnabled() {
				cause = e.trouble(cause, errJetStreamOff)
			}
			if cause == nil || !e.room() {
				continue
			}
			if err := e.again(ctx, running); err != nil {
				if ctx.Err() == nil {
					e.log.Error("embedded NATS does not start again, trying once more", "error", err)
				}
				continue
			}
			cause = nil
			e.log.Info("embedded NATS can write again")
			if e.opts.Trouble != nil {
				e.opts.Trouble(nil)
			}
		}
	}
}

// trouble tells of the first cause.
func (e *Embedded) trouble(known, err error) error {
	if known != nil {
		return known
	}
	err = fmt.Errorf("%s cannot be written to: %w", e.opts.DataDir, err)
	e.log.Error("nothing is accepted until the disk has room; what was accepted is kept", "error", err)
	if e.opts.Trouble != nil {
		e.opts.Trouble(err)
	}
	return err
}

// again starts another server on the same store and port. Clients find it by
// themselves.
func (e *Embedded) again(ctx context.Context, old *embeddedServer) error {
	old.end()
	_, err := e.begin(ctx)
	return err
}

// room reports whether the disk takes what is written to it.
func (e *Embedded) room() bool {
	f, err := os.CreateTemp(e.opts.DataDir, ".room-")
	if err != nil {
		return false
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(make([]byte, mendRoom))
	return errors.Join(err, f.Sync(), f.Close()) == nil
}
