package router_test

import (
	"slices"
	"testing"

	"parley/events"
	"parley/events/jetstream"
	"parley/store/storetest"
)

// shop is a business with a bot, a number and a mailbox.
type shop struct {
	*world
	number, box *world
}

func (w *world) shop() *shop {
	number := *w
	number.channel = w.secondChannel()
	return &shop{world: w, number: &number, box: w.mailbox("Mail")}
}

// said is what the same four people send to either shop: equal users,
// numbers, addresses, chats and message ids, but for the shop's own words.
func (s *shop) said(words string) []events.Inbound {
	return []events.Inbound{
		named(s.text(5, 1, words), "5-1"), named(s.text(5, 1, words), "5-1"), // once again
		named(s.number.sms("+4915112345678", words), "SM1"),
		named(s.box.mail("anna@example.org", "pass", words), "1@example.org#1"),
		named(s.box.mail("berta@example.org", "none", words), "2@example.org#2"),
	}
}

// named is an event under that message id.
func named(ev events.Inbound, message string) events.Inbound {
	ev.Key.Message = message
	if ev.Content.Mail != nil {
		ev.Content.Mail.MessageID, ev.Content.Mail.BodyHash = message, message
	}
	return ev
}

// One batch, which is one transaction, mixes two tenants to whom equal people
// wrote: each has clients of its own, and nothing of the other's.
func TestTenantsWithEqualIdentitiesStayApart(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *jetstream.Options) { o.Partitions = 1 })
	other := *w
	other.tenant, other.channel = w.business("Garage")
	bakery, garage := w.shop(), other.shop()
	var mixed []events.Inbound
	for i, ev := range bakery.said("for the bakery") {
		mixed = append(mixed, ev, garage.said("for the garage")[i])
	}
	w.publish(mixed...) // in one piece, before anybody reads
	w.route()
	if got := totals(w.drained()); got.Persisted != 8 || got.Duplicate != 2 || got.Quarantined != 0 {
		t.Fatalf("persisted %d, duplicates %d, in quarantine %d", got.Persisted, got.Duplicate, got.Quarantined)
	}
	if n := storetest.Int(t, w.url, `SELECT count(DISTINCT xmin::text) FROM crm_chat_messages`); n != 1 {
		t.Fatalf("%d transactions wrote the messages: they were no batch", n)
	}
	apart := func(words map[*shop][]string) {
		t.Helper()
		for s, want := range words {
			var got []string
			for _, c := range s.chats(s.tenant) {
				for _, m := range s.messages(s.tenant, c.ID) {
					got = append(got, m.Text)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
			if n := storetest.Int(t, s.url, `SELECT count(*) FROM parley_identities WHERE tenant_id = $1`, string(s.tenant)); n != 4 {
				t.Errorf("%d identities, want 4", n)
			}
		}
	}
	four := func(text string) []string { return slices.Repeat([]string{text}, 4) }
	apart(map[*shop][]string{bakery: four("for the bakery"), garage: four("for the garage")})

	// An edit finds the message of its own tenant, and a shared card the client of
	// its number.
	edit := func(s *shop, words string) events.Inbound {
		ev := named(s.text(5, 1, words), "5-1")
		ev.Kind = events.Edit
		return ev
	}
	w.publish(edit(bakery, "corrected for the bakery"), edit(garage, "corrected for the garage"), garage.card(5, 2, "+4915112345678"))
	w.drained()
	apart(map[*shop][]string{
		bakery: append([]string{"corrected for the bakery"}, four("for the bakery")[1:]...),
		garage: append([]string{"card of 5", "corrected for the garage"}, four("for the garage")[1:]...),
	})
	for s, want := range map[*shop]int64{bakery: 0, garage: 1} {
		if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_links WHERE tenant_id = $1`, string(s.tenant)); n != want {
			t.Errorf("%d links to another chat, want %d", n, want)
		}
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_chat_members m JOIN crm_chats c ON c.id = m.chat_id JOIN crm_clients k ON k.id = m.client_id
		WHERE m.tenant_id <> c.tenant_id OR m.tenant_id <> k.tenant_id`); n != 0 {
		t.Errorf("%d members cross tenants", n)
	}
	w.audit()
}
