package main

import (
	"encoding/json"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"parley/store"
)

// The command line's user is in the log by their account on the machine, as the
// kernel says who opened the socket.
func TestOperatorIsInTheAuditLog(t *testing.T) {
	t.Parallel()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := dataFolder(t)
	_, address := startTelegram(t)
	start(t, shared(t, Config{DataDir: dir})).connect(t, address)
	parley(t, dir, "channel", "pause", "Sandbox")
	var page struct{ Items []store.AuditEntry }
	if err := json.Unmarshal([]byte(parley(t, dir, "audit-log", "list", "--json", "--limit", "1")), &page); err != nil {
		t.Fatal(err)
	}
	if e := page.Items[0]; e.Action != "channel.pause" || e.ActorKind != "operator" || e.ActorName != me.Username || e.ActorID != me.Uid || !strings.HasPrefix(e.UserAgent, "parley/") {
		t.Errorf("entry is %+v", e)
	}
	if list := parley(t, dir, "audit-log", "list"); !strings.Contains(list, "operator "+me.Username) || !strings.Contains(list, "channel.pause") {
		t.Errorf("list is %s", list)
	}
	file := filepath.Join(t.TempDir(), "log.csv")
	parley(t, dir, "audit-log", "export", "--format", "csv", "--output", file)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(data); !strings.HasPrefix(text, "id,at,") || !strings.Contains(text, ",channel.pause,") {
		t.Errorf("export is %s", text)
	}
	lines := parley(t, dir, "audit-log", "export")
	if !strings.Contains(lines, `"action":"channel.pause"`) || !strings.Contains(lines, `"action":"audit.export"`) {
		t.Errorf("export is %s", lines)
	}
}
