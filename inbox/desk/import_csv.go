package desk

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"parley/inbox"
)

// Limits of an import.
const (
	MaxImportBytes = 10 << 20
	MaxImportLines = 5000
)

// importColumns are the names that the head of a file may have.
func importColumns() []string {
	return []string{
		"name", "first_name", "last_name", "middle_name", "phone", "email", "telegram", "whatsapp", "other",
		"address", "date_of_birth", "gender", "pin", "comments",
	}
}

// importRow is one line of a file: cells by their column, trimmed, without the
// empty ones.
type importRow struct {
	line  int
	cells map[string]string
	// err says why the line cannot be read.
	err error
}

// readImport reads comma-separated values (RFC 4180) with a head. Semicolons and
// tabs separate as well, where the head has them; a byte order mark is skipped.
func readImport(r io.Reader) ([]importRow, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxImportBytes+1))
	if err != nil {
		return nil, fmt.Errorf("receiving the file: %w", err)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	switch {
	case len(data) > MaxImportBytes:
		return nil, badImport(fmt.Sprintf("The file is larger than %d MB.", MaxImportBytes>>20), "Import it in parts, each with the head.")
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		return nil, badImport("The file is not UTF-8 text.", "Save it as \"CSV UTF-8\" and import that.")
	case len(bytes.TrimSpace(data)) == 0:
		return nil, badImport("The file is empty.", "Its first line names the columns: "+strings.Join(importColumns(), ", ")+".")
	}
	in := csv.NewReader(bytes.NewReader(data))
	in.Comma = separatorOf(data)
	in.FieldsPerRecord = -1
	in.ReuseRecord = true
	head, err := in.Read()
	if err != nil {
		return nil, badImport("The head cannot be read: "+err.Error()+".", "The first line names the columns.")
	}
	columns, err := headOf(head)
	if err != nil {
		return nil, err
	}
	var rows []importRow
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		var broken *csv.ParseError
		if errors.As(err, &broken) {
			// What follows a broken quote may be part of it.
			return nil, badImport(fmt.Sprintf("Line %d cannot be read: %v.", broken.StartLine, broken.Err), "A cell with quotes, separators or line ends stands in quotes, and quotes within it are doubled.")
		}
		if err != nil {
			return nil, err
		}
		if len(rows) == MaxImportLines {
			return nil, badImport(fmt.Sprintf("The file has more than %d lines.", MaxImportLines), "Import it in parts, each with the head.")
		}
		if row, some := rowOf(columns, record); some {
			row.line, _ = in.FieldPos(0)
			rows = append(rows, row)
		}
	}
}

func badImport(message, hint string) error {
	return &inbox.Error{Code: inbox.Invalid, Message: message, Hint: hint}
}

// separatorOf is what the head has most of, outside of quotes.
func separatorOf(data []byte) rune {
	line, _ := bufio.NewReader(bytes.NewReader(data)).ReadString('\n')
	counts, quoted := map[rune]int{}, false
	for _, r := range line {
		switch {
		case r == '"':
			quoted = !quoted
		case !quoted:
			counts[r]++
		}
	}
	best := ','
	for _, r := range []rune{';', '\t'} {
		if counts[r] > counts[best] {
			best = r
		}
	}
	return best
}

func headOf(head []string) ([]string, error) {
	known := importColumns()
	columns := make([]string, len(head))
	for i, name := range head {
		name = strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(strings.TrimSpace(name)))
		if !slices.Contains(known, name) {
			return nil, badImport(fmt.Sprintf("The column %q is not known.", name), "Leave it out, or name it one of: "+strings.Join(known, ", ")+".")
		}
		if slices.Contains(columns[:i], name) {
			return nil, badImport(fmt.Sprintf("The column %q is there twice.", name), "Name the second one other.")
		}
		columns[i] = name
	}
	if !slices.Contains(columns, "name") && !slices.Contains(columns, "first_name") {
		return nil, badImport("No column is name or first_name.", "The first line names the columns: "+strings.Join(known, ", ")+".")
	}
	return columns, nil
}

// rowOf is a line's cells; some is false for an empty line.
func rowOf(columns, record []string) (row importRow, some bool) {
	row.cells = make(map[string]string, len(columns))
	for i, cell := range record {
		cell = strings.TrimSpace(cell)
		if cell == "" {
			continue
		}
		some = true
		if i >= len(columns) {
			row.err = badImport("The line has more cells than the head.", "Put quotes around a cell that contains the separator.")
			continue
		}
		row.cells[columns[i]] = cell
	}
	return row, some
}
