//go:build unix

package jetstream_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"parley/events"
	"parley/events/jetstream"
)

// smallFiles makes this test program the process whose files may not grow.
const smallFiles = "PARLEY_TEST_SMALL_FILES"

// A disk that takes nothing more makes the embedded server refuse, not drop; once it
// takes something, the server accepts again by itself.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if os.Getenv(smallFiles) != "" {
		fullDisk(t)
		return
	}
	// The limit is one of a whole process, so it has one of its own.
	cmd := exec.CommandContext(within(t), os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
	cmd.Env = append(os.Environ(), smallFiles+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// limitFiles sets how large a file may grow by writing, which fails like on a full
// disk.
func limitFiles(t *testing.T, bytes uint64) {
	t.Helper()
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l)
	l.Cur = min(bytes, l.Max)
	if err = errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)); err != nil {
		t.Fatal(err)
	}
}

func fullDisk(t *testing.T) {
	troubles := make(chan error, 10)
	e, err := jetstream.Embed(within(t), jetstream.EmbedOptions{DataDir: t.TempDir(), Trouble: func(err error) { troubles <- err }})
	if err != nil {
		t.Fatal(err)
	}
	b, err := jetstream.Open(within(t), jetstream.Options{Embedded: e, Partitions: 1, MaxBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	before := state(t, b)
	limitFiles(t, 256<<10)
	var accepted []events.EventID
	words := strings.Repeat("words ", 500)
	next := func() error {
		ev := event("ann", len(accepted))
		ev.Content.Text = words
		err := b.Publish(within(t), ev)
		if err == nil {
			accepted = append(accepted, ev.ID)
		}
		return err
	}
	for err == nil {
		err = next()
	}
	if !errors.Is(err, jetstream.ErrUnavailable) || len(accepted) == 0 {
		t.Fatalf("after %d: %v", len(accepted), err)
	}
	select {
	case err := <-troubles:
		if !errors.Is(err, syscall.EFBIG) {
			t.Fatalf("it tells of %v", err)
		}
	case <-within(t).Done():
		t.Fatal("nobody was told")
	}
	for range 3 {
		if err := next(); err == nil {
			t.Fatal("it accepts what it cannot write")
		}
	}
	limitFiles(t, 1<<62)
	select {
	case err := <-troubles:
		if err != nil {
			t.Fatal(err)
		}
	case <-within(t).Done():
		t.Fatal("nobody was told that it is over")
	}
	until := time.Now().Add(time.Minute)
	for err := next(); err != nil; err = next() {
		if time.Now().After(until) {
			t.Fatal(err)
		}
	}
	after := state(t, b)
	if after.Identity != before.Identity {
		t.Errorf("the stream was %s and is %s", before.Identity, after.Identity)
	}
	stored := map[events.EventID]int{}
	for _, r := range read(t, b, 0, count(t, b)) {
		stored[r.Event.ID]++
	}
	for _, id := range accepted {
		if stored[id] == 0 {
			t.Errorf("%s was accepted and is lost", id)
		}
	}
	b.Close()
	if err := e.Shutdown(within(t)); err != nil {
		t.Error(err)
	}
}
