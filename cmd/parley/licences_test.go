package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"unicode"
)

const licencesPage = "../../docs/licences.md"

// licences are those that may be part of a program under the Apache License 2.0, by
// words that only they have.
var licences = []struct{ name, words string }{
	{"Apache-2.0", "Apache License"},
	{"MPL-2.0", "Mozilla Public License"},
	{"MIT", "Permission is hereby granted, free of charge"},
	{"BSD-3-Clause", "Neither the name of"},
	{"BSD-3-Clause", "names of its contributors may not be used"},
	{"BSD-2-Clause", "Redistribution and use in source and binary forms"},
	{"ISC", "Permission to use, copy, modify, and/or distribute"},
	{"ISC", "Permission to use, copy, modify, and distribute"},
}

// TestDeployLicences holds docs/licences.md against what is built in. After a change of
// dependencies: UPDATE_LICENCES=1 go test -run TestDeployLicences ./cmd/parley
func TestDeployLicences(t *testing.T) {
	t.Parallel()
	info, ok := debug.ReadBuildInfo()
	if !ok || len(info.Deps) == 0 {
		t.Fatal("the test does not know what it is made of")
	}
	cache, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	page.WriteString("# Licences of dependencies\n\nWhat the program and its tests are made of, besides Go itself. Written by `UPDATE_LICENCES=1 go test -run TestDeployLicences ./cmd/parley`,\n" +
		"which fails for a licence that does not go with ours.\n\n| module | licence |\n|---|---|\n")
	deps := slices.Clone(info.Deps)
	slices.SortFunc(deps, func(a, b *debug.Module) int { return strings.Compare(a.Path, b.Path) })
	for _, dep := range deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		name := licenceOf(filepath.Join(strings.TrimSpace(string(cache)), escapePath(dep.Path)+"@"+escapePath(dep.Version)))
		if name == "" {
			t.Errorf("%s %s has no licence that goes with ours", dep.Path, dep.Version)
		}
		fmt.Fprintf(&page, "| %s | %s |\n", dep.Path, name)
	}
	if os.Getenv("UPDATE_LICENCES") != "" {
		if err := os.WriteFile(licencesPage, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(licencesPage); err != nil || string(have) != page.String() {
		t.Errorf("docs/licences.md is not what the program is made of: %v", err)
	}
}

// licenceOf is the licence in a module's folder, empty when none is known.
func licenceOf(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if !strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") && !strings.HasPrefix(name, "UNLICENSE") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		text := strings.Join(strings.Fields(string(data)), " ")
		for _, l := range licences {
			if strings.Contains(text, l.words) {
				return l.name
			}
		}
	}
	return ""
}

// escapePath writes capitals as the module cache does
// (https://go.dev/ref/mod#module-cache).
func escapePath(path string) string {
	var b strings.Builder
	for _, r := range path {
		if unicode.IsUpper(r) {
			b.WriteByte('!')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
