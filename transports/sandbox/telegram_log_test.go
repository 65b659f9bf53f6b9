package sandbox_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/transports/sandbox"
)

func TestLogFileResumes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "telegram.log")
	run := func() []sandbox.TelegramEntry {
		tg, err := sandbox.NewTelegram(sandbox.TelegramOptions{LogPath: path, OpenChats: true})
		if err != nil {
			t.Fatal(err)
		}
		say(t, tg.Person("anna"), "hello")
		call(t, tg, "sendMessage", url.Values{"chat_id": {"5"}, "text": {"x"}})
		entries := tg.Log(0)
		if err := tg.Close(); err != nil {
			t.Fatal(err)
		}
		return entries
	}
	run()
	// A crash in the middle of a line.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"seq":3,"ti`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	second := run()
	if len(second) != 2 || second[0].Seq != 3 || second[0].UpdateID != 2 || second[0].MessageID != 3 || second[1].MessageID != 4 {
		t.Errorf("entries %+v", second)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(string(content)), "\n"); len(lines) != 5 {
		t.Errorf("log:\n%s", content)
	}
}
