package email

import (
	"bytes"
	"regexp"
	"strings"

	"parley/events"
	"parley/transports"
)

// Budgets of one header. Real ones stay far below; what is beyond them is left
// out, with a note.
const (
	maxHeader     = 256 << 10 // bytes
	maxFields     = 2000
	maxAddresses  = 100
	maxReferences = 50
	maxMessageID  = 250 // bytes; a line has 998 at most (RFC 5322, section 2.1.1)
	maxSubject    = 1000
)

// field is one header field, unfolded.
type field struct{ name, value string }

// header is a mail's or a part's, in order.
type header []field

// readHeader splits a mail or part into header and body. Lines that are no
// field are skipped, as mail programs do: readers that stop at them (go-message,
// net/mail) would lose the mail.
func readHeader(data []byte) (h header, body []byte, notes []string) {
	var (
		junk, long bool
		read       int
		folded     []byte // the value of the last field
	)
	unfold := func() {
		if len(h) > 0 {
			h[len(h)-1].value = string(bytes.TrimSpace(folded))
		}
	}
	for len(data) > 0 {
		line, rest, _ := bytes.Cut(data, []byte{'\n'})
		data = rest
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) == 0 {
			if len(h) == 0 && !junk && len(rest) > 0 {
				continue // blank lines ahead of the mail
			}
			break
		}
		if read += len(line); read > maxHeader || len(h) > maxFields {
			long = true
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			folded = append(folded, line...)
			continue
		}
		name, value, ok := bytes.Cut(line, []byte{':'})
		name = bytes.TrimRight(name, " \t")
		if !ok || len(name) == 0 || bytes.ContainsFunc(name, notInName) {
			junk = true
			continue
		}
		unfold()
		h = append(h, field{name: string(name)})
		folded = append(folded[:0], value...)
	}
	unfold()
	if junk {
		notes = append(notes, "lines of the header that are no fields were skipped")
	}
	if long {
		notes = append(notes, "the header is too long; its end was skipped")
	}
	return h, data, notes
}

func notInName(r rune) bool { return r <= ' ' || r >= 0x7F }

// get is the first field of that name, empty when there is none.
func (h header) get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

func (h header) has(name string) bool {
	for _, f := range h {
		if strings.EqualFold(f.name, name) {
			return true
		}
	}
	return false
}

func (h header) all(names ...string) (values []string) {
	for _, f := range h {
		for _, name := range names {
			if strings.EqualFold(f.name, name) {
				values = append(values, f.value)
			}
		}
	}
	return values
}

// text is a field's text, decoded and on one line.
func (h header) text(name string) string { return oneLine(decodeWords(h.get(name))) }

// addresses of all fields of that name, at most maxAddresses.
func (h header) addresses(name string) []events.MailAddress {
	var all []events.MailAddress
	g, fields := guessing(maxGuesses), h.all(name)
	for _, v := range fields[:min(len(fields), maxAddresses)] {
		all = append(all, g.addresses(v)...)
	}
	return all[:min(len(all), maxAddresses)]
}

// readAddresses reads an address list (RFC 5322, section 3.4) as it is found in
// the wild: an element that is none is left out, and spoils no other. Encoded
// words are decoded only once the structure is known, so that none makes an
// address out of a name.
func (g *guesses) addresses(value string) (all []events.MailAddress) {
	for _, element := range splitList(g.utf8Of(value)) {
		if a, ok := g.address(element); ok {
			all = append(all, a)
			if len(all) > maxAddresses {
				break
			}
		}
	}
	return all
}

// splitList cuts at commas and semicolons outside of quotes, comments, encoded
// words and angle brackets. A group's name stays with its first member.
func splitList(s string) (out []string) {
	var quoted, angled bool
	comment, begin := 0, 0
	words := encodedWord.FindAllStringIndex(s, -1)
	for i := 0; i < len(s); i++ {
		// What encoded words hold is no syntax.
		for len(words) > 0 && words[0][1] <= i {
			words = words[1:]
		}
		if len(words) > 0 && words[0][0] == i {
			i = words[0][1] - 1
			continue
		}
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '"' && comment == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			comment++
		case c == ')' && comment > 0:
			comment--
		case comment > 0:
		case c == '<':
			angled = true
		case c == '>':
			angled = false
		case (c == ',' || c == ';') && !angled:
			out = append(out, s[begin:i])
			begin = i + 1
		}
	}
	return append(out, s[begin:])
}

// bareAddress finds an address that stands without angle brackets.
var bareAddress = regexp.MustCompile(`[^\s<>(),;:"]+@[^\s<>(),;:"]+`)

func (g *guesses) address(s string) (events.MailAddress, bool) {
	name, address := "", ""
	if i := strings.LastIndexByte(s, '<'); i >= 0 {
		name, address = s[:i], s[i+1:]
		if j := strings.IndexByte(address, '>'); j >= 0 {
			address = address[:j]
		}
		if j := strings.LastIndexByte(address, ':'); j >= 0 && strings.HasPrefix(address, "@") {
			address = address[j+1:] // a source route (RFC 5322, section 4.4)
		}
	} else {
		address = bareAddress.FindString(s)
		// "anna@example.com (Anna)"
		if _, rest, ok := strings.Cut(s, "("); ok {
			name, _, _ = strings.Cut(rest, ")")
		}
	}
	address = strings.Join(strings.Fields(address), "")
	if !strings.Contains(address, "@") || len(address) > 500 {
		return events.MailAddress{}, false
	}
	return events.MailAddress{Name: g.displayName(name), Address: clean(address)}, true
}

func (g *guesses) displayName(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
		if strings.IndexByte(s, '\\') >= 0 {
			s = escaped.ReplaceAllString(s, "$1")
		}
	}
	s = oneLine(g.words(s))
	if len(s) >= 2 && s[0] == '\'' && s[len(s)-1] == '\'' { // as Outlook quotes
		s = s[1 : len(s)-1]
	}
	return truncate(s, 200)
}

var escaped = regexp.MustCompile(`\\(.)`)

// messageID is an id of angle brackets (RFC 5322, section 3.6.4).
var messageID = regexp.MustCompile(`<([^<>]+)>`)

// ids are a field's message ids without angle brackets. Of more than
// maxReferences the first and the last are kept: the thread's root and what is
// answered.
func (h header) ids(name string) (ids []string) {
	value := utf8Of(h.get(name))
	for _, m := range messageID.FindAllStringSubmatch(value, 4*maxReferences) {
		if id := cleanID(m[1]); id != "" {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 && strings.Contains(value, "@") && len(strings.Fields(value)) == 1 {
		if id := cleanID(value); id != "" {
			ids = append(ids, id)
		}
	}
	if n := len(ids); n > maxReferences {
		ids = append(ids[:1:1], ids[n-maxReferences+1:]...)
	}
	return ids
}

// cleanID is a message id without white space, empty when it is none we could
// use as a key.
func cleanID(id string) string {
	id = clean(strings.Join(strings.Fields(strings.Trim(id, "<>")), ""))
	if len(id) > maxMessageID {
		return ""
	}
	return id
}

// identity of an address, invalid when it names nobody.
func identity(a events.MailAddress) events.Identity {
	id, err := transports.NormaliseEmail(a.Address)
	if err != nil || strings.ContainsFunc(id.Value, func(r rune) bool { return r < ' ' }) {
		return events.Identity{}
	}
	return id
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// truncate cuts after n bytes at most, between two runes.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
