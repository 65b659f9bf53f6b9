package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"parley/events"
	"parley/transports/sandbox"
)

// aPicture is a PNG of that size which does not compress.
func aPicture(t testing.TB, width, height int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	_, _ = rand.Read(img.Pix)
	for i := 3; i < len(img.Pix); i += 4 {
		img.Pix[i] = 255
	}
	img.Set(0, 0, color.White)
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestFilesBothWays lets a client send files and an agent answer with some,
// through the real program and its command line.
func TestFilesBothWays(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	telegram, address := startTelegram(t)
	anna := telegram.Person("anna")
	p := start(t, Config{DataDir: dir})
	p.connect(t, address)

	picture := aPicture(t, 400, 300) // below a million bytes, after which metrics count in powers of ten
	for _, post := range []sandbox.Post{
		{Kind: "photo", Text: "the roof", File: &sandbox.File{Name: "roof.png", Content: picture, Width: 400, Height: 300}},
		{Kind: "document", File: &sandbox.File{Name: "../plan.txt", Content: []byte("dig here\n")}},
		{Kind: "video", File: &sandbox.File{Name: "long.mp4", Size: 30 << 20}},
	} {
		if _, err := anna.Post(post); err != nil {
			t.Fatal(err)
		}
	}
	verbs := map[string]int{}
	err := await(t.Context(), dir, func(f events.Fact) bool {
		if f.Noun == "attachment" {
			verbs[f.Verb]++
		}
		return verbs["stored"] == 2 && verbs["failed"] == 1
	})
	if err != nil {
		t.Fatal(verbs, err)
	}
	show := parley(t, dir, "chat", "show", "1")
	for _, want := range []string{"the roof", ".png (", " kB, file ", "plan.txt (9 bytes, file ", "long.mp4 (30.0 MB, not fetched: The file (30 MB) is larger than the provider hands out."} {
		if !strings.Contains(show, want) {
			t.Errorf("it does not show %q:\n%s", want, show)
		}
	}
	to := t.TempDir()
	for seq, want := range map[string][]byte{"1": picture, "2": []byte("dig here\n")} {
		path := strings.TrimSpace(parley(t, dir, "chat", "files", "1", seq, "-o", to))
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) || filepath.Dir(path) != to {
			t.Errorf("saved %d other bytes as %s, %v", len(got), path, err)
		}
	}
	if out := parley(t, dir, "chat", "files", "1", "3", "--refetch"); !strings.Contains(out, "Fetching 1 file again") {
		t.Errorf("it says %s", out)
	}

	report, photo := filepath.Join(to, "report.pdf"), filepath.Join(to, "new.png")
	content := append([]byte("%PDF-1.7\n"), make([]byte, 60<<10)...)
	_, _ = rand.Read(content[100:])
	for path, data := range map[string][]byte{report: content, photo: picture} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parley(t, dir, "chat", "reply", "1", "here it is", "--file", report, "--file", photo)
	parley(t, dir, "chat", "reply", "1", "--file", photo)
	sent := 0
	if err := await(t.Context(), dir, func(f events.Fact) bool {
		if f.Verb == "sent" {
			sent++
		}
		return sent == 2
	}); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, m := range anna.Phone() {
		if m.FromBot {
			kinds = append(kinds, m.Kind+" "+m.File+" "+m.Text)
		}
	}
	if want := []string{"document report.pdf here it is", "photo  ", "photo  "}; !slices.Equal(kinds, want) {
		t.Errorf("the phone shows %q, want %q", kinds, want)
	}
	// What arrived there, as the stand-in keeps it.
	for name, want := range map[string][]byte{"documents/file_4.pdf": content, "photos/file_5.png": picture} {
		got := get(t, fmt.Sprintf("%s/file/bot%s/%s", address, sandbox.DefaultTelegramToken, name), http.StatusOK)
		if got != string(want) {
			t.Errorf("%s arrived with %d other bytes of %d", name, len(got), len(want))
		}
	}
	show = parley(t, dir, "chat", "show", "1")
	if !strings.Contains(show, "+ report.pdf (60 kB, file") || !strings.Contains(show, "+ new.png (") {
		t.Errorf("it shows\n%s", show)
	}

	metrics := get(t, "http://"+p.Listen+"/metrics", http.StatusOK)
	for _, want := range []string{
		`parley_media_fetches_total{outcome="stored",transport="telegram"} 2`,
		`parley_media_fetched_bytes_total{transport="telegram"} ` + strconv.Itoa(len(picture)+9) + "\n",
		"parley_media_pending 0",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if out, err := parleyFails(t, dir, "chat", "reply", "1", "--file", filepath.Join(to, "none.pdf")); err == nil || !strings.Contains(out, "cannot be read") {
		t.Errorf("a file that is not there: %s, %v", out, err)
	}
	get(t, "http://"+p.Listen+"/media/nonsense", http.StatusNotFound)
	if out := parley(t, dir, "audit"); !strings.Contains(out, "Clean") {
		t.Error(out)
	}
}
