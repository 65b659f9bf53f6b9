package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"parley/events"
	"parley/inbox"
	"parley/inbox/desk"
	"parley/store/storetest"
	"parley/transports/sandbox"
)

// asParley makes the test binary the real program.
const asParley = "PARLEY_TEST_AS_PARLEY"

func TestMain(m *testing.M) {
	if os.Getenv(asParley) != "" {
		os.Exit(mainCode(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	if spec := os.Getenv(asNATS); spec != "" {
		os.Exit(natsNode(spec))
	}
	testscript.Main(withDatabase{m}, map[string]func(){
		"parley": func() { os.Exit(mainCode(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// withDatabase ends the PostgreSQL that some tests share.
type withDatabase struct{ *testing.M }

func (m withDatabase) Run() int { return storetest.Run(m.M) }

// patience bounds waits that only a defect makes long.
const patience = 2 * time.Minute

// dataFolder is a folder that PostgreSQL's user can reach when root runs the
// tests.
func dataFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "parley-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "data")
}

// shared puts a program's database onto the server that tests share, migrated
// already, and its files into its data folder: most tests are not about how a
// first start makes a database.
func shared(t testing.TB, cfg Config) Config {
	t.Helper()
	cfg.DatabaseURL, cfg.SecretKey = storetest.NewDatabase(t), inbox.NewKey()
	cfg.BlobURL = "file://" + filepath.Join(cfg.DataDir, "blobs")
	return cfg
}

// program is the real program in this process.
type program struct {
	*Running
	stop  context.CancelFunc
	ended chan error
	logs  *logBuffer
}

// start runs the program until the test ends or Stop.
func start(t testing.TB, cfg Config) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &program{stop: cancel, ended: make(chan error, 1), logs: &logBuffer{}}
	logs := p.logs
	ready := make(chan *Running, 1)
	cfg.Started = func(_ context.Context, r *Running) { ready <- r }
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	cfg.Logger = slog.New(newLeveled(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}), levels{"": slog.LevelDebug}))
	go func() { p.ended <- Run(ctx, cfg) }()
	t.Cleanup(func() {
		p.Stop(t)
		if t.Failed() {
			t.Log(logs.String())
		}
	})
	select {
	case p.Running = <-ready:
	case err := <-p.ended:
		p.ended <- err
		t.Fatal("it ended: ", err, "\n", logs.String())
	case <-time.After(patience):
		t.Fatal("it is not ready\n", logs.String())
	}
	return p
}

// Stop ends it in order; once is enough.
func (p *program) Stop(t testing.TB) {
	t.Helper()
	p.stop()
	err, ok := <-p.ended
	if ok {
		close(p.ended)
	}
	if err != nil {
		t.Error("it did not stop in order: ", err)
	}
}

// keepsQuietAbout holds what it logged so far, which is all there is to log, against
// what people wrote and where they can be reached.
func (p *program) keepsQuietAbout(t testing.TB, private ...string) {
	t.Helper()
	said := p.logs.String()
	for _, text := range private {
		if i := strings.Index(said, text); i >= 0 {
			t.Errorf("%q is in the log: %s", text, said[max(i-200, 0):min(i+len(text)+50, len(said))])
		}
	}
	if !strings.Contains(said, "event=") || !strings.Contains(said, "delivery=") {
		t.Error("the log names neither events nor deliveries, so nothing can be followed in it")
	}
}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startTelegram starts a stand-in.
func startTelegram(t testing.TB) (tg *sandbox.Telegram, address string) {
	t.Helper()
	tg, err := sandbox.NewTelegram(sandbox.TelegramOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if address, err = tg.Start(context.Background(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tg.Close() })
	return tg, address
}

// connect adds the stand-in as the channel Sandbox.
func (p *program) connect(t testing.TB, address string) {
	t.Helper()
	tenant, err := p.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Desk.ChannelAdd(t.Context(), desk.NewChannel{
		Tenant: tenant.ID, Transport: events.Telegram, Name: "Sandbox", Settings: map[string]string{"api_url": address},
		Secrets: map[string]string{"token": sandbox.DefaultTelegramToken},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// await reads what happens in the server of dir, from the beginning, until match.
func await(ctx context.Context, dir string, match func(events.Fact) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a := &app{dataDir: dir}
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	found := fmt.Errorf("found")
	err = c.follow(ctx, url.Values{"after": {"0"}}, nil, func(f followed) error {
		if match(f.fact) {
			return found
		}
		return nil
	})
	if err == found { //nolint:errorlint // the one made above
		return nil
	}
	return fmt.Errorf("waiting for a fact: %w", err)
}

// awaitMetrics waits until the metrics hold all of want. Some are counted a moment
// after what they count can be seen, others are sampled.
func awaitMetrics(t *testing.T, p *program, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		metrics := get(t, "http://"+p.Listen+"/metrics", http.StatusOK)
		lacks := slices.DeleteFunc(slices.Clone(want), func(w string) bool { return strings.Contains(metrics, w) })
		if len(lacks) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the metrics lack %q", lacks)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// fact matches a fact of a message by verb and, if any, text.
func fact(verb, text string) func(events.Fact) bool {
	return func(f events.Fact) bool {
		return f.Noun == "message" && f.Verb == verb && strings.Contains(string(f.Data), text)
	}
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			// No server of this machine is to be found by accident.
			env.Setenv("XDG_DATA_HOME", env.WorkDir)
			env.Setenv("PARLEY_DATA_DIR", filepath.Join(env.WorkDir, "none"))
			env.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": scriptServer, "await": scriptAwait, "shows": scriptShows,
		},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

// scriptServer starts a server with a stand-in as its channel Sandbox.
func scriptServer(ts *testscript.TestScript, _ bool, _ []string) {
	parent, err := os.MkdirTemp("/var/tmp", "parley-test-")
	ts.Check(err)
	ts.Defer(func() { _ = os.RemoveAll(parent) })
	ts.Check(os.Chmod(parent, 0o711))
	dir := filepath.Join(parent, "data")
	tg, err := sandbox.NewTelegram(sandbox.TelegramOptions{})
	ts.Check(err)
	address, err := tg.Start(context.Background(), "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = tg.Close() })
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan *Running, 1), make(chan error, 1)
	logs := &logBuffer{}
	go func() {
		ended <- Run(ctx, Config{
			DataDir: dir, Listen: "127.0.0.1:0", Sandbox: address, Version: "test", Logger: slog.New(slog.NewTextHandler(logs, nil)),
			Started: func(_ context.Context, r *Running) { ready <- r },
		})
	}()
	ts.Defer(func() {
		stop()
		if err := <-ended; err != nil {
			ts.Logf("the server did not stop in order: %v", err)
		}
	})
	select {
	case r := <-ready:
		tenant, err := r.Desk.Tenant(ctx, "")
		ts.Check(err)
		_, err = r.Desk.ChannelAdd(ctx, desk.NewChannel{
			Tenant: tenant.ID, Transport: events.Telegram, Name: "Sandbox", Settings: map[string]string{"api_url": address},
			Secrets: map[string]string{"token": sandbox.DefaultTelegramToken},
		})
		ts.Check(err)
	case err := <-ended:
		ended <- err
		ts.Fatalf("the server ended: %v\n%s", err, logs)
	case <-time.After(patience):
		ts.Fatalf("the server is not ready\n%s", logs)
	}
	ts.Setenv("PARLEY_DATA_DIR", dir)
	ts.Setenv("SANDBOX", address)
}

// scriptAwait waits until a message was received, sent and so on: await VERB [TEXT].
func scriptAwait(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: await verb [text]")
	}
	text := ""
	if len(args) > 1 {
		text = args[1]
	}
	ts.Check(await(context.Background(), ts.Getenv("PARLEY_DATA_DIR"), fact(args[0], text)))
}

// changing is what differs from run to run.
var changing = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`just now|\d+ min ago|(today|yesterday) \d\d:\d\d|\d+ [A-Z][a-z]{2} (\d{4}|\d\d:\d\d)`), "WHEN"},
	{regexp.MustCompile(`\b\d\d:\d\d\b`), "HH:MM"},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "ID"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`/var/tmp/parley-test-\d+/data`), "DATA"},
}

// scriptShows compares the last command's output, but for what changes, with a
// file: shows stdout|stderr FILE.
func scriptShows(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: shows stdout|stderr file")
	}
	got := ts.ReadFile(args[0])
	for _, c := range changing {
		got = c.is.ReplaceAllString(got, c.as)
	}
	got = strings.ReplaceAll(got, ts.Getenv("WORK"), "WORK")
	if want := ts.ReadFile(args[1]); got != want {
		ts.Fatalf("%s is:\n%s\nwant:\n%s", args[0], got, want)
	}
}

// eventually waits, no longer than within, for what nothing tells of.
func eventually(t *testing.T, within time.Duration, what func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !what(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never became so")
		}
	}
}
