package router_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/store"
	"parley/store/storetest"
)

// mailbox connects another mailbox of the business.
func (w *world) mailbox(name string) *world {
	w.t.Helper()
	ch, err := w.db.CreateChannel(w.ctx, events.Channel{
		ID: events.ChannelID(uuid.NewString()), Tenant: w.tenant, Transport: events.Email,
		Name: name, Mode: events.Polling, WebhookPath: strings.Repeat("m", 20) + uuid.NewString(),
	}, "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	box := *w
	box.channel = ch.ID
	return &box
}

// mail is a mail from that address; its text is its Message-ID and body as well.
func (w *world) mail(from, dmarc, text string) events.Inbound {
	ev := w.text(0, 0, text)
	ev.Transport, ev.ProviderEvent = events.Email, ""
	ev.Person = events.Person{Identity: events.Identity{Kind: events.EmailAddress, Value: from}, Address: from, FirstName: from}
	id := strings.ReplaceAll(text, " ", "-") + "@example.com"
	ev.Key = events.MessageKey{Chat: "mail", Message: id + "#" + text}
	ev.Content = &events.Content{Type: events.Letter, Text: text, Mail: &events.Mail{
		From: events.MailAddress{Address: from}, MessageID: id, BodyHash: "hash of " + text, DMARC: dmarc,
	}}
	return ev
}

// sentMail is a mail in the mailbox's Sent folder.
func (w *world) sentMail(to, text string) events.Inbound {
	ev := w.mail(to, "", text)
	ev.Ours, ev.Key.Message = true, ev.Content.Mail.MessageID
	return ev
}

// told is every chat as "text/routed_by text/routed_by", sorted, with the links
// of its messages.
func (w *world) told() []string {
	w.t.Helper()
	names := make(map[int64]string)
	for _, c := range w.chats(w.tenant) {
		names[c.ID] = w.messages(w.tenant, c.ID)[0].Text
	}
	var list []string
	for _, c := range w.chats(w.tenant) {
		var parts []string
		for _, m := range w.messages(w.tenant, c.ID) {
			part := m.Text + "/" + m.RoutedBy
			for _, why := range []string{"address", "phone", "thread", "token"} {
				other := storetest.Int(w.t, w.url, `SELECT coalesce(max(chat_id), 0) FROM parley_links WHERE message_id = $1 AND why = $2`, m.ID, why)
				if other != 0 {
					part += " " + why + "→" + names[other]
				}
			}
			parts = append(parts, part)
		}
		list = append(list, strings.Join(parts, ", "))
	}
	slices.Sort(list)
	return list
}

func (w *world) expect(want ...string) {
	w.t.Helper()
	slices.Sort(want)
	if have := w.told(); !slices.Equal(have, want) {
		w.t.Errorf("chats\n\t%s\nexpected\n\t%s", strings.Join(have, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// store stores events in one batch of one partition.
func (w *world) store(evs ...events.Inbound) store.BatchResult {
	w.t.Helper()
	lease, err := w.db.TakePartition(w.ctx, uuid.NewString(), time.Minute)
	if err != nil || lease == nil {
		w.t.Fatal(lease, err)
	}
	res, err := w.db.StoreBatch(w.ctx, lease, records(lease, evs))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.db.ReleasePartition(w.ctx, lease); err != nil {
		w.t.Fatal(err)
	}
	return res
}

func records(lease *store.PartitionLease, evs []events.Inbound) []store.InboundRecord {
	batch := make([]store.InboundRecord, len(evs))
	for i := range evs {
		batch[i] = store.InboundRecord{Seq: lease.LastSeq + uint64(i) + 1, Event: &evs[i], Data: []byte(`{}`)}
	}
	return batch
}

func TestMailJoinsAClientOnlyWhenItIsProven(t *testing.T) {
	t.Parallel()
	w := setup(t).mailbox("Orders")
	w.publish(
		w.mail("anna@example.org", "pass", "real"),
		w.mail("anna@example.org", "fail", "forged"),
		w.mail("anna@example.org", "", "forged again"),
		w.mail("anna@example.org", "pass", "real again"),
	)
	w.route()
	w.drained()
	w.publish(w.mail("anna@example.org", "none", "and again"), again(w.mail("anna@example.org", "fail", "forged")))
	got := totals(w.drained())
	if got.Persisted != 5 || got.Duplicate != 1 {
		t.Errorf("persisted %d, duplicate %d", got.Persisted, got.Duplicate)
	}
	w.expect(
		"real/new, real again/member",
		"forged/unproven address→real, forged again/unproven address→real, and again/unproven address→real",
	)
	w.audit()
}

// Proof that comes later does not merge what nobody vouched for, on whatever
// mailbox; nor does an address that a colleague knows of another client.
func TestLaterProofMergesNothing(t *testing.T) {
	t.Parallel()
	w := setup(t).mailbox("Orders")
	other := w.mailbox("Sales")
	w.register()
	w.store(w.mail("anna@example.org", "", "unproven"))
	w.store(w.mail("anna@example.org", "pass", "proven"), other.mail("anna@example.org", "fail", "to sales"))
	w.expect("unproven/unproven, to sales/unproven address→proven", "proven/new")
	storetest.Exec(t, w.url, `INSERT INTO crm_clients (tenant_id, first_name, email) VALUES ($1, 'Ben', 'ben@example.org')`, string(w.tenant))
	w.store(w.mail("ben@example.org", "none", "says Ben"), w.mail("ben@example.org", "pass", "is Ben"))
	w.expect("unproven/unproven, to sales/unproven address→proven", "proven/new",
		"says Ben/unproven address→is Ben", "is Ben/email")
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_clients WHERE email = 'ben@example.org'`); n != 1 {
		t.Errorf("%d clients have the address", n)
	}
}

func TestMailInTwoMailboxesIsOneMessage(t *testing.T) {
	t.Parallel()
	w := setup(t).mailbox("Orders")
	sales := w.mailbox("Sales")
	both := func(text string) []events.Inbound {
		return []events.Inbound{w.mail("anna@example.org", "pass", text), sales.mail("anna@example.org", "pass", text)}
	}
	w.publish(both("at once")...)
	w.route()
	w.drained()
	later := both("one by one")
	w.publish(later[0])
	w.drained()
	w.publish(later[1], again(later[1]), again(later[0]))
	other := sales.mail("anna@example.org", "pass", "one by one")
	other.Content.Mail.BodyHash, other.Key.Message = "another", "one-by-one@example.com#another"
	w.publish(other)
	got := totals(w.drained())
	if got.Persisted != 3 || got.Duplicate != 4 {
		t.Errorf("persisted %d, duplicates %d", got.Persisted, got.Duplicate)
	}
	w.expect("at once/new, one by one/member, one by one/identity")
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_copies c JOIN crm_chat_messages m ON m.id = c.message_id
		WHERE c.channel_id = $1 AND m.channel_id = $2`, string(sales.channel), string(w.channel)); n != 2 {
		t.Errorf("%d messages are known to have come by both", n)
	}
	w.audit()
}

// Whoever repeats a mail's bytes without proof does not suppress it.
func TestUnprovenCopyStandsForNothing(t *testing.T) {
	t.Parallel()
	w := setup(t).mailbox("Orders")
	sales := w.mailbox("Sales")
	w.register()
	w.store(w.mail("anna@example.org", "", "offer"))
	res := w.store(sales.mail("anna@example.org", "pass", "offer"))
	if res.Outcomes[0] != store.Persisted {
		t.Errorf("the proven mail: %s", res.Outcomes[0])
	}
	lists := w.mailbox("Lists")
	if res := w.store(lists.mail("anna@example.org", "none", "offer")); res.Outcomes[0] != store.Duplicate {
		t.Errorf("the third: %s", res.Outcomes[0])
	}
	w.expect("offer/unproven", "offer/new")
}

// What left with its client takes what it was a second time along.
func TestErasedMailWithItsCopies(t *testing.T) {
	t.Parallel()
	w := setup(t).mailbox("Orders")
	sales := w.mailbox("Sales")
	mail := w.mail("anna@example.org", "pass", "hello")
	w.publish(mail, sales.mail("anna@example.org", "pass", "hello"), again(mail), w.mail("ben@example.org", "pass", "hi"))
	w.route()
	w.drained()
	storetest.Exec(t, w.url, `DELETE FROM crm_clients WHERE first_name = 'anna@example.org'`)
	for _, table := range []string{"parley_mails", "parley_copies"} {
		if n := storetest.Int(t, w.url, "SELECT count(*) FROM "+table+" WHERE message_id NOT IN (SELECT id FROM crm_chat_messages)"); n != 0 {
			t.Errorf("%d rows of %s stay", n, table)
		}
	}
	w.audit()
}

// A copy of what is not stored ends as its original does.
func TestCopiesOfWhatIsIgnored(t *testing.T) {
	t.Parallel()
	w := setup(t).mailbox("Orders")
	sales := w.mailbox("Sales")
	w.publish(w.mail("anna@example.org", "pass", "hello"))
	w.route()
	w.drained()
	storetest.Exec(t, w.url, `UPDATE crm_clients SET blocked_at = now()`)
	w.publish(w.mail("anna@example.org", "pass", "let me in"), sales.mail("anna@example.org", "pass", "let me in"))
	if got := totals(w.drained()); got.Ignored != 2 {
		t.Errorf("ignored %d", got.Ignored)
	}
	w.audit()
}

func TestReplyAddressTiesMailToItsChat(t *testing.T) {
	t.Parallel()
	w := setup(t).mailbox("Orders")
	w.register()
	w.store(w.mail("anna@example.org", "pass", "hello"))
	chat := w.chats(w.tenant)[0].ID
	tokened := func(from, dmarc, text, token string) events.Inbound {
		ev := w.mail(from, dmarc, text)
		ev.Content.Mail.ChatToken = token
		return ev
	}
	token := fmt.Sprint(chat)
	w.store(
		tokened("anna@example.org", "", "from her phone", token),
		tokened("anna@example.org", "fail", "forged", token),
		tokened("ben@example.org", "pass", "forwarded to me", token),
		tokened("cleo@example.org", "", "to me, too", token),
		tokened("anna@example.org", "none", "no such chat", "4711"),
		tokened("anna@example.org", "none", "no chat at all", "x"),
	)
	w.expect(
		"hello/new, from her phone/token",
		"forged/unproven address→hello token→hello, no such chat/unproven address→hello, no chat at all/unproven address→hello",
		"forwarded to me/new token→hello",
		"to me, too/unproven token→hello",
	)
}

func TestThreadsOfOthersAreLinked(t *testing.T) {
	t.Parallel()
	w := setup(t).mailbox("Orders")
	w.register()
	offer := w.sentMail("anna@example.org", "offer")
	w.store(w.mail("anna@example.org", "pass", "hello"), offer)
	answer := func(from, text string) events.Inbound {
		ev := w.mail(from, "pass", text)
		ev.Content.ReplyTo = &events.MessageKey{Chat: "mail", Message: offer.Key.Message}
		return ev
	}
	w.store(answer("ben@example.org", "Anna asked me"), answer("anna@example.org", "thanks"))
	w.expect("hello/new, offer/member, thanks/member", "Anna asked me/new thread→hello")
}

// The Sent folder tells whom the business wrote to: its chat is that of the
// address, the proven one where there is one.
func TestSentFolder(t *testing.T) {
	t.Parallel()
	w := setup(t).mailbox("Orders")
	sales := w.mailbox("Sales")
	w.register()
	w.store(w.mail("anna@example.org", "none", "question"))
	w.store(w.sentMail("anna@example.org", "answer"), w.sentMail("ben@example.org", "offer"))
	w.expect("question/unproven, answer/member", "offer/new")
	// Copied to a colleague, whose mailbox got it as well.
	inbox := sales.mail("orders@bakery.example", "pass", "offer")
	if res := w.store(inbox); res.Outcomes[0] != store.Duplicate {
		t.Errorf("the colleague's copy: %s", res.Outcomes[0])
	}
	w.store(w.mail("anna@example.org", "pass", "it is me"), w.mail("ben@example.org", "pass", "thanks"))
	w.store(w.sentMail("anna@example.org", "welcome"))
	w.expect("question/unproven, answer/member", "it is me/new, welcome/member", "offer/new, thanks/member")
}

// Two transactions meet one mail at once: a replay beside a partition.
func TestOneMailInTwoTransactions(t *testing.T) {
	t.Parallel()
	w := setup(t).mailbox("Orders")
	w.register()
	boxes := []*world{w, w.mailbox("Sales")}
	w.store(w.mail("anna@example.org", "pass", "hello"))
	var wg sync.WaitGroup
	for _, box := range boxes {
		lease, err := w.db.TakePartition(w.ctx, uuid.NewString(), time.Minute)
		if err != nil || lease == nil {
			t.Fatal(lease, err)
		}
		var evs []events.Inbound
		for i := range 40 {
			evs = append(evs, box.mail("anna@example.org", "pass", fmt.Sprint("mail ", i)))
		}
		wg.Go(func() {
			batch := records(lease, evs)
			_, err := w.db.StoreBatch(w.ctx, lease, batch)
			if err != nil && store.IsConstraintError(err) {
				_, err = w.db.StoreBatch(w.ctx, lease, batch) // as the router does
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM crm_chat_messages`); n != 41 {
		t.Errorf("%d messages", n)
	}
	if n := storetest.Int(t, w.url, `SELECT count(*) FROM parley_copies`); n != 40 {
		t.Errorf("%d copies", n)
	}
}
