package email_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"testing"

	"parley/events"
)

// BenchmarkLargeFile is one mail with a file of 20 MB: reading it as it came, and
// opening its file in what was stored, without any server. B/op is what either
// leaves to be collected.
func BenchmarkLargeFile(b *testing.B) {
	const size = 20 << 20
	var mail bytes.Buffer
	mail.WriteString("From: Anna <anna@example.org>\r\nTo: office@example.com\r\nMessage-ID: <large@example.org>\r\n" +
		"Content-Type: application/pdf; name=large.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	encoded := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("largest!"), size/8))
	for line := range len(encoded) / 76 {
		mail.WriteString(encoded[line*76:][:76] + "\r\n")
	}
	mail.WriteString(encoded[len(encoded)/76*76:] + "\r\n")
	m := newMailbox(b, nil, direct)
	raw := stored(b, inInbox, mail.Bytes())
	var file events.Attachment
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			evs, err := m.Reparse(raw)
			if err != nil || len(evs) != 1 || len(evs[0].Content.Attachments) != 1 {
				b.Fatal(err)
			}
			file = evs[0].Content.Attachments[0]
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			media, err := m.OpenRawMedia(raw, file.Ref)
			if err != nil || media.Size != size {
				b.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, media); err != nil || n != size {
				b.Fatal(n, err)
			}
		}
	})
}
