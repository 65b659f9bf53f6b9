package transports

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"parley/events"
)

// Split turns a message into parts that each fit one provider request of an
// account with the given capabilities.
//
// A text longer than MaxText is cut at the last paragraph or line break of the
// second half of what fits, else at the last white space, else between two
// characters as people see them; inside one only when it alone is longer than a
// part. Parts hold all of the text but the white space around the cuts; invalid
// UTF-8 becomes U+FFFD. Text of nothing but white space makes no part.
//
// Each file is a part of its own. The text is the caption of the first if it
// fits one, and goes ahead in parts of its own otherwise. A file of a kind that
// the account cannot send, or not in this size, is sent as a document if that
// can be; a file that fits nothing keeps its kind, for Send to refuse in words.
func Split(text string, files []File, caps Capabilities) []Part {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if strings.TrimSpace(text) == "" {
		text = ""
	}
	parts := make([]Part, 0, 1+len(files))
	caption := ""
	if len(files) > 0 && captioned(files[0], caps) && caps.TextUnit.fits(text, caps.MaxCaption) {
		caption = text
	} else {
		for _, chunk := range chunks(text, caps.MaxText, caps.TextUnit) {
			parts = append(parts, Part{Text: chunk})
		}
	}
	for i := range files {
		file := fileThatFits(files[i], caps)
		parts = append(parts, Part{Attachment: &file})
		if i == 0 {
			parts[len(parts)-1].Text = caption
		}
	}
	return parts
}

// Count measures text in the unit.
func (u TextUnit) Count(text string) int {
	switch u {
	case Bytes:
		return len(text)
	case UTF16Units:
		n := 0
		for _, r := range text {
			n += u.width(r)
		}
		return n
	case Runes:
	}
	return utf8.RuneCountInString(text)
}

func (u TextUnit) width(r rune) int {
	switch u {
	case Bytes:
		return utf8.RuneLen(r)
	case UTF16Units:
		if r > 0xFFFF {
			return 2
		}
	case Runes:
	}
	return 1
}

func (u TextUnit) fits(text string, limit int) bool {
	// No unit counts more than the bytes do, so most texts need no counting.
	return len(text) <= limit || u.Count(text) <= limit
}

func captioned(file File, caps Capabilities) bool {
	return caps.MaxCaption > 0 && !slices.Contains(caps.Captionless, fileThatFits(file, caps).Kind)
}

func fileThatFits(file File, caps Capabilities) File {
	if limit, ok := caps.Attachments[file.Kind]; ok && file.Size <= limit {
		return file
	}
	if limit, ok := caps.Attachments[events.Document]; ok && file.Size <= limit {
		file.Kind = events.Document
	}
	return file
}

// chunks cuts text into pieces of at most limit units. A limit of zero means
// that the account cannot send text; the text stays whole then, to be refused
// rather than lost.
func chunks(text string, limit int, unit TextUnit) []string {
	if text == "" {
		return nil
	}
	if limit <= 0 || unit.fits(text, limit) {
		return []string{text}
	}
	var out []string
	for {
		at := cut(text, limit, unit)
		if at == len(text) {
			break
		}
		if head := strings.TrimRightFunc(text[:at], unicode.IsSpace); head != "" {
			out = append(out, head)
		}
		text = strings.TrimLeftFunc(text[at:], unicode.IsSpace)
	}
	if text = strings.TrimRightFunc(text, unicode.IsSpace); text != "" {
		out = append(out, text)
	}
	return out
}

// cut is the byte offset at which to end a piece of text: its length when all of
// it fits, and at least one rune.
func cut(text string, limit int, unit TextUnit) int {
	var (
		used, half int // units so far; the byte offset where half of them are used
		paragraph  int // byte offsets behind the last break of each sort
		line       int
		space      int
		character  int // before the last whole character
		prev       = rune(-1)
		flags      int // regional indicators in a row: they pair up
		end        int
	)
	for i, r := range text {
		if i > 0 && !joins(prev, r, flags) {
			character = i
		}
		if used += unit.width(r); used > limit {
			end = i
			// The white space that overflows belongs to the cut itself.
			if unicode.IsSpace(r) && !unicode.IsSpace(prev) {
				space = i
				if r == '\n' || r == '\r' {
					line = i
				}
			}
			break
		}
		if used <= limit/2 {
			half = i
		}
		if unicode.IsSpace(r) {
			space = i + utf8.RuneLen(r)
			if r == '\n' {
				line = space
				if strings.HasSuffix(strings.TrimSuffix(text[:i], "\r"), "\n") {
					paragraph = space
				}
			}
		}
		if isRegional(r) {
			flags++
		} else {
			flags = 0
		}
		prev = r
	}
	switch {
	case used <= limit:
		return len(text)
	case paragraph > half:
		return paragraph
	case line > half:
		return line
	case space > 0:
		return space
	case character > 0:
		return character
	case end > 0:
		return end
	}
	_, size := utf8.DecodeRuneInString(text)
	return size
}

// joins reports whether r continues the character that prev belongs to: the
// rules of Unicode Standard Annex 29, section 3.1.1, that matter in chats
// (combining marks, joiners, variation selectors, emoji modifiers and tags, flags, Hangul
// vowels and finals), without its property tables. What they miss is cut between
// two runes, which is still valid text.
func joins(prev, r rune, flags int) bool {
	const zeroWidthJoiner = '\u200D'
	switch {
	case prev < 0:
		return false
	case r < 0x300 && r != '\n': // the first combining mark
		return prev == zeroWidthJoiner
	case prev == '\r' && r == '\n':
		return true
	case prev == zeroWidthJoiner || r == zeroWidthJoiner:
		return true
	case isRegional(r) && flags%2 == 1:
		return true
	case r >= 0x1F3FB && r <= 0x1F3FF: // skin tones
		return true
	case r >= 0xE0020 && r <= 0xE007F: // tags, as in the flag of Scotland
		return true
	case r >= 0x1160 && r <= 0x11FF: // Hangul vowels and finals
		return true
	}
	return unicode.Is(unicode.M, r)
}

func isRegional(r rune) bool { return r >= 0x1F1E6 && r <= 0x1F1FF }
