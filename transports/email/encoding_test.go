package email

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"testing"
	"testing/iotest"
)

// FuzzEncodings wants both decoders to read what the standard library writes and
// whatever else there is, the same in pieces as at once, and its size to be known
// before.
func FuzzEncodings(f *testing.F) {
	f.Add([]byte("Grüße,\r\n\ttab = and \x00 \r\n"))
	f.Add([]byte("QQ==QUI=A===B"))
	f.Add([]byte("soft=  \r\nbreak=\nand =3d =zz = ="))
	f.Fuzz(func(t *testing.T, data []byte) {
		written := base64.StdEncoding.EncodeToString(data)
		if got := decodeBase64([]byte(written)); !bytes.Equal(got, data) {
			t.Errorf("%q was read as %q", written, got)
		}
		var quoted bytes.Buffer
		w := quotedprintable.NewWriter(&quoted)
		w.Binary = true
		_, err := w.Write(data)
		if err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		if got := decodeQuoted(quoted.Bytes()); !bytes.Equal(got, data) {
			t.Errorf("%q was read as %q", quoted.Bytes(), got)
		}
		for _, encoding := range []string{"base64", "quoted-printable", "8bit"} {
			p := &part{header: header{{"Content-Transfer-Encoding", encoding}}, encoded: data}
			want := p.decode(len(data))
			got, err := io.ReadAll(iotest.HalfReader(p.open()))
			if err != nil || !bytes.Equal(got, want) || p.size() != int64(len(want)) {
				t.Errorf("%s: %d of %d bytes, %v; its size was said to be %d", encoding, len(got), len(want), err, p.size())
			}
			if strict, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(data))); encoding == "quoted-printable" && err == nil && !bytes.Equal(got, strict) {
				t.Errorf("%q was read as %q, not as %q", data, got, strict)
			}
		}
	})
}

// FuzzKept wants what was stored to be read as encoding/json reads it, and any
// other JSON to be refused without harm.
func FuzzKept(f *testing.F) {
	f.Add([]byte(`{"mail":"a\u00e9\u0100\n\/\\\"é"}`))
	f.Add([]byte(`{"mail":null}`))
	f.Add([]byte(`{"folder":"x","mail":"\ud83d\ude00"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, mail, err := unkeep(raw)
		if err != nil {
			return
		}
		env, again, err := unkeep(keep(envelope{}, mail))
		if err != nil || !bytes.Equal(again, mail) || env != (envelope{}) {
			t.Errorf("%q became %q, %v", mail, again, err)
		}
	})
}
