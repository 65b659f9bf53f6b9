package transports_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"

	"parley/events"
	"parley/transports"
)

// marked renders entities over a text: <b>word</b> as b(word).
func marked(p transports.Part) string {
	units := utf16.Encode([]rune(p.Text))
	out := p.Text
	for _, e := range p.Entities {
		out += fmt.Sprintf(" %s(%s)", e.Type, string(utf16.Decode(units[e.Offset:e.Offset+e.Length])))
	}
	return out
}

func TestSplitEntities(t *testing.T) {
	bold := func(offset, length int) events.Entity {
		return events.Entity{Type: "bold", Offset: offset, Length: length}
	}
	for _, test := range []struct {
		name, text string
		entities   []events.Entity
		limit      int
		want       []string
	}{
		{"fits", "hello", []events.Entity{bold(1, 3)}, 5, []string{"hello bold(ell)"}},
		{"behind the cut", "one two three", []events.Entity{bold(8, 5)}, 8, []string{"one two", "three bold(three)"}},
		{"across the cut", "one two three", []events.Entity{bold(4, 9)}, 10, []string{"one", "two three bold(two three)"}},
		{"without spaces", "abcdefgh", []events.Entity{bold(3, 4)}, 5, []string{"abc", "defgh bold(defg)"}},
		{"longer than a part", "one two three four", []events.Entity{bold(0, 18)}, 9, []string{"one two bold(one two)", "three bold(three)", "four bold(four)"}},
		{"nested", "aa bb cc dd", []events.Entity{bold(0, 11), {Type: "code", Offset: 3, Length: 5}}, 7, []string{"aa bold(aa)", "bb cc bold(bb cc) code(bb cc)", "dd bold(dd)"}},
		{"surrogate pairs before", "😀😀 ab cd", []events.Entity{bold(5, 2), bold(8, 2)}, 7, []string{"😀😀 ab bold(ab)", "cd bold(cd)"}},
		{"half a surrogate pair", "a😀b", []events.Entity{bold(2, 1)}, 5, []string{"a😀b bold(😀)"}},
		{"overlapping, no place to cut", "abcdef", []events.Entity{bold(0, 4), {Type: "code", Offset: 2, Length: 4}}, 4, []string{"abcd bold(abcd) code(cd)", "ef code(ef)"}},
		{"beyond the text", "abc", []events.Entity{bold(2, 9), bold(7, 2), bold(-3, 2), bold(1, 0)}, 5, []string{"abc bold(c)"}},
		{"white space only", "a    b", []events.Entity{bold(2, 2)}, 2, []string{"a", "b"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			caps := transports.Capabilities{MaxText: test.limit, TextUnit: transports.UTF16Units}
			var got []string
			for _, p := range transports.Split(test.text, test.entities, nil, caps) {
				got = append(got, marked(p))
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestSplitAlbums(t *testing.T) {
	caps := transports.Capabilities{
		MaxText: 20, MaxCaption: 5, TextUnit: transports.UTF16Units, Album: 3,
		Attachments: map[events.ContentType]int64{events.Photo: 10, events.Video: 10, events.Document: 50, events.Voice: 10},
		AlbumKinds:  [][]events.ContentType{{events.Photo, events.Video}, {events.Document}},
	}
	file := func(kind events.ContentType) transports.File { return transports.File{Kind: kind, Size: 1} }
	photo, video, document, voice := file(events.Photo), file(events.Video), file(events.Document), file(events.Voice)
	big := transports.File{Kind: events.Photo, Size: 11}
	for _, test := range []struct {
		name, text string
		files      []transports.File
		want       string
	}{
		{"one", "hi", []transports.File{photo}, "hi[photo]"},
		{"two", "hi", []transports.File{photo, video}, "hi[photo video]"},
		{"more than one album", "", []transports.File{photo, photo, photo, photo}, "[photo photo photo]|[photo]"},
		{"kinds apart", "", []transports.File{photo, document, document, voice, voice}, "[photo]|[document document]|[voice]|[voice]"},
		{"too large for its kind", "", []transports.File{photo, big, document}, "[photo]|[document document]"},
		{"caption too long", "hello!", []transports.File{photo, photo}, "hello!|[photo photo]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, p := range transports.Split(test.text, []events.Entity{{Type: "bold", Length: 1}}, test.files, caps) {
				s := p.Text
				if p.Attachment != nil {
					kinds := []string{string(p.Attachment.Kind)}
					for _, f := range p.Album {
						kinds = append(kinds, string(f.Kind))
					}
					s += fmt.Sprint(kinds)
				}
				if (p.Text != "") != (len(p.Entities) == 1) {
					t.Errorf("entities %v of %q", p.Entities, p.Text)
				}
				got = append(got, s)
			}
			if joined := strings.Join(got, "|"); joined != test.want {
				t.Errorf("got %s, want %s", joined, test.want)
			}
		})
	}
	caps.AlbumKinds = nil
	if parts := transports.Split("", nil, []transports.File{photo, document}, caps); len(parts) != 1 {
		t.Errorf("any kinds go together, and there are %d parts", len(parts))
	}
	caps.AlbumBytes = 2
	if parts := transports.Split("", nil, []transports.File{photo, photo, photo}, caps); len(parts) != 2 || len(parts[0].Album) != 1 {
		t.Errorf("two of three files fit one part, and there are %d parts", len(parts))
	}
	caps.Album = 0
	if parts := transports.Split("", nil, []transports.File{photo, photo}, caps); len(parts) != 2 {
		t.Errorf("an account without albums has one: %d parts", len(parts))
	}
}

// checkMarks wants every entity whole where it fits a part, and all of what it
// marks up marked up still.
func checkMarks(t *testing.T, text string, entities []events.Entity, limit int, disjoint bool) {
	t.Helper()
	parts := transports.Split(text, entities, nil, transports.Capabilities{MaxText: limit, TextUnit: transports.UTF16Units})
	pieces := make([]int, len(entities))
	for i, p := range parts {
		n := transports.UTF16Units.Count(p.Text)
		if n > limit && len([]rune(p.Text)) > 1 {
			t.Fatalf("part %d has %d of %d units", i, n, limit)
		}
		for _, e := range p.Entities {
			if e.Offset < 0 || e.Length <= 0 || e.Offset+e.Length > n {
				t.Fatalf("part %d has %d units and %+v", i, n, e)
			}
			var k int
			if _, err := fmt.Sscan(e.Type, &k); err != nil {
				t.Fatal(err)
			}
			pieces[k]++
		}
	}
	for k, e := range entities {
		if disjoint && e.Length <= limit && pieces[k] > 1 {
			t.Fatalf("%+v was cut into %d, parts of %d: %+v", e, pieces[k], limit, parts)
		}
	}
}

// TestSplitNeverCutsAnEntity tries texts and entities made by dice.
func TestSplitNeverCutsAnEntity(t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 4))
	pieces := []string{"a", "word ", "\n\n", " ", "😀", "e\u0301", "👨‍👩‍👧", strings.Repeat("x", 9)}
	for range 3000 {
		var text strings.Builder
		var entities []events.Entity
		units := 0
		for range dice.IntN(50) {
			piece := strings.Repeat(pieces[dice.IntN(len(pieces))], 1+dice.IntN(3))
			n := transports.UTF16Units.Count(piece)
			if dice.IntN(3) == 0 {
				entities = append(entities, events.Entity{Type: fmt.Sprint(len(entities)), Offset: units, Length: n})
			}
			units += n
			text.WriteString(piece)
		}
		checkMarks(t, text.String(), entities, 8+dice.IntN(60), true)
	}
}

func FuzzSplitEntities(f *testing.F) {
	f.Add("hello big world", 2, 5, 4, 9, 8)
	f.Add("😀😀 ab cd", 1, 2, 0, 3, 3)
	f.Add("\xff\xfe", -1, 1<<62, 1<<62, 1<<62, 1)
	f.Fuzz(func(t *testing.T, text string, o1, l1, o2, l2, limit int) {
		if limit < 1 || limit > 1<<20 || len(text) > 1<<14 {
			return
		}
		checkMarks(t, text, []events.Entity{{Type: "0", Offset: o1, Length: l1}, {Type: "1", Offset: o2, Length: l2}}, limit, false)
		checkSplit(t, text, limit, transports.UTF16Units)
	})
}
