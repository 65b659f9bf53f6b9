package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/events/jetstream/natstest"
	"parley/store"
	"parley/store/storetest"
	"parley/transports/sandbox"
)

// writtenKey is the file of a server's key.
func writtenKey(t *testing.T, cfg Config) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(cfg.SecretKey), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// says lets a client write, and waits until it is stored and told.
func says(t *testing.T, dir string, who sandbox.Person, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := who.Say(text); err != nil {
			t.Fatal(err)
		}
		if err := await(t.Context(), dir, fact("received", text)); err != nil {
			t.Fatal(text, ": ", err)
		}
	}
}

// auditClean waits for an audit without findings.
func auditClean(t *testing.T, dir string) {
	t.Helper()
	until := time.Now().Add(patience)
	for {
		out, err := parleyFails(t, dir, "audit")
		if err == nil && strings.Contains(out, "Clean") {
			return
		}
		if time.Now().After(until) {
			t.Fatal("the audit is not clean: ", out)
		}
	}
}

// texts are a chat's messages.
func (p *program) texts(t *testing.T, chat int64) (list []string) {
	t.Helper()
	tenant, err := p.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	messages, _, err := p.Desk.Store.Messages(t.Context(), tenant.ID, chat, store.MessagePage{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		list = append(list, m.Text)
	}
	return list
}

// TestRestoreIntoServices brings a backup back into a given database and a given NATS,
// and lets the copy go on.
func TestRestoreIntoServices(t *testing.T) {
	t.Parallel()
	telegram, address := startTelegram(t)
	anna := telegram.Person("anna")
	from := shared(t, Config{DataDir: dataFolder(t)})
	key := writtenKey(t, from)
	p := start(t, from)
	p.connect(t, address)
	says(t, from.DataDir, anna, "one", "two")
	copied := filepath.Join(t.TempDir(), "copy")
	parley(t, from.DataDir, "backup", copied, "--database-url", from.DatabaseURL, "--secret-key-file", key, "--blob-url", from.BlobURL)
	p.Stop(t)

	to := Config{DataDir: dataFolder(t), DatabaseURL: storetest.NewEmptyDatabase(t), NATSURL: natstest.Serve(t).URL(), SecretKey: from.SecretKey}
	to.BlobURL = "file://" + filepath.Join(to.DataDir, "files")
	args := []string{"restore", copied, "--database-url", to.DatabaseURL, "--nats-url", to.NATSURL, "--secret-key-file", key, "--blob-url", to.BlobURL}
	if out := parley(t, to.DataDir, args...); !strings.Contains(out, "Restored.") {
		t.Error(out)
	}
	if out, err := parleyFails(t, to.DataDir, args...); err == nil || !strings.Contains(out, "NATS has streams of Parley's already") {
		t.Errorf("over a NATS in use: %s", out)
	}
	other := slices.Clone(args)
	other[5] = natstest.Serve(t).URL()
	if out, err := parleyFails(t, to.DataDir, other...); err == nil || !strings.Contains(out, "The database is not empty") {
		t.Errorf("over a database in use: %s", out)
	}
	q := start(t, to)
	auditClean(t, to.DataDir)
	says(t, to.DataDir, anna, "three")
	if got := q.texts(t, 1); !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Errorf("the chat has %q", got)
	}
	auditClean(t, to.DataDir)
}

// TestOlderDatabase restores the database alone beside a NATS that knows more.
func TestOlderDatabase(t *testing.T) {
	t.Parallel()
	telegram, address := startTelegram(t)
	anna := telegram.Person("anna")
	cfg := shared(t, Config{DataDir: dataFolder(t)})
	key := writtenKey(t, cfg)
	p := start(t, cfg)
	p.connect(t, address)
	says(t, cfg.DataDir, anna, "before")
	copied := filepath.Join(t.TempDir(), "copy")
	parley(t, cfg.DataDir, "backup", copied, "--database-url", cfg.DatabaseURL, "--secret-key-file", key, "--blob-url", cfg.BlobURL)
	var after []string
	for i := range 20 {
		after = append(after, fmt.Sprintf("after %d", i))
	}
	says(t, cfg.DataDir, anna, after...)
	p.Stop(t)

	cfg.DatabaseURL = storetest.NewEmptyDatabase(t)
	args := []string{"restore", copied, "--database-only", "--database-url", cfg.DatabaseURL, "--secret-key-file", key, "--blob-url", cfg.BlobURL}
	if out, err := parleyFails(t, dataFolder(t), args...); err == nil || !strings.Contains(out, "has no streams of Parley's") {
		t.Errorf("beside another NATS: %s", out)
	}
	if out := parley(t, cfg.DataDir, args...); !strings.Contains(out, "Restored.") {
		t.Error(out)
	}
	q := start(t, cfg)
	says(t, cfg.DataDir, anna, "at last")
	// Facts of the time after the restore have ids of their own.
	ids := map[int64]string{}
	told := func(f events.Fact) bool {
		data := string(f.Data)
		if before, ok := ids[f.ID]; ok && before != data {
			t.Errorf("two facts have the id %d: %s and %s", f.ID, before, data)
		}
		ids[f.ID] = data
		return fact("received", "at last")(f)
	}
	if err := await(t.Context(), cfg.DataDir, told); err != nil {
		t.Fatal(err)
	}
	if got, want := q.texts(t, 1), slices.Concat([]string{"before"}, after, []string{"at last"}); !slices.Equal(got, want) {
		t.Errorf("the chat has %q, not %q", got, want)
	}
	auditClean(t, cfg.DataDir)
}

// TestOlderNATS starts with a NATS that knows less than the database: it is refused
// with what to do, and that works.
func TestOlderNATS(t *testing.T) {
	t.Parallel()
	telegram, address := startTelegram(t)
	anna := telegram.Person("anna")
	cfg := shared(t, Config{DataDir: dataFolder(t)})
	nats := filepath.Join(cfg.DataDir, "nats")
	p := start(t, cfg)
	p.connect(t, address)
	says(t, cfg.DataDir, anna, "before")
	p.Stop(t)
	older := filepath.Join(t.TempDir(), "older")
	if err := os.CopyFS(older, os.DirFS(nats)); err != nil {
		t.Fatal(err)
	}
	p = start(t, cfg)
	says(t, cfg.DataDir, anna, "after")
	p.Stop(t)
	for name, put := range map[string]func() error{
		"NATS was restored from an older backup": func() error { return os.CopyFS(nats, os.DirFS(older)) },
		"was deleted and made again":             func() error { return nil }, // an empty one
	} {
		if err := os.RemoveAll(nats); err != nil {
			t.Fatal(err)
		}
		if err := put(); err != nil {
			t.Fatal(err)
		}
		refused := cfg
		refused.Listen = "127.0.0.1:0"
		err := Run(t.Context(), refused)
		message, hint := plain(err)
		if err == nil || !strings.Contains(message, name) || !strings.Contains(hint, "--adopt-streams") {
			t.Fatalf("it says %v", err)
		}
	}
	if out := parley(t, cfg.DataDir, "migrate", "--adopt-streams", "--database-url", cfg.DatabaseURL); !strings.Contains(out, "accepted as they are") {
		t.Error(out)
	}
	q := start(t, cfg)
	says(t, cfg.DataDir, anna, "at last")
	if got := q.texts(t, 1); !slices.Equal(got, []string{"before", "after", "at last"}) {
		t.Errorf("the chat has %q", got)
	}
	auditClean(t, cfg.DataDir)
}
