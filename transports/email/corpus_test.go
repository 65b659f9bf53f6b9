package email_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/transports/email"
)

var update = flag.Bool("update", false, "write the golden files anew")

// stored is a mail as Inbound.Raw carries it, in an envelope of JSON.
func stored(t testing.TB, envelope string, mail []byte) json.RawMessage {
	t.Helper()
	runes := make([]rune, 0, len(mail))
	for _, b := range mail {
		r := rune(b)
		if b == 0 {
			r = 0x100
		}
		runes = append(runes, r)
	}
	quoted := &bytes.Buffer{}
	enc := json.NewEncoder(quoted)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(string(runes)); err != nil {
		t.Fatal(err)
	}
	return json.RawMessage(strings.TrimSuffix(envelope, "}") + `,"mail":` + strings.TrimSpace(quoted.String()) + "}")
}

const inInbox = `{"folder":"INBOX","received":"2026-11-02T08:30:05Z"}`

// TestCorpus reads every mail of testdata/mails, and compares all that comes of
// it.
func TestCorpus(t *testing.T) {
	m := newMailbox(t, nil, nil)
	files, err := filepath.Glob("testdata/mails/*.eml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".eml"), func(t *testing.T) {
			mail, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			raw := stored(t, inInbox, mail)
			evs, err := m.Reparse(raw)
			if err != nil || len(evs) == 0 {
				t.Fatalf("%d events, %v", len(evs), err)
			}
			var got bytes.Buffer
			for _, ev := range evs {
				if !bytes.Equal(ev.Raw, raw) {
					t.Error("the event does not carry what it was read from")
				}
				describe(t, &got, m, ev)
			}
			golden := strings.TrimSuffix(file, ".eml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got.String(), want)
			}
		})
	}
}

// unstamped are the fields that the gateway fills.
var unstamped = regexp.MustCompile(`  "(id|tenant|channel|transport|accepted_at)": ".*\n`)

// describe writes an event for people, with what its attachments hold.
func describe(t *testing.T, w io.Writer, m *email.Mailbox, ev events.Inbound) {
	t.Helper()
	raw := ev.Raw
	ev.Raw = nil
	out, err := json.MarshalIndent(ev, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	out = unstamped.ReplaceAll(out, nil)
	fmt.Fprintf(w, "%s\n", bytes.ReplaceAll(bytes.ReplaceAll(out, []byte(`\u003c`), []byte("<")), []byte(`\u003e`), []byte(">")))
	if ev.Content == nil {
		return
	}
	if q := ev.Content.Mail.Quoted; q > 0 {
		fmt.Fprintf(w, "--- new\n%s\n--- quoted\n%s\n", ev.Content.Text[:q], ev.Content.Text[q:])
	} else {
		fmt.Fprintf(w, "--- text\n%s\n", ev.Content.Text)
	}
	for _, a := range ev.Content.Attachments {
		media, err := m.OpenRawMedia(raw, a.Ref)
		if err != nil {
			t.Errorf("open %s: %v", a.Ref, err)
			continue
		}
		data, err := io.ReadAll(media)
		if err != nil {
			t.Error(err)
		}
		if int64(len(data)) != a.Size || media.Size != a.Size {
			t.Errorf("%s is %d bytes long, opens as %d and said %d", a.Name, len(data), media.Size, a.Size)
		}
		fmt.Fprintf(w, "--- file %s %s %s\n%.300q\n", a.Ref, media.Name, media.MIME, data)
	}
}

// TestSentFolder wants the mails of the Sent folder to be ours, known by their
// Message-ID alone, and those that Parley sent to be left out.
func TestSentFolder(t *testing.T) {
	m := newMailbox(t, nil, nil)
	const inSent = `{"folder":"Sent","sent":true,"received":"2026-11-02T08:30:05Z"}`
	one := func(mail string) events.Inbound {
		t.Helper()
		evs, err := m.Reparse(stored(t, inSent, []byte(mail)))
		if err != nil || len(evs) != 1 {
			t.Fatalf("%d events, %v", len(evs), err)
		}
		return evs[0]
	}
	ev := one("From: office@example.com\r\nTo: office@example.com, Anna <anna@Example.org>\r\nMessage-ID: <x@example.com>\r\n\r\nHi\r\n")
	if !ev.Ours || ev.Kind != events.Message || ev.Key != (events.MessageKey{Chat: "mail", Message: "x@example.com"}) || ev.Person.Identity.Value != "anna@example.org" {
		t.Errorf("not ours: %+v", ev)
	}
	if ev.ProviderTime != time.Date(2026, 11, 2, 8, 30, 5, 0, time.UTC) {
		t.Errorf("at %v", ev.ProviderTime)
	}
	if ev = one("From: office@example.com\r\nTo: anna@example.org\r\nMessage-ID: <y@example.com>\r\nX-Parley-Message-ID: <z@example.com>\r\n\r\nHi\r\n"); ev.Kind != events.Ignored || ev.Reason == "" {
		t.Errorf("our own copy: %+v", ev)
	}
	if ev = one("From: office@example.com\r\nMessage-ID: <q@example.com>\r\n\r\nHi\r\n"); ev.Kind != events.Message || !ev.Person.Identity.Valid() || !ev.Ours {
		t.Errorf("without recipients: %+v", ev)
	}
}

// TestSameMailTwice wants the trace that servers write above a mail not to make
// it another one, and another body to make it another one.
func TestSameMailTwice(t *testing.T) {
	m := newMailbox(t, nil, nil)
	key := func(mail string) events.MessageKey {
		t.Helper()
		evs, err := m.Reparse(stored(t, inInbox, []byte(mail)))
		if err != nil || len(evs) != 1 || !evs[0].Key.Valid() {
			t.Fatalf("%+v, %v", evs, err)
		}
		return evs[0].Key
	}
	const mail = "From: a@example.org\r\nDate: Mon, 2 Nov 2026 09:00:00 +0000\r\n%s\r\nbody\r\n"
	for _, id := range []string{"Message-ID: <1@x>\r\n", "Message-ID: <>\r\n", ""} {
		plain := fmt.Sprintf(mail, id)
		traced := "Received: by mx2\r\n" + strings.ReplaceAll(plain, "\r\n", "\n") + "\n\n"
		other := strings.Replace(plain, "body", "another", 1)
		if key(plain) != key(traced) {
			t.Errorf("%q: a trace made it another mail", id)
		}
		if key(plain) == key(other) {
			t.Errorf("%q: another body is the same mail", id)
		}
	}
}

// TestReparseRefuses wants an error of what is no stored mail.
func TestReparseRefuses(t *testing.T) {
	m := newMailbox(t, nil, nil)
	for _, raw := range []string{``, `{}`, `"hello"`, `{"mail":1}`, `{"mail":"Ł"}`, `{"folder":{},"mail":""}`} {
		if evs, err := m.Reparse(json.RawMessage(raw)); err == nil {
			t.Errorf("%q: %d events", raw, len(evs))
		}
		if _, err := m.OpenRawMedia(json.RawMessage(raw), "raw"); err == nil {
			t.Errorf("%q was opened", raw)
		}
	}
}
