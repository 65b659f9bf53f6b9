package email_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"runtime"
	"testing"

	"parley/transports"
	"parley/transports/email"
)

// large is what is kept of a mail with a file of that size.
func large(t testing.TB, size int) json.RawMessage {
	t.Helper()
	var mail bytes.Buffer
	mail.WriteString("From: Anna <anna@example.org>\r\nTo: office@example.com\r\nMessage-ID: <large@example.org>\r\n" +
		"Content-Type: application/pdf; name=large.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	encoded := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("largest!"), size/8))
	for ; len(encoded) > 76; encoded = encoded[76:] {
		mail.WriteString(encoded[:76] + "\r\n")
	}
	mail.WriteString(encoded + "\r\n")
	return stored(t, inInbox, mail.Bytes())
}

// read reads a stored mail with one file, and opens that.
func read(t testing.TB, m *email.Mailbox, raw json.RawMessage) (ref string) {
	t.Helper()
	evs, err := m.Reparse(raw)
	if err != nil || len(evs) != 1 || len(evs[0].Content.Attachments) != 1 {
		t.Fatal(len(evs), err)
	}
	return evs[0].Content.Attachments[0].Ref
}

func openAll(t testing.TB, m *email.Mailbox, raw json.RawMessage, ref string, size int64) {
	t.Helper()
	var media transports.Media
	media, err := m.OpenRawMedia(raw, ref)
	if err != nil || media.Size != size {
		t.Fatal(media.Size, err)
	}
	if n, err := io.Copy(io.Discard, media); err != nil || n != size {
		t.Fatal(n, err)
	}
}

// TestLargeMailIsOneCopy wants what was stored to be read, and its file to be
// opened, with the mail's bytes in memory once. It is not parallel: it counts what
// the process allocates.
func TestLargeMailIsOneCopy(t *testing.T) {
	const size = 4 << 20
	m, raw := newMailbox(t, nil, direct), large(t, size)
	allocated := func(do func()) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		do()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	var ref string
	most := uint64(len(raw)) + 1<<20
	if n := allocated(func() { ref = read(t, m, raw) }); n > most {
		t.Errorf("reading %d bytes allocates %d", len(raw), n)
	}
	if n := allocated(func() { openAll(t, m, raw, ref, size) }); n > most {
		t.Errorf("opening the file in %d bytes allocates %d", len(raw), n)
	}
}

// BenchmarkLargeFile is one mail with a file of 20 MB: reading it as it came, and
// opening its file in what was stored, without any server. B/op is what either
// leaves to be collected.
func BenchmarkLargeFile(b *testing.B) {
	const size = 20 << 20
	m, raw := newMailbox(b, nil, direct), large(b, size)
	ref := read(b, m, raw)
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			read(b, m, raw)
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			openAll(b, m, raw, ref, size)
		}
	})
}
