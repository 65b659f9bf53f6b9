package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"parley/events"
	"parley/inbox"
	"parley/inbox/desk"
	"parley/store"
	"parley/store/storetest"
	"parley/transports/sandbox"
)

// TestEndToEnd lets a client write and an agent answer, over a restart.
func TestEndToEnd(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	telegram, address := startTelegram(t)
	anna := telegram.Person("anna")
	say := func(text string) {
		t.Helper()
		if _, err := anna.Say(text); err != nil {
			t.Fatal(err)
		}
	}
	happens := func(verb, text string) {
		t.Helper()
		if err := await(t.Context(), dir, fact(verb, text)); err != nil {
			t.Fatal(err)
		}
	}

	p := start(t, Config{DataDir: dir})
	p.connect(t, address)
	say("before the restart")
	happens("received", "before the restart")
	p.Stop(t)

	say("while it was down")
	p = start(t, Config{DataDir: dir})
	happens("received", "while it was down")
	tenant, err := p.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	chats, _, err := p.Desk.Chats(t.Context(), tenant.ID, store.ChatPage{})
	if err != nil || len(chats) != 1 || chats[0].Unread != 2 || chats[0].Last != "while it was down" {
		t.Fatalf("chats are %+v, %v", chats, err)
	}
	m, err := p.Desk.Reply(t.Context(), desk.Reply{Tenant: tenant.ID, Chat: chats[0].ID, Text: "here again", Seen: chats[0].LastSeq})
	if err != nil {
		t.Fatal(err)
	}
	happens("sent", "")
	phone := anna.Phone()
	if last := phone[len(phone)-1]; !last.FromBot || last.Text != "here again" {
		t.Errorf("the phone shows %+v", phone)
	}
	if m, err = p.Desk.Store.Message(t.Context(), tenant.ID, m.ID); err != nil || m.SentAt == nil || m.Delivery.State != inbox.Sent {
		t.Errorf("message is %+v, %v", m, err)
	}

	for path, want := range map[string]string{"/healthz": "alive", "/readyz": "ready", "/metrics": "parley_database_up 1"} {
		if body := get(t, "http://"+p.Listen+path, 200); !strings.Contains(body, want) {
			t.Errorf("%s answers %s", path, body)
		}
	}
	p.Stop(t)
	if _, err := os.Stat(filepath.Join(dir, placeFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a stopped server says where it is: %v", err)
	}
}

func get(t *testing.T, url string, status int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		t.Fatalf("%s: %s, %v", url, res.Status, err)
	}
	return string(body)
}

// TestGatewayNeedsNoDatabase accepts a message while PostgreSQL is out of reach,
// with channels that only the bus knows.
func TestGatewayNeedsNoDatabase(t *testing.T) {
	t.Parallel()
	server := storetest.NewServer(t)
	dir, key := dataFolder(t), inbox.NewKey()
	telegram, address := startTelegram(t)
	cfg := Config{DataDir: dir, DatabaseURL: server.URL(), SecretKey: key}
	p := start(t, cfg)
	p.connect(t, address)
	p.Stop(t)
	server.Stop()

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	cfg.Listen = "127.0.0.1:0"
	ready := make(chan *Running, 1)
	cfg.Started = func(_ context.Context, r *Running) { ready <- r }
	go func() { ended <- Run(ctx, cfg) }()
	taken := make(chan error, 1)
	go func() {
		_, err := telegram.Person("anna").Say("during the outage")
		if err == nil {
			// Telegram forgets an update once it was confirmed: it is on the bus then.
			_, err = telegram.Await(ctx, func(e sandbox.TelegramEntry) bool { return e.What == sandbox.LogConfirmed })
		}
		taken <- err
	}()
	select {
	case err := <-taken:
		if err != nil {
			t.Fatal(err)
		}
	case err := <-ended:
		t.Fatal("it ended: ", err)
	}
	where, err := loadPlace(dir)
	if err != nil {
		t.Fatal(err)
	}
	if body := get(t, "http://"+where.Listen+"/readyz", 503); !strings.Contains(body, "PostgreSQL cannot be reached") {
		t.Errorf("it says %s", body)
	}
	_, err = (&client{place: where, dir: dir, http: socketClient(where.Socket)}).audit(t.Context())
	if inbox.CodeOf(err) != inbox.Unavailable {
		t.Errorf("the operator hears %v", err)
	}

	server.Start()
	<-ready
	if err := await(t.Context(), dir, fact("received", "during the outage")); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// story collects a demo's output and tells when a line has come.
type story struct {
	mu    sync.Mutex
	text  bytes.Buffer
	lines chan string
}

func newStory() *story { return &story{lines: make(chan string, 1000)} }

func (s *story) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	for line := range strings.Lines(string(p)) {
		s.lines <- strings.TrimSpace(line)
	}
	return len(p), nil
}

// until reads lines up to the one that contains text.
func (s *story) until(t *testing.T, text string, ended <-chan error) (lines []string) {
	t.Helper()
	for {
		select {
		case line := <-s.lines:
			lines = append(lines, line)
			if strings.Contains(line, text) {
				return lines
			}
		case err := <-ended:
			t.Fatalf("it ended with %v after:\n%s", err, strings.Join(lines, "\n"))
		}
	}
}

func TestDemoTellsItsStory(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	for run, want := range [][]string{
		{"Anna writes on Telegram", "in the inbox as chat 1", "on Anna's phone", "Ctrl-C stops it."},
		{"Parley is up.", "Ctrl-C stops it."},
	} {
		ctx, stop := context.WithCancel(t.Context())
		out, ended := newStory(), make(chan error, 1)
		go func() { ended <- runDemo(ctx, Config{DataDir: dir, Listen: "127.0.0.1:0"}, out) }()
		lines := out.until(t, "Ctrl-C stops it.", ended)
		for _, text := range want {
			if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, text) }) {
				t.Errorf("run %d does not say %q:\n%s", run, text, strings.Join(lines, "\n"))
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// TestKilled ends the real program with SIGKILL and starts it again.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	kill := startDemo(t, dir)
	parley(t, dir, "sandbox", "say", "bert", "before the kill")
	if err := await(t.Context(), dir, fact("received", "before the kill")); err != nil {
		t.Fatal(err)
	}
	kill()
	if out, err := parleyFails(t, dir, "chats"); err == nil || !strings.Contains(out, "No Parley server runs") {
		t.Errorf("it says %q, %v", out, err)
	}

	startDemo(t, dir)
	parley(t, dir, "sandbox", "say", "bert", "after the kill")
	if err := await(t.Context(), dir, fact("received", "after the kill")); err != nil {
		t.Fatal(err)
	}
	var chats struct{ Items []inbox.Chat }
	if err := json.Unmarshal([]byte(parley(t, dir, "chats", "--json")), &chats); err != nil {
		t.Fatal(err)
	}
	if len(chats.Items) != 2 || chats.Items[0].Last != "after the kill" || chats.Items[0].Unread != 2 {
		t.Errorf("chats are %+v", chats.Items)
	}
	parley(t, dir, "chat", "show", "2")
	parley(t, dir, "chat", "reply", "2", "still here")
	err := await(t.Context(), dir, func(f events.Fact) bool { return f.Chat == 2 && f.Verb == "sent" })
	if err != nil {
		t.Fatal(err)
	}
	if phone := parley(t, dir, "sandbox", "phone", "bert"); !strings.Contains(phone, "still here") {
		t.Errorf("the phone shows %s", phone)
	}
	if out := parley(t, dir, "audit"); !strings.Contains(out, "Clean") {
		t.Error(out)
	}
}

// command is the real program, of this binary.
func command(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	// Not t.Context(): it ends, and would kill, before the test's clean-up.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], append(args, "--data-dir", dir)...)
	cmd.Env = append(os.Environ(), asParley+"=1")
	return cmd
}

// startDemo runs the demo as a process of its own and returns how to kill it.
func startDemo(t *testing.T, dir string) (kill func()) {
	t.Helper()
	cmd := command(t, dir, "demo")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := func(how os.Signal) {
		_ = cmd.Process.Signal(how) // nothing happens once it was waited for
		_ = cmd.Wait()
	}
	kill = func() { end(os.Kill) }
	// In order, or its PostgreSQL would still write while the folder is removed.
	t.Cleanup(func() { end(os.Interrupt) })
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Ctrl-C stops it.") {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return kill
		}
	}
	kill()
	log, _ := os.ReadFile(filepath.Join(dir, "parley.log"))
	t.Fatalf("the demo ended: %s\n%s", stderr.String(), log)
	return nil
}

func parley(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := parleyFails(t, dir, args...)
	if err != nil {
		t.Fatalf("parley %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func parleyFails(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	out, err := command(t, dir, args...).CombinedOutput()
	return string(out), err
}
