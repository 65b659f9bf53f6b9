package router_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/inbox/router"
	"parley/store"
	"parley/store/storetest"
)

// sms is a text message from that number.
func (w *world) sms(number, text string) events.Inbound {
	ev := w.text(0, 0, text)
	ev.Transport, ev.ProviderEvent = events.SMS, ""
	ev.Person = events.Person{Identity: events.Identity{Kind: events.Phone, Value: number}, Address: number}
	ev.Key = events.MessageKey{Chat: number, Message: text}
	return ev
}

// card is the client's own contact, shared.
func (w *world) card(client, message int, number string) events.Inbound {
	ev := w.text(client, message, fmt.Sprint("card of ", client))
	ev.Person.Proven = []events.Identity{{Kind: events.Phone, Value: number}}
	return ev
}

func TestOwnSharedContactJoins(t *testing.T) {
	t.Parallel()
	w := setup(t)
	second := *w
	second.channel = w.secondChannel()
	w.register()
	const anna, ben, cleo = "+4930111", "+4930222", "+4930333"
	// Known by SMS, then on Telegram: "/start" and the card in one batch.
	w.store(w.sms(anna, "Anna by SMS"))
	w.store(w.text(1, 1, "start"), w.card(1, 2, anna))
	// Registered by a colleague, and heard of on two channels at once.
	storetest.Exec(t, w.url, `INSERT INTO crm_clients (tenant_id, first_name, phone_number) VALUES ($1, 'Ben', $2)`, string(w.tenant), ben)
	w.store(second.text(2, 1, "Ben elsewhere"), w.card(2, 1, ben))
	w.store(w.sms(ben, "Ben by SMS"))
	// Nobody's number yet.
	w.store(w.card(3, 1, cleo))
	w.store(w.card(3, 1, cleo), w.sms(cleo, "Cleo by SMS"))
	clients := storetest.Int(t, w.url, `SELECT count(*) FROM crm_clients`)
	if clients != 3 {
		t.Errorf("%d clients", clients)
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_clients WHERE phone_number IN ($1, $2, $3)`, anna, ben, cleo); n != 3 {
		t.Errorf("%d clients have their number", n)
	}
	// Two chats already: a person merges them, or not.
	w.store(w.text(4, 1, "Anna's other account"))
	w.store(w.card(4, 2, anna))
	w.expect(
		"Anna by SMS/new, start/phone, card of 1/member",
		"Ben elsewhere/identity, card of 2/phone, Ben by SMS/identity",
		"card of 3/new, Cleo by SMS/identity",
		"Anna's other account/new, card of 4/member phone→Anna by SMS",
	)
}

func TestRegisteredUsernameIsAdoptedOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	storetest.Exec(t, w.url, `
		WITH c AS (INSERT INTO crm_clients (tenant_id, first_name) VALUES ($1, 'Anna') RETURNING id)
		INSERT INTO crm_client_contacts (tenant_id, client_id, contact_type, contact_value) SELECT $1, id, 'telegram', '@Anna_B' FROM c`, string(w.tenant))
	named := func(client, message int, name, text string) events.Inbound {
		ev := w.text(client, message, text)
		ev.Person.Username = name
		return ev
	}
	w.store(named(9, 1, "somebody", "who am I"))
	w.store(named(1, 1, "anna_b", "it is me"), named(2, 1, "anna_b", "me, too"))
	w.store(named(1, 2, "renamed", "still me"), named(3, 1, "Anna_B", "the name was free"))
	w.expect("who am I/new", "it is me/username, still me/member", "me, too/new", "the name was free/new")
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_clients`); n != 4 {
		t.Errorf("%d clients", n)
	}
}

// Two accounts of one name meet in two partitions at once: one adopts.
func TestOneUsernameInTwoPartitions(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	storetest.Exec(t, w.url, `
		WITH c AS (INSERT INTO crm_clients (tenant_id, first_name) SELECT $1, 'c' || i FROM generate_series(1, 20) i RETURNING id, first_name)
		INSERT INTO crm_client_contacts (tenant_id, client_id, contact_type, contact_value) SELECT $1, id, 'telegram', '@' || first_name FROM c`, string(w.tenant))
	w.concurrently(func(p int) (evs []events.Inbound) {
		for i := range 20 {
			ev := w.text(1000*(p+1)+i, 1, "hello")
			ev.Person.Username = fmt.Sprint("C", i+1)
			evs = append(evs, ev)
		}
		return evs
	})
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_chat_messages WHERE routed_by = 'username'`); n != 20 {
		t.Errorf("%d adopted", n)
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_clients`); n != 40 {
		t.Errorf("%d clients", n)
	}
}

// concurrently stores what make gives for each of two partitions, at once, and
// tries again as the router does.
func (w *world) concurrently(makeEvents func(p int) []events.Inbound) []store.BatchResult {
	w.t.Helper()
	results := make([]store.BatchResult, 2)
	var wg sync.WaitGroup
	for p := range 2 {
		lease, err := w.db.TakePartition(w.ctx, uuid.NewString(), time.Minute)
		if err != nil || lease == nil {
			w.t.Fatal(lease, err)
		}
		evs := makeEvents(p)
		wg.Go(func() {
			var err error
			for range 5 { // a deadlock or a lost race
				if results[p], err = w.db.StoreBatch(w.ctx, lease, records(lease, evs)); err == nil {
					return
				}
			}
			w.t.Error(err)
		})
	}
	wg.Wait()
	return results
}

func (w *world) limitNewClients(n string) {
	w.t.Helper()
	_, err := w.db.UpdateChannel(w.ctx, w.tenant, w.channel, store.ChannelChange{Settings: map[string]string{store.SettingNewClients: n}})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestNewClientsAreLimitedByTheHour(t *testing.T) {
	t.Parallel()
	w := setup(t)
	unlimited := *w
	unlimited.channel = w.secondChannel()
	w.publish(w.text(1, 1, "an old client"))
	r, _ := w.route()
	w.drained()
	w.limitNewClients("2")
	hour := time.Now().UTC().Truncate(time.Hour)
	at := func(ev events.Inbound, when time.Time) events.Inbound {
		ev.AcceptedAt = when
		return ev
	}
	var evs []events.Inbound
	for i := range 5 {
		evs = append(evs, at(w.text(10+i, 1, fmt.Sprint("spam ", i)), hour))
	}
	evs = append(evs, at(w.text(1, 2, "me again"), hour), at(w.ours(30, 1, "you asked us to write"), hour), at(unlimited.text(40, 1, "hello"), hour),
		at(w.text(50, 1, "an hour before"), hour.Add(-time.Minute)))
	for _, ev := range evs {
		w.publish(ev)
	}
	got := totals(w.drained())
	if got.Quarantined != 3 || got.Persisted != 7 {
		t.Fatalf("quarantined %d, persisted %d", got.Quarantined, got.Persisted)
	}
	list, err := w.db.QuarantineList(w.ctx, store.QuarantineScope{Whole: true}, store.QuarantinePage{Limit: 10})
	if err != nil || len(list) != 3 {
		t.Fatal(list, err)
	}
	w.audit()
	for _, q := range list {
		w.replay(r, q.ID)
	}
	if n := len(w.chats(w.tenant)); n != 9 {
		t.Errorf("%d chats", n)
	}
	w.audit()
}

func (w *world) replay(r *router.Router, id int64) {
	w.t.Helper()
	res, err := r.Replay(w.ctx, store.QuarantineScope{Whole: true}, id)
	if err != nil || len(res.Outcomes) != 1 || res.Outcomes[0] != store.Persisted {
		w.t.Errorf("replay of %d: %v, %v", id, res.Outcomes, err)
	}
}

func TestTwoPartitionsShareTheLimitOfNewClients(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.register()
	w.limitNewClients("50")
	now := time.Now().UTC()
	var stored, refused int64
	for _, res := range w.concurrently(func(p int) (evs []events.Inbound) {
		for i := range 40 {
			ev := w.text(1000*(p+1)+i, 1, "hello")
			ev.AcceptedAt = now
			evs = append(evs, ev)
		}
		return evs
	}) {
		stored, refused = stored+res.Count(store.Persisted), refused+res.Count(store.Quarantined)
	}
	if stored != 50 || refused != 30 {
		t.Errorf("stored %d, refused %d", stored, refused)
	}
	if n := storetest.Int(t, w.url, `SELECT sum(clients) FROM parley_newcomers`); n != 50 {
		t.Errorf("counted %d", n)
	}
}

// One user of Telegram may write to the bot, and to the business account that the
// bot answers for: the answer goes where they wrote last.
func TestTheAnswerGoesWhereTheyWroteLast(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.route()
	answeredAt := func(address string) bool {
		return storetest.Int(t, w.url, `SELECT count(*) FROM crm_chat_members WHERE provider_user = '7' AND address = $1`, address) == 1
	}
	w.publish(w.text(7, 1, "to the bot"))
	w.drained()
	if !answeredAt("7") {
		t.Fatal("answers do not go to the bot's chat")
	}
	business := w.text(7, 1, "to the account")
	business.Person.Address, business.Key.Chat = "business:c:7", "business:c:7"
	w.publish(business)
	w.drained()
	if !answeredAt("business:c:7") {
		t.Error("answers do not go to the account's chat, to which they wrote last")
	}
	both := []events.Inbound{w.text(7, 2, "back"), business} // the second is a copy
	w.publish(both...)
	w.drained()
	if !answeredAt("7") {
		t.Error("answers do not go to the bot's chat again")
	}
}
