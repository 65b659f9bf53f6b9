package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/inbox"
	"parley/inbox/router"
	"parley/store"
	"parley/store/storetest"
)

// A removed tenant is nowhere: not in the database, on the bus or among the files,
// also where it shares frames with another one, not by what was under way, and not
// when an older backup is restored. The other tenant has all that it had.
func TestRemovedTenantsDoNotComeBack(t *testing.T) {
	t.Parallel()
	w := newErasureWorld(t)
	stop := w.route()
	defer func() { stop() }()
	other, err := w.db.AddTenant(w.ctx, inbox.Actor{Kind: inbox.Operator}, "Rival", "")
	w.must(err)
	channel, err := w.db.CreateChannel(w.ctx, events.Channel{
		ID: events.ChannelID(uuid.NewString()), Tenant: other.ID, Transport: events.Telegram, Name: "Theirs", Mode: events.Polling, WebhookPath: uuid.NewString(),
	}, "", "")
	w.must(err)
	w.must(w.desk.Project(w.ctx))
	theirs := func(user, message string) events.Inbound {
		ev := w.text(user, message, "rival-secret")
		ev.Tenant, ev.Channel = other.ID, channel.ID
		return ev
	}
	w.must(w.blobs.Put(w.ctx, "raw/rival", strings.NewReader("large rival-secret")))
	large, broken := theirs("3", "1"), theirs("3", "2")
	large.Raw, large.RawRef = nil, "raw/rival"
	broken.Content, broken.Raw = nil, []byte(`"rival-secret"`)
	var sent []events.Inbound
	for i := range 20 { // in one call, so that frames hold events of both
		user := string(rune('a' + i%5))
		sent = append(sent, w.text(user, "1", "ours "+user), theirs(user, uuid.NewString()))
	}
	w.must(w.bus.Publish(w.ctx, append(sent, large, broken)...))
	w.drained()
	operator, err := w.db.EnsureOperator(w.ctx, other.ID)
	w.must(err)
	chat := storetest.Int(t, w.url, `SELECT min(id) FROM crm_chats WHERE tenant_id = $1`, string(other.ID))
	file, err := w.desk.Upload(w.ctx, other.ID, "", "rival.txt", "text/plain", strings.NewReader("a file of rival-secret"))
	w.must(err)
	_, err = w.db.Reply(w.ctx, store.Reply{Tenant: other.ID, Chat: chat, Channel: channel.ID, Text: "rival-secret", User: operator.ID, Force: true, Uploads: []int64{file.ID}})
	w.must(err)
	w.drained()
	if found := w.everywhere("rival-secret"); len(found) < 5 {
		t.Fatalf("it is only in %q", found)
	}
	ours := storetest.Text(t, w.url, `SELECT string_agg(m::text, E'\n' ORDER BY id) FROM crm_chat_messages m WHERE tenant_id = $1`, string(w.tenant))

	gone, err := w.desk.RemoveTenant(w.ctx, other.ID, inbox.Actor{Kind: inbox.Operator}, "Rival")
	w.must(err)
	if !gone.Done || gone.Files != 2 || gone.Rows["crm_chat_messages"] < 20 {
		t.Errorf("%+v", gone)
	}
	nowhere := func(when string) {
		t.Helper()
		for _, word := range []string{"rival-secret", string(channel.ID)} {
			if found := w.everywhere(word); len(found) > 0 {
				t.Errorf("%s: %s is in %q", when, word, found)
			}
		}
		now := storetest.Text(t, w.url, `SELECT string_agg(m::text, E'\n' ORDER BY id) FROM crm_chat_messages m WHERE tenant_id = $1`, string(w.tenant))
		if now != ours {
			t.Errorf("%s: the other tenant's messages were\n%s\nand are\n%s", when, ours, now)
		}
		report, err := router.Audit(w.ctx, w.db, w.bus)
		w.must(err)
		if !report.Clean {
			t.Errorf("%s: %q", when, report.Findings)
		}
	}
	nowhere("removed")

	// What a gateway had taken before it heard.
	w.must(w.bus.Publish(w.ctx, theirs("late", "1"), theirs("late", "2")))
	w.drained()
	w.must(w.desk.FinishErasures(w.ctx, time.Duration(0)))
	nowhere("gone over once more")
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_removed_tenants WHERE todo IS NULL`); n != 1 {
		t.Errorf("%d removals are finished", n)
	}

	// A database from before: the tenant's row is there again, nothing knows of the removal.
	storetest.Exec(t, w.url, `UPDATE parley_removed_tenants SET id = gen_random_uuid()`)
	storetest.Exec(t, w.url, `INSERT INTO tenants (id, name) VALUES ($1, 'Rival')`, string(other.ID))
	storetest.Exec(t, w.url, `INSERT INTO core_users (tenant_id, name) VALUES ($1, 'rival-secret')`, string(other.ID))
	w.must(w.desk.RepeatErasures(w.ctx))
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM tenants WHERE name = 'Rival'`); n != 0 {
		t.Error("the restored backup brought it back")
	}
	w.must(w.desk.FinishErasures(w.ctx, time.Duration(0)))
	nowhere("restored")
}
