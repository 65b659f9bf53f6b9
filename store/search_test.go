package store_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/store/storetest"
)

// searchWorld is two tenants whose clients write.
type searchWorld struct {
	*accessWorld
	members map[events.TenantID]string
	chats   map[events.TenantID]int64
}

func newSearchWorld(t *testing.T) *searchWorld {
	t.Helper()
	w := &searchWorld{accessWorld: newAccessWorld(t), members: map[events.TenantID]string{}, chats: map[events.TenantID]int64{}}
	for _, tenant := range []events.TenantID{w.a, w.b} {
		client := storetest.Int(t, w.url, "INSERT INTO crm_clients (tenant_id, first_name, last_name, phone_number) VALUES ($1, 'Anna', 'Øster', '+4915112345') RETURNING id", string(tenant))
		w.chats[tenant] = storetest.Int(t, w.url, "INSERT INTO crm_chats (tenant_id, client_id) VALUES ($1, $2) RETURNING id", string(tenant), client)
		storetest.Exec(t, w.url, "INSERT INTO crm_chat_members (tenant_id, chat_id, client_id, transport) VALUES ($1, $2, $3, 'sms')", string(tenant), w.chats[tenant], client)
	}
	return w
}

// say writes a message for each text.
func (w *searchWorld) say(tenant events.TenantID, texts ...string) {
	w.Helper()
	storetest.Exec(w.T, w.url, `INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message, direction)
		SELECT m.tenant_id, m.chat_id, m.id, t, 'in' FROM crm_chat_members m, unnest($2::text[]) t WHERE m.chat_id = $1`, w.chats[tenant], texts)
}

func (w *searchWorld) index() {
	w.Helper()
	// Transactions of other tests, too, are waited for.
	for all := false; !all; {
		var err error
		if _, all, err = w.db.IndexWords(w.Context(), 0); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *searchWorld) find(tenant events.TenantID, words string) []string {
	w.Helper()
	var all []string
	s := store.Search{Words: words, Limit: 7}
	for {
		found, next, err := w.db.SearchMessages(w.Context(), tenant, s)
		if err != nil {
			w.Fatal(err)
		}
		for _, f := range found {
			text := ""
			for _, p := range f.Excerpt {
				if p.Match {
					text += "[" + p.Text + "]"
				} else {
					text += p.Text
				}
			}
			all = append(all, text)
		}
		if s.Cursor = next; next == "" {
			return all
		}
	}
}

func TestSearchMessages(t *testing.T) {
	t.Parallel()
	w := newSearchWorld(t)
	w.say(w.a, "Do you ship to Norway?", "We ship <b>everything</b> & \x02more\x03", "to ship you", "Größe 42, ÅSA")
	w.say(w.b, "only theirs: ship")
	w.index()
	for words, want := range map[string][]string{
		"norway":        {"Do you ship to [Norway]?"},
		"NORWAY ship":   {"Do you [ship] to [Norway]?"},
		`"ship to"`:     {"Do you [ship] [to] Norway?"},
		"ship -norway":  {"to [ship] you", "We [ship] <b>everything</b> & more"},
		"norway or 42":  {"Größe [42], ÅSA", "Do you ship to [Norway]?"},
		"größe":         {"[Größe] 42, ÅSA"},
		"åsa":           {"Größe 42, [ÅSA]"},
		"nothing":       nil,
		"theirs":        nil,
		"'; DROP TABLE": nil,
		"\x01\x02abc":   nil,
	} {
		if got := w.find(w.a, words); !reflect.DeepEqual(got, want) {
			t.Errorf("%q finds %q, want %q", words, got, want)
		}
	}
	for _, words := range []string{"?", "  ", "&|!"} {
		if _, _, err := w.db.SearchMessages(t.Context(), w.a, store.Search{Words: words, Limit: 5}); inbox.CodeOf(err) != inbox.Invalid {
			t.Errorf("%q: %v", words, err)
		}
	}
	for _, cursor := range []string{"x", "MSAy!", "LTEgMQ"} {
		if _, _, err := w.db.SearchMessages(t.Context(), w.a, store.Search{Words: "ship", Cursor: cursor, Limit: 5}); inbox.CodeOf(err) != inbox.Invalid {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}

	// An edit is found by its new words only; what is erased is not found at all.
	storetest.Exec(t, w.url, "UPDATE crm_chat_messages SET message = 'Do you ship to Sweden?' WHERE message LIKE '%Norway%'")
	w.index()
	if a, b := w.find(w.a, "norway"), w.find(w.a, "sweden"); a != nil || len(b) != 1 {
		t.Errorf("after an edit: %q, %q", a, b)
	}
	storetest.Exec(t, w.url, "DELETE FROM crm_clients WHERE tenant_id = $1", string(w.a))
	if got := w.find(w.a, "ship"); got != nil {
		t.Errorf("of a client who was erased: %q", got)
	}
	if n := storetest.Int(t, w.url, "SELECT (SELECT count(*) FROM parley_message_words) + (SELECT count(*) FROM parley_client_words)"); n != 2 {
		t.Errorf("%d rows of words are left, of the other tenant's client and message", n)
	}
}

// skipTo makes the next messages' ids larger, as other tenants' messages would.
func (w *searchWorld) skipTo(id int) {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), w.url)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(w.Context())) }()
	if _, err := conn.Exec(w.Context(), "SELECT setval('crm_chat_messages_id_seq', $1)", id); err != nil {
		w.Fatal(err)
	}
}

// Every match is found once over all pages, across blocks and windows.
func TestSearchGoesBack(t *testing.T) {
	t.Parallel()
	w := newSearchWorld(t)
	var texts []string
	for i := range 1000 {
		texts = append(texts, fmt.Sprintf("common word%d", i))
	}
	w.say(w.a, texts[:400]...)
	w.skipTo(8000)
	w.say(w.a, texts[400:700]...)
	w.say(w.b, "common")
	w.skipTo(3000000)
	w.say(w.a, texts[700:]...)
	w.index()
	got := w.find(w.a, "common")
	seen := map[string]bool{}
	for _, text := range got {
		if seen[text] || !strings.HasPrefix(text, "[common] word") {
			t.Errorf("found %q again", text)
		}
		seen[text] = true
	}
	if len(got) != 1000 || got[0] != "[common] word999" {
		t.Errorf("%d messages were found, first %q", len(got), got[0])
	}
	for _, n := range []int{0, 350, 650, 999} {
		if got := w.find(w.a, fmt.Sprint("word", n)); len(got) != 1 {
			t.Errorf("word%d: %q", n, got)
		}
	}
}

// A message whose id is lower than one that was indexed already is not missed.
func TestIndexWaitsForLowerIDs(t *testing.T) {
	t.Parallel()
	w := newSearchWorld(t)
	conn, err := pgx.Connect(t.Context(), w.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	do := func(sql string, args ...any) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	do("SET ROLE parley_worker")
	do("BEGIN")
	do(`INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message, direction)
		SELECT tenant_id, chat_id, id, 'slow', 'in' FROM crm_chat_members WHERE chat_id = $1`, w.chats[w.a])
	w.say(w.b, "quick")
	for range 5 {
		if _, all, err := w.db.IndexWords(t.Context(), 0); err != nil || all {
			t.Errorf("all were indexed, %v", err)
		}
	}
	if got := w.find(w.b, "quick"); got != nil {
		t.Errorf("indexed past an id that is still to come: %q", got)
	}
	do("COMMIT")
	w.index()
	if a, b := w.find(w.a, "slow"), w.find(w.b, "quick"); len(a) != 1 || len(b) != 1 {
		t.Errorf("found %q and %q", a, b)
	}
}

func TestSearchClients(t *testing.T) {
	t.Parallel()
	w := newSearchWorld(t)
	storetest.Exec(t, w.url, "INSERT INTO crm_clients (tenant_id, first_name, email) VALUES ($1, 'Joanna', 'jo@example.com')", string(w.a))
	w.index()
	find := func(words string) (names []string) {
		t.Helper()
		found, _, err := w.db.SearchClients(t.Context(), w.a, store.Search{Words: words, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			names = append(names, f.FirstName)
		}
		return names
	}
	for words, want := range map[string][]string{
		"anna": {"Anna", "Joanna"}, "øst": {"Anna"}, "ØS": {"Anna"}, "j": {"Joanna"}, "5112": {"Anna"}, "joanna": {"Joanna"}, "oanna": {"Joanna"}, "xample": {"Joanna"}, "jo@example": {"Joanna"},
		"anna oster": nil, "an øster": {"Anna"}, "x": nil, "%": nil,
	} {
		if words == "%" {
			if _, _, err := w.db.SearchClients(t.Context(), w.a, store.Search{Words: words, Limit: 10}); inbox.CodeOf(err) != inbox.Invalid {
				t.Errorf("%q: %v", words, err)
			}
			continue
		}
		if got := find(words); !reflect.DeepEqual(got, want) {
			t.Errorf("%q finds %q, want %q", words, got, want)
		}
	}
	// Another name and another contact are found, the old name is not.
	storetest.Exec(t, w.url, "UPDATE crm_clients SET first_name = 'Berta' WHERE first_name = 'Joanna'")
	storetest.Exec(t, w.url, "INSERT INTO crm_client_contacts (tenant_id, client_id, contact_type, contact_value) SELECT tenant_id, id, 'telegram', '@wonder' FROM crm_clients WHERE first_name = 'Berta'")
	w.index()
	if a, b, c := find("joanna"), find("berta"), find("wond"); a != nil || len(b) != 1 || len(c) != 1 {
		t.Errorf("after a change: %q %q %q", a, b, c)
	}
	storetest.Exec(t, w.url, "DELETE FROM crm_client_contacts WHERE contact_value = '@wonder'")
	w.index()
	if got := find("wonder"); got != nil {
		t.Errorf("a contact that is gone finds %q", got)
	}
}

// Clients whose words were written by an earlier version are found by their numbers.
func TestSearchClientsOfBefore(t *testing.T) {
	t.Parallel()
	w := newSearchWorld(t)
	provider, _ := schemaOf(t, w.url)
	const search = 37 // the migration that adds longer pieces
	if _, err := provider.DownTo(t.Context(), search-1); err != nil {
		t.Fatal(err)
	}
	w.index()
	if _, err := store.Migrate(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	found, _, err := w.db.SearchClients(t.Context(), w.a, store.Search{Words: "15112345", Limit: 10})
	if err != nil || len(found) != 1 || found[0].FirstName != "Anna" {
		t.Errorf("found %+v, %v", found, err)
	}
}

// Many who have a word's trigrams, but not the word, do not hide who has it.
func TestSearchClientsBehindOthers(t *testing.T) {
	t.Parallel()
	w := newSearchWorld(t)
	storetest.Exec(t, w.url, "INSERT INTO crm_clients (tenant_id, first_name) VALUES ($1, 'Abcab')", string(w.a))
	storetest.Exec(t, w.url, "INSERT INTO crm_clients (tenant_id, first_name) SELECT $1, 'Abca Bcab' FROM generate_series(1, 700)", string(w.a))
	w.index()
	found, next, err := w.db.SearchClients(t.Context(), w.a, store.Search{Words: "abcab", Limit: 10})
	if err != nil || len(found) != 1 || found[0].FirstName != "Abcab" || next != "" {
		t.Errorf("found %+v, next %q, %v", found, next, err)
	}
}

// In a large tenant a search uses the index, whatever the policy says, and costs
// about the same for the commonest word and the rarest.
func TestSearchUsesTheIndex(t *testing.T) {
	t.Parallel()
	w := newSearchWorld(t)
	storetest.Exec(t, w.url, `INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message, direction, seq)
		SELECT tenant_id, chat_id, id, 'common word' || n, 'out', n FROM crm_chat_members, generate_series(1, 30000) n WHERE chat_id = $1`, w.chats[w.a])
	w.index()
	storetest.ExecAsOwner(t, w.url, "ANALYZE parley_message_words")
	for _, words := range []string{"common", "word77", "absent"} {
		began := time.Now()
		w.find2(words)
		t.Logf("%q took %v", words, time.Since(began))
	}
	conn, err := pgx.Connect(t.Context(), w.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), `SET ROLE parley_api; SELECT set_config('parley.tenant', '`+string(w.a)+`', false), set_config('parley.query', 'word77', false)`); err != nil {
		t.Fatal(err)
	}
	rows, _ := conn.Query(t.Context(), "EXPLAIN SELECT id FROM parley_message_words")
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || !strings.Contains(strings.Join(plan, "\n"), "parley_message_words_gin") {
		t.Error(strings.Join(plan, "\n"), err)
	}
}

func (w *searchWorld) find2(words string) {
	w.Helper()
	if _, _, err := w.db.SearchMessages(w.Context(), w.a, store.Search{Words: words, Limit: 20}); err != nil {
		w.Fatal(err)
	}
}
