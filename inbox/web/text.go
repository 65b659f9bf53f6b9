package web

import (
	"regexp"
	"sync"

	"mvdan.cc/xurls/v2"
)

// textPart is a piece of what somebody wrote: words, or a link.
type textPart struct {
	Words, Link string
}

// links finds addresses that say http or https; guessing at more would make links
// of sentences without a space after the full stop.
var links = sync.OnceValue(func() *regexp.Regexp {
	re, err := xurls.StrictMatchingScheme(`https?://`)
	if err != nil {
		panic(err) // the pattern is a constant
	}
	return re
})

// textParts finds the links in a text. Escaping is html/template's.
func textParts(s string) []textPart {
	if s == "" {
		return nil
	}
	var parts []textPart
	at := 0
	for _, m := range links().FindAllStringIndex(s, -1) {
		if m[0] > at {
			parts = append(parts, textPart{Words: s[at:m[0]]})
		}
		parts = append(parts, textPart{Words: s[m[0]:m[1]], Link: s[m[0]:m[1]]})
		at = m[1]
	}
	if at < len(s) {
		parts = append(parts, textPart{Words: s[at:]})
	}
	return parts
}
