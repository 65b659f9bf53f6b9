package email

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/wlynxg/chardet"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
)

// decodeCharset turns bytes of a declared charset into UTF-8. Where the
// declaration is missing, unknown or plainly wrong the charset is detected, and
// Windows-1252, in which every byte means something, comes last; note says so.
func decodeCharset(declared string, data []byte) (text, note string) {
	return guessing(maxGuesses).decode(declared, data)
}

// How often a charset is detected: it takes milliseconds however short the text
// is, and a mail has room for thousands of texts.
const (
	// maxGuesses is for one field, or all fields of addresses of one name.
	maxGuesses = 8
	// maxPartGuesses is for all parts of a mail together, and for the names of all
	// its files.
	maxPartGuesses = 32
)

// guesses counts how often a charset may still be detected. The zero value
// detects none.
type guesses struct{ left int }

func guessing(most int) *guesses { return &guesses{left: most} }

// decode is [decodeCharset] within the budget.
func (g *guesses) decode(declared string, data []byte) (text, note string) {
	data = bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))
	declared = strings.ToLower(strings.Trim(strings.TrimSpace(declared), `"'`))
	if ascii(data) && !escaping(declared) {
		return string(data), ""
	}
	isUTF8 := utf8.Valid(data)
	switch declared {
	case "utf-8", "utf8", "us-ascii", "ascii", "":
		if isUTF8 {
			return string(data), ""
		}
	default:
		enc := lookup(declared)
		switch {
		case enc == nil && isUTF8:
			return string(data), "the charset " + truncate(clean(declared), 40) + " is unknown; the text is UTF-8"
		case enc != nil && isUTF8 && singleByte(declared) && bytes.ContainsFunc(data, func(r rune) bool { return r > 0x7F }):
			// No text in such a charset happens to be valid UTF-8.
			return string(data), "the text claims to be " + declared + " but is UTF-8"
		case enc != nil:
			if out, err := enc.NewDecoder().Bytes(data); err == nil {
				return string(out), ""
			}
		}
	}
	if text, name, ok := g.detect(data); ok {
		return text, "the charset was detected as " + name
	}
	out, err := charmap.Windows1252.NewDecoder().Bytes(data)
	if err != nil {
		return strings.ToValidUTF8(string(data), "\uFFFD"), "the charset is unknown"
	}
	return string(out), "the charset is unknown; the text was read as Windows-1252"
}

func (g *guesses) detect(data []byte) (text, name string, ok bool) {
	if g.left <= 0 {
		return "", "", false
	}
	g.left--
	// Enough to tell, and bounded.
	found := chardet.Detect(data[:min(len(data), 16<<10)])
	if found.Confidence <= 0.5 {
		return "", "", false
	}
	enc := lookup(strings.ToLower(found.Encoding))
	if enc == nil {
		return "", "", false
	}
	out, err := enc.NewDecoder().Bytes(data)
	return string(out), found.Encoding, err == nil && !bytes.Contains(out, []byte("\uFFFD"))
}

// lookup finds a charset by any of its names, nil when there is none.
func lookup(name string) encoding.Encoding {
	if name == "" {
		return nil
	}
	enc, err := htmlindex.Get(name)
	if err == nil {
		// What browsers refuse to decode is in IANA's list.
		if canonical, _ := htmlindex.Name(enc); canonical != "replacement" {
			return enc
		}
	}
	if enc, err = ianaindex.MIME.Encoding(name); err == nil {
		return enc
	}
	return nil
}

func singleByte(name string) bool {
	return strings.HasPrefix(name, "iso-8859-") || strings.HasPrefix(name, "windows-125") || name == "latin1"
}

// escaping charsets write other characters in ASCII bytes.
func escaping(name string) bool {
	return strings.HasPrefix(name, "iso-2022-") || strings.HasPrefix(name, "utf-16") || strings.HasPrefix(name, "hz")
}

func ascii(data []byte) bool {
	for _, b := range data {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// utf8Of reads a header's bytes, which are ASCII or, in mails of programs that
// know no better, anything.
func utf8Of(s string) string { return guessing(maxGuesses).utf8Of(s) }

func (g *guesses) utf8Of(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	text, _ := g.decode("", []byte(s))
	return text
}

// clean takes out what no text has: control characters but tab and line feed,
// and bytes that are not UTF-8. NUL becomes U+FFFD, line ends become \n.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if !strings.ContainsFunc(s, unclean) {
		return s
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case r == 0:
			return utf8.RuneError
		case unclean(r):
			return -1
		}
		return r
	}, s)
}

func unclean(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r >= 0x7F && r < 0xA0 }
