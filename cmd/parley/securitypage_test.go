package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// securityPage is docs/security.md, seen from this folder.
var securityPage = filepath.Join("..", "..", "docs", "security.md")

var (
	namedTest = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`")
	// attackRow is a line of the tables of attacks.
	attackRow = regexp.MustCompile(`^\| (.+) \| (.+) \| (.*) \|$`)
)

// TestSecurityPage wants each attack of docs/security.md to name a test that shows
// what stops it, and each test named there to exist.
func TestSecurityPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(securityPage)
	if err != nil {
		t.Fatal(err)
	}
	rows, problems := checkSecurityPage(string(text), testsOf(t, filepath.Join("..", "..")))
	for _, problem := range problems {
		t.Error(problem)
	}
	if rows < 55 {
		t.Errorf("only %d attacks were found", rows)
	}
	for _, word := range []string{"webhook", "Guessing passwords", "token", "media", "Stored HTML", "SSRF", "Replayed", "Finding out who has an account", "Floods", "Secrets at rest", "Secrets in logs"} {
		if !strings.Contains(string(text), word) {
			t.Errorf("nothing is said of %q", word)
		}
	}
}

// A check that finds nothing would pass for ever.
func TestSecurityPageBites(t *testing.T) {
	t.Parallel()
	for row, says := range map[string]string{
		"| a | b | `TestSecurityPage` |":             "",
		"| a | b | `TestSecurityPage`, words |":      "",
		"| a | b | `TestSecurityPage`, `TestNone` |": "TestNone",
		"| a | b | the attack |":                     "names no test",
		"| a | b |  |":                               "names no test",
	} {
		rows, problems := checkSecurityPage("| Attack | What stops it | Test |\n|---|---|---|\n"+row+"\n\nText.\n", map[string]bool{"TestSecurityPage": true})
		found := strings.Join(problems, "\n")
		if rows != 1 || (says == "") != (found == "") || !strings.Contains(found, says) {
			t.Errorf("%s: %d rows, %q, want %q", row, rows, found, says)
		}
	}
}

// checkSecurityPage counts the attacks of a page and says what is wrong with them.
func checkSecurityPage(text string, tests map[string]bool) (rows int, problems []string) {
	for _, named := range namedTest.FindAllStringSubmatch(text, -1) {
		if !tests[named[1]] {
			problems = append(problems, "there is no "+named[1])
		}
	}
	table := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		cells := attackRow.FindStringSubmatch(line)
		switch {
		case line == "| Attack | What stops it | Test |":
			table = true
		case !strings.HasPrefix(line, "|"):
			table = false
		case !table || strings.HasPrefix(line, "|---"):
		default:
			rows++
			if cells == nil || !namedTest.MatchString(cells[3]) {
				problems = append(problems, line+": names no test")
			}
		}
	}
	return rows, problems
}

// testsOf are the test and fuzz functions below a folder.
func testsOf(t *testing.T, root string) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				tests[f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}
