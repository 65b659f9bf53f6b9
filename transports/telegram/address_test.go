package telegram

import (
	"strings"
	"testing"
)

func TestAddress(t *testing.T) {
	for s, want := range map[string]address{
		"190000001":             {chat: 190000001},
		"-1001234567890":        {chat: -1001234567890},
		"business:ZgGp_-:5":     {connection: "ZgGp_-", chat: 5},
		"business:with:colon:5": {connection: "with:colon", chat: 5},
		"business:" + strings.Repeat("x", 256) + ":5": {connection: strings.Repeat("x", 256), chat: 5},
	} {
		if got, ok := parseAddress(s); !ok || got != want || got.String() != s {
			t.Errorf("%q is %+v, %v", s, got, ok)
		}
	}
	for _, s := range []string{
		"", "0", "@anna", "5 ", "business:", "business:5", "business::5", "business:a b:5", "business:Zg:", "business:Zg:0", "business:Zg:x",
		"business:Zg\x00:5", "business:é:5", "business:" + strings.Repeat("x", 257) + ":5", "99999999999999999999",
	} {
		if got, ok := parseAddress(s); ok {
			t.Errorf("%q is %+v, want none", s, got)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"5", "-5", "business:Zg:5", "business:a:b:-5", "business:\xff:1", "+5", "05"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, ok := parseAddress(s)
		if !ok {
			return
		}
		if a.chat == 0 || (a.connection != "" && !validConnection(a.connection)) {
			t.Fatalf("%q is %+v", s, a)
		}
		if again, ok := parseAddress(a.String()); !ok || again != a {
			t.Fatalf("%+v reads back as %+v, %v", a, again, ok)
		}
	})
}
