package transporttest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Payload is something that a provider sent, byte for byte.
type Payload struct {
	// Name is for the words of a failed test.
	Name string
	// Format says how to take the body apart.
	Format Format
	Body   []byte
}

// Format is what a payload is written in.
type Format int

// The formats that providers use.
const (
	// JSON is an object or an array.
	JSON Format = iota
	// Form is application/x-www-form-urlencoded.
	Form
	// MIME is a mail (RFC 5322).
	MIME
)

// RecordedFiles are the payloads in the files that match the pattern, by the
// files' names. None at all fails the test.
func RecordedFiles(t testing.TB, format Format, pattern string) []Payload {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded payloads match %s: %v", pattern, err)
	}
	all := make([]Payload, 0, len(files))
	for _, file := range files {
		body, err := os.ReadFile(file) //nolint:gosec // a test's own data
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		all = append(all, Payload{Name: name, Format: format, Body: body})
	}
	return all
}

// Mutant is a payload that was damaged in one to three places.
type Mutant struct {
	// Number is what it was made from, with the payload: the same number makes
	// the same mutant.
	Number int
	Of     string
	// Damage says what was done, in order.
	Damage []string
	Body   []byte
}

// String names the mutant, for whoever looks into why a test failed.
func (m Mutant) String() string {
	return fmt.Sprintf("mutant %d, %s with %s", m.Number, m.Of, strings.Join(m.Damage, ", "))
}

// hugeBytes is how long a huge field becomes: past the 256 kB above which a
// payload leaves the bus for blob storage.
const hugeBytes = 300_000

// Mutate makes the mutant of that number: fields dropped, doubled, renamed,
// retyped, cut, swapped, blown up, with NUL bytes and with bytes that are not
// UTF-8, and bodies cut, joined and flipped.
func Mutate(p Payload, number int) Mutant {
	d := &dice{Rand: rand.New(rand.NewPCG(0x9a71e9, uint64(number)))} //nolint:gosec // repeatable on purpose
	m := Mutant{Number: number, Of: p.Name, Body: p.Body}
	for range 1 + d.IntN(3) {
		var damage string
		if d.IntN(8) == 0 {
			m.Body, damage = d.bytes(m.Body)
		} else {
			switch p.Format {
			case JSON:
				m.Body, damage = d.json(m.Body)
			case Form:
				m.Body, damage = d.form(m.Body)
			case MIME:
				m.Body, damage = d.mime(m.Body)
			}
		}
		m.Damage = append(m.Damage, damage)
	}
	return m
}

// dice decide what is damaged, the same way for the same number.
type dice struct{ *rand.Rand }

// huge is how long something becomes: seldom as long as hugeBytes, for time is
// better spent on more mutants.
func (d *dice) huge() int {
	if d.IntN(8) == 0 {
		return hugeBytes
	}
	return 5_000
}

func pick[T any](d *dice, from []T) T { return from[d.IntN(len(from))] }

// bytes damages a body without regard to its format.
func (d *dice) bytes(body []byte) ([]byte, string) {
	if len(body) == 0 {
		return []byte{0}, "a NUL byte instead of nothing"
	}
	body = bytes.Clone(body)
	at := d.IntN(len(body))
	switch d.IntN(6) {
	case 0:
		return body[:at], fmt.Sprintf("the body cut at %d", at)
	case 1:
		bit := byte(1) << d.IntN(8)
		body[at] ^= bit
		return body, fmt.Sprintf("byte %d flipped by %#x", at, bit)
	case 2:
		return append(body, body[at:]...), fmt.Sprintf("the body from %d on repeated", at)
	case 3:
		return append([]byte("\xEF\xBB\xBF"), body...), "a byte order mark ahead"
	case 4:
		end := at + d.IntN(len(body)-at)
		return append(body[:at], body[end:]...), fmt.Sprintf("bytes %d to %d taken out", at, end)
	}
	return append(body[:at], append([]byte{0xFF, 0x00, 0xC0}, body[at:]...)...), fmt.Sprintf("binary at %d", at)
}

// text damages one text, which is not escaped in any way yet.
func (d *dice) text(s string) (string, string) {
	switch d.IntN(8) {
	case 0:
		return "", "emptied"
	case 1:
		return cutAt(s, d.IntN(len(s)+1)), "cut"
	case 2:
		return strings.Repeat(s+"x", 1+d.huge()/(len(s)+1)), "huge"
	case 3:
		return insert(s, "\x00", d), "with NUL"
	case 4:
		return insert(s, pick(d, []string{"\xFF", "\xC3", "\xED\xA0\x80", "\xF8\x88\x80\x80\x80"}), d), "not UTF-8"
	case 5:
		return insert(s, pick(d, []string{"\u202E", "👨‍👩‍👧", "\u0301", "\r\n", "\U0010FFFF", "\u2028", "%00", `"\`, "<x>"}), d), "with odd characters"
	case 6:
		return pick(d, []string{"0", "-1", "true", "null", "NaN", "1e999", "9223372036854775808", strings.Repeat("9", 400), "[]", "{}"}), "another type"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9':
			return '0' + (r-'0'+7)%10
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		}
		return r
	}, s), "other letters and digits"
}

func insert(s, what string, d *dice) string {
	at := d.IntN(len(s) + 1)
	return s[:at] + what + s[at:]
}

func cutAt(s string, n int) string { return s[:min(n, len(s))] }

// mutants is how many mutants each way in is given: few by default, as many as
// PARLEY_MUTANTS says for a long run.
func mutants(t *testing.T) int {
	t.Helper()
	const few = 400
	asked := os.Getenv("PARLEY_MUTANTS")
	if asked == "" {
		return few
	}
	n, err := strconv.Atoi(asked)
	if err != nil || n <= 0 {
		t.Fatalf("PARLEY_MUTANTS is %q; set it to how many mutants to try, such as 100000", asked)
	}
	return n
}
