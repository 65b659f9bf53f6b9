package main

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// clean makes text that strangers wrote safe to print: control characters could
// move the cursor or rename the terminal, and bidirectional overrides reorder
// what follows them.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r':
			return -1
		case unicode.IsControl(r):
			return '\uFFFD'
		case r >= '\u202A' && r <= '\u202E', r >= '\u2066' && r <= '\u2069':
			return -1
		}
		return r
	}, text)
}

// oneLine is clean text on one line, cut to at most columns wide.
func oneLine(text string, columns int) string {
	text = strings.Join(strings.Fields(clean(text)), " ")
	if columns <= 0 || columnsOf(text) <= columns {
		return text
	}
	var b strings.Builder
	for _, cluster := range clusters(text) {
		if columnsOf(b.String()+cluster) >= columns {
			break
		}
		b.WriteString(cluster)
	}
	return strings.TrimRight(b.String(), " ") + "…"
}

// pad adds blanks up to a width in columns.
func pad(text string, columns int) string {
	if n := columns - columnsOf(text); n > 0 {
		return text + strings.Repeat(" ", n)
	}
	return text
}

// columnsOf is how many columns a terminal takes for text.
func columnsOf(text string) int {
	n := 0
	for _, cluster := range clusters(text) {
		n += clusterColumns(cluster)
	}
	return n
}

// Characters that change the one before them.
const (
	zeroWidthJoiner = '\u200D'
	emojiSelector   = '\uFE0F' // asks for the emoji form, which is wide
)

// clusters splits text into what is seen as one character: a base with its
// marks, joined emoji, a flag.
func clusters(text string) []string {
	var out []string
	start, joined, flags := 0, false, 0
	for i, r := range text {
		joins := joined || r == zeroWidthJoiner || r == emojiSelector || unicode.In(r, unicode.Mn, unicode.Me, unicode.Mc) ||
			r >= 0x1F3FB && r <= 0x1F3FF || r >= 0xE0020 && r <= 0xE007F || isFlag(r) && flags%2 == 1
		if i > 0 && !joins {
			out = append(out, text[start:i])
			start = i
		}
		joined = r == zeroWidthJoiner
		if isFlag(r) {
			flags++
		} else {
			flags = 0
		}
	}
	if start < len(text) {
		out = append(out, text[start:])
	}
	return out
}

func isFlag(r rune) bool { return r >= 0x1F1E6 && r <= 0x1F1FF }

func clusterColumns(cluster string) int {
	for i, r := range cluster {
		if i > 0 {
			break
		}
		switch {
		case isFlag(r), strings.ContainsRune(cluster, emojiSelector):
			return 2
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
			return 0
		}
		switch width.LookupRune(r).Kind() {
		case width.EastAsianWide, width.EastAsianFullwidth:
			return 2
		case width.Neutral, width.EastAsianAmbiguous, width.EastAsianNarrow, width.EastAsianHalfwidth:
		}
	}
	return 1
}
