package router_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"parley/inbox"
	"parley/store/storetest"
)

// fate is what becomes of the rows that name a client or a chat when it is merged
// into another, and when it is erased.
type fate struct {
	// moves says that none is left that names the one that went.
	moves bool
	// outlives says why rows may still name an erased one; empty when none may.
	outlives string
}

// fates has every column that names a client or a chat. Whoever adds one decides
// here, and in the merge and the erasure, what becomes of it.
func fates() map[string]fate {
	return map[string]fate{
		"crm_chat_messages.chat_id":         {moves: true},
		"crm_chat_members.client_id":        {moves: true},
		"crm_client_contacts.client_id":     {moves: true},
		"parley_identities.client_id":       {moves: true},
		"parley_deliveries.chat_id":         {moves: true}, // with its member
		"parley_notes.chat_id":              {moves: true},
		"parley_scheduled.chat_id":          {moves: true},
		"parley_drafts.chat_id":             {moves: true},
		"crm_chat_members.chat_id":          {}, // agents have one in each
		"parley_chat_labels.chat_id":        {}, // copied, and taken off again
		"parley_autoreplies.client_id":      {}, // copied, so that nobody is answered twice
		"parley_links.chat_id":              {}, // shown as the chat that it went into
		"crm_chats.client_id":               {}, // the empty chat forwards
		"crm_chats.merged_into":             {},
		"crm_clients.merged_into":           {},
		"parley_merges.into_id":             {},
		"parley_merges.from_id":             {},
		"parley_words_stale.client_id":      {}, // a queue
		"parley_webhook_deliveries.chat_id": {}, // what was told then
		"parley_alerts.chat_id":             {}, // what somebody was to be told then
		"parley_facts.chat_id":              {outlives: "the fact of the erasure itself names the client by number"},
		"parley_facts.chat_ids":             {outlives: "emptied; ids are counted"},
		"parley_client_words.id":            {}, // the search, of the client and gone with them
		"parley_erased.client_id":           {outlives: "that there was an erasure"},
	}
}

// clientColumns are the columns that name a client or a chat, from the catalog.
func clientColumns(t *testing.T, url string) []string {
	t.Helper()
	t.Helper()
	return strings.Fields(storetest.Text(t, url, `
		SELECT string_agg(c.relname || '.' || a.attname, ' ' ORDER BY c.relname, a.attname)
		  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
		 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT a.attisdropped AND a.attnum > 0
		   AND (a.attname IN ('client_id', 'chat_id', 'chat_ids', 'into_id', 'from_id', 'merged_into', 'to_chat', 'to_client')
		        OR EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey)
		                      AND a.attname <> 'tenant_id' AND k.confrelid IN ('crm_clients'::regclass, 'crm_chats'::regclass)))`))
}

// naming counts the rows of a column that name a client or a chat.
func (w *world) naming(column string, client, chat int64) int64 {
	w.t.Helper()
	table, name, _ := strings.Cut(column, ".")
	id := chat
	if name == "client_id" || name == "into_id" || name == "from_id" || column == "crm_clients.merged_into" || column == "parley_client_words.id" {
		id = client
	}
	test := name + " = $1"
	if name == "chat_ids" {
		test = "$1 = ANY (chat_ids)"
	}
	return storetest.Int(w.t, w.url, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", table, test), id)
}

func TestEveryTableKnowsWhatAMergeIs(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	w.store(w.text(1, 1, "a1"), w.text(2, 1, "b1"), w.text(2, 2, "b2"))
	a, chatA := w.clientOf("1")
	b, chatB := w.clientOf("2")
	w.answer(chatB, "b3")
	user, err := w.db.EnsureOperator(w.ctx, w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	note, err := w.db.AddNote(w.ctx, w.tenant, byAnn, chatB, user.ID, "below b3", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.db.PutDraft(w.ctx, w.tenant, user.ID, inbox.Draft{ChatID: chatB, Text: "begun"}); err != nil {
		t.Fatal(err)
	}
	label, err := w.db.AddLabel(w.ctx, w.tenant, byAnn, "VIP", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.db.LabelChat(w.ctx, w.tenant, byAnn, chatB, label.ID, true); err != nil {
		t.Fatal(err)
	}
	scheduled := storetest.Int(t, w.url, `INSERT INTO parley_scheduled (tenant_id, chat_id, user_id, reply, due_at, seen, unless_answered)
		VALUES ($1, $2, $3, '{"Text": "later"}', now() + interval '1 day', 3, true) RETURNING id`, string(w.tenant), chatB, user.ID)
	storetest.Exec(t, w.url, `INSERT INTO parley_autoreplies (tenant_id, client_id, day, kind) VALUES ($1, $2, current_date, 'away')`, string(w.tenant), b)

	all := fates()
	columns := clientColumns(t, w.url)
	for _, c := range columns {
		f, known := all[c]
		if !known {
			t.Errorf("%s names a client or a chat: say in fates, the merge, its undoing and the erasure what becomes of it", c)
		}
		if f.moves && w.naming(c, b, chatB) == 0 {
			t.Errorf("nothing of %s is there to move", c)
		}
	}
	for c := range all {
		if !slices.Contains(columns, c) {
			t.Errorf("there is no %s", c)
		}
	}

	if _, err := w.db.MergeClients(w.ctx, w.tenant, byAnn, a, b); err != nil {
		t.Fatal(err)
	}
	for c, f := range all {
		if n := w.naming(c, b, chatB); f.moves && n != 0 {
			t.Errorf("%d rows of %s still name the client that went", n, c)
		}
	}
	last := storetest.Int(t, w.url, `SELECT last_seq FROM crm_chats WHERE id = $1`, chatA)
	if seen := storetest.Int(t, w.url, `SELECT seen FROM parley_scheduled WHERE id = $1`, scheduled); seen != last {
		t.Errorf("what is scheduled has seen %d of %d", seen, last)
	}
	if after := storetest.Int(t, w.url, `SELECT after_seq FROM parley_notes WHERE id = $1`, note.ID); after != last {
		t.Errorf("the note is after %d, want %d", after, last)
	}
	for what, sql := range map[string]string{
		"labelled": `SELECT count(*) FROM parley_chat_labels WHERE chat_id = $2`,
		"answered": `SELECT count(*) FROM parley_autoreplies WHERE client_id = $1`,
		"drafts":   `SELECT count(*) FROM parley_drafts WHERE chat_id = $2`,
	} {
		if n := storetest.Int(t, w.url, sql+` AND $1::integer + $2::integer > 0`, a, chatA); n != 1 {
			t.Errorf("%s: %d, want 1", what, n)
		}
	}

	if _, err := w.db.UnmergeClients(w.ctx, w.tenant, byAnn, b); err != nil {
		t.Fatal(err)
	}
	for c, f := range all {
		if c != "parley_drafts.chat_id" && f.moves && w.naming(c, b, chatB) == 0 {
			t.Errorf("nothing of %s came back", c)
		}
	}
	if seen := storetest.Int(t, w.url, `SELECT seen FROM parley_scheduled WHERE id = $1`, scheduled); seen != 3 {
		t.Errorf("what is scheduled has seen %d of its chat again", seen)
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_chat_labels WHERE chat_id = $1`, chatA); n != 0 {
		t.Error("the label stayed")
	}
	// A reply is what the draft was for.
	w.answer(chatA, "a2")
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_drafts`); n != 0 {
		t.Errorf("%d drafts after a reply", n)
	}

	if _, err := w.db.MergeClients(w.ctx, w.tenant, byAnn, a, b); err != nil {
		t.Fatal(err)
	}
	if _, err := w.db.EraseClient(w.ctx, w.tenant, byAnn, a); err != nil {
		t.Fatal(err)
	}
	for c, f := range all {
		if n := w.naming(c, a, chatA) + w.naming(c, b, chatB); f.outlives == "" && n != 0 {
			t.Errorf("%d rows of %s name the erased client", n, c)
		}
	}
}
