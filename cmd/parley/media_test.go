package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"

	"parley/events"
	"parley/inbox"
	"parley/store"
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
	testFilesBothWays(t, Config{})
}

// TestFilesInABucket is the same with an S3 server.
func TestFilesInABucket(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	backend := s3mem.New()
	if err := backend.CreateBucket(t.Context(), "files"); err != nil {
		t.Fatal(err)
	}
	s3 := httptest.NewServer(gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	defer s3.Close()
	testFilesBothWays(t, Config{BlobURL: "s3://files?region=eu-central-1&endpoint=" + url.QueryEscape(s3.URL)})
	list, err := backend.ListBucket(t.Context(), "files", &gofakes3.Prefix{HasPrefix: true, Prefix: "media/"}, gofakes3.ListBucketPage{})
	if err != nil || len(list.Contents) < 3 {
		t.Errorf("the bucket has %+v, %v", list, err)
	}
}

func testFilesBothWays(t *testing.T, cfg Config) {
	dir := dataFolder(t)
	telegram, address := startTelegram(t)
	anna := telegram.Person("anna")
	cfg.DataDir = dir
	p := start(t, cfg)
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

	awaitMetrics(t, p,
		`parley_media_fetches_total{outcome="stored",transport="telegram"} 2`,
		`parley_media_fetched_bytes_total{transport="telegram"} `+strconv.Itoa(len(picture)+9)+"\n",
		"parley_media_pending 0",
	)
	if out, err := parleyFails(t, dir, "chat", "reply", "1", "--file", filepath.Join(to, "none.pdf")); err == nil || !strings.Contains(out, "cannot be read") {
		t.Errorf("a file that is not there: %s, %v", out, err)
	}
	if out := parley(t, dir, "audit"); !strings.Contains(out, "Clean") {
		t.Error(out)
	}
}

// TestMediaLinks has a provider fetch a file from a replica that made none of the
// links itself.
func TestMediaLinks(t *testing.T) {
	t.Parallel()
	cfg := Config{DataDir: dataFolder(t), SecretKey: inbox.NewKey(), BlobURL: "file://" + t.TempDir()}
	p := start(t, cfg)
	tenant, err := p.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	picture := aPicture(t, 50, 50)
	up, err := p.Desk.Upload(t.Context(), tenant.ID, "", "offer.png", "", bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := inbox.ParseKey(cfg.SecretKey)
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := store.OpenBlobs(t.Context(), cfg.BlobURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = blobs.Close() }()
	other := &server{blobs: blobs}
	if other.mediaLinks, err = newMediaLinks(&Config{PublicURL: "http://" + p.Listen}, keys, blobs); err != nil {
		t.Fatal(err)
	}
	link := other.fileURL()(store.HeadFile{BlobKey: up.BlobKey, Name: up.Name, MIME: up.MIME})
	if got := get(t, link, http.StatusOK); got != string(picture) {
		t.Errorf("fetched %d other bytes", len(got))
	}
	get(t, link+"x", http.StatusNotFound)
	get(t, "http://"+p.Listen+"/media/nonsense", http.StatusNotFound)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "image/png" || res.ContentLength != int64(len(picture)) {
		t.Errorf("HEAD is answered %s, %v", res.Status, res.Header)
	}
	f, err := other.openFile()(t.Context(), up.BlobKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
