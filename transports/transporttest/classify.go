package transporttest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"parley/events"
)

// verdict is what became of a payload. There is no other: a payload that is none
// of them was lost.
type verdict int

const (
	// lost is the zero value: nobody accounted for it.
	lost verdict = iota
	// stored: a message or an event about one, of somebody, with a key.
	stored
	// refused: forged, an error in words, ignored with a reason, or something
	// that the router quarantines with a reason.
	refused
	// unsupported: kept raw and shown as a message of its own.
	unsupported
)

// maxParse is how long reading one payload may take. It is far more than any
// takes, and far less than a provider waits.
const maxParse = 10 * time.Second

// reader reads one payload, however it came.
type reader func(body []byte) ([]events.Inbound, error)

// judge reads a payload and says what became of it. Problems are broken
// promises.
func judge(read reader, body []byte) (v verdict, problems []string) {
	given := bytes.Clone(body)
	began := time.Now()
	evs, err := read(given)
	var panicked *crash
	switch took := time.Since(began); {
	case errors.As(err, &panicked):
		return lost, []string{panicked.words}
	case took > maxParse:
		return lost, []string{fmt.Sprintf("reading took %v", took)}
	case !bytes.Equal(given, body):
		return lost, []string{"the caller's body was changed"}
	}
	if err != nil {
		if len(evs) > 0 {
			return lost, []string{fmt.Sprintf("%d events and an error: %v", len(evs), err)}
		}
		if strings.TrimSpace(err.Error()) == "" {
			return lost, []string{"refused without a word"}
		}
		return refused, nil
	}
	if len(evs) == 0 {
		return lost, []string{"no event and no error"}
	}
	for i := range evs {
		problems = append(problems, storable(evs[i])...)
	}
	if len(evs) == 1 && !holds(evs[0].Raw, body) {
		problems = append(problems, fmt.Sprintf("the payload is not in the event: %.80q", evs[0].Raw))
	}
	// The best of what became of its events: a payload with one good message in it
	// is stored.
	for i := range evs {
		one := fate(evs[i])
		if v == lost || one == stored || (one == unsupported && v == refused) {
			v = one
		}
	}
	return v, problems
}

// crash is a panic of an adapter, as an error.
type crash struct{ words string }

func (c *crash) Error() string { return c.words }

// caught makes a panic an error, so that one defect does not hide the others.
func caught(read reader) reader {
	return func(body []byte) (evs []events.Inbound, err error) {
		defer func() {
			if r := recover(); r != nil {
				evs, err = nil, &crash{fmt.Sprintf("panic: %v\n%s", r, debug.Stack())}
			}
		}()
		return read(body)
	}
}

// maxID is the longest id that is stored; what has a longer one goes into
// quarantine.
const maxID = 512

// fate is what the router does with an event.
func fate(ev events.Inbound) verdict {
	for _, id := range []string{ev.Key.Chat, ev.Key.Message, ev.ProviderEvent, ev.Person.Identity.Value, ev.Person.Address} {
		if len(id) > maxID {
			return refused
		}
	}
	switch ev.Kind {
	case events.Message:
		switch {
		case ev.Content != nil && ev.Content.Type == events.Unsupported:
			return unsupported
		case ev.Content != nil && ev.Content.Mail != nil && ev.Content.Mail.Unreadable != "":
			return unsupported // a mail that is shown as one that could not be read
		case !ev.Key.Valid() || !ev.Person.Identity.Valid() || ev.Content == nil:
			return refused
		}
		return stored
	case events.Edit, events.Reacted:
		if ev.Key.Valid() {
			return stored
		}
	case events.StatusChanged:
		if ev.Status != nil && (ev.Key.Valid() || ev.Status.Ref != "") {
			return stored
		}
	case events.Reachability:
		if ev.Person.Identity.Valid() {
			return stored
		}
	case events.Ignored:
	}
	return refused
}

// storable says what would keep an event from surviving the way through the bus
// into the database: with its payload, valid JSON, and no NUL bytes in what is
// text.
func storable(ev events.Inbound) (problems []string) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	switch ev.Kind {
	case events.Message, events.Edit:
		if ev.Content == nil {
			wrong("a %s without content", ev.Kind)
		}
	case events.Reacted:
		if ev.Reaction == nil {
			wrong("a reaction without one")
		}
	case events.StatusChanged:
		if ev.Status == nil {
			wrong("a status without one")
		}
	case events.Reachability:
	case events.Ignored:
		if ev.Reason == "" {
			wrong("ignored without a reason")
		}
	default:
		wrong("no event of kind %q exists", ev.Kind)
	}
	if len(ev.Raw) == 0 || !json.Valid(ev.Raw) {
		wrong("the payload is not kept as JSON: %.40q", ev.Raw)
	}
	kept, err := json.Marshal(ev)
	if err != nil {
		wrong("the event has no JSON form: %v", err)
		return problems
	}
	var back events.Inbound
	if err := json.Unmarshal(kept, &back); err != nil {
		wrong("the event's JSON form cannot be read: %v", err)
	}
	ev.Raw = nil
	// A backslash that somebody wrote is escaped itself.
	if kept, err = json.Marshal(ev); err != nil || bytes.Contains(bytes.ReplaceAll(kept, []byte(`\\`), nil), []byte(`\u0000`)) {
		wrong("a NUL byte is left: %v", err)
	}
	return problems
}

// holds tells whether an event's Raw has the whole payload: as the JSON it is, or
// somewhere in it as a string; verbatim but for white space around it and
// replacements of what is not UTF-8, or in Base64, or byte for byte as the first
// 256 characters.
func holds(raw json.RawMessage, body []byte) bool {
	body = bytes.TrimSpace(body)
	forms := []string{string(body), strings.ToValidUTF8(string(body), "\uFFFD"), eachInvalid(body)}
	same := func(s string) bool { return slices.Contains(forms, strings.TrimSpace(s)) }
	if same(string(raw)) {
		return true
	}
	var tree any
	if json.Unmarshal(raw, &tree) != nil {
		return false
	}
	var search func(any) bool
	search = func(v any) bool {
		switch v := v.(type) {
		case string:
			if same(v) || latin1(v, body) {
				return true
			}
			decoded, err := base64.StdEncoding.DecodeString(v)
			return err == nil && bytes.Equal(bytes.TrimSpace(decoded), body)
		case []any:
			return slices.ContainsFunc(v, search)
		case map[string]any:
			for _, one := range v {
				if search(one) {
					return true
				}
			}
		}
		return false
	}
	return search(tree)
}

// eachInvalid is a body as encoding/json writes it: with a replacement for each
// byte that is not UTF-8, not for each run of them.
func eachInvalid(body []byte) string {
	if utf8.Valid(body) {
		return string(body)
	}
	return string([]rune(string(body)))
}

// latin1 tells whether the characters of s are the bytes of the body, or U+0100
// for a NUL byte, which the database does not take.
func latin1(s string, body []byte) bool {
	bytesOf := make([]byte, 0, len(s))
	for _, r := range s {
		switch {
		case r == 0x100:
			bytesOf = append(bytesOf, 0)
		case r > 0xFF:
			return false
		default:
			bytesOf = append(bytesOf, byte(r)) //nolint:gosec // below 256
		}
	}
	return bytes.Equal(bytes.TrimSpace(bytesOf), body)
}
