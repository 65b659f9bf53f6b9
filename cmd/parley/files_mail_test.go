package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/mail"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gomail "github.com/emersion/go-message/mail"

	"parley/events"
	"parley/inbox"
	"parley/inbox/desk"
	"parley/transports/sandbox"
)

// startWithMail starts the program with the stand-in's mailbox as a channel.
func startWithMail(t *testing.T) (p *program, dir string, office *sandbox.Mail) {
	t.Helper()
	office, err := sandbox.NewMail(sandbox.MailOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at, err := office.Start(context.Background(), sandbox.MailAt{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = office.Close() })
	dir = dataFolder(t)
	p = start(t, shared(t, Config{DataDir: dir, APIListen: "127.0.0.1:0"}))
	tenant, err := p.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Desk.ChannelAdd(t.Context(), desk.NewChannel{
		Tenant: tenant.ID, Transport: events.Email, Name: "Office", Mode: events.Polling,
		Settings: map[string]string{
			"address": office.Address(), "imap": at.IMAP, "smtp": at.SMTP, "imap_security": "none", "smtp_security": "none",
			"sent": "Sent", "save_sent": "on", "authserv_id": "sandbox.example",
			// What comes before the first look is found, too.
			"since": time.Now().AddDate(0, 0, -2).Format(time.DateOnly),
		},
		Secrets: map[string]string{"password": sandbox.DefaultMailPassword},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, dir, office
}

// mailPart is a part in base64, under its header fields.
func mailPart(content []byte, header ...string) string {
	var b strings.Builder
	for _, h := range header {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("Content-Transfer-Encoding: base64\r\n\r\n")
	text := base64.StdEncoding.EncodeToString(content)
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	return b.String() + text + "\r\n"
}

// multipart puts parts together.
func multipart(kind, boundary string, parts ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Content-Type: multipart/%s; boundary=%q\r\n\r\n", kind, boundary)
	for _, p := range parts {
		b.WriteString("--" + boundary + "\r\n" + p)
	}
	return b.String() + "--" + boundary + "--\r\n"
}

// illustrated is a mail with text, the same as HTML that shows a picture, and a
// file.
func illustrated(id string, picture, file []byte) []byte {
	html := `<p>See <b>this</b>: <img src="cid:roof@people.example"></p>`
	return []byte("Return-Path: <anna@people.example>\r\nFrom: Anna <anna@people.example>\r\nTo: office@sandbox.example\r\n" +
		"Date: " + time.Now().Format(time.RFC1123Z) + "\r\nMessage-ID: <" + id + "@people.example>\r\nSubject: The roof\r\nMIME-Version: 1.0\r\n" +
		multipart("mixed", "outer",
			multipart("related", "middle",
				multipart("alternative", "inner",
					mailPart([]byte("See this.\n"), "Content-Type: text/plain; charset=utf-8"),
					mailPart([]byte(html), "Content-Type: text/html; charset=utf-8")),
				mailPart(picture, "Content-Type: image/png", "Content-ID: <roof@people.example>", `Content-Disposition: inline; filename="roof.png"`)),
			mailPart(file, "Content-Type: application/pdf", `Content-Disposition: attachment; filename="../plan.pdf"`)))
}

// attached are the files of a mail that was sent.
func attached(t *testing.T, raw []byte) (text string, names []string, files [][]byte) {
	t.Helper()
	if _, err := mail.ReadMessage(bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	r, err := gomail.CreateReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for {
		part, err := r.NextPart()
		if err == io.EOF { //nolint:errorlint // as documented
			return text, names, files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(part.Body)
		if err != nil {
			t.Fatal(err)
		}
		h, ok := part.Header.(*gomail.AttachmentHeader)
		if !ok {
			text += strings.TrimSpace(string(content))
			continue
		}
		name, err := h.Filename()
		if err != nil {
			t.Error(err)
		}
		names, files = append(names, name), append(files, content)
	}
}

// payloadsIn counts the payloads that are kept as blobs, which are those whose
// events have a RawRef.
func payloadsIn(t *testing.T, dir string) (n int) {
	t.Helper()
	blobs := filepath.Join(dir, "blobs", "raw")
	err := filepath.WalkDir(blobs, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return n
}

// TestFilesByMail lets a client send mails whose payload travels on the bus, and
// in a blob, and an agent answer with files.
func TestFilesByMail(t *testing.T) {
	t.Parallel()
	p, dir, office := startWithMail(t)
	icon, picture := aPicture(t, 100, 80), aPicture(t, 400, 300)
	small, large := noise(pdf, 20<<10), noise(pdf, 5<<20)
	wait := 0
	for seq, sent := range [][2][]byte{{icon, small}, {picture, large}} {
		picture, file := sent[0], sent[1]
		if err := office.Deliver(illustrated(fmt.Sprint("roof-", seq+1), picture, file)); err != nil {
			t.Fatal(err)
		}
		wait += 3
		awaitFacts(t, dir, 1, "attachment", "stored", wait)
		in := messages(t, dir, "1")
		if len(in) != seq+1 || !strings.Contains(in[seq].Text, "See this.") {
			t.Fatalf("the chat has %+v", in)
		}
		var are []string
		for _, f := range in[seq].Attachments {
			are = append(are, fmt.Sprintf("%s %s %s %q %s", f.Kind, f.Name, f.MIME, f.Role, f.State))
		}
		want := []string{
			`document mail.html text/html; charset=utf-8 "html" stored`, `photo roof.png image/png "inline" stored`,
			`document plan.pdf application/pdf "" stored`,
		}
		if !slices.Equal(are, want) {
			t.Errorf("message %d has %q, want %q", seq+1, are, want)
		}
		// The first one's payload came by the bus, the second's is in a blob.
		if n := payloadsIn(t, dir); n != seq {
			t.Errorf("after mail %d there are %d payloads in blobs", seq+1, n)
		}
		if f := in[seq].Attachments[1]; f.ContentID != "roof@people.example" || f.Thumbnail != (seq == 1) { // the icon is small as it is
			t.Errorf("the picture is %+v", f)
		}
		html := []byte(`<p>See <b>this</b>: <img src="cid:roof@people.example"></p>`)
		sameFiles(t, "came", saved(t, dir, "1", int64(seq+1)), html, picture, file)
	}

	paths := onDisk(t, map[string][]byte{"Angebot für Anna.pdf": large, "new.png": picture, "huge.bin": noise("", 19<<20)})
	parley(t, dir, "chat", "reply", "1", "here it is", "--file", paths["Angebot für Anna.pdf"], "--file", paths["new.png"])
	awaitFacts(t, dir, 1, "message", "sent", 1)
	sent := office.Sent()
	if len(sent) != 1 || !slices.Equal(sent[0].To, []string{"anna@people.example"}) {
		t.Fatalf("%d mails were sent", len(sent))
	}
	text, names, files := attached(t, sent[0].Raw)
	if want := []string{"Angebot für Anna.pdf", "new.png"}; text != "here it is" || !slices.Equal(names, want) {
		t.Errorf("sent was %q with %q", text, names)
	}
	sameFiles(t, "arrived", files, large, picture)
	// More than a mail may have is refused before it leaves.
	parley(t, dir, "chat", "reply", "1", "and this", "--file", paths["huge.bin"])
	awaitFacts(t, dir, 1, "message", "failed", 1)
	if show := parley(t, dir, "chat", "show", "1"); !strings.Contains(show, "18 MB") {
		t.Errorf("it does not say why:\n%s", show)
	}
	if n := len(office.Sent()); n != 1 {
		t.Errorf("%d mails were sent", n)
	}
	in := messages(t, dir, "1")
	if n := len(in); n != 4 || in[2].Direction == inbox.In {
		t.Errorf("the copy in Sent came back: %d messages", n)
	}
	filesCounted(t, p, "email", 6, len(icon)+len(picture)+2*len(`<p>See <b>this</b>: <img src="cid:roof@people.example"></p>`)+len(small)+len(large))
	if out := parley(t, dir, "audit"); !strings.Contains(out, "Clean") {
		t.Error(out)
	}
}
