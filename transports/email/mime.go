package email

import (
	"bytes"
	"errors"
	"io"
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
	// names and texts bound the guesses of charsets, of files' names and of texts.
	names, texts *guesses
}

type container struct {
	kind   string
	params map[string]string
}

func (t *tree) note(words string) { t.notes = append(t.notes, words) }

// takeApart reads a mail's tree below its header.
func takeApart(h header, body []byte) (*tree, error) {
	t := &tree{deadline: time.Now().Add(maxTime), names: guessing(maxPartGuesses), texts: guessing(maxPartGuesses)}
	return t, t.walk("", h, body, 0, false, 0)
}

func (t *tree) walk(at string, h header, body []byte, depth int, related bool, alternative int) error {
	kind, params := fieldValue(h.get("Content-Type")), t.names.params(h.get("Content-Type"))
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
	disposition := h.get("Content-Disposition")
	p.disposition = fieldValue(disposition)
	if p.name = t.names.params(disposition)["filename"]; p.name == "" {
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
// epilogue are left out. No byte is looked at more than a few times, however
// often something like the boundary stands in it.
func cutParts(body []byte, boundary string, limit int) (pieces [][]byte) {
	mark := []byte("\n--" + boundary)
	begin := -1 // of the open piece
	next := 0
	for at := nextLine(body, mark, 0); at >= 0; at = nextLine(body, mark, next) {
		behind := at + len(mark) - 1
		next = len(body)
		if end := bytes.IndexByte(body[behind:], '\n'); end >= 0 {
			next = behind + end + 1
		}
		rest := bytes.TrimRight(body[behind:next], " \t\r\n")
		closing := bytes.Equal(rest, []byte("--"))
		if len(rest) > 0 && !closing {
			continue // a longer boundary
		}
		if begin >= 0 {
			pieces = append(pieces, trimEnd(body[begin:at]))
		}
		begin = next
		if closing || len(pieces) >= limit {
			return pieces
		}
	}
	if begin >= 0 && begin < len(body) {
		pieces = append(pieces, body[begin:])
	}
	return pieces
}

// nextLine is where the first line begins, at from or behind, that starts like
// mark without its line feed; -1 when none does. At from a line begins.
func nextLine(body, mark []byte, from int) int {
	if bytes.HasPrefix(body[from:], mark[1:]) {
		return from
	}
	i := bytes.Index(body[from:], mark)
	if i < 0 {
		return -1
	}
	return from + i + 1
}

// trimEnd takes off the line end that belongs to the boundary.
func trimEnd(b []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte{'\n'}), []byte{'\r'})
}

// encoding is how the part's content is encoded.
func (p *part) encoding() string { return fieldValue(p.header.get("Content-Transfer-Encoding")) }

// decode is the part's content, at most limit bytes of it and perhaps a few more.
func (p *part) decode(limit int) []byte {
	data := p.encoded
	switch p.encoding() {
	case "base64":
		return decodeBase64(data[:min(len(data), 2*limit)])
	case "quoted-printable":
		return decodeQuoted(data[:min(len(data), 4*limit)])
	default: // 7bit, 8bit, binary, and what nobody knows
		return data[:min(len(data), limit)]
	}
}

// open reads the part's content, all of it. A file is not held decoded: base64 is
// what files come in.
func (p *part) open() io.Reader {
	switch p.encoding() {
	case "base64":
		return &base64Reader{encoded: p.encoded}
	case "quoted-printable":
		return bytes.NewReader(decodeQuoted(p.encoded))
	default:
		return bytes.NewReader(p.encoded)
	}
}

// size is how many bytes open yields.
func (p *part) size() int64 {
	switch p.encoding() {
	case "base64":
		return base64Reader{encoded: p.encoded}.size()
	case "quoted-printable":
		return quotedSize(p.encoded)
	default:
		return int64(len(p.encoded))
	}
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
