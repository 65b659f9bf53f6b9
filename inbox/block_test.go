package inbox_test

import (
	"strings"
	"testing"

	"parley/inbox"
)

func TestBlockRules(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind    inbox.BlockKind
		value   string
		blocked string
		others  string
	}{
		{inbox.BlockValue, " +4930111 ", "+4930111", "+49301112 +493011"},
		{inbox.BlockValue, "Spam@Example.com", "spam@example.com SPAM@example.com", "a.spam@example.com"},
		{inbox.BlockDomain, "@Example.com", "a@example.com a@mail.example.com", "a@notexample.com example.com a@example.com.org"},
		{inbox.BlockPattern, "+49900*", "+49900 +499001", "+4990 0+49900"},
		{inbox.BlockPattern, "*bot?", "spambot1 bot2", "bot robot12 x"},
		{inbox.BlockPattern, "a*b*c", "abc aXbXc abcbc", "ab acb"},
	} {
		r, err := inbox.BlockRule{Kind: test.kind, Value: test.value}.Clean()
		if err != nil {
			t.Fatal(err)
		}
		for _, who := range strings.Fields(test.blocked) {
			if !r.Matches(who) {
				t.Errorf("%s %s lets %s in", test.kind, test.value, who)
			}
		}
		for _, who := range append(strings.Fields(test.others), "") {
			if r.Matches(who) {
				t.Errorf("%s %s blocks %q", test.kind, test.value, who)
			}
		}
	}
	for _, r := range []inbox.BlockRule{
		{Kind: inbox.BlockPattern, Value: "*?*"}, {Kind: inbox.BlockDomain, Value: "a@b.c"}, {Kind: inbox.BlockValue}, {Kind: "other", Value: "x"},
	} {
		if _, err := r.Clean(); inbox.CodeOf(err) != inbox.Invalid {
			t.Errorf("%+v: %v", r, err)
		}
	}
}
