package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"
)

// report is Markdown that goes to the terminal as it grows, and to a file.
type report struct {
	out  io.Writer
	file *os.File
	err  error
	// broken are the invariants that did not hold.
	broken []string
}

func newReport(s settings, name string, out io.Writer) (*report, error) {
	file, err := os.Create(filepath.Join(s.reports, name+".md")) //nolint:gosec // the operator's choice
	if err != nil {
		return nil, fmt.Errorf("the report: %w", err)
	}
	return &report{out: io.MultiWriter(out, file), file: file}, nil
}

// close ends the report; its error lists what was broken.
func (r *report) close() error {
	if len(r.broken) > 0 {
		r.say("\n**Broken:**\n")
		for _, b := range r.broken {
			r.say("- %s", b)
		}
		r.err = errors.Join(r.err, fmt.Errorf("%d invariants are broken: %s", len(r.broken), strings.Join(r.broken, "; ")))
	}
	return errors.Join(r.err, r.file.Close())
}

// say writes a line.
func (r *report) say(format string, args ...any) {
	if _, err := fmt.Fprintf(r.out, format+"\n", args...); err != nil && r.err == nil {
		r.err = err
	}
}

// breaks records a broken invariant.
func (r *report) breaks(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.broken = append(r.broken, text)
	r.say("BROKEN: %s", text)
}

// holds records an invariant unless it holds.
func (r *report) holds(ok bool, format string, args ...any) {
	if !ok {
		r.breaks(format, args...)
	}
}

// table writes rows of equal length under a head.
func (r *report) table(head []string, rows [][]string) {
	widths := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	line := func(row []string) {
		for i, cell := range row {
			fmt.Fprintf(&b, "| %s%s ", cell, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
		}
		b.WriteString("|\n")
	}
	line(head)
	for _, w := range widths {
		b.WriteString("|" + strings.Repeat("-", w+2))
	}
	b.WriteString("|\n")
	for _, row := range rows {
		line(row)
	}
	r.say("\n%s", b.String())
}

// machine describes where the figures come from.
func (r *report) machine(ctx context.Context, c *cluster) {
	model := ""
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range bytes.Lines(text) {
			if name, value, ok := bytes.Cut(line, []byte(":")); ok && strings.HasPrefix(string(name), "model name") {
				model = ", " + string(bytes.TrimSpace(value))
				break
			}
		}
	}
	version := "unknown version"
	if info, err := exec.CommandContext(ctx, "uname", "-sr").Output(); err == nil {
		version = strings.TrimSpace(string(info))
	}
	r.say("%s. %d cores%s, %s, PostgreSQL %s, %s.\n", time.Now().UTC().Format("2006-01-02 15:04 MST"),
		runtime.NumCPU(), model, version, c.server.Version(), runtime.Version())
}

// ms shows a duration in milliseconds with one decimal.
func ms(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1000) }

// thousands groups the digits of a count.
func thousands[T int | int64](n T) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
