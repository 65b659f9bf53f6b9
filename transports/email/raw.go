package email

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// EnvelopeHeader is the line that a stored mail begins with: JSON in ASCII of
// what IMAP knows beside the mail.
const EnvelopeHeader = "X-Parley-Envelope"

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

// nul stands for the byte 0, for PostgreSQL stores no U+0000.
const nul = 0x100

// keep is a mail as Inbound.Raw carries it; see the package's doc.
func keep(env envelope, mail []byte) json.RawMessage {
	head, err := json.Marshal(env)
	if err != nil { // a time outside of the years 0 to 9999
		env.Received = time.Time{}
		head, _ = json.Marshal(env)
	}
	var out bytes.Buffer
	out.Grow(len(mail) + len(mail)/16 + len(head) + 64)
	out.WriteByte('"')
	quote(&out, []byte(EnvelopeHeader+": "))
	quote(&out, head)
	quote(&out, []byte("\r\n"))
	quote(&out, mail)
	out.WriteByte('"')
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
	var (
		env  envelope
		text string
	)
	if err := json.Unmarshal(raw, &text); err != nil {
		return env, nil, fmt.Errorf("%w: %w", errNotStored, err)
	}
	mail := make([]byte, 0, len(text))
	for _, r := range text {
		switch {
		case r == nul:
			mail = append(mail, 0)
		case r < nul:
			mail = append(mail, byte(r)) //nolint:gosec // below 256
		default:
			return env, nil, fmt.Errorf("%w: it holds a character beyond a byte", errNotStored)
		}
	}
	first, rest, ok := bytes.Cut(mail, []byte("\r\n"))
	head, named := bytes.CutPrefix(first, []byte(EnvelopeHeader+": "))
	if !ok || !named {
		return env, nil, fmt.Errorf("%w: it does not begin with %s", errNotStored, EnvelopeHeader)
	}
	if err := json.Unmarshal(head, &env); err != nil {
		return env, nil, fmt.Errorf("%w: %w", errNotStored, err)
	}
	return env, rest, nil
}
