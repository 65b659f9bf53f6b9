package api_test

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/inbox"
	"parley/inbox/api"
	"parley/store"
	"parley/store/storetest"
)

// audited are requests that do what an operation is for, and what the log then
// says that it was done to.
func (w *publicWorld) audited() map[string]struct{ method, path, body, target string } {
	type request = struct{ method, path, body, target string }
	chat := fmt.Sprint(w.a.chat)
	return map[string]request{
		"add-channel":    {"POST", "/channels", `{"transport":"telegram","name":"Second","secrets":{"token":"second"}}`, ""},
		"pause-channel":  {"POST", "/channels/Support/pause", "", string(w.a.channel.ID)},
		"resume-channel": {"POST", "/channels/Support/resume", "", string(w.a.channel.ID)},
		"reply":          {"POST", "/chats/" + chat + "/messages", `{"text":"More.","seen":1,"force":true}`, ""},
	}
}

// What changes a chat, a message or a channel is noted with who did it, to what,
// from where and with which program, in the transaction that changes it.
func TestWhatIsDoneIsInTheAuditLog(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	for _, id := range []string{"add-channel", "pause-channel", "resume-channel", "reply"} {
		r := w.audited()[id]
		res := w.send(w.a.session, r.method, "/api/v1"+r.path, r.body, "User-Agent", "Browser/7\xff")
		if res.StatusCode >= 300 {
			t.Fatal(id, res.StatusCode, res.body)
		}
		e := w.lastEntry()
		kind, _, _ := strings.Cut(e.Action, ".")
		if e.Action != api.Noted()[id] || e.TargetKind != kind || e.TargetID == "" || r.target != "" && e.TargetID != r.target ||
			e.ActorKind != inbox.UserActor || e.ActorName != "Ann" || e.Address != "127.0.0.1" || e.UserAgent != "Browser/7\uFFFD" ||
			e.RequestID == "" || e.RequestID != res.Header.Get("X-Request-Id") {
			t.Errorf("%s: entry is %+v", id, e)
		}
	}
	before := w.lastEntry().ID
	// What changed nothing, and what failed, is not said to have been done.
	w.ask(w.a.session, "POST", "/api/v1/channels/nothing/pause", "", 404, nil)
	w.ask(w.a.session, "POST", fmt.Sprintf("/api/v1/chats/%d/messages", w.a.chat), `{"text":"Stale.","seen":0}`, 409, nil)
	w.ask(w.a.session, "GET", "/api/v1/chats", "", 200, nil)
	reply := fmt.Sprintf("/api/v1/chats/%d/messages", w.a.chat)
	for range 3 {
		w.ask(w.a.session, "POST", reply, `{"text":"Once.","seen":1,"force":true}`, 201, nil, "Idempotency-Key", "k")
	}
	if e := w.lastEntry(); e.ID == before || e.Action != "message.reply" {
		t.Errorf("the last entry is %+v", e)
	}
	if n := storetest.Int(t, w.url, "SELECT count(*) FROM parley_audit_log WHERE id > $1", before); n != 1 {
		t.Errorf("%d entries, expected one for three times the same reply", n)
	}
}

func (w *publicWorld) lastEntry() store.AuditEntry {
	w.Helper()
	var entries api.List[store.AuditEntry]
	w.ask(w.a.session, "GET", "/api/v1/audit-log?limit=1", "", 200, &entries)
	return entries.Items[0]
}

// Neither is there without the other: where the note cannot be written, nothing is
// done.
func TestWhatCannotBeNotedIsNotDone(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	storetest.ExecAsOwner(t, w.url, "REVOKE INSERT ON parley_audit_log FROM parley_api")
	for id, r := range w.audited() {
		if res := w.send(w.a.session, r.method, "/api/v1"+r.path, r.body); res.StatusCode != 500 {
			t.Errorf("%s: %d %s", id, res.StatusCode, res.body)
		}
	}
	for what, sql := range map[string]string{
		"paused": "SELECT count(*) FROM parley_channels WHERE paused_at IS NOT NULL", "added": "SELECT count(*) - 2 FROM parley_channels",
		"answered": "SELECT count(*) FROM crm_chat_messages WHERE message = 'More.'",
	} {
		if n := storetest.Int(t, w.url, sql); n != 0 {
			t.Errorf("%d %s without a note", n, what)
		}
	}
}

// Operations that are noted by hand in their store methods, and those that the
// store notes by itself, are all that change something.
func TestEveryChangeIsNoted(t *testing.T) {
	t.Parallel()
	silent := map[string]string{
		"show-typing": "stores nothing",
		"read-chat":   "what an agent has looked at", "upload": "the reply that carries it is noted", "create-resumable": "likewise", "describe-resumables": "reads", "show-resumable": "reads", "continue-resumable": "likewise", "cancel-resumable": "of what is not there yet, and one's own", "check-channel": "changes nothing of the tenant's",
		"reconcile-channel": "only asks for what happens by itself",
		"log-in":            "session.start", "log-out": "session.end", "accept-invitation": "user.join", "begin-second-factor": "stores nothing",
		"confirm-second-factor": "user.second_factor", "change-user": "user.role, user.disable", "reset-user": "invitation.add", "invite": "invitation.add",
		"revoke-invitation": "invitation.revoke", "add-token": "token.add", "revoke-token": "token.revoke",
		"merge-clients": "client.merge", "unmerge-client": "client.unmerge", "take-contact": "client.take_contact",
		"preview":   "changes nothing",
		"add-block": "block.add", "remove-block": "block.remove", "block-client": "client.block", "unblock-client": "client.unblock",
		"erase-client": "client.erase", "import-clients": "client.import",
		"add-webhook": "webhook.add", "change-webhook": "webhook.change", "delete-webhook": "webhook.delete", "rotate-webhook": "webhook.rotate",
		"test-webhook": "webhook.test", "replay-webhook": "webhook.replay",
		"unread-chat": "what an agent has looked at", "put-draft": "what nobody else sees",
		"set-chat-status": "chat.opened, chat.snoozed, chat.closed", "assign-chat": "chat.assigned",
		"label-chat": "chat.labelled", "unlabel-chat": "chat.unlabelled",
		"add-label": "label.add", "change-label": "label.change", "delete-label": "label.delete",
		"add-team": "team.add", "change-team": "team.change", "delete-team": "team.delete",
		"add-note": "note.added", "change-note": "note.changed", "delete-note": "note.deleted",
		"add-client": "client.add", "change-client": "client.change", "delete-client": "client.delete",
		"add-contact": "client.change", "change-contact": "client.change", "remove-contact": "client.change",
		"add-tenant": "tenant.add", "rename-tenant": "tenant.rename", "suspend-tenant": "tenant.suspend", "resume-tenant": "tenant.resume",
		"remove-tenant": "the log goes with the tenant; parley_removed_tenants has that it did",
		"audit":         "changes nothing", "replay": "of all tenants",
	}
	for id, op := range operations() {
		if op.Method == http.MethodGet || silent[id] != "" {
			continue
		}
		if api.Noted()[id] == "" {
			t.Errorf("%s changes something: let its rule be noted, or say here how it is", id)
		}
	}
}

func TestAuditLogExport(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	// More than two pages.
	storetest.Exec(t, w.url, `INSERT INTO parley_audit_log (tenant_id, actor_kind, actor_name, action, at)
		SELECT $1, 'user', '=cmd()', 'x.y' || n, now() - interval '1 day' FROM generate_series(1, 1200) n`, string(w.a.tenant.ID))
	want := int(storetest.Int(t, w.url, "SELECT count(*) FROM parley_audit_log WHERE tenant_id = $1", string(w.a.tenant.ID))) + 1 // itself
	read := func(query string) []store.AuditEntry {
		t.Helper()
		res := w.ask(w.a.session, "GET", "/api/v1/audit-log/export"+query, "", 200, nil)
		if kind := res.Header.Get("Content-Type"); kind != "application/x-ndjson" {
			t.Errorf("content type %q", kind)
		}
		var list []store.AuditEntry
		for lines := bufio.NewScanner(strings.NewReader(res.body)); lines.Scan(); {
			var e store.AuditEntry
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			list = append(list, e)
		}
		return list
	}
	whole := read("")
	if len(whole) != want || !slices.IsSortedFunc(whole, func(a, b store.AuditEntry) int { return int(a.ID - b.ID) }) {
		t.Errorf("%d entries, expected %d by id", len(whole), want)
	}
	if e := whole[len(whole)-1]; e.Action != "audit.export" || e.ActorName != "Ann" {
		t.Errorf("the export is noted as %+v", e)
	}
	if rest := read(fmt.Sprintf("?after=%d", whole[599].ID)); len(rest) != want-600+1 || rest[0].ID != whole[600].ID {
		t.Errorf("%d entries after the 600th", len(rest))
	}
	yesterday := time.Now().Add(-12 * time.Hour).UTC().Format(time.RFC3339)
	if old := read("?until=" + yesterday); len(old) != 1200 {
		t.Errorf("%d entries until yesterday", len(old))
	}
	if young := read("?from=" + yesterday); len(young) != want-1200+3 {
		t.Errorf("%d entries since yesterday, expected %d", len(young), want-1200+3)
	}
	table := w.ask(w.a.session, "GET", "/api/v1/audit-log/export?format=csv", "", 200, nil)
	rows, err := csv.NewReader(strings.NewReader(table.body)).ReadAll()
	if err != nil || len(rows) != 1+want+4 || rows[0][0] != "id" {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if !slices.ContainsFunc(rows, func(r []string) bool { return r[4] == "'=cmd()" }) || strings.Contains(table.body, ",=cmd") {
		t.Error("a spreadsheet would run what a user called themselves")
	}
	for _, begin := range []string{"=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"} {
		storetest.Exec(t, w.url, "INSERT INTO parley_audit_log (tenant_id, actor_kind, actor_name, action) VALUES ($1, 'user', $2, 'x.y')", string(w.a.tenant.ID), begin+"SUM(A1)")
	}
	table = w.ask(w.a.session, "GET", "/api/v1/audit-log/export?format=csv&from="+yesterday, "", 200, nil)
	rows, err = csv.NewReader(strings.NewReader(table.body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	sums := 0
	for _, r := range rows {
		if strings.HasSuffix(r[4], "SUM(A1)") {
			sums++
			if !strings.HasPrefix(r[4], "'") {
				t.Errorf("a spreadsheet would take %q for a formula", r[4])
			}
		}
	}
	if sums != 11 {
		t.Errorf("%d of 11 names are there", sums)
	}
	// The other tenant's export has none of it.
	if res := w.ask(w.b.session, "GET", "/api/v1/audit-log/export", "", 200, nil); strings.Contains(res.body, "x.y") {
		t.Error("another tenant's log is exported")
	}
	w.ask(w.a.tokenSecret, "GET", "/api/v1/audit-log/export", "", 403, nil)
}
