package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/inbox"
	"parley/inbox/desk"
	"parley/store"
)

// TestBackupAndRestore copies a server while clients write, brings the copy up
// elsewhere, and holds it against itself.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	telegram, address := startTelegram(t)
	p := start(t, Config{DataDir: dir})
	p.connect(t, address)
	tenant, err := p.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := telegram.Person("anna").Say("before the backup"); err != nil {
		t.Fatal(err)
	}
	if err := await(t.Context(), dir, fact("received", "before the backup")); err != nil {
		t.Fatal(err)
	}
	m, err := p.Desk.Reply(t.Context(), desk.Reply{Tenant: tenant.ID, Chat: 1, Text: "not sent yet", Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := await(t.Context(), dir, fact("sent", "")); err != nil {
		t.Fatal(err)
	}
	// As it was a moment before it was sent.
	conn, err := pgx.Connect(t.Context(), p.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), "SET ROLE parley_worker")
	if err == nil {
		_, err = conn.Exec(t.Context(), "UPDATE parley_deliveries SET state = 'queued', due_at = now() + interval '1 day' WHERE message_id = $1", m.ID)
	}
	if err = errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	traffic.Go(func() {
		for ctx.Err() == nil {
			if _, err := telegram.Person("bert").Say("while it was backed up"); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	copied := filepath.Join(t.TempDir(), "copy")
	if out := parley(t, dir, "backup", copied, "--with-key"); !strings.Contains(out, "read them again") {
		t.Error(out)
	}
	stop()
	traffic.Wait()
	if out, err := parleyFails(t, dir, "backup", copied); err == nil || !strings.Contains(out, "is there already") {
		t.Errorf("over another backup: %s", out)
	}
	if out, err := parleyFails(t, dir, "restore", copied); err == nil || !strings.Contains(out, "A Parley server runs in") {
		t.Errorf("over a running server: %s", out)
	}
	p.Stop(t)
	if out, err := parleyFails(t, dir, "restore", copied); err == nil || !strings.Contains(out, "is not empty") {
		t.Errorf("over a data folder: %s", out)
	}
	_ = telegram.Close() // what is restored is all there is

	elsewhere := dataFolder(t)
	out := parley(t, elsewhere, "restore", copied)
	if !strings.Contains(out, "Restored.") {
		t.Error(out)
	}
	q := start(t, Config{DataDir: elsewhere})
	late, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		if out, err = parleyFails(t, elsewhere, "audit"); err == nil && strings.Contains(out, "Clean") {
			break
		}
		if late.Err() != nil {
			t.Fatal("the audit is not clean: ", out)
		}
	}
	messages, _, err := q.Desk.Store.Messages(t.Context(), tenant.ID, 1, store.MessagePage{})
	if err != nil || len(messages) != 2 || messages[0].Text != "before the backup" {
		t.Fatalf("chat 1 has %+v, %v", messages, err)
	}
	if d := messages[1].Delivery; d.State != inbox.Uncertain {
		t.Errorf("what may have been sent since is %s", d.State)
	}
	if _, _, err := q.Desk.Store.Messages(t.Context(), tenant.ID, 2, store.MessagePage{}); err != nil {
		t.Error("what came during the backup is missing: ", err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	start(t, Config{DataDir: dir})
	good := filepath.Join(t.TempDir(), "good")
	parley(t, dir, "backup", good)
	into := func(backup string, args ...string) string {
		t.Helper()
		out, err := parleyFails(t, dataFolder(t), append([]string{"restore", backup}, args...)...)
		if err == nil {
			t.Errorf("it restored %s", backup)
		}
		return out
	}
	wants := func(out, words string) {
		t.Helper()
		if !strings.Contains(out, words) {
			t.Errorf("it says %q, not %q", out, words)
		}
	}
	wants(into(good), "does not hold the secret key")
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(inbox.NewKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	wants(into(good, "--secret-key-file", key), "another secret key")
	wants(into(t.TempDir()), "holds no backup")

	spoilt := func(name string, f func([]byte) []byte) string {
		t.Helper()
		to := filepath.Join(t.TempDir(), "spoilt")
		if err := os.CopyFS(to, os.DirFS(good)); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(to, name)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, f(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return to
	}
	flip := func(data []byte) []byte { data[len(data)/2] ^= 1; return data }
	wants(into(spoilt(databaseFile, flip)), "is not what was written")
	newer := func(data []byte) []byte {
		return []byte(strings.Replace(string(data), `"schema": `, `"schema": 9`, 1))
	}
	wants(into(spoilt(manifestFile, newer)), "made by a newer Parley")
}
