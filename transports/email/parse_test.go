package email

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"parley/events"
)

func TestQuoted(t *testing.T) {
	for name, c := range map[string]struct{ subject, text, old string }{
		"none":             {"Hi", "one\ntwo", ""},
		"nothing else":     {"Re: Hi", "> one\n> two", ""},
		"plain":            {"Re: Hi", "new\n\n> old\n> older", "> old\n> older"},
		"french":           {"RE: x", "merci\n\nLe lun. 2 nov. 2026 à 10:12, Office <o@e.com> a écrit :\n> bonjour", "Le lun. 2 nov. 2026 à 10:12, Office <o@e.com> a écrit :\n> bonjour"},
		"wrapped":          {"Re: x", "ok\nAm 02.11.26 um 10:12 schrieb\nOffice Example:\n\n> hallo", "Am 02.11.26 um 10:12 schrieb\nOffice Example:\n\n> hallo"},
		"outlook":          {"RE: x", "ok\n\n-----Original Message-----\nFrom: a\nhello", "-----Original Message-----\nFrom: a\nhello"},
		"outlook head":     {"RE: x", "ok\n\nFrom: a@b.c\nSent: Monday\nTo: d@e.f\nSubject: x\n\nhello", "From: a@b.c\nSent: Monday\nTo: d@e.f\nSubject: x\n\nhello"},
		"outlook forward":  {"FW: x", "see\n\nFrom: a@b.c\nSent: Monday\nTo: d@e.f\nSubject: x\n\nhello", ""},
		"from in a letter": {"x", "From: here\nto there\nwe went", ""},
		"bottom":           {"Re: x", "> old\nnew", ""},
		"signature":        {"Re: x", "new\n> old\n-- \nAnna", ""},
		"question":         {"Re: x", "You ask:\n> why?", "> why?"},
	} {
		got := ""
		if at := quoted(c.subject, c.text); at > 0 {
			got = strings.TrimSpace(c.text[at:])
		}
		if got != c.old {
			t.Errorf("%s: quoted is %q, want %q", name, got, c.old)
		}
	}
}

func TestReadParams(t *testing.T) {
	for field, want := range map[string]string{
		`attachment; filename="a b.pdf"`:                                         "a b.pdf",
		`attachment; filename=a b.pdf`:                                           "a b.pdf",
		`attachment; filename="=?utf-8?Q?=C3=A4.pdf?="`:                          "ä.pdf",
		`attachment; filename*=iso-8859-1'de'%E4.pdf; filename=a.pdf`:            "ä.pdf",
		`attachment; filename*0="long "; filename*1="name.pdf"`:                  "long name.pdf",
		`attachment; filename*0*=utf-8''%C3; filename*1*=%A4.pdf`:                "ä.pdf",
		`attachment; filename="C:\Users\x\a.pdf"`:                                `C:\Users\x\a.pdf`,
		`attachment; filename="with \"quotes\".pdf"`:                             `with "quotes".pdf`,
		`attachment; filename="no end`:                                           "no end",
		`attachment; filename="semi;colon.pdf"; size=3`:                          "semi;colon.pdf",
		"attachment; =; filename*x*=y; filename*999999999999=1; filename*-1*=%%": "",
	} {
		if params := guessing(maxGuesses).params(field); params["filename"] != want && want != "" {
			t.Errorf("%s: %q, want %q", field, params["filename"], want)
		}
	}
	if got := fileName(`..\..\etc/pass` + "\x00" + `wd`); got != "pass\uFFFDwd" {
		t.Errorf("a file's name is %q", got)
	}
}

func TestReplyTokens(t *testing.T) {
	ours := newReplyTokens("key", "Office@example.com")
	for _, token := range []string{"42", "c-7", "With Capitals/7", strings.Repeat("x", 30)} {
		address := ours.address(token)
		if local, _, _ := strings.Cut(address, "@"); address == "" || len(local) > 64 {
			t.Fatalf("%q makes %q", token, address)
		}
		for _, way := range []string{address, strings.ToLower(address), strings.ToUpper(address)} {
			if got, ok := ours.verify(way); !ok || got != token {
				t.Errorf("%s is %q, %t", way, got, ok)
			}
		}
		forged := strings.Replace(address, ".", "a.", 1)
		if got, ok := ours.verify(forged); ok {
			t.Errorf("forged as %q", got)
		}
		for name, other := range map[string]replyTokens{
			"another key":     newReplyTokens("other", "Office@example.com"),
			"another mailbox": newReplyTokens("key", "office2@example.com"),
			"no key":          newReplyTokens("", "Office@example.com"),
		} {
			if _, ok := other.verify(address); ok {
				t.Errorf("%s takes it", name)
			}
		}
	}
	if got := ours.address(strings.Repeat("x", 60)); got != "" {
		t.Errorf("a local part beyond 64 bytes: %s", got)
	}
}

func TestKeepIsLossless(t *testing.T) {
	mail := make([]byte, 0, 1024)
	for i := range 1024 {
		mail = append(mail, byte(i))
	}
	env := envelope{Folder: "Entwürfe\n\"", Sent: true, Received: time.Date(2026, 11, 2, 1, 2, 3, 0, time.UTC), Size: 7}
	raw := keep(env, mail)
	if !json.Valid(raw) || bytes.Contains(raw, []byte(`\u0000`)) {
		t.Fatalf("not what PostgreSQL takes: %s", raw)
	}
	gotEnv, got, err := unkeep(raw)
	if err != nil || !bytes.Equal(got, mail) || gotEnv != env {
		t.Errorf("%+v, %v", gotEnv, err)
	}
}

// TestBudgets wants mails beyond each budget to be shown as such.
func TestBudgets(t *testing.T) {
	m := testMailbox(t)
	parts := "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", maxParts+10) + "--b--\n"
	files := "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\nContent-Type: image/png\n\nx\n", maxAttachments+10) + "--b--\n"
	for name, c := range map[string]struct {
		mail string
		want func(*events.Content, []string) bool
	}{
		"parts": {parts, func(c *events.Content, _ []string) bool { return c.Mail.Unreadable != "" && len(c.Attachments) == 1 }},
		"files": {files, func(c *events.Content, notes []string) bool {
			return len(c.Attachments) == maxAttachments && len(notes) > 0
		}},
		"text": {"Subject: x\n\n" + strings.Repeat("wörter ", 100_000), func(c *events.Content, notes []string) bool {
			return len(c.Text) <= maxShown && len(c.Text) > maxShown/2 && len(notes) > 0
		}},
		"header": {strings.Repeat("X-Long: "+strings.Repeat("x", 900)+"\n", 2000) + "\nbody\n", func(c *events.Content, notes []string) bool {
			return c.Text == "body" && len(notes) > 0
		}},
		"addresses":             {"To: " + strings.Repeat("a@example.org, ", 50_000) + "\n\nbody\n", func(c *events.Content, _ []string) bool { return len(c.Mail.To) <= maxAddresses }},
		"html":                  {"Content-Type: text/html\n\n" + strings.Repeat("<div><blockquote>x<!--", 100_000), func(c *events.Content, _ []string) bool { return len(c.Text) <= maxShown }},
		"folding":               {"Subject: x\n" + strings.Repeat(" y\n", 200_000) + "\nbody\n", func(c *events.Content, _ []string) bool { return len(c.Mail.Subject) <= maxSubject }},
		"words":                 {"Subject: " + strings.Repeat("=?utf-8?Q?x?= ", 15_000) + "\n\nbody\n", func(c *events.Content, _ []string) bool { return c.Text == "body" }},
		"charsets of addresses": {strings.Repeat("To: Of\xC3fice <office@example.com>\n", 1900) + "\nbody\n", func(c *events.Content, _ []string) bool { return len(c.Mail.To) == maxAddresses }},
		"charsets of words":     {"Subject: " + strings.Repeat("=?x?q?=FFa?= =?y?q?=FFb?= ", 9000) + "\n\nbody\n", func(c *events.Content, _ []string) bool { return c.Text == "body" }},
		// Each was searched to the end of the line: quadratic, minutes for these 8 MB.
		"boundaries in a line": {"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\ntext" + strings.Repeat("--b", 8<<20/3) + "\n--b--\n", func(c *events.Content, _ []string) bool {
			return strings.HasPrefix(c.Text, "text--b") && len(c.Text) <= maxShown
		}},
		"quoted-printable that is none": {"Content-Transfer-Encoding: quoted-printable\nContent-Type: image/png\n\n" + strings.Repeat("\x00\n", 1<<20), func(c *events.Content, _ []string) bool {
			return len(c.Attachments) == 1 && c.Attachments[0].Size == 2<<20
		}},
		"charsets of parts": {"Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\nContent-Type: text/plain; x=\xFF\xC3a\n\nAuf \xC3Wiedersehen\xFF\n", maxParts-1) + "--b--\n", func(c *events.Content, _ []string) bool {
			return strings.Count(c.Text, "Wiedersehen") == maxParts-1
		}},
		"charsets of a parameter": {"Content-Type: text/plain" + strings.Repeat("; x=\xFFa; y=\xFFb", 9000) + "\n\nbody\n", func(c *events.Content, _ []string) bool { return c.Text == "body" }},
	} {
		t.Run(name, func(t *testing.T) {
			// What takes quadratic time does not end before the whole run's limit.
			evs := m.read(envelope{Folder: inbox}, []byte(c.mail))
			if len(evs) != 1 || evs[0].Kind != events.Message || !c.want(evs[0].Content, evs[0].Notes) {
				t.Errorf("%d events; %v, notes %v", len(evs), evs[0].Content.Mail.Unreadable, evs[0].Notes)
			}
			evs[0].Raw = nil
			if out, err := json.Marshal(evs[0]); err != nil || len(out) > 200<<10 {
				t.Errorf("the event has %d bytes besides the mail, %v", len(out), err)
			}
		})
	}
}

// testMailbox is a mailbox that only reads what it is given.
func testMailbox(t testing.TB) *Mailbox {
	t.Helper()
	return &Mailbox{
		settings: settings{address: "office@example.com", domain: "example.com", authserv: []string{"mx.example.com"}},
		answers:  newReplyTokens("key", "office@example.com"),
	}
}

// sound wants what the seam and the database ask of every event.
func sound(t *testing.T, m *Mailbox, evs []events.Inbound) {
	t.Helper()
	if len(evs) == 0 {
		t.Fatal("no event of a mail")
	}
	for _, ev := range evs {
		switch ev.Kind {
		case events.Message:
			if !ev.Key.Valid() || !ev.Person.Identity.Valid() || ev.Person.Address == "" || ev.Content == nil || ev.Content.Mail == nil {
				t.Errorf("a message without key, person or content: %+v", ev)
			}
		case events.StatusChanged:
			if !ev.Key.Valid() || ev.Status == nil || ev.ProviderEvent == "" {
				t.Errorf("a status without key: %+v", ev)
			}
		case events.Ignored:
			if ev.Reason == "" {
				t.Error("ignored without a reason")
			}
		default:
			t.Errorf("kind %s", ev.Kind)
		}
		for _, id := range []string{ev.Key.Message, ev.ProviderEvent, ev.Person.Address} {
			if len(id) > 512 {
				t.Errorf("an id of %d bytes", len(id))
			}
		}
		raw := ev.Raw
		ev.Raw = nil
		out, err := json.Marshal(ev)
		if err != nil || !utf8.Valid(out) || bytes.Contains(out, []byte(`\u0000`)) {
			t.Errorf("no event that can be stored: %v", err)
		}
		if ev.Content == nil {
			continue
		}
		if q := ev.Content.Mail.Quoted; q < 0 || q > len(ev.Content.Text) || q > 0 && !utf8.ValidString(ev.Content.Text[q:]) {
			t.Errorf("quoted from %d of %d", q, len(ev.Content.Text))
		}
		if len(ev.Content.Text) > maxShown || !utf8.ValidString(ev.Content.Text) {
			t.Errorf("text of %d bytes", len(ev.Content.Text))
		}
		for _, a := range ev.Content.Attachments {
			media, err := m.OpenRawMedia(raw, a.Ref)
			if err != nil {
				t.Errorf("the attachment %s cannot be opened: %v", a.Ref, err)
				continue
			}
			_ = media.Close()
		}
	}
}
