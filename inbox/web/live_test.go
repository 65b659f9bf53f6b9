package web

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestLiveKnowsFacts holds the names of what the page follows against those of what
// is told: what it does not know by its name it never shows.
func TestLiveKnowsFacts(t *testing.T) {
	read := func(name string, each *regexp.Regexp) (names []string) {
		t.Helper()
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range each.FindAllSubmatch(data, -1) {
			names = append(names, string(m[1]))
		}
		slices.Sort(names)
		return names
	}
	follows := read(filepath.Join("static", "live.js"), regexp.MustCompile(`"([a-z]{2,}\.[a-z_]+)"`))
	told := read(filepath.Join("..", "..", "docs", "asyncapi.yaml"), regexp.MustCompile(`const: parley\.([a-z]+\.[a-z_]+)\}`))
	told = slices.DeleteFunc(told, func(name string) bool { return name == "webhook.disabled" }) // is about no chat
	if !slices.Equal(follows, told) {
		t.Errorf("the page follows\n%q, told is\n%q", follows, told)
	}
}
