package email

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"parley/events"
)

func corpus(f *testing.F) (mails [][]byte) {
	files, err := filepath.Glob("testdata/mails/*.eml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no corpus: %v", err)
	}
	for _, file := range files {
		mail, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		mails = append(mails, mail)
	}
	return mails
}

// FuzzMail wants whatever bytes to become events that can be stored, the same
// ones when they are read again from what was stored.
func FuzzMail(f *testing.F) {
	for _, mail := range corpus(f) {
		f.Add(mail, false)
	}
	m := testMailbox(f)
	f.Fuzz(func(t *testing.T, mail []byte, sent bool) {
		evs := m.read(envelope{Folder: "x", Sent: sent}, mail)
		sound(t, m, evs)
		if ev := evs[0]; ev.Content != nil && ev.Content.Mail.Unreadable != "" && len(ev.Content.Mail.Unreadable) > 27 && ev.Content.Mail.Unreadable[:27] == "reading it failed unexpecte" {
			t.Error(ev.Content.Mail.Unreadable)
		}
		again, err := m.Reparse(evs[0].Raw)
		if err != nil || !reflect.DeepEqual(evs, again) {
			t.Errorf("read again it differs: %v", err)
		}
		_, back, err := unkeep(evs[0].Raw)
		if err != nil || !bytes.Equal(back, mail) {
			t.Errorf("the mail was not kept: %v", err)
		}
	})
}

// FuzzBounce wraps bytes as a report's recipients and its original.
func FuzzBounce(f *testing.F) {
	f.Add([]byte("Reporting-MTA: dns; mx\n\nFinal-Recipient: rfc822; a@b.c\nAction: failed\nStatus: 5.1.1\n"), []byte("Message-ID: <a@b>\n\n"))
	f.Add([]byte("\n\n\nAction: delayed\n\nAction:"), []byte("X-Parley-Message-ID: <a@b>"))
	m := testMailbox(f)
	f.Fuzz(func(t *testing.T, status, original []byte) {
		mail := append([]byte("Content-Type: multipart/report; boundary=xyz\n\n--xyz\nContent-Type: message/delivery-status\n\n"), status...)
		mail = append(append(mail, "\n--xyz\nContent-Type: message/rfc822\n\n"...), original...)
		mail = append(mail, "\n--xyz--\n"...)
		evs := m.read(envelope{Folder: inbox}, mail)
		sound(t, m, evs)
		for _, ev := range evs {
			if ev.Kind == events.StatusChanged && ev.Status.Name == "" {
				t.Errorf("%+v", ev.Status)
			}
		}
	})
}

// FuzzCursor wants a cursor to survive, and other bytes to be refused without
// harm.
func FuzzCursor(f *testing.F) {
	f.Add(cursor{Folders: map[string]place{"INBOX": {Validity: 1, UID: 2, Until: 1, ModSeq: 9}}}.String())
	f.Add("")
	f.Add(`{"folders":null}`)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := readCursor(s)
		if err != nil {
			return
		}
		again, err := readCursor(c.String())
		if err != nil || again.String() != c.String() {
			t.Errorf("%q became %q, %v", c, again, err)
		}
	})
}

// FuzzHeader wants addresses and parameters of any field to be clean.
func FuzzHeader(f *testing.F) {
	f.Add(`"A, B" <a@example.org>, c@example.org (C); g: d@example.org;`)
	f.Add(`attachment; filename*0*=utf-8''%C3; filename*1*=%A4.pdf; x="=?utf-8?B?w6Q=?="`)
	f.Add(`mx.example.com; dmarc=pass (p=\(none) header.from=example.org`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, a := range guessing(maxGuesses).addresses(s) {
			if clean(a.Address) != a.Address || oneLine(a.Name) != a.Name || clean(a.Name) != a.Name {
				t.Errorf("%q", a)
			}
		}
		params := guessing(maxGuesses).params(s)
		for name, value := range params {
			if clean(value) != value {
				t.Errorf("%q is %q", name, value)
			}
		}
		if got := decodeWords(s); clean(got) != got {
			t.Errorf("%q", got)
		}
		switch got := dmarc(header{{"From", "a@example.org"}, {"Authentication-Results", s}}, []string{"mx.example.com"}); got {
		case "", dmarcPass, dmarcFail, dmarcNone:
		default:
			t.Errorf("DMARC %q", got)
		}
	})
}
