package transports_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"parley/events"
	"parley/transports"
)

func texts(parts []transports.Part) []string {
	var out []string
	for _, p := range parts {
		out = append(out, p.Text)
	}
	return out
}

func TestSplitText(t *testing.T) {
	const family = "👨‍👩‍👧"
	for _, test := range []struct {
		name, text string
		limit      int
		unit       transports.TextUnit
		want       []string
	}{
		{"fits", "hello", 5, transports.Runes, []string{"hello"}},
		{"fits with its white space", " hi\n", 5, transports.Runes, []string{" hi\n"}},
		{"nothing", " \n\t ", 5, transports.Runes, nil},
		{"word", "hello big world", 10, transports.Runes, []string{"hello big", "world"}},
		{"a word that ends at the limit", "hello worlds", 5, transports.Runes, []string{"hello", "world", "s"}},
		{"line before word", "one two\nthree four", 12, transports.Runes, []string{"one two", "three four"}},
		{"paragraph before line", "a b c d\n\ne f\ng h i j", 15, transports.Runes, []string{"a b c d", "e f\ng h i j"}},
		{"no tiny part for a paragraph", "a\n\nbcde fghi jklm", 12, transports.Runes, []string{"a\n\nbcde fghi", "jklm"}},
		{"no space", "abcdefgh", 3, transports.Runes, []string{"abc", "def", "gh"}},
		{"windows lines", "ab\r\n\r\ncd", 5, transports.Runes, []string{"ab", "cd"}},
		{"surrogate pairs", "😀😀😀", 5, transports.UTF16Units, []string{"😀😀", "😀"}},
		{"bytes", "äöü", 5, transports.Bytes, []string{"äö", "ü"}},
		{"combining mark", "abe\u0301x", 3, transports.Runes, []string{"ab", "e\u0301x"}},
		{"joined emoji", "ab" + family, 9, transports.UTF16Units, []string{"ab", family}},
		{"skin tone", "abc👍🏽", 5, transports.UTF16Units, []string{"abc", "👍🏽"}},
		{"flags", "🇩🇪🇫🇷", 6, transports.UTF16Units, []string{"🇩🇪", "🇫🇷"}},
		{"a character longer than a part", family, 4, transports.UTF16Units, []string{"👨\u200d", "👩\u200d", "👧"}},
		{"invalid bytes", "a\xffb", 5, transports.Runes, []string{"a\uFFFDb"}},
		{"white space only between", "a" + strings.Repeat(" ", 20) + "b", 5, transports.Runes, []string{"a", "b"}},
		{"cannot send text", "hello", 0, transports.Runes, []string{"hello"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			caps := transports.Capabilities{MaxText: test.limit, TextUnit: test.unit}
			if got := texts(transports.Split(test.text, nil, nil, caps)); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestSplitFiles(t *testing.T) {
	caps := transports.Capabilities{
		MaxText: 20, MaxCaption: 5, TextUnit: transports.Runes,
		Attachments: map[events.ContentType]int64{events.Photo: 10, events.Document: 50, events.VideoNote: 50},
		Captionless: []events.ContentType{events.VideoNote},
	}
	photo := transports.File{Kind: events.Photo, Name: "p", Size: 10}
	big := transports.File{Kind: events.Photo, Name: "big", Size: 11}
	huge := transports.File{Kind: events.Photo, Name: "huge", Size: 51}
	note := transports.File{Kind: events.VideoNote, Name: "n"}
	sticker := transports.File{Kind: events.Sticker, Name: "s"}
	for _, test := range []struct {
		name, text string
		files      []transports.File
		want       string
	}{
		{"caption", "hello", []transports.File{photo}, "photo p:hello"},
		{"no text", "", []transports.File{photo, photo}, "photo p:|photo p:"},
		{"caption too long", "hello!", []transports.File{photo}, ":hello!|photo p:"},
		{"caption of the first", "hi", []transports.File{photo, photo}, "photo p:hi|photo p:"},
		{"kind without caption", "hi", []transports.File{note, photo}, ":hi|video_note n:|photo p:"},
		{"too large for its kind", "hi", []transports.File{big}, "document big:hi"},
		{"kind that cannot be sent", "hi", []transports.File{sticker}, "document s:hi"},
		{"fits nothing", "", []transports.File{huge}, "photo huge:"},
		{"long text and file", "hello hello hello hello", []transports.File{photo}, ":hello hello hello|:hello|photo p:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := slices.Clone(test.files)
			var got []string
			for _, p := range transports.Split(test.text, nil, test.files, caps) {
				s := ":" + p.Text
				if p.Attachment != nil {
					s = string(p.Attachment.Kind) + " " + p.Attachment.Name + s
				}
				got = append(got, s)
			}
			if joined := strings.Join(got, "|"); joined != test.want {
				t.Errorf("got %s, want %s", joined, test.want)
			}
			for i := range before {
				if before[i].Kind != test.files[i].Kind {
					t.Error("the caller's files were changed")
				}
			}
		})
	}
}

// checkSplit wants parts that fit and lose nothing but white space at the cuts.
func checkSplit(t *testing.T, text string, limit int, unit transports.TextUnit) {
	t.Helper()
	parts := transports.Split(text, nil, nil, transports.Capabilities{MaxText: limit, TextUnit: unit})
	rest := strings.ToValidUTF8(text, "\uFFFD")
	for i, p := range parts {
		if p.Text == "" || !utf8.ValidString(p.Text) {
			t.Fatalf("part %d is %q", i, p.Text)
		}
		if n := unit.Count(p.Text); n > limit && utf8.RuneCountInString(p.Text) > 1 {
			t.Fatalf("part %d has %d of %d units", i, n, limit)
		}
		if !strings.HasPrefix(rest, p.Text) {
			rest = strings.TrimLeftFunc(rest, unicode.IsSpace)
		}
		if !strings.HasPrefix(rest, p.Text) {
			t.Fatalf("part %d is %q, of what is left: %q", i, p.Text, rest)
		}
		rest = rest[len(p.Text):]
	}
	if strings.TrimSpace(rest) != "" {
		t.Fatalf("lost %q", rest)
	}
}

// TestSplitProperty tries texts made of what is awkward to cut.
func TestSplitProperty(t *testing.T) {
	pieces := []string{
		"a", "word ", "\n", "\n\n", "\r\n", " ", "é", "e\u0301", "😀", "👨‍👩‍👧", "👍🏽", "🇩🇪", "ไทย", "한", "\u1112\u1161\u11ab",
		strings.Repeat("long", 30), "\t", "\u2029", "\xff", "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
	}
	dice := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var text strings.Builder
		for range dice.IntN(60) {
			text.WriteString(pieces[dice.IntN(len(pieces))])
		}
		for _, unit := range []transports.TextUnit{transports.Runes, transports.UTF16Units, transports.Bytes} {
			checkSplit(t, text.String(), 1+dice.IntN(80), unit)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("hello big world", 10, 0)
	f.Add("a\n\nb\r\nc 👨‍👩‍👧 e\u0301", 4, 1)
	f.Add("\xff\xfe  \u200d", 1, 2)
	f.Fuzz(func(t *testing.T, text string, limit, unit int) {
		if limit < 1 || limit > 1<<20 {
			return
		}
		checkSplit(t, text, limit, transports.TextUnit(((unit%3)+3)%3))
	})
}

func BenchmarkSplitFits(b *testing.B) {
	caps := transports.Capabilities{MaxText: 4096, TextUnit: transports.UTF16Units}
	text := strings.Repeat("hello big world ", 20)
	b.ReportAllocs()
	for b.Loop() {
		transports.Split(text, nil, nil, caps)
	}
}

func BenchmarkSplitLong(b *testing.B) {
	caps := transports.Capabilities{MaxText: 4096, TextUnit: transports.UTF16Units}
	text := strings.Repeat("hello big wörld 😀 ", 2000)
	b.ReportAllocs()
	for b.Loop() {
		transports.Split(text, nil, nil, caps)
	}
}
