package twilio

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"unicode/utf8"
)

// fields are what a webhook said, by Twilio's names: the first value of each, as
// UTF-8 without NUL bytes.
type fields struct {
	values map[string]string
	// repaired and unread are what a note tells.
	repaired bool
	unread   bool
}

// first is the first of the named fields that says something.
func (f fields) first(names ...string) string {
	for _, name := range names {
		if value := f.values[name]; value != "" {
			return value
		}
	}
	return ""
}

// is reports whether a field is "true".
func (f fields) is(name string) bool { return strings.EqualFold(f.values[name], "true") }

// parseForm reads a form field by field: one that cannot be decoded does not take
// the rest along.
func parseForm(form string) fields {
	f := fields{values: map[string]string{}}
	for form != "" {
		var pair string
		pair, form, _ = strings.Cut(form, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, bad := url.QueryUnescape(name)
		value, bad2 := url.QueryUnescape(value)
		if bad != nil || bad2 != nil {
			f.unread = true
			continue
		}
		if tidy := clean(value); tidy != value {
			value, f.repaired = tidy, true
		}
		if _, twice := f.values[name]; !twice {
			f.values[name] = value
		}
	}
	return f
}

// clean makes text fit to be stored: valid UTF-8 without NUL bytes, which
// PostgreSQL cannot hold.
func clean(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s
}

// maxDepth is how deeply a payload may nest and still be kept as JSON. It stays
// below the 10000 levels that encoding/json reads, as events wrap it.
const maxDepth = 9000

// keep is a payload as an event carries it: JSON verbatim, anything else (forms,
// that is) as a JSON string.
func keep(payload []byte) (raw json.RawMessage, isJSON bool) {
	if looksJSON(payload) && utf8.Valid(payload) && json.Valid(payload) && !tooDeep(payload) {
		return json.RawMessage(bytes.Clone(payload)), true
	}
	quoted, err := json.Marshal(strings.ToValidUTF8(string(payload), "\uFFFD"))
	if err != nil { // strings always marshal
		return json.RawMessage(`""`), false
	}
	return quoted, false
}

// looksJSON tells objects and lists from forms: no field of Twilio's begins like
// them, while a number or a word alone could be either.
func looksJSON(payload []byte) bool {
	trimmed := bytes.TrimLeft(payload, " \t\r\n")
	return len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[')
}

func tooDeep(raw []byte) bool {
	// Brackets inside strings are counted too: it only has to be cheap and safe.
	return len(raw) > maxDepth && bytes.Count(raw, []byte{'['})+bytes.Count(raw, []byte{'{'}) > maxDepth
}
