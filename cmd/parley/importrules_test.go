package main_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// module is the import path that all of Parley's own packages begin with.
const module = "parley"

// rules say which folder may import what. Folders are relative to the module, with
// slashes.
type rules struct {
	// ours lists, for each folder with Go files, the folders of ours it may import. A
	// folder that is not listed is a violation itself: whoever adds one decides here.
	ours map[string][]string
	// tests lists what a _test.go file may import besides.
	tests []string
	// everything lists the folders, with all below, that may import whatever they like.
	everything []string
	// fenced lists dependencies that stay in some folders, with all below. The key is
	// the beginning of the import path.
	fenced map[string][]string
	// stdlib lists the folders whose program files import no dependency at all.
	stdlib []string
}

// adapters are the providers that Parley speaks to. None knows another.
var adapters = []string{"transports/telegram", "transports/twilio", "transports/email"}

// planned are folders of the design that are not built yet.
var planned = []string{}

// parleyRules is who knows whom.
var parleyRules = rules{
	ours: map[string][]string{
		"events":                    {},
		"migrations":                {},
		"events/jetstream":          {"events"},
		"events/tracing":            {"events"},
		"events/jetstream/natstest": {"events", "events/jetstream"},

		"transports":          {"events"},
		"transports/telegram": {"events", "transports"},
		"transports/twilio":   {"events", "transports"},
		"transports/email":    {"events", "transports"},
		"transports/gateway":  {"events", "events/jetstream", "events/tracing", "transports"},
		// The suite drives adapters through the seam; the stand-ins imitate providers,
		// so what they know of Parley would prove nothing.
		"transports/transporttest":  {"events", "transports"},
		"transports/sandbox":        {"events"},
		"transports/sandbox/phones": {"transports/sandbox"},

		"inbox":        {"events"},
		"inbox/router": {"inbox", "events", "events/jetstream", "events/tracing", "store"},
		"inbox/media":  {"inbox", "events", "transports", "store"},
		"inbox/access": {"inbox", "events", "store"},
		// Normalises numbers and addresses as the adapters do.
		"inbox/desk":       {"inbox", "inbox/media", "events", "events/jetstream", "events/tracing", "store", "transports"},
		"inbox/dispatcher": {"inbox", "events", "events/tracing", "transports", "store"},
		// Agents' pages and the API never see the bus or the database driver.
		"inbox/api": {"inbox", "inbox/access", "inbox/desk", "inbox/media", "events", "store"},
		"inbox/web": {"inbox", "inbox/access", "inbox/desk", "inbox/media", "events", "store"},

		"store":                   {"inbox", "events", "migrations"},
		"store/localpg":           {},
		"store/storetest":         {"store", "store/localpg", "store/storetest/scratch", "inbox", "events", "migrations"},
		"store/storetest/scratch": {},
		"store/outboundtest":      {"store", "store/storetest", "inbox", "events"},
	},
	tests: []string{
		"store/storetest", "store/storetest/scratch", "store/outboundtest", "store/localpg",
		"events/jetstream", "events/jetstream/natstest",
		"transports/sandbox", "transports/transporttest",
		// What runs adapters is tested with a real one, against its stand-in.
		"transports/telegram",
	},
	everything: []string{"cmd"},
	fenced: map[string][]string{
		// The migrations are only SQL; testing them takes a database.
		"github.com/jackc/":   {"store", "migrations"},
		"github.com/pressly/": {"store", "migrations"},
		"database/sql":        {"store", "migrations"},

		"github.com/nats-io/":        {"events/jetstream"},
		"github.com/minio/minio-go/": {"store"},
		// What makes spans knows no collector, and is tested with the real thing.
		"go.opentelemetry.io/otel/sdk":       {"cmd", "events/tracing"},
		"go.opentelemetry.io/otel/exporters": {"cmd"},

		"github.com/go-telegram-bot-api/": {"transports/telegram"},
		"github.com/twilio/":              {"transports/twilio"},
		// The stand-in for a mailbox is a mail server, made of the same parts.
		"github.com/emersion/": {"transports/email", "transports/sandbox"},
	},
	stdlib: []string{"events", "migrations"},
}

// source is what the rules want to know of a Go file.
type source struct {
	file    string // relative to the module, with slashes
	imports []string
}

// check returns what is wrong with a file: which import, by which rule.
func (r rules) check(src source) (violations []string) {
	folder := path.Dir(src.file)
	fail := func(imported, rule string) {
		violations = append(violations, fmt.Sprintf("%s imports %s: %s", src.file, imported, rule))
	}
	if within(folder, r.everything) {
		return nil
	}
	allowed, known := r.ours[folder]
	if !known {
		return []string{fmt.Sprintf("%s is in the folder %s, which the import rules do not know; "+
			"add it to importrules_test.go with what it may import", src.file, folder)}
	}
	test := strings.HasSuffix(src.file, "_test.go")
	if test {
		// An external test package imports the one it tests.
		allowed = slices.Concat(allowed, r.tests, []string{folder})
	}
	for _, imported := range src.imports {
		if to, ok := strings.CutPrefix(imported, module+"/"); ok {
			if !slices.Contains(allowed, to) {
				fail(imported, ourRule(folder, allowed))
			}
			continue
		}
		for prefix, homes := range r.fenced {
			if strings.HasPrefix(imported, prefix) && !within(folder, homes) {
				fail(imported, "it stays inside "+strings.Join(homes, " and "))
			}
		}
		if !test && slices.Contains(r.stdlib, folder) && !standard(imported) {
			fail(imported, folder+" uses the standard library only")
		}
	}
	return violations
}

func ourRule(folder string, allowed []string) string {
	if len(allowed) == 0 {
		return folder + " may import nothing of ours"
	}
	return fmt.Sprintf("of ours, %s may import only %s", folder, strings.Join(allowed, ", "))
}

// within tells whether the folder is one of these or below one.
func within(folder string, tops []string) bool {
	return slices.ContainsFunc(tops, func(top string) bool {
		return folder == top || strings.HasPrefix(folder, top+"/")
	})
}

// standard tells the standard library by its paths, which begin without a domain.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}
