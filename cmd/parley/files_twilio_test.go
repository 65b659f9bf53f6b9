package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"parley/events"
	"parley/inbox"
	"parley/inbox/api"
	"parley/inbox/desk"
	"parley/transports/sandbox"
)

// noise is a file of n bytes that does not compress, beginning with those that
// tell its type.
func noise(begin string, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	copy(b, begin)
	return b
}

// pdf begins a document.
const pdf = "%PDF-1.7\n"

// messages are a chat's, oldest first, which are seen by that.
func messages(t *testing.T, dir, chat string) []inbox.Message {
	t.Helper()
	parley(t, dir, "chat", "show", chat)
	var shown struct{ Messages api.Messages }
	if err := json.Unmarshal([]byte(parley(t, dir, "chat", "show", chat, "--json")), &shown); err != nil {
		t.Fatal(err)
	}
	return shown.Messages.Items
}

// saved are the files of a message, as the command line saves them.
func saved(t *testing.T, dir, chat string, seq int64) [][]byte {
	t.Helper()
	var all [][]byte
	for path := range strings.Lines(parley(t, dir, "chat", "files", chat, fmt.Sprint(seq), "-o", t.TempDir())) {
		content, err := os.ReadFile(strings.TrimSpace(path))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, content)
	}
	return all
}

// sameFiles compares files by their bytes, without showing them.
func sameFiles(t *testing.T, what string, got [][]byte, want ...[]byte) {
	t.Helper()
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%s: %d files %v, want %d files %v", what, len(got), sizes(got), len(want), sizes(want))
	}
}

func sizes(files [][]byte) (all []int) {
	for _, f := range files {
		all = append(all, len(f))
	}
	return all
}

// onDisk writes files to send, and returns their paths.
func onDisk(t *testing.T, files map[string][]byte) map[string]string {
	t.Helper()
	dir, paths := t.TempDir(), map[string]string{}
	for name, content := range files {
		paths[name] = filepath.Join(dir, name)
		if err := os.WriteFile(paths[name], content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// startWithTwilio starts the program with the stand-in's two senders as channels.
func startWithTwilio(t *testing.T) (p *program, dir string, twilio *sandbox.Twilio) {
	t.Helper()
	twilio, err := sandbox.NewTwilio(sandbox.TwilioOptions{FetchMedia: true})
	if err != nil {
		t.Fatal(err)
	}
	at, err := twilio.Start(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = twilio.Close() })
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	dir = dataFolder(t)
	p = start(t, shared(t, Config{DataDir: dir, Listen: listen, PublicURL: "http://" + listen, APIListen: "127.0.0.1:0", PrivateWebhooks: true}))
	tenant, err := p.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, from, sender string }{
		{"SMS", sandbox.DefaultTwilioNumber, sandbox.DefaultTwilioNumber},
		{"WhatsApp", strings.TrimPrefix(sandbox.DefaultTwilioWhatsApp, "whatsapp:"), sandbox.DefaultTwilioWhatsApp},
	} {
		_, err := p.Desk.ChannelAdd(t.Context(), desk.NewChannel{
			Tenant: tenant.ID, Transport: events.Transport(strings.ToLower(c.name)), Name: c.name, Mode: events.Webhook, Country: "DE",
			Settings: map[string]string{"account_sid": sandbox.DefaultTwilioAccount, "from": c.from, "api_url": at},
			Secrets:  map[string]string{"auth_token": sandbox.DefaultTwilioToken},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err = twilio.Await(ctx, func(e sandbox.TwilioEntry) bool { return e.What == sandbox.LogCalled && e.Sender == c.sender })
		cancel()
		if err != nil {
			t.Fatal("nobody told the stand-in where to deliver: ", err)
		}
	}
	return p, dir, twilio
}

// awaitFacts waits until so many facts of a noun and verb are in a chat.
func awaitFacts(t *testing.T, dir string, chat int64, noun, verb string, n int) {
	t.Helper()
	seen := map[string]int{}
	err := await(t.Context(), dir, func(f events.Fact) bool {
		if f.Chat == chat {
			seen[f.Noun+"."+f.Verb]++
		}
		return seen[noun+"."+verb] >= n
	})
	if err != nil {
		t.Fatalf("chat %d has %v, want %d %s.%s: %v", chat, seen, n, noun, verb, err)
	}
}

// arrived are the files that the business sent, as whoever has the links fetches
// them.
func arrived(t *testing.T, person sandbox.TwilioPerson) (texts []string, files [][]byte) {
	t.Helper()
	for _, m := range person.Phone() {
		if !m.FromBusiness {
			continue
		}
		texts = append(texts, fmt.Sprintf("%s +%d %s", m.Text, len(m.Files), m.Status))
		for _, link := range m.Files {
			files = append(files, []byte(get(t, link, http.StatusOK)))
		}
	}
	return texts, files
}

// TestFilesByMMS lets a client send two files in one message and an agent answer
// with two.
func TestFilesByMMS(t *testing.T) {
	t.Parallel()
	p, dir, twilio := startWithTwilio(t)
	anna := twilio.Person("anna")
	picture, card := aPicture(t, 400, 300), []byte("BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Anna\r\nEND:VCARD\r\n")
	if _, err := anna.Post(sandbox.TwilioPost{Text: "the roof", Files: []sandbox.File{
		{Name: "roof.png", MIME: "image/png", Content: picture}, {Name: "anna.vcf", MIME: "text/x-vcard", Content: card},
	}}); err != nil {
		t.Fatal(err)
	}
	awaitFacts(t, dir, 1, "attachment", "stored", 2)
	in := messages(t, dir, "1")
	if len(in) != 1 || in[0].Text != "the roof" || len(in[0].Attachments) != 2 || in[0].Attachments[0].Kind != events.Photo {
		t.Fatalf("the chat has %+v", in)
	}
	sameFiles(t, "came", saved(t, dir, "1", 1), picture, card)

	report, photo := noise(pdf, 400<<10), aPicture(t, 300, 300)
	paths := onDisk(t, map[string][]byte{"report.pdf": report, "new.png": photo, "long.pdf": noise(pdf, 600<<10)})
	parley(t, dir, "chat", "reply", "1", "here it is", "--file", paths["new.png"], "--file", paths["report.pdf"])
	awaitFacts(t, dir, 1, "message", "delivered", 1)
	texts, files := arrived(t, anna)
	if want := []string{"here it is +2 delivered"}; !slices.Equal(texts, want) {
		t.Errorf("the phone shows %q, want %q", texts, want)
	}
	sameFiles(t, "arrived", files, photo, report)
	// A document of a size that no phone network takes never leaves.
	parley(t, dir, "chat", "reply", "1", "and this", "--file", paths["long.pdf"])
	awaitFacts(t, dir, 1, "message", "failed", 1)
	if show := parley(t, dir, "chat", "show", "1"); !strings.Contains(show, "a document may have 512000") {
		t.Errorf("it does not say why:\n%s", show)
	}
	filesCounted(t, p, "sms", 2, len(picture)+len(card))
	if out := parley(t, dir, "audit"); !strings.Contains(out, "Clean") {
		t.Error(out)
	}
}

// filesCounted waits for the metrics of files that came.
func filesCounted(t *testing.T, p *program, transport string, files, size int) {
	t.Helper()
	awaitMetrics(t, p,
		fmt.Sprintf("parley_media_fetches_total{outcome=\"stored\",transport=%q} %d\n", transport, files),
		fmt.Sprintf("parley_media_fetched_bytes_total{transport=%q} %v\n", transport, float64(size)),
		"parley_media_pending 0",
	)
}

// TestFilesOnWhatsApp is the same on WhatsApp, one file at a time and at the
// limit.
func TestFilesOnWhatsApp(t *testing.T) {
	t.Parallel()
	p, dir, twilio := startWithTwilio(t)
	anna, err := twilio.Person("anna").WhatsApp()
	if err != nil {
		t.Fatal(err)
	}
	const limit = 16 << 20
	picture, largest := aPicture(t, 400, 300), noise(pdf, limit)
	for i, post := range []sandbox.TwilioPost{
		{Text: "the roof", Files: []sandbox.File{{Name: "roof.png", MIME: "image/png", Content: picture}}},
		{Files: []sandbox.File{{Name: "plan.pdf", MIME: "application/pdf", Content: largest}}},
		{Files: []sandbox.File{{Name: "long.mp4", MIME: "video/mp4", Content: noise("", limit+1)}}},
	} {
		if _, err := anna.Post(post); err != nil {
			t.Fatal(err)
		}
		// One after the other, for webhooks come in parallel.
		awaitFacts(t, dir, 1, "message", "received", i+1)
	}
	awaitFacts(t, dir, 1, "attachment", "stored", 2)
	awaitFacts(t, dir, 1, "attachment", "failed", 1)
	in := messages(t, dir, "1")
	if len(in) != 3 || in[0].Text != "the roof" || in[1].Attachments[0].Name != "plan.pdf" {
		t.Fatalf("the chat has %+v", in)
	}
	sameFiles(t, "came", saved(t, dir, "1", 1), picture)
	sameFiles(t, "came", saved(t, dir, "1", 2), largest)
	if f := in[2].Attachments[0]; f.State != inbox.FileFailed || !strings.Contains(f.Words, "larger than the provider hands out") {
		t.Errorf("a file too large is %+v", f)
	}

	paths := onDisk(t, map[string][]byte{"report.pdf": largest, "new.png": picture})
	parley(t, dir, "chat", "reply", "1", "look", "--file", paths["new.png"])
	awaitFacts(t, dir, 1, "message", "delivered", 1)
	parley(t, dir, "chat", "reply", "1", "here it is", "--file", paths["report.pdf"])
	awaitFacts(t, dir, 1, "message", "delivered", 2)
	// A document has no caption there.
	texts, files := arrived(t, anna)
	slices.Sort(texts)
	if want := []string{" +1 delivered", "here it is +0 delivered", "look +1 delivered"}; !slices.Equal(texts, want) {
		t.Errorf("the phone shows %q, want %q", texts, want)
	}
	sameFiles(t, "arrived", files, picture, largest)
	filesCounted(t, p, "whatsapp", 2, len(picture)+len(largest))
	if out := parley(t, dir, "audit"); !strings.Contains(out, "Clean") {
		t.Error(out)
	}
}
