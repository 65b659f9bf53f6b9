package transporttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// tree is a JSON value that can be written back broken: with names twice, and
// with bytes that JSON does not allow.
type tree struct {
	// kind is '{', '[' or 0 for what raw holds.
	kind  byte
	raw   []byte
	items []item
}

// item is a member of an object or an element of an array.
type item struct {
	name  string
	value *tree
}

func parseJSON(body []byte) (*tree, bool) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	root, err := readTree(dec)
	if err != nil {
		return nil, false
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, false
	}
	return root, true
}

func readTree(dec *json.Decoder) (*tree, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	open, ok := token.(json.Delim)
	if !ok {
		return scalar(token), nil
	}
	t := &tree{kind: byte(open)} //nolint:gosec // one of four ASCII characters
	for dec.More() {
		var name string
		if t.kind == '{' {
			token, err := dec.Token()
			if err != nil {
				return nil, err
			}
			name, _ = token.(string)
		}
		value, err := readTree(dec)
		if err != nil {
			return nil, err
		}
		t.items = append(t.items, item{name, value})
	}
	_, err = dec.Token()
	return t, err
}

func scalar(v any) *tree {
	raw, err := json.Marshal(v)
	if err != nil {
		raw = []byte("null")
	}
	return &tree{raw: raw}
}

func (t *tree) bytes() []byte {
	var b bytes.Buffer
	t.write(&b)
	return b.Bytes()
}

func (t *tree) write(b *bytes.Buffer) {
	switch t.kind {
	case 0:
		b.Write(t.raw)
		return
	case '{':
		b.WriteByte('{')
	default:
		b.WriteByte('[')
	}
	for i, it := range t.items {
		if i > 0 {
			b.WriteByte(',')
		}
		if t.kind == '{' {
			b.Write(quoteJSON(it.name))
			b.WriteByte(':')
		}
		it.value.write(b)
	}
	if t.kind == '{' {
		b.WriteByte('}')
	} else {
		b.WriteByte(']')
	}
}

// quoteJSON writes a string without repairing what is not UTF-8.
func quoteJSON(s string) []byte {
	out := make([]byte, 0, len(s)+2)
	out = append(out, '"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ':
			out = fmt.Appendf(out, `\u%04x`, c)
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}

// place is one member or element of a tree.
type place struct {
	in   *tree
	at   int
	path string
}

func (p place) item() *item { return &p.in.items[p.at] }

// Deeper and further than this a tree is damaged no more: what an earlier damage
// blew up is big enough.
const (
	maxPlaces = 2_000
	maxDepth  = 30
)

// places are a tree's, depth first.
func (t *tree) places() []place {
	var all []place
	t.addPlaces(&all, "", 0)
	return all
}

func (t *tree) addPlaces(all *[]place, path string, depth int) {
	if depth > maxDepth {
		return
	}
	for i, it := range t.items {
		if len(*all) >= maxPlaces {
			return
		}
		here := it.name
		if t.kind == '[' {
			here = strconv.Itoa(i)
		}
		if path != "" {
			here = path + "." + here
		}
		*all = append(*all, place{t, i, here})
		it.value.addPlaces(all, here, depth+1)
	}
}

func (t *tree) clone() *tree {
	c := *t
	c.items = slices.Clone(t.items)
	for i := range c.items {
		c.items[i].value = c.items[i].value.clone()
	}
	return &c
}

// json damages one value of a JSON body, or its bytes when it is none.
func (d *dice) json(body []byte) ([]byte, string) {
	root, ok := parseJSON(body)
	if !ok {
		return d.bytes(body)
	}
	places := root.places()
	if len(places) == 0 {
		return d.bytes(body)
	}
	p := pick(d, places)
	damage := d.place(p, places)
	return root.bytes(), p.path + " " + damage
}

func (d *dice) place(p place, others []place) string {
	it := p.item()
	switch d.IntN(10) {
	case 0:
		p.in.items = slices.Delete(p.in.items, p.at, p.at+1)
		return "dropped"
	case 1:
		p.in.items = slices.Insert(p.in.items, p.at, item{it.name, it.value.clone()})
		return "twice"
	case 2:
		p.in.items = slices.Insert(p.in.items, p.at+d.IntN(2), item{it.name, d.anything()})
		return "twice, of two types"
	case 3:
		it.value = d.anything()
		return "of another type"
	case 4:
		old := it.name
		it.name = pick(d, []string{strings.ToUpper(old), old + "_", "", "\x00", "\xFF", strings.Repeat("n", 1<<10)})
		return "renamed"
	case 5:
		other := pick(d, others)
		it.value = other.item().value.clone()
		return "replaced by " + other.path
	case 6:
		depth := pick(d, []int{1, 100, 9_500})
		it.value = &tree{raw: slices.Concat(bytes.Repeat([]byte("["), depth), it.value.bytes(), bytes.Repeat([]byte("]"), depth))}
		return fmt.Sprintf("nested %d deep", depth)
	case 7:
		if it.value.kind != 0 && len(it.value.items) > 0 {
			copies := min(2_000, 1+d.huge()/len(it.value.bytes()))
			first := it.value.items
			for range copies {
				it.value.items = append(it.value.items, first...)
			}
			return fmt.Sprintf("with %d items", len(it.value.items))
		}
	}
	return d.value(it.value)
}

// value damages a scalar within what it is, mostly.
func (d *dice) value(t *tree) string {
	var s string
	if t.kind != 0 {
		t.items = t.items[:d.IntN(len(t.items)+1)]
		return "cut"
	}
	if json.Unmarshal(t.raw, &s) == nil && len(t.raw) > 0 && t.raw[0] == '"' {
		if d.IntN(10) == 0 {
			t.raw = []byte(`"` + pick(d, []string{`\ud800`, `\udc00x`, `\ud83d\u0041`, `\u0000`, "\t", `\x`}) + `"`)
			return "an escape that is none"
		}
		if n, err := strconv.ParseInt(s, 10, 64); err == nil && d.IntN(2) == 0 {
			t.raw = strconv.AppendInt(nil, n, 10)
			return "a number instead of digits"
		}
		spoiled, damage := d.text(s)
		t.raw = quoteJSON(spoiled)
		return damage
	}
	damaged := pick(d, []string{
		"0", "-1", "1", "-0", "1.5", "1e3", "1e999", "9007199254740993", "9223372036854775807", "9223372036854775808",
		"-9223372036854775808", "253402300800", strings.Repeat("9", 400), `"` + strings.Trim(string(t.raw), `"`) + `"`,
	})
	t.raw = []byte(damaged)
	return "as " + cutAt(damaged, 30)
}

// anything is a value of any type.
func (d *dice) anything() *tree {
	return &tree{raw: []byte(pick(d, []string{
		"null", "true", "false", "0", "-7", "1.5", "1e999", `""`, `"x"`, `"7"`, `"\u0000"`, "\"\xFF\"",
		"[]", "{}", "[[]]", "[null]", `[{"id":1}]`, `{"id":"x"}`, `{"":0}`,
	}))}
}
