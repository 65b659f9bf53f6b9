package main_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// moduleDir is where go.mod is, seen from this folder.
const moduleDir = "../.."

// TestImports keeps the layers apart: it reads every Go file of the module, whatever
// its build tags. It parses instead of asking go list, whose answers the test cache
// does not know to be stale.
func TestImports(t *testing.T) {
	t.Parallel()
	files := goFiles(t)
	if len(files) < 10 {
		t.Fatalf("only %d Go files found: looking in the wrong place", len(files))
	}
	for _, src := range files {
		for _, violation := range parleyRules.check(src) {
			t.Error(violation)
		}
	}
}

// TestImportRulesNameRealFolders finds rows that a removed or renamed folder left.
func TestImportRulesNameRealFolders(t *testing.T) {
	t.Parallel()
	for folder, imports := range parleyRules.ours {
		_, err := os.Stat(filepath.Join(moduleDir, folder))
		if missing := err != nil; missing != slices.Contains(planned, folder) {
			t.Errorf("%s: missing is %t, planned is %t; keep the rules true", folder, missing, !missing)
		}
		for _, to := range imports {
			if _, ok := parleyRules.ours[to]; !ok {
				t.Errorf("%s may import %s, which the rules do not know", folder, to)
			}
		}
	}
	for _, adapter := range adapters {
		for _, other := range adapters {
			if slices.Contains(parleyRules.ours[adapter], other) {
				t.Errorf("%s may import another adapter, %s", adapter, other)
			}
		}
	}
}

// TestImportRulesBite makes sure that the checker finds what it is there to find.
func TestImportRulesBite(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		file, imported string
		says           string // empty: allowed
	}{
		{"events/id.go", "strings", ""},
		{"events/id.go", "crypto/rand", ""},
		{"events/id.go", "github.com/google/uuid", "standard library only"},
		{"events/id.go", "parley/inbox", "may import nothing of ours"},
		{"migrations/migrations.go", "github.com/jackc/pgx/v5", "standard library only"},

		{"events/jetstream/bus.go", "github.com/nats-io/nats.go/jetstream", ""},
		{"events/jetstream/bus.go", "parley/store", "may import only events"},
		{"inbox/router/router.go", "github.com/nats-io/nats.go", "stays inside events/jetstream"},
		{"inbox/router/router.go", "parley/events/jetstream", ""},
		{"inbox/router/router.go", "parley/inbox/desk", "may import only"},
		{"inbox/dispatcher/send.go", "parley/transports", ""},
		{"inbox/dispatcher/send.go", "parley/transports/telegram", "may import only"},
		{"inbox/api/chat.go", "parley/events/jetstream", "may import only"},
		{"inbox/web/chat.go", "github.com/jackc/pgx/v5", "stays inside store"},
		{"inbox/chat.go", "parley/store", "may import only events"},

		{"store/chat.go", "github.com/jackc/pgx/v5/pgxpool", ""},
		{"store/chat.go", "parley/inbox", ""},
		{"store/chat.go", "parley/events/jetstream", "may import only"},
		{"store/chat.go", "parley/store/storetest", "may import only"},
		{"store/storetest/database.go", "github.com/jackc/pgx/v5", ""},
		{"store/localpg/localpg.go", "parley/store", "may import nothing"},
		{"inbox/desk/reply.go", "database/sql", "stays inside store"},
		{"inbox/desk/reply.go", "database/sql/driver", "stays inside store"},

		{"transports/telegram/bot.go", "github.com/go-telegram-bot-api/telegram-bot-api/v5", ""},
		{"transports/telegram/bot.go", "parley/transports", ""},
		{"transports/telegram/bot.go", "parley/transports/twilio", "may import only"},
		{"transports/telegram/bot.go", "parley/transports/gateway", "may import only"},
		{"transports/twilio/sms.go", "github.com/go-telegram-bot-api/telegram-bot-api/v5", "stays inside transports/telegram"},
		{"transports/gateway/poll.go", "github.com/twilio/twilio-go", "stays inside transports/twilio"},
		{"transports/gateway/poll.go", "parley/store", "may import only"},
		{"transports/sandbox/mail.go", "github.com/emersion/go-imap/v2", ""},
		{"transports/sandbox/mail.go", "parley/transports/email", "may import only events"},
		{"transports/gateway/poll.go", "parley/transports/sandbox", "may import only"},

		{"cmd/parley/run.go", "parley/transports/telegram", ""},
		{"cmd/parley/run.go", "github.com/jackc/pgx/v5/pgxpool", ""},
		{"cmd/parley-bench/main.go", "parley/store/localpg", ""},

		{"store/chat_test.go", "parley/store/storetest", ""},
		{"store/chat_test.go", "parley/store", ""},
		{"inbox/router/router_test.go", "parley/inbox/router", ""},
		{"inbox/router/router_test.go", "parley/store/storetest", ""},
		{"inbox/router/router_test.go", "github.com/jackc/pgx/v5", "stays inside store"},
		{"transports/email/imap_test.go", "parley/transports/sandbox", ""},
		{"transports/email/imap_test.go", "parley/transports/twilio", "may import only"},
		{"events/id_test.go", "parley/events", ""},
		{"events/id_test.go", "parley/inbox", "may import only"},
		{"events/id_test.go", "github.com/jackc/pgx/v5", "stays inside store"},
		{"migrations/schema_test.go", "github.com/jackc/pgx/v5", ""},
		{"migrations/schema_test.go", "parley/store/storetest", ""},
		{"inbox/api/chat_test.go", "parley/inbox/router", "may import only"},

		{"inbox/reports/report.go", "strings", "add it to importrules_test.go"},
		{"commands/x.go", "strings", "add it to importrules_test.go"},
		{"main.go", "strings", "add it to importrules_test.go"},
	} {
		got := parleyRules.check(source{tt.file, []string{tt.imported}})
		switch {
		case tt.says == "" && len(got) > 0:
			t.Errorf("good import refused: %s", got)
		case tt.says != "" && len(got) == 0:
			t.Errorf("%s may import %s, the rules think", tt.file, tt.imported)
		case tt.says != "" && !strings.Contains(got[0], tt.says):
			t.Errorf("%q does not say %q", got[0], tt.says)
		case tt.says != "" && !strings.Contains(got[0], tt.file):
			t.Errorf("%q does not name the file", got[0])
		}
	}
}

// goFiles parses the imports of every Go file of the module.
func goFiles(t *testing.T) (files []source) {
	t.Helper()
	root := os.DirFS(moduleDir)
	if _, err := fs.Stat(root, "go.mod"); err != nil {
		t.Fatal(err)
	}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && name != "." && (base == "testdata" || base == "vendor" ||
			strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
			return fs.SkipDir // the go command does not look there either
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		src := source{file: name}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(moduleDir, name), nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			src.imports = append(src.imports, imported)
		}
		files = append(files, src)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
