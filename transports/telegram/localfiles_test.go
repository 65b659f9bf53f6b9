package telegram_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
	"parley/transports/telegram"
)

// TestLocalServerRaisesLimits: a Bot API server of one's own that runs with
// --local takes and hands out larger files.
func TestLocalServerRaisesLimits(t *testing.T) {
	hosted := newBot(t, (&fakeAPI{}).client(), nil).Capabilities()
	local := newBot(t, (&fakeAPI{}).client(), map[string]string{"api_url": "http://127.0.0.1:8081", "files_dir": t.TempDir()}).Capabilities()
	if hosted.MaxFetch != 20<<20 || hosted.Attachments[events.Document] != 50<<20 {
		t.Errorf("hosted: %d, %v", hosted.MaxFetch, hosted.Attachments)
	}
	if local.MaxFetch != 4000<<20 || local.Attachments[events.Document] != 2000<<20 || local.Attachments[events.Photo] != 10<<20 {
		t.Errorf("local: %d, %v", local.MaxFetch, local.Attachments)
	}
}

func TestOpenMediaOfLocalServer(t *testing.T) {
	dir := t.TempDir()
	inside := filepath.Join(dir, sandbox.DefaultTelegramToken, "documents")
	if err := os.MkdirAll(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "secret")
	for file, content := range map[string]string{filepath.Join(inside, "file_1.pdf"): "PDF content", outside: "secret"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(inside, "link")); err != nil {
		t.Fatal(err)
	}
	open := func(t *testing.T, settings map[string]string, file string) (transports.Media, error) {
		api := &fakeAPI{answers: []fakeAnswer{{status: 200, body: `{"ok":true,"result":{"file_path":` + jsonOf(file) + `,"file_size":30000000}}`}}}
		media, err := newBot(t, api.client(), settings).OpenMedia(t.Context(), "f")
		checkRedacted(t, err)
		return media, err
	}
	same := map[string]string{"files_dir": dir}
	mounted := map[string]string{"files_dir": dir, "server_files_dir": "/var/lib/telegram-bot-api/"}
	below := "/" + sandbox.DefaultTelegramToken + "/documents/"
	for _, test := range []struct {
		name     string
		settings map[string]string
		file     string
		want     string // content, or words of the error
	}{
		{"same folder", same, dir + below + "file_1.pdf", "PDF content"},
		{"mounted elsewhere", mounted, "/var/lib/telegram-bot-api" + below + "file_1.pdf", "PDF content"},
		{"not configured", map[string]string{"api_url": "http://127.0.0.1:8081"}, dir + below + "file_1.pdf", "bytes"},
		{"no such file", same, dir + below + "file_2.pdf", "not below"},
		{"another folder", same, outside, "outside"},
		{"a folder beside", same, dir + "-other/x", "outside"},
		{"out by dots", same, dir + "/../x", "outside"},
		{"out by a link", same, dir + below + "link", "escapes"},
		{"a folder", same, dir + below[:len(below)-1], "no file"},
		{"the folder itself", same, dir, "outside"},
	} {
		t.Run(test.name, func(t *testing.T) {
			media, err := open(t, test.settings, test.file)
			if err != nil {
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				return
			}
			content := string(must(io.ReadAll(media)))
			if err := media.Close(); err != nil || content != test.want || media.Size != int64(len(content)) || media.Name != "file_1.pdf" {
				t.Errorf("got %q, %+v, %v; want %q", content, media, err, test.want)
			}
		})
	}
	// With files of usual size the missing setting is named.
	api := &fakeAPI{answers: []fakeAnswer{{status: 200, body: `{"ok":true,"result":{"file_path":"/srv/x","file_size":3}}`}}}
	if _, err := newBot(t, api.client(), nil).OpenMedia(t.Context(), "f"); err == nil || !strings.Contains(err.Error(), "files_dir") || errors.Is(err, transports.ErrMediaGone) {
		t.Errorf("got %v, want to be told to set files_dir", err)
	}
}

func TestLocalServerSettings(t *testing.T) {
	for _, settings := range []map[string]string{
		{"files_dir": "relative"},
		{"files_dir": "/"},
		{"server_files_dir": "/srv/x"},
		{"files_dir": "/srv/x", "server_files_dir": "x"},
		{"files_dir": "/srv/x", "server_files_dir": "/"},
	} {
		_, err := telegram.New(transports.Account{
			Channel: events.Channel{Settings: settings}, Secrets: map[string]string{"token": sandbox.DefaultTelegramToken}, HTTPClient: (&fakeAPI{}).client(),
		})
		if err == nil || !strings.Contains(err.Error(), "files_dir") {
			t.Errorf("%v: %v", settings, err)
		}
	}
}
