package email

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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

// unkeep is the opposite of keep.
func unkeep(raw json.RawMessage) (envelope, []byte, error) {
	var stored struct {
		envelope
		Mail *string `json:"mail"`
	}
	if err := json.Unmarshal(raw, &stored); err != nil {
		return envelope{}, nil, fmt.Errorf("%w: %w", errNotStored, err)
	}
	if stored.Mail == nil {
		return envelope{}, nil, fmt.Errorf("%w: it has no mail", errNotStored)
	}
	mail := make([]byte, 0, len(*stored.Mail))
	for _, r := range *stored.Mail {
		switch {
		case r == nul:
			mail = append(mail, 0)
		case r < nul:
			mail = append(mail, byte(r)) //nolint:gosec // below 256
		default:
			return envelope{}, nil, fmt.Errorf("%w: it holds a character beyond a byte", errNotStored)
		}
	}
	return stored.envelope, mail, nil
}
