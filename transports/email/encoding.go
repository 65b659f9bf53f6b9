package email

import (
	"bytes"
	"io"
)

// decodeBase64 decodes whatever of base64 there is (RFC 2045, section 6.8: other
// characters are to be ignored), padded or not, several pieces after another.
func decodeBase64(data []byte) []byte {
	b := base64Reader{encoded: data}
	out := make([]byte, 0, len(data)*3/4+3)
	n, _ := b.Read(out[:cap(out)])
	return out[:n]
}

// base64Reader decodes as decodeBase64 does, while it is read, so that a file's
// encoded form is all that is in memory.
type base64Reader struct {
	encoded []byte
	// bits are those of the open group of four characters, of which count came.
	bits  uint32
	count int
	// ready are bytes that did not fit.
	ready []byte
	room  [3]byte
}

// Read implements [io.Reader]. It fills p as long as there is something.
func (b *base64Reader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(b.ready) > 0 {
			taken := copy(p[n:], b.ready)
			n, b.ready = n+taken, b.ready[taken:]
			continue
		}
		if !b.group() {
			break
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// group decodes up to the end of a group of four characters, or of a piece;
// false when nothing is left.
func (b *base64Reader) group() bool {
	for i, c := range b.encoded {
		if six, ok := sixBits(c); ok {
			b.bits = b.bits<<6 | six
			if b.count++; b.count < 4 {
				continue
			}
		} else if c != '=' { // which ends a piece; senders concatenate several
			continue
		}
		b.encoded = b.encoded[i+1:]
		b.endGroup()
		return true
	}
	b.encoded = nil
	if b.count == 0 {
		return false
	}
	b.endGroup()
	return true
}

// endGroup makes the whole bytes of a group ready: a single character is none.
func (b *base64Reader) endGroup() {
	bits := b.bits << (6 * (4 - b.count))
	b.room = [3]byte{byte(bits >> 16), byte(bits >> 8), byte(bits)} //nolint:gosec // 24 bits
	b.ready = b.room[:max(b.count-1, 0)]
	b.bits, b.count = 0, 0
}

func sixBits(c byte) (uint32, bool) {
	switch {
	case c >= 'A' && c <= 'Z':
		return uint32(c - 'A'), true
	case c >= 'a' && c <= 'z':
		return uint32(c-'a') + 26, true
	case c >= '0' && c <= '9':
		return uint32(c-'0') + 52, true
	case c == '+':
		return 62, true
	case c == '/':
		return 63, true
	}
	return 0, false
}

// size is how many bytes are left to decode.
func (b base64Reader) size() (n int64) {
	count := int64(b.count)
	end := func() {
		n += max(count-1, 0)
		count = 0
	}
	for _, c := range b.encoded {
		if _, ok := sixBits(c); ok {
			if count++; count == 4 {
				end()
			}
		} else if c == '=' {
			end()
		}
	}
	end()
	return n + int64(len(b.ready))
}

// decodeQuoted decodes quoted-printable, and keeps as it is what is none (RFC
// 2045, section 6.7, note 4), which the standard library refuses.
func decodeQuoted(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for line := range bytes.Lines(data) {
		out = appendQuoted(out, line)
	}
	return out
}

// quotedSize is how many bytes decodeQuoted yields.
func quotedSize(data []byte) (n int64) {
	var room []byte
	for line := range bytes.Lines(data) {
		room = appendQuoted(room[:0], line)
		n += int64(len(room))
	}
	return n
}

// appendQuoted decodes one line, with its end.
func appendQuoted(out, line []byte) []byte {
	n := len(line)
	for n > 0 && (line[n-1] == ' ' || line[n-1] == '\t' || line[n-1] == '\r' || line[n-1] == '\n') {
		n--
	}
	text, end := line[:n], line[len(line):]
	if bytes.HasSuffix(line, []byte("\r\n")) {
		end = line[len(line)-2:]
	} else if bytes.HasSuffix(line, []byte("\n")) {
		end = line[len(line)-1:]
	}
	if n > 0 && text[n-1] == '=' {
		text, end = text[:n-1], nil // a soft line break
	}
	for i := 0; i < len(text); i++ {
		if text[i] == '=' && i+2 < len(text) {
			high, ok := hexDigit(text[i+1])
			low, ok2 := hexDigit(text[i+2])
			if ok && ok2 {
				out = append(out, high<<4|low)
				i += 2
				continue
			}
		}
		out = append(out, text[i])
	}
	return append(out, end...)
}

// hexDigit reads lower case, too, which many programs write.
func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
