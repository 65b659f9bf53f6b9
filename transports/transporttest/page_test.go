package transporttest_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// page is docs/transports.md, seen from this folder.
var page = filepath.Join("..", "..", "docs", "transports.md")

// TestTransportsPage wants each line of docs/transports.md to be in a state, a
// line that is done to name tests, and each test to exist where the page says.
func TestTransportsPage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	lines, problems := checkPage(string(text), filepath.Dir(page))
	for _, problem := range problems {
		t.Error(problem)
	}
	if lines < 80 {
		t.Errorf("only %d lines were found", lines)
	}
}

// TestTransportsPageBites makes sure that the check finds what it is there to
// find.
func TestTransportsPageBites(t *testing.T) {
	const good = "[TestTransportsPage](../transports/transporttest/page_test.go)"
	for line, says := range map[string]string{
		"| a | done | " + good + " |":         "",
		"| a | partly: no b | " + good + " |": "",
		"| a | not done |  |":                 "",
		"| a | done | [TestAdaptersDefects/sub](../transports/transporttest/broken_test.go) |":          "no TestAdaptersDefects",
		"| a | done | [TestTransportsPage](../transports/transporttest/broken_test.go) |":               "no TestTransportsPage",
		"| a | done | [TestTransportsPage](../transports/transporttest/no_test.go) |":                   "no_test.go",
		"| a | done | [TestTransportsPage/never seen](../transports/transporttest/page_test.go) |":      "no subtest",
		"| a | done | [TestPostbox/mutants](../transports/transporttest/postbox_conformance_test.go) |": "",
		"| a | done |  |":                 "names no test",
		"| a | partly | " + good + " |":   "does not say what is missing",
		"| a | not done | " + good + " |": "is not done",
		"| a | soon |  |":                 "no state",
	} {
		text := "2 lines: x done\n| what | state | shown by |\n|---|---|---|\n" + line + "\n"
		_, problems := checkPage(text, filepath.Dir(page))
		found := strings.Join(problems, "\n")
		switch {
		case says == "" && strings.Contains(found, "| a"):
			t.Errorf("%s: %s", line, found)
		case says != "" && !strings.Contains(found, says):
			t.Errorf("%s: %q does not say %q", line, found, says)
		}
	}
	if _, problems := checkPage("3 lines: 3 done\n| a | not done |  |\n", "."); !strings.Contains(strings.Join(problems, "\n"), "it says") {
		t.Error("wrong counts are not noticed")
	}
}

var linked = regexp.MustCompile(`\[((?:Test|Fuzz)\w+)(?:/([^\]]+))?\]\(([^)]+_test\.go)\)`)

// checkPage counts a page's lines and says what is wrong with them. Links are
// relative to the folder.
func checkPage(text, folder string) (lines int, problems []string) {
	count := map[string]int{}
	for row := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), " |")
		if !strings.HasPrefix(row, "| ") || len(cells) != 3 || strings.HasPrefix(row, "| what |") {
			continue
		}
		lines++
		wrong := func(format string, args ...any) {
			problems = append(problems, strings.TrimSpace(row)+": "+fmt.Sprintf(format, args...))
		}
		state, missing, _ := strings.Cut(strings.TrimSpace(cells[1]), ":")
		count[state]++
		tests := linked.FindAllStringSubmatch(cells[2], -1)
		switch {
		case state != "done" && state != "partly" && state != "not done":
			wrong("%q is no state", state)
		case state == "partly" && missing == "":
			wrong("does not say what is missing")
		case state == "not done" && len(tests) > 0:
			wrong("is not done, and names tests")
		case state != "not done" && len(tests) == 0:
			wrong("names no test")
		}
		for _, test := range tests {
			if err := exists(filepath.Join(folder, test[3]), test[1], test[2]); err != nil {
				wrong("%v", err)
			}
		}
	}
	says := fmt.Sprintf("%d lines: %d done, %d partly, %d not done.", lines, count["done"], count["partly"], count["not done"])
	if !strings.Contains(text, says) {
		problems = append(problems, "the lines do not add up to what it says; they are "+says)
	}
	return lines, problems
}

// exists looks for a test function in a file, and for the subtest by name: among
// the file's strings, the conformance suite's, or the payloads in testdata.
func exists(file, name, sub string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		return err
	}
	found := false
	for _, decl := range parsed.Decls {
		f, ok := decl.(*ast.FuncDecl)
		found = found || (ok && f.Recv == nil && f.Name.Name == name)
	}
	if !found {
		return fmt.Errorf("no %s in %s", name, file)
	}
	if sub == "" || hasString(parsed, sub) {
		return nil
	}
	payloads, err := filepath.Glob(filepath.Join(filepath.Dir(file), "testdata", "*", sub+".*"))
	if err != nil || len(payloads) > 0 {
		return err
	}
	suite, err := parser.ParseFile(token.NewFileSet(), "transporttest.go", nil, 0)
	if err != nil {
		return err
	}
	if hasString(parsed, "parley/transports/transporttest") && hasString(suite, sub) {
		return nil
	}
	return fmt.Errorf("no subtest %q of %s", sub, name)
}

// hasString tells whether a string is in a file, written as it is or with spaces
// where go test writes underscores.
func hasString(file *ast.File, s string) (found bool) {
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		value, err := strconv.Unquote(lit.Value)
		found = found || (err == nil && strings.ReplaceAll(value, " ", "_") == strings.ReplaceAll(s, " ", "_"))
		return true
	})
	return found
}
