package email

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// encodedWord is as RFC 2047 has it, but with the spaces that broken programs
// leave in.
var encodedWord = regexp.MustCompile(`=\?([^?\s*]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*)\?=`)

// decodeWords decodes the encoded words of a field (RFC 2047), wherever they
// stand. Neighbours of one charset are joined before they are decoded, because
// programs cut them inside of characters.
func decodeWords(s string) string { return guessing(maxGuesses).words(s) }

func (g *guesses) words(s string) string {
	found := encodedWord.FindAllStringSubmatchIndex(s, -1)
	if found == nil {
		return clean(g.utf8Of(s))
	}
	var (
		out     strings.Builder
		pending []byte
		charset string
		last    int
	)
	flush := func() {
		if pending != nil {
			text, _ := g.decode(charset, pending)
			out.WriteString(text)
			pending = nil
		}
	}
	for _, m := range found {
		between := s[last:m[0]]
		name := strings.ToLower(s[m[2]:m[3]])
		if pending == nil || strings.TrimSpace(between) != "" || name != charset {
			flush()
			if last == 0 || strings.TrimSpace(between) != "" {
				out.WriteString(g.utf8Of(between))
			}
		}
		charset, last = name, m[1]
		if pending == nil {
			pending = []byte{}
		}
		pending = append(pending, decodeWord(s[m[4]], s[m[6]:m[7]])...)
	}
	flush()
	out.WriteString(g.utf8Of(s[last:]))
	return clean(out.String())
}

func decodeWord(encoding byte, text string) []byte {
	if encoding == 'b' || encoding == 'B' {
		return decodeBase64([]byte(text))
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(text):
			if n, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
			out = append(out, c)
		default:
			out = append(out, c)
		}
	}
	return out
}

// fieldValue is the value of a field such as Content-Type, in lower case and
// without its parameters.
func fieldValue(field string) string {
	value, _, _ := strings.Cut(field, ";")
	value = strings.ToLower(strings.TrimSpace(value))
	if i := strings.IndexAny(value, " \t("); i >= 0 {
		value = value[:i]
	}
	return value
}

// params are a field's parameters by name in lower case, with RFC 2231's
// continuations and charsets, and RFC 2047's words, which do not belong there but
// are common.
func (g *guesses) params(field string) map[string]string {
	params := map[string]string{}
	sections := map[string]map[int]section{}
	for _, piece := range splitParams(field)[1:] {
		name, text, ok := strings.Cut(piece, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if !ok || name == "" {
			continue
		}
		text = unquote(strings.TrimSpace(text))
		base, rest, extended := strings.Cut(name, "*")
		if !extended {
			if _, twice := params[name]; !twice {
				params[name] = g.words(text)
			}
			continue
		}
		encoded := rest == "" || strings.HasSuffix(rest, "*")
		n, err := strconv.Atoi(strings.TrimSuffix(rest, "*"))
		if err != nil || n < 0 || n > 100 {
			n = 0
		}
		if sections[base] == nil {
			sections[base] = map[int]section{}
		}
		sections[base][n] = section{text, encoded}
	}
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		if text := g.joinSections(sections[name]); text != "" {
			params[name] = text
		}
	}
	return params
}

// section is one piece of a parameter (RFC 2231, sections 3 and 4).
type section struct {
	text    string
	encoded bool
}

func (g *guesses) joinSections(all map[int]section) string {
	var (
		joined  []byte
		charset string
	)
	for n := 0; n < len(all); n++ {
		s, ok := all[n]
		if !ok {
			break
		}
		if !s.encoded {
			joined = append(joined, s.text...)
			continue
		}
		text := s.text
		if n == 0 {
			if parts := strings.SplitN(text, "'", 3); len(parts) == 3 {
				charset, text = parts[0], parts[2]
			}
		}
		joined = append(joined, unpercent(text)...)
	}
	text, _ := g.decode(charset, joined)
	return clean(text)
}

func unpercent(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return out
}

// splitParams cuts at semicolons outside of quotes.
func splitParams(s string) (out []string) {
	quoted, begin := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			out = append(out, s[begin:i])
			begin = i + 1
			if len(out) > 100 {
				return out
			}
		}
	}
	return append(out, s[begin:])
}

func unquote(s string) string {
	if !strings.HasPrefix(s, `"`) {
		return s
	}
	s = strings.TrimSuffix(s[1:], `"`)
	if strings.IndexByte(s, '\\') >= 0 && !strings.Contains(s, `:\`) { // Windows paths escape nothing
		s = escaped.ReplaceAllString(s, "$1")
	}
	return s
}
