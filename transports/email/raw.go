package email

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// envelope is what IMAP knows of a mail beside its bytes.
type envelope struct {
	Folder string `json:"folder"`
	// Sent is true for the Sent folder.
	Sent bool `json:"sent,omitempty"`
	// Received is INTERNALDATE.
	Received time.Time `json:"received,omitzero"`
	// Size is the mail's size when only its beginning was fetched.
	Size int64 `json:"size,omitempty"`
	// Lost is why the server did not hand the mail out, which is then empty; UID
	// and Validity name it instead.
	Lost     string `json:"lost,omitempty"`
	UID      uint32 `json:"uid,omitempty"`
	Validity uint32 `json:"validity,omitempty"`
}

// nul stands for the byte 0, for PostgreSQL stores no U+0000 and the router
// replaces it.
const nul = 0x100

// keep is a mail as Inbound.Raw carries it: {"folder":…,"received":…,"mail":"…"}.
// Each byte of the mail is the character of the same number, but 0 is U+0100.
func keep(env envelope, mail []byte) json.RawMessage {
	head, err := json.Marshal(env)
	if err != nil { // a time outside of the years 0 to 9999
		env.Received = time.Time{}
		head, _ = json.Marshal(env)
	}
	var out bytes.Buffer
	out.Grow(len(mail) + len(mail)/16 + len(head) + 64)
	out.Write(bytes.TrimSuffix(head, []byte{'}'}))
	out.WriteString(`,"mail":"`)
	quote(&out, mail)
	out.WriteString(`"}`)
	return out.Bytes()
}

// quote writes bytes as the inside of a JSON string (RFC 8259, section 7).
func quote(out *bytes.Buffer, data []byte) {
	const hex = "0123456789abcdef"
	for _, b := range data {
		switch {
		case b == '"' || b == '\\':
			out.WriteByte('\\')
			out.WriteByte(b)
		case b == '\n':
			out.WriteString(`\n`)
		case b == '\r':
			out.WriteString(`\r`)
		case b == '\t':
			out.WriteString(`\t`)
		case b == 0:
			out.WriteRune(nul)
		case b < ' ':
			out.WriteString(`\u00`)
			out.WriteByte(hex[b>>4])
			out.WriteByte(hex[b&15])
		case b < utf8.RuneSelf:
			out.WriteByte(b)
		default:
			out.WriteRune(rune(b))
		}
	}
}

var errNotStored = errors.New("email: not a stored mail")

// unkeep is the opposite of keep. It makes one copy of the mail.
func unkeep(raw json.RawMessage) (envelope, []byte, error) {
	var stored struct {
		envelope
		Mail *keptMail `json:"mail"`
	}
	if err := json.Unmarshal(raw, &stored); err != nil {
		return envelope{}, nil, fmt.Errorf("%w: %w", errNotStored, err)
	}
	if stored.Mail == nil {
		return envelope{}, nil, fmt.Errorf("%w: it has no mail", errNotStored)
	}
	return stored.envelope, *stored.Mail, nil
}

// keptMail is a mail's bytes, as quote wrote them or PostgreSQL rewrote that. A
// string of them would be two copies more.
type keptMail []byte

// UnmarshalJSON implements [json.Unmarshaler], for a valid JSON string.
func (m *keptMail) UnmarshalJSON(quoted []byte) error {
	if len(quoted) < 2 || quoted[0] != '"' {
		return errors.New("its mail is no text")
	}
	in := quoted[1 : len(quoted)-1]
	mail := make([]byte, 0, len(in))
	for len(in) > 0 {
		plain := 0
		for plain < len(in) && in[plain] < utf8.RuneSelf && in[plain] != '\\' {
			plain++
		}
		mail, in = append(mail, in[:plain]...), in[plain:]
		if len(in) == 0 {
			break
		}
		r, size := rune(in[0]), 1
		switch {
		case r >= utf8.RuneSelf:
			r, size = utf8.DecodeRune(in)
		case r == '\\' && in[1] == 'u':
			n, err := strconv.ParseUint(string(in[2:6]), 16, 16)
			if err != nil {
				return err
			}
			r, size = rune(n), 6
		case r == '\\':
			r, size = unescape(in[1]), 2
		}
		switch {
		case r == nul:
			mail = append(mail, 0)
		case r < nul:
			mail = append(mail, byte(r))
		default:
			return errors.New("it holds a character beyond a byte")
		}
		in = in[size:]
	}
	*m = mail
	return nil
}

// unescape is the character of a backslash and a letter (RFC 8259, section 7).
func unescape(letter byte) rune {
	switch letter {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return rune(letter) // ", \ and /
}
