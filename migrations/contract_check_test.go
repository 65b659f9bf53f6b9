package migrations_test

import (
	"os"
	"strings"
	"testing"
)

func TestContract(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.exec("BEGIN")
	defer s.exec("ROLLBACK")
	want, live := contractFacts(s), readFacts(s, "public", `crm\_%`)
	for _, complaint := range checkContract(want, live, differences) {
		t.Error(complaint)
	}
	for table := range readFacts(s, "public", "%") {
		name, isTable := strings.CutPrefix(table, "table ")
		if isTable && !strings.HasPrefix(name, "parley_") && want[table] == "" && surroundings[name] == "" {
			t.Errorf("table %s is neither the contract's nor Parley's", name)
		}
	}
	for name := range surroundings {
		if one[bool](s, "SELECT to_regclass('public.' || $1) IS NULL", name) {
			t.Errorf("table %s is missing", name)
		}
	}
}

// surroundings are the tables that the data model refers to and does not define.
var surroundings = map[string]string{
	"tenants":        "referred to by tenant_id",
	"core_users":     "referred to by crm_chat_members.user_id",
	"core_uploads":   "referred to by crm_chat_message_attachments.upload_id",
	"core_passports": "referred to by crm_clients.passport_id",
}

// A checker that never complains would pass for ever.
func TestContractCheckerComplains(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, sql string
		// complaint is the start of the one that is expected.
		complaint string
	}{
		{"index dropped", "DROP INDEX idx_crm_chats_client_id", "index idx_crm_chats_client_id\n"},
		{"index on another column", "DROP INDEX idx_crm_chats_client_id; CREATE INDEX idx_crm_chats_client_id ON crm_chats (created_at)", "index idx_crm_chats_client_id\n"},
		{"index no longer unique", "DROP INDEX idx_crm_clients_pin_unique; CREATE INDEX idx_crm_clients_pin_unique ON crm_clients (tenant_id, pin)", "index idx_crm_clients_pin_unique\n"},
		{"unlisted index", "CREATE INDEX extra ON crm_chats (created_at)", "index extra\n"},
		{"column may be null", "ALTER TABLE crm_clients ALTER first_name DROP NOT NULL", "column crm_clients.first_name\n"},
		{"column may not be null", "ALTER TABLE crm_clients ALTER comments SET NOT NULL", "column crm_clients.comments\n"},
		{"default dropped", "ALTER TABLE crm_clients ALTER created_at DROP DEFAULT", "column crm_clients.created_at\n"},
		{"type changed", "ALTER TABLE crm_clients ALTER gender TYPE varchar(21)", "column crm_clients.gender\n"},
		{"column dropped", "ALTER TABLE crm_clients DROP comments", "column crm_clients.comments\n"},
		{"unlisted column", "ALTER TABLE crm_clients ADD extra text", "column crm_clients.extra\n"},
		{"unlisted table", "CREATE TABLE crm_extra ()", "table crm_extra\n"},
		{"constraint renamed", "ALTER TABLE crm_chats RENAME CONSTRAINT fk_crm_chats_client_id TO other", "constraint fk_crm_chats_client_id\n"},
		{
			"action changed",
			`ALTER TABLE crm_chats DROP CONSTRAINT fk_crm_chats_client_id;
			 ALTER TABLE crm_chats ADD CONSTRAINT fk_crm_chats_client_id FOREIGN KEY (tenant_id, client_id) REFERENCES crm_clients (tenant_id, id)`,
			"constraint fk_crm_chats_client_id\n",
		},
		{"unlisted check", "ALTER TABLE crm_clients ADD CONSTRAINT extra CHECK (id > 0)", "constraint extra\n"},
		{"unlisted trigger", "CREATE TRIGGER extra BEFORE INSERT ON crm_chats FOR EACH ROW EXECUTE FUNCTION parley_clients_blank_to_null()", "trigger crm_chats.extra\n"},
		{
			"difference that is gone",
			"ALTER TABLE crm_clients ALTER created_at TYPE timestamp",
			"column crm_clients.created_at\n",
		},
	}
	s := open(t)
	s.exec("BEGIN")
	defer s.exec("ROLLBACK")
	want := contractFacts(s)
	for _, test := range tests {
		s.undone(func() {
			s.exec("SET LOCAL search_path = public")
			s.exec(test.sql)
			for _, complaint := range checkContract(want, readFacts(s, "public", `crm\_%`), differences) {
				if strings.HasPrefix(complaint, test.complaint) {
					return
				}
			}
			t.Errorf("%s: the checker did not notice", test.name)
		})
	}

	live := readFacts(s, "public", `crm\_%`)
	needless := append(differences[:len(differences):len(differences)],
		difference{live: map[string]string{"column crm_chats.client_id": live["column crm_chats.client_id"]}})
	if complaints := checkContract(want, live, needless); len(complaints) != 1 {
		t.Errorf("a listed difference that is none: %q", complaints)
	}
}

// Whoever reads the documentation learns of every difference.
func TestDifferencesAreDocumented(t *testing.T) {
	t.Parallel()
	text := readDoc(t)
	for _, d := range differences {
		if d.reason == "" {
			t.Errorf("no reason: %v", d.live)
		}
		for key := range d.live {
			_, full, _ := strings.Cut(key, " ")
			short := full[strings.Index(full, ".")+1:]
			if !strings.Contains(text, "`"+short+"`") && !strings.Contains(text, "`"+full+"`") {
				t.Errorf("docs/data-model.md does not mention `%s`", full)
			}
		}
	}
}

func readDoc(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/data-model.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
