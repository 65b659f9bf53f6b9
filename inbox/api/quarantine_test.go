package api_test

import (
	"fmt"
	"testing"

	"parley/inbox"
	"parley/inbox/api"
	"parley/store"
	"parley/store/storetest"
)

// A tenant's admins see and replay what came by their own channels; what names no
// tenant stays the operator's.
func TestQuarantineOfATenant(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	storetest.Exec(t, w.url, `INSERT INTO parley_quarantine (stream_partition, stream_seq, event, reason) VALUES (0, 1, '\xff', 'whose is it?')`)
	var list api.List[store.QuarantinedEvent]
	w.ask(w.a.session, "GET", "/api/v1/quarantine", "", 200, &list)
	if len(list.Items) != 1 || list.Items[0].ID != w.a.quarantined {
		t.Fatalf("the tenant sees %+v", list.Items)
	}
	path := fmt.Sprintf("/api/v1/quarantine/%d", w.a.quarantined)
	var p store.ReplayPreview
	w.ask(w.a.session, "GET", path+"/preview", "", 200, &p)
	if len(p.Events) != 1 || p.Events[0].Chat != w.a.chat || p.Events[0].Client != w.a.client || p.Refused != "" {
		t.Errorf("preview is %+v", p)
	}
	noted := func() int64 {
		return storetest.Int(t, w.url, `SELECT count(*) FROM parley_audit_log WHERE tenant_id = $1 AND action = 'quarantine.replay' AND target_id = $2 AND actor_name = 'Ann'`,
			string(w.a.tenant.ID), fmt.Sprint(w.a.quarantined))
	}
	if n := noted(); n != 0 {
		t.Errorf("%d notes of a preview", n)
	}
	var done api.Replayed
	w.ask(w.a.session, "POST", path+"/replay", "", 200, &done)
	if len(done.Outcomes) != 1 || done.Outcomes[0] != store.Persisted || noted() != 1 {
		t.Errorf("replayed as %+v, %d notes", done, noted())
	}
	ms, _, err := w.db.Messages(t.Context(), w.a.tenant.ID, w.a.chat, store.MessagePage{})
	if err != nil || len(ms) != 3 || !ms[2].Late {
		t.Errorf("messages are %+v, %v", ms, err)
	}
	w.ask(w.a.session, "GET", "/api/v1/quarantine", "", 200, &list)
	if len(list.Items) != 0 {
		t.Errorf("still waiting: %+v", list.Items)
	}
	w.ask(w.a.session, "GET", "/api/v1/quarantine?all=true", "", 200, &list)
	if len(list.Items) != 1 || list.Items[0].ReplayedAt == nil {
		t.Errorf("of all there are %+v", list.Items)
	}
	agent := w.join(w.a, "agent@acme.example", inbox.Agent)
	w.ask(w.logIn(w.a, agent.Email), "GET", path, "", 403, nil)
}

// What is in a tenant's quarantine and names another's channel, or another tenant,
// is never replayed by that tenant.
func TestQuarantineNamesAnotherTenant(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	before := w.readings(w.b)
	for i, id := range []int64{
		w.quarantine(w.a, w.a.tenant.ID, w.b.channel.ID, "1"), w.quarantine(w.a, w.b.tenant.ID, w.b.channel.ID, "3"),
	} {
		path := fmt.Sprintf("/api/v1/quarantine/%d", id)
		var p store.ReplayPreview
		w.ask(w.a.session, "GET", path+"/preview", "", 200, &p)
		if p.Refused == "" || len(p.Events) != 0 {
			t.Errorf("%d: preview is %+v", i, p)
		}
		w.ask(w.a.session, "POST", path+"/replay", "", 422, nil)
	}
	for id, body := range w.readings(w.b) {
		if body != before[id] {
			t.Errorf("what %s shows was changed from another tenant:\n%s\n%s", id, before[id], body)
		}
	}
}
