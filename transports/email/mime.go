package email

import (
	"bytes"
	"errors"
	"io"
	"mime/quotedprintable"
	"path"
	"strconv"
	"strings"
	"time"
)

// Budgets of one mail. A mail beyond them is shown as one that could not be read.
const (
	maxDepth = 20
	maxParts = 500
	// maxTime is far beyond what a mail takes: the largest is read in well under a
	// second.
	maxTime = 10 * time.Second
)

// The errors of budgets.
var (
	errDepth = errors.New("its parts are nested too deeply")
	errParts = errors.New("it has too many parts")
	errTime  = errors.New("reading it takes too long")
)

// part is a leaf of a mail's tree.
type part struct {
	// path numbers it like IMAP does: "1.2".
	path   string
	header header
	// kind is the media type in lower case.
	kind        string
	params      map[string]string
	disposition string
	name        string
	contentID   string
	// related is true within multipart/related, but for its root.
	related bool
	// alternative numbers the multipart/alternative that it is within, 0 for none.
	alternative int
	encoded     []byte
}

// tree is a mail taken apart. The parts share its bytes.
type tree struct {
	parts []*part
	notes []string
	// containers are the media types of the multiparts, outermost first.
	containers []container

	deadline     time.Time
	alternatives int
}

type container struct {
	kind   string
	params map[string]string
}

func (t *tree) note(words string) { t.notes = append(t.notes, words) }

// takeApart reads a mail's tree below its header.
func takeApart(h header, body []byte) (*tree, error) {
	t := &tree{deadline: time.Now().Add(maxTime)}
	return t, t.walk("", h, body, 0, false, 0)
}

func (t *tree) walk(at string, h header, body []byte, depth int, related bool, alternative int) error {
	kind, params := readParams(h.get("Content-Type"))
	if !strings.Contains(kind, "/") {
		kind = "text/plain" // RFC 2045, section 5.2
	}
	switch {
	case depth > maxDepth:
		return errDepth
	case len(t.parts) >= maxParts:
		return errParts
	case time.Now().After(t.deadline):
		return errTime
	}
	if strings.HasPrefix(kind, "multipart/") && params["boundary"] != "" {
		if pieces := cutParts(body, params["boundary"], maxParts+1); len(pieces) > 0 {
			return t.multipart(at, kind, params, pieces, depth, related, alternative)
		}
		t.note("a multipart holds no parts; it is shown as text")
		kind = "text/plain"
	} else if strings.HasPrefix(kind, "multipart/") {
		t.note("a multipart has no boundary; it is shown as text")
		kind = "text/plain"
	}
	if at == "" {
		at = "1"
	}
	p := &part{path: at, header: h, kind: kind, params: params, related: related, alternative: alternative, encoded: body}
	disposition, more := readParams(h.get("Content-Disposition"))
	p.disposition = disposition
	if p.name = more["filename"]; p.name == "" {
		p.name = params["name"]
	}
	p.name = fileName(p.name)
	p.contentID = cleanID(h.get("Content-ID"))
	t.parts = append(t.parts, p)
	return nil
}

func (t *tree) multipart(at, kind string, params map[string]string, pieces [][]byte, depth int, related bool, alternative int) error {
	t.containers = append(t.containers, container{kind, params})
	if len(pieces) > maxParts {
		return errParts
	}
	if kind == "multipart/alternative" {
		t.alternatives++
		alternative = t.alternatives
	}
	prefix := ""
	if at != "" {
		prefix = at + "."
	}
	for i, piece := range pieces {
		h, body, notes := readHeader(piece)
		t.notes = append(t.notes, notes...)
		within := related || kind == "multipart/related" && i > 0
		if err := t.walk(prefix+strconv.Itoa(i+1), h, body, depth+1, within, alternative); err != nil {
			return err
		}
	}
	return nil
}

// cutParts cuts a multipart's body at its boundary (RFC 2046, section 5.1). The
// last boundary may be missing, as in mails that were cut off; preamble and
// epilogue are left out.
func cutParts(body []byte, boundary string, limit int) (pieces [][]byte) {
	mark := []byte("--" + boundary)
	begin := -1 // of the open piece
	for at := 0; at < len(body); {
		i := bytes.Index(body[at:], mark)
		if i < 0 {
			break
		}
		i += at
		end := bytes.IndexByte(body[i:], '\n')
		next := len(body)
		if end >= 0 {
			next = i + end + 1
		}
		rest := bytes.TrimRight(body[i+len(mark):next], " \t\r\n")
		closing := bytes.Equal(rest, []byte("--"))
		if i > 0 && body[i-1] != '\n' || len(rest) > 0 && !closing {
			at = i + len(mark) // not at the beginning of a line, or a longer boundary
			continue
		}
		if begin >= 0 {
			pieces = append(pieces, trimEnd(body[begin:i]))
		}
		begin, at = next, next
		if closing || len(pieces) >= limit {
			return pieces
		}
	}
	if begin >= 0 && begin < len(body) {
		pieces = append(pieces, body[begin:])
	}
	return pieces
}

// trimEnd takes off the line end that belongs to the boundary.
func trimEnd(b []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte{'\n'}), []byte{'\r'})
}

// decode is the part's content, at most limit bytes of it (-1 for all) and
// perhaps a few more.
func (p *part) decode(limit int) []byte {
	data := p.encoded
	switch encoding, _ := readParams(p.header.get("Content-Transfer-Encoding")); encoding {
	case "base64":
		if limit >= 0 && len(data) > 2*limit {
			data = data[:2*limit]
		}
		return decodeBase64(data)
	case "quoted-printable":
		if limit >= 0 && len(data) > 4*limit {
			data = data[:4*limit]
		}
		return decodeQuoted(data)
	default: // 7bit, 8bit, binary, and what nobody knows
		if limit >= 0 && len(data) > limit {
			data = data[:limit]
		}
		return data
	}
}

// size is how many bytes decode yields, without decoding where that is known
// (base64: but for pieces after a padding, which nobody sends).
func (p *part) size() int64 {
	encoding, _ := readParams(p.header.get("Content-Transfer-Encoding"))
	if encoding != "base64" {
		return int64(len(p.decode(-1)))
	}
	n := int64(0)
	for _, c := range p.encoded {
		if c > ' ' && c != '=' {
			n++
		}
	}
	return n * 3 / 4
}

// decodeQuoted decodes quoted-printable, and keeps as they are the lines that
// are none (RFC 2045, section 6.7, note 4).
func decodeQuoted(data []byte) []byte {
	out, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(data)))
	if err == nil {
		return out
	}
	out = out[:0]
	for line := range bytes.Lines(data) {
		one, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(line)))
		if err != nil {
			one = line
		}
		out = append(out, one...)
	}
	return out
}

// isText reports whether the part is shown as the mail's text, not as a file.
func (p *part) isText() bool {
	return (p.kind == "text/plain" || p.kind == "text/html") && p.disposition != "attachment" && p.name == ""
}

// fileName is a name without folders, control characters and excess.
func fileName(s string) string {
	s = oneLine(clean(s))
	s = strings.ReplaceAll(s, `\`, "/")
	if s = path.Base(s); s == "." || s == "/" || s == ".." {
		return ""
	}
	return truncate(s, 200)
}
