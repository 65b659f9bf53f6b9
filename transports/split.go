package transports

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"parley/events"
)

// Split turns a message into parts that each fit one provider request of
// an account with the given capabilities. Entities mark up text, in UTF-16
// units.
//
// A text longer than MaxText is cut at the last paragraph or line break of the
// second half of what fits, else at the last white space, else between two
// characters as people see them; inside one only when it alone is longer than a
// part. An entity is cut only when it alone is longer than a part, and marks up
// both sides then. Parts hold all of the text but the white space around the
// cuts; invalid UTF-8 becomes U+FFFD. Text of nothing but white space makes no
// part.
//
// Files that may go together (Album, AlbumBytes, AlbumKinds) and follow each other
// share a part, others have their own. The text is the caption of the first if it
// fits one, and goes ahead in parts of its own otherwise. A file of a kind that
// the account cannot send, or not in this size, is sent as a document if that
// can be; a file that fits nothing keeps its kind, for Send to refuse in words.
func Split(text string, entities []events.Entity, files []File, caps Capabilities) []Part {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if strings.TrimSpace(text) == "" {
		text, entities = "", nil
	}
	marks := marksOf(text, entities)
	parts := make([]Part, 0, 1+len(files))
	captioned := len(files) > 0 && captioned(files[0], caps) && caps.TextUnit.fits(text, caps.MaxCaption)
	if !captioned {
		for _, r := range chunks(text, marks, caps.MaxText, caps.TextUnit) {
			parts = append(parts, Part{Text: text[r.from:r.to], Entities: marksWithin(text, marks, r)})
		}
	}
	for i := range files {
		file := fileThatFits(files[i], caps)
		if i > 0 && joinsAlbum(&parts[len(parts)-1], file, caps) {
			continue
		}
		parts = append(parts, Part{Attachment: &file})
		if i == 0 && captioned {
			parts[len(parts)-1].Text = text
			parts[len(parts)-1].Entities = marksWithin(text, marks, extent{0, len(text)})
		}
	}
	return parts
}

// joinsAlbum adds a file to the files of a part, if they go together.
func joinsAlbum(part *Part, file File, caps Capabilities) bool {
	if len(part.Album)+2 > caps.Album || !together(part.Attachment.Kind, file.Kind, caps) {
		return false
	}
	if caps.AlbumBytes > 0 {
		sum := part.Attachment.Size + file.Size
		for _, f := range part.Album {
			sum += f.Size
		}
		if sum > caps.AlbumBytes {
			return false
		}
	}
	part.Album = append(part.Album, file)
	return true
}

func together(a, b events.ContentType, caps Capabilities) bool {
	if caps.AlbumKinds == nil {
		return true
	}
	return slices.ContainsFunc(caps.AlbumKinds, func(kinds []events.ContentType) bool {
		return slices.Contains(kinds, a) && slices.Contains(kinds, b)
	})
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

// extent is a range of a text in bytes.
type extent struct{ from, to int }

// chunks cuts text into pieces of at most limit units. A limit of zero means
// that the account cannot send text; the text stays whole then, to be refused
// rather than lost.
func chunks(text string, marks []mark, limit int, unit TextUnit) []extent {
	if text == "" {
		return nil
	}
	if limit <= 0 || unit.fits(text, limit) {
		return []extent{{0, len(text)}}
	}
	whole := unbreakable(text, marks, limit, unit)
	var out []extent
	for from := 0; from < len(text); {
		rest := text[from:]
		at := cut(rest, limit, unit, func(i int) bool { return inside(whole, from+i) })
		if at == 0 { // marks that overlap each other leave no place
			at = cut(rest, limit, unit, nil)
		}
		if head := strings.TrimRightFunc(rest[:at], unicode.IsSpace); head != "" {
			out = append(out, extent{from, from + len(head)})
		}
		from += at
		from += len(text[from:]) - len(strings.TrimLeftFunc(text[from:], unicode.IsSpace))
	}
	return out
}

// cut is the byte offset at which to end a piece of text: its length when all of
// it fits, and at least one rune. Where barred says so there is no cut; 0 is no
// place at all then.
func cut(text string, limit int, unit TextUnit, barred func(int) bool) int {
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
	free := func(i int) bool { return barred == nil || !barred(i) }
	for i, r := range text {
		if i > 0 && !joins(prev, r, flags) && free(i) {
			character = i
		}
		if used += unit.width(r); used > limit {
			end = i
			// The white space that overflows belongs to the cut itself.
			if unicode.IsSpace(r) && !unicode.IsSpace(prev) && free(i) {
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
		if behind := i + utf8.RuneLen(r); unicode.IsSpace(r) && free(behind) {
			space = behind
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
	case barred != nil:
		return 0
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
