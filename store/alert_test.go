package store_test

import (
	"testing"

	"parley/events"
	"parley/inbox"
	"parley/store/outboundtest"
)

// alertWorld is a business with two agents, and two clients who have just written.
type alertWorld struct {
	*outboundtest.World
	ann, ben int64
	chats    []int64
}

func newAlertWorld(t *testing.T) *alertWorld {
	t.Helper()
	w := &alertWorld{World: outboundtest.New(t)}
	ch := w.Channel(events.SMS)
	for name, id := range map[string]*int64{"ann": &w.ann, "ben": &w.ben} {
		w.Row("INSERT INTO core_users (tenant_id, name, email) VALUES ($1, $2, $3) RETURNING id", []any{string(w.Tenant), name, name + "@example.com"}, id)
	}
	w.wants(w.ann, inbox.AlertSettings{Way: inbox.AlertMail, AfterMinutes: 0, QuietMinutes: 60})
	w.People(ch.ID, "client", 2)
	var first, second int64
	w.Row("SELECT min(id), max(id) FROM crm_chats", nil, &first, &second)
	w.chats = []int64{first, second}
	return w
}

func (w *alertWorld) wants(user int64, s inbox.AlertSettings) {
	w.T.Helper()
	if err := w.DB.SetAlertSettings(w.T.Context(), w.Tenant, user, s); err != nil {
		w.T.Fatal(err)
	}
}

// due are the chats of which each user is to be told.
func (w *alertWorld) due() map[int64][]inbox.DueAlert {
	w.T.Helper()
	list, err := w.DB.DueAlerts(w.T.Context(), 100)
	if err != nil {
		w.T.Fatal(err)
	}
	of := map[int64][]inbox.DueAlert{}
	for _, a := range list {
		of[a.User] = append(of[a.User], a)
	}
	return of
}

// says lets a chat's client write once more.
func (w *alertWorld) says(chat int64) {
	w.T.Helper()
	w.Exec(`INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message) SELECT tenant_id, chat_id, id, 'and now?' FROM crm_chat_members
		WHERE chat_id = $1 AND client_id IS NOT NULL`, chat)
}

func TestAlertsAreDueToWhoIsNotThere(t *testing.T) {
	t.Parallel()
	w := newAlertWorld(t)
	due := w.due()
	if len(due) != 1 || len(due[w.ann]) != 2 {
		t.Fatalf("due are %+v", due)
	}
	if a := due[w.ann][0]; a.To != "ann@example.com" || a.Way != inbox.AlertMail || a.Unread != 1 || a.Client == "" || a.Tenant != w.Tenant {
		t.Errorf("an alert is %+v", a)
	}
	// Who has a page open is told nothing, until they are gone.
	if err := w.DB.Present(t.Context(), "one", []inbox.Present{{Tenant: w.Tenant, User: w.ann}, {Tenant: w.Tenant, User: 999999}}); err != nil {
		t.Fatal(err)
	}
	if due := w.due(); len(due) != 0 {
		t.Errorf("with a page open, due are %+v", due)
	}
	w.Exec("UPDATE parley_presence SET seen_at = now() - interval '91 seconds'")
	if due := w.due(); len(due[w.ann]) != 2 {
		t.Errorf("once the page is closed, due are %+v", due)
	}
	// Only what is theirs, their team's or nobody's; nobody who was disabled.
	w.Exec("UPDATE crm_chats SET assignee_id = $2 WHERE id = $1", w.chats[0], w.ben)
	var team int64
	w.Row("INSERT INTO parley_teams (tenant_id, name) VALUES ($1, 'Sales') RETURNING id", []any{string(w.Tenant)}, &team)
	w.Exec("UPDATE crm_chats SET team_id = $2 WHERE id = $1", w.chats[1], team)
	if due := w.due(); len(due) != 0 {
		t.Errorf("of others' chats, due are %+v", due)
	}
	w.Exec("INSERT INTO parley_team_members (tenant_id, team_id, user_id) VALUES ($1, $2, $3)", string(w.Tenant), team, w.ann)
	if due := w.due(); len(due[w.ann]) != 1 || due[w.ann][0].Chat != w.chats[1] {
		t.Errorf("of the team's chat, due are %+v", due)
	}
	w.Exec("UPDATE core_users SET disabled_at = now() WHERE id = $1", w.ann)
	if due := w.due(); len(due) != 0 {
		t.Errorf("to who is disabled, due are %+v", due)
	}
}

func TestAlertsWaitAndAreSentOnce(t *testing.T) {
	t.Parallel()
	w := newAlertWorld(t)
	first := w.due()[w.ann][0]
	claim := func(a inbox.DueAlert) bool {
		t.Helper()
		mine, err := w.DB.ClaimAlert(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		return mine
	}
	// Two processes that saw the same: one sends. It crashes: nobody sends again.
	if !claim(first) || claim(first) {
		t.Error("one alert is everybody's or nobody's")
	}
	if due := w.due(); len(due[w.ann]) != 1 {
		t.Errorf("after one was sent, due are %+v", due)
	}
	// In the quiet time nothing is said, whatever comes; after it, of what is new.
	w.says(first.Chat)
	if due := w.due(); len(due[w.ann]) != 1 {
		t.Errorf("in the quiet time, due are %+v", due)
	}
	w.Exec("UPDATE parley_alerts SET at = now() - interval '61 minutes'")
	due := w.due()[w.ann]
	if len(due) != 2 {
		t.Fatalf("after the quiet time, due are %+v", due)
	}
	for _, a := range due {
		if !claim(a) {
			t.Errorf("%+v cannot be sent", a)
		}
		if err := w.DB.SettleAlert(t.Context(), a, ""); err != nil {
			t.Error(err)
		}
	}
	w.Exec("UPDATE parley_alerts SET at = now() - interval '61 minutes'")
	if due := w.due(); len(due) != 0 {
		t.Errorf("of nothing new, due are %+v", due)
	}
	// What was read, and what is not unread for long enough.
	w.says(first.Chat)
	w.wants(w.ben, inbox.AlertSettings{Way: inbox.AlertMail, AfterMinutes: 5, QuietMinutes: 60})
	w.says(first.Chat)
	if due := w.due(); len(due[w.ben]) != 0 {
		t.Errorf("before the time, due are %+v", due)
	}
	w.Exec("UPDATE parley_alert_settings SET updated_at = now() - interval '1 hour' WHERE user_id = $1", w.ben)
	w.Exec("UPDATE crm_chat_messages SET created_at = now() - interval '6 minutes' WHERE chat_id = $1", first.Chat)
	if due := w.due(); len(due[w.ben]) != 1 || due[w.ben][0].Chat != first.Chat {
		t.Errorf("after the time, due are %+v", due)
	}
	if _, err := w.DB.MarkRead(t.Context(), w.Tenant, first.Chat, 99); err != nil {
		t.Fatal(err)
	}
	if due := w.due(); len(due[w.ben]) != 0 {
		t.Errorf("once read, due are %+v", due)
	}
}

func TestAlertSettings(t *testing.T) {
	t.Parallel()
	w := newAlertWorld(t)
	if s, err := w.DB.AlertSettings(t.Context(), w.Tenant, w.ben); err != nil || s != inbox.DefaultAlerts() {
		t.Errorf("who never said gets %+v, %v", s, err)
	}
	by := inbox.AlertSettings{Way: inbox.AlertTelegram, TelegramID: "7", AfterMinutes: 1, QuietMinutes: 1}
	if err := w.DB.SetAlertSettings(t.Context(), w.Tenant, w.ben, by); inbox.CodeOf(err) != inbox.Conflict {
		t.Errorf("without a bot: %v", err)
	}
	sms, bot := w.Channel(events.SMS), w.Channel(events.Telegram)
	if err := w.DB.SetAlertBot(t.Context(), w.Tenant, sms.ID); inbox.CodeOf(err) != inbox.Invalid {
		t.Errorf("a number as the bot: %v", err)
	}
	if err := w.DB.SetAlertBot(t.Context(), w.Tenant, bot.ID); err != nil {
		t.Fatal(err)
	}
	w.wants(w.ben, by)
	if s, err := w.DB.AlertSettings(t.Context(), w.Tenant, w.ben); err != nil || s != by {
		t.Errorf("it is %+v, %v", s, err)
	}
	if id, err := w.DB.AlertBot(t.Context(), w.Tenant); err != nil || id != bot.ID {
		t.Errorf("the bot is %s, %v", id, err)
	}
	for _, bad := range []inbox.AlertSettings{{Way: "pigeon", QuietMinutes: 1}, {Way: inbox.AlertTelegram, QuietMinutes: 1}, {Way: inbox.AlertMail}} {
		if err := w.DB.SetAlertSettings(t.Context(), w.Tenant, w.ben, bad); inbox.CodeOf(err) != inbox.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := w.DB.SetAlertSettings(t.Context(), w.Tenant, 999999, inbox.DefaultAlerts()); inbox.CodeOf(err) != inbox.NotFound {
		t.Errorf("of nobody: %v", err)
	}
}
