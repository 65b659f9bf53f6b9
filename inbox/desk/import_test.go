package desk_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"parley/inbox"
	"parley/inbox/desk"
)

func TestFilesOfClientsAreRead(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"commas":          "name,phone\nAda,+4930123\n",
		"semicolons, BOM": "\xef\xbb\xbfName;Phone\r\nAda;+4930123\r\n",
		"tabs":            "NAME\tphone\nAda\t+4930123",
		"quotes":          "\"name\",\"phone\"\n\" Ada\",\"+4930123\"\n\n",
	} {
		lines, cells, err := desk.ReadImport(strings.NewReader(file))
		if err != nil || len(lines) != 1 || lines[0] != 2 || cells[0]["name"] != "Ada" || cells[0]["phone"] != "+4930123" {
			t.Errorf("%s: %v %v %v", name, lines, cells, err)
		}
	}
	for what, file := range map[string]string{
		"not UTF-8":             "name\nJos\xe9\n",
		"is empty":              "\xef\xbb\xbf \n",
		`"colour" is not known`: "name,colour\n",
		"is there twice":        "name,phone,phone\n",
		"No column is name":     "phone\n",
		"Line 3 cannot be read": "name\nAda\n\"Bo\n",
		"more than 5000 lines":  "name\n" + strings.Repeat("Ada\n", desk.MaxImportLines+1),
		"is larger than 10 MB":  "name\n" + strings.Repeat("x", desk.MaxImportBytes),
	} {
		if _, _, err := desk.ReadImport(strings.NewReader(file)); inbox.CodeOf(err) != inbox.Invalid || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzImport(f *testing.F) {
	f.Add("name,phone\nAda,+4930123\n")
	f.Add("\xef\xbb\xbfname;\"email\"\n\"A\nB\";x\n;;;\n")
	f.Add("first_name\tlast_name\n\t\"\n")
	f.Fuzz(func(t *testing.T, file string) {
		lines, cells, err := desk.ReadImport(strings.NewReader(file))
		if err != nil && inbox.CodeOf(err) != inbox.Invalid {
			t.Fatal(err)
		}
		last := 1
		for i, line := range lines {
			if line <= last {
				t.Fatalf("line %d after %d", line, last)
			}
			last = line
			for column, cell := range cells[i] {
				if cell == "" || strings.TrimSpace(cell) != cell || !utf8.ValidString(cell) || strings.ContainsRune(cell, 0) {
					t.Fatalf("line %d, %s: %q", line, column, cell)
				}
			}
		}
	})
}
