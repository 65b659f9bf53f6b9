package jetstream_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"parley/events/jetstream"
)

// crashDir makes this test program the process that TestKilled kills.
const crashDir = "PARLEY_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		publishForEver(dir)
	}
	os.Exit(m.Run())
}

// publishForEver prints the id of each event once it was accepted.
func publishForEver(dir string) {
	ctx := context.Background()
	e, err := jetstream.Embed(ctx, jetstream.EmbedOptions{DataDir: dir})
	if err != nil {
		panic(err)
	}
	b, err := jetstream.Open(ctx, jetstream.Options{Embedded: e, Partitions: 1, MaxBytes: 64 << 20})
	if err != nil {
		panic(err)
	}
	for c := range 32 {
		go func() {
			for i := 0; ; i++ {
				ev := event(fmt.Sprint("p", c), i)
				if err := b.Publish(ctx, ev); err != nil {
					panic(err)
				}
				_, _ = fmt.Fprintln(os.Stdout, ev.ID) // one write, not buffered
			}
		}()
	}
	select {}
}

// What was acknowledged is there after kill -9, in each caller's order, and the
// next start is not blocked.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	accepted := map[string]bool{}
	for round := range 2 {
		cmd := exec.CommandContext(within(t), os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			accepted[fmt.Sprint(round, lines.Text())] = true
			if n == 500 {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
	}
	if len(accepted) < 1000 {
		t.Fatalf("only %d were accepted", len(accepted))
	}
	e, err := jetstream.Embed(within(t), jetstream.EmbedOptions{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Shutdown(context.Background()) })
	b, err := jetstream.Open(within(t), jetstream.Options{Embedded: e, Partitions: 1, MaxBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	round, next := 0, map[string]int{}
	err = b.Scan(within(t), 0, 1, 0, func(r jetstream.Record) error {
		who, message, _ := strings.Cut(string(r.Event.ID), "-")
		n, err := strconv.Atoi(message)
		if err != nil {
			return fmt.Errorf("record %d: %w", r.Seq, err)
		}
		if n == 0 && next[who] > 0 && round == 0 {
			round, next = 1, map[string]int{}
		}
		if n != next[who] {
			t.Errorf("record %d is %s, want number %d", r.Seq, r.Event.ID, next[who])
		}
		next[who] = n + 1
		delete(accepted, fmt.Sprint(round, string(r.Event.ID)))
		return nil
	})
	if err != nil || len(accepted) > 0 {
		t.Errorf("%d accepted events are lost, %v", len(accepted), err)
	}
}

func TestEmbeddedIsPrivate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e, err := jetstream.Embed(within(t), jetstream.EmbedOptions{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Shutdown(context.Background()) })
	creds := e.Credentials()

	path := filepath.Join(dir, "nats.json")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	var file jetstream.Credentials
	data, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(data, &file) != nil || file != creds {
		t.Errorf("file has %+v, %v", file, err)
	}
	u, err := url.Parse(creds.URL)
	if err != nil || u.Hostname() != "127.0.0.1" {
		t.Errorf("%s, %v", creds.URL, err)
	}
	if _, err := nats.Connect(creds.URL); err == nil {
		t.Error("connected without a password")
	}
	nc, err := nats.Connect(creds.URL, nats.UserInfo(creds.User, creds.Password))
	if err != nil {
		t.Errorf("with the password: %v", err)
	} else {
		nc.Close()
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		ip := a.(*net.IPNet).IP
		if ip.IsLoopback() || ip.To4() == nil {
			continue
		}
		if c, err := (&net.Dialer{}).DialContext(within(t), "tcp", net.JoinHostPort(ip.String(), u.Port())); err == nil {
			_ = c.Close()
			t.Errorf("reachable at %s", ip)
		}
	}

	if _, err := jetstream.Embed(within(t), jetstream.EmbedOptions{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second server on the store: %v", err)
	}
}

// Programs that follow find the server where it was.
func TestEmbeddedKeepsPortAndPassword(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var first jetstream.Credentials
	for i := range 2 {
		e, err := jetstream.Embed(within(t), jetstream.EmbedOptions{DataDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = e.Credentials()
		} else if e.Credentials().Password != first.Password {
			t.Error("the password changed")
		}
		if err := e.Shutdown(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	// Somebody has the port now: the server takes another.
	u, err := url.Parse(first.URL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(within(t), "tcp", u.Host)
	if err == nil {
		defer func() { _ = l.Close() }()
	}
	e, err := jetstream.Embed(within(t), jetstream.EmbedOptions{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if e.Credentials().URL == first.URL {
		t.Errorf("two on %s", first.URL)
	}
	if err := e.Shutdown(within(t)); err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jetstream.Embed(within(t), jetstream.EmbedOptions{DataDir: dir, Port: port}); err == nil {
		t.Error("started on a port that is taken")
	}
}
