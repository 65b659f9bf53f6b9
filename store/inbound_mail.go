package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// unprovenEmail is the identity of a mail address that nobody vouches for:
// anybody can write in its name. What comes under it is together, and apart from
// the client who has proven the address, or proves it later: only a person
// merges the two.
const unprovenEmail events.IdentityKind = "email_unproven"

// unprovenPrefix keeps such a member apart from the one of the proven address on
// the same channel.
const unprovenPrefix = "unproven:"

// routedUnproven is crm_chat_messages.routed_by of such mail, routedByToken that
// of mail whose reply address vouched for it.
const (
	routedUnproven = "unproven"
	routedByToken  = "token"
)

// dmarcPass and dmarcFail are values of [events.Mail.DMARC].
const (
	dmarcPass = "pass"
	dmarcFail = "fail"
)

// batchHas says what a batch has besides plain messages.
type batchHas struct{ ours, mail, proven bool }

func (h *batchHas) note(ev *events.Inbound) {
	h.ours = h.ours || ev.Ours
	h.mail = h.mail || ev.Person.Identity.Kind == events.EmailAddress
	h.proven = h.proven || len(ev.Person.Proven) > 0
}

// mail is the head of the message, nil when it is none.
func (in *inbound) mail() *events.Mail {
	if in.event.Content == nil {
		return nil
	}
	return in.event.Content.Mail
}

// identity is who a message is from, or to, as far as that is proven.
func (in *inbound) identity() events.Identity {
	id := in.event.Person.Identity
	if id.Kind != events.EmailAddress {
		return id
	}
	m := in.mail()
	passed := in.event.Ours || in.proven || m != nil && m.DMARC == dmarcPass
	if in.unclaimed || !passed {
		id.Kind = unprovenEmail
	}
	return id
}

// token is the chat whose reply address a mail was written to, 0 when none.
func (in *inbound) token() int64 {
	m := in.mail()
	if m == nil || m.ChatToken == "" {
		return 0
	}
	chat, err := strconv.ParseInt(m.ChatToken, 10, 32)
	if err != nil || chat <= 0 {
		return 0
	}
	return chat
}

// sqlVouched finds the mails whose sender's address is that of the client of the
// chat they were written to: only who was written to knows that reply address.
const sqlVouched = `
SELECT i.ord
  FROM unnest($1::uuid[], $2::text[], $3::integer[]) WITH ORDINALITY AS i (tenant_id, value, chat_id, ord)
  JOIN crm_chats h ON h.id = i.chat_id AND h.tenant_id = i.tenant_id
 WHERE h.client_id = coalesce(
       (SELECT p.client_id FROM parley_identities p WHERE p.tenant_id = i.tenant_id AND p.kind = 'email' AND p.value = i.value),
       (SELECT (array_agg(c.id ORDER BY c.id))[1] FROM crm_clients c WHERE c.tenant_id = i.tenant_id AND c.email = i.value))`

// sqlUnclaimed finds the addresses that clients have used, and none has proven.
const sqlUnclaimed = `
SELECT i.ord
  FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS i (tenant_id, value, ord)
 WHERE EXISTS (SELECT FROM parley_identities p WHERE p.tenant_id = i.tenant_id AND p.kind = 'email_unproven' AND p.value = i.value)
   AND NOT EXISTS (SELECT FROM parley_identities p WHERE p.tenant_id = i.tenant_id AND p.kind = 'email' AND p.value = i.value)
   AND NOT EXISTS (SELECT FROM crm_clients c WHERE c.tenant_id = i.tenant_id AND c.email = i.value)`

// vouch finds what decides about mail besides DMARC. A mail that failed DMARC
// joins nobody, whatever it was written to.
func (b *batch) vouch(ctx context.Context, tx pgx.Tx) error {
	if !b.has.mail {
		return nil
	}
	var replies, ours []*inbound
	var tenants, values, ourTenants, ourValues []string
	var chats []int64
	for _, in := range b.messages {
		id := in.event.Person.Identity
		switch chat := in.token(); {
		case id.Kind != events.EmailAddress:
		case in.event.Ours:
			ours = append(ours, in)
			ourTenants, ourValues = append(ourTenants, string(in.event.Tenant)), append(ourValues, id.Value)
		case chat != 0 && in.mail().DMARC != dmarcPass && in.mail().DMARC != dmarcFail:
			replies = append(replies, in)
			tenants, values, chats = append(tenants, string(in.event.Tenant)), append(values, id.Value), append(chats, chat)
		}
	}
	var q pgx.Batch
	if len(replies) > 0 {
		q.Queue(sqlVouched, tenants, values, chats).Query(func(rows pgx.Rows) error {
			return eachOrd(rows, func(i int) { replies[i].proven, replies[i].why = true, routedByToken })
		})
	}
	if len(ours) > 0 {
		q.Queue(sqlUnclaimed, ourTenants, ourValues).Query(func(rows pgx.Rows) error {
			return eachOrd(rows, func(i int) { ours[i].unclaimed = true })
		})
	}
	if q.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, &q).Close()
}

// mailClass says who vouches for a mail.
type mailClass string

const (
	mailOurs     mailClass = "ours"
	mailProven   mailClass = "proven"
	mailUnproven mailClass = "unproven"
)

// digests are what a mail is known by in every mailbox: its own digest first,
// then those of what it is a copy of. What nobody vouches for never stands for
// what somebody does: whoever repeats a mail's bytes first would suppress it.
// What the business wrote and also sent to another of its mailboxes is one.
// None for what is no mail, or not told apart by its content.
func (in *inbound) digests() [][]byte {
	m := in.mail()
	if m == nil || m.MessageID == "" || m.BodyHash == "" {
		return nil
	}
	classes := []mailClass{mailUnproven, mailProven, mailOurs}
	switch {
	case in.event.Ours:
		classes = classes[2:]
	case in.who.identity.Kind != unprovenEmail:
		classes = classes[1:]
	}
	list := make([][]byte, len(classes))
	for i, class := range classes {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", class, m.BodyHash, m.MessageID))
		list[i] = sum[:]
	}
	return list
}

// copied is a message that is here already under another key.
type copied struct {
	in *inbound
	// message is its row; 0 when it is of this batch, which original is then.
	message  int64
	original *inbound
	digest   []byte
}

// sqlMails finds the messages of mails that came by another mailbox before.
const sqlMails = `
SELECT i.ord, m.message_id
  FROM unnest($1::uuid[], $2::bytea[], $3::integer[]) AS i (tenant_id, digest, ord)
  JOIN parley_mails m ON m.tenant_id = i.tenant_id AND m.digest = i.digest`

// sqlOwn finds what Parley sent itself and meets again as written by the
// business.
const sqlOwn = `
SELECT i.ord, d.message_id
  FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS i (channel_id, provider_chat, provider_message, ord)
  JOIN parley_attempts a ON a.channel_id = i.channel_id AND a.provider_chat = i.provider_chat
   AND a.provider_id = i.provider_message AND a.provider_id IS NOT NULL
  JOIN parley_deliveries d ON d.id = a.delivery_id
UNION ALL
SELECT i.ord, d.message_id
  FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS i (channel_id, provider_chat, provider_message, ord)
  JOIN parley_albums b ON b.channel_id = i.channel_id AND b.provider_chat = i.provider_chat AND b.provider_id = i.provider_message
  JOIN parley_deliveries d ON d.id = b.delivery_id`

// queueCopies queues the look-up of what is here under another key; found says
// of which message.
func (b *batch) queueCopies(q *pgx.Batch, found map[*inbound]int64) {
	var list []*inbound
	var tenants []string
	var digests [][]byte
	var ords []int32
	var own []*inbound
	var channels, chats, messages []string
	for _, in := range b.messages {
		for _, d := range in.digests() {
			tenants, digests = append(tenants, string(in.event.Tenant)), append(digests, d)
			ords = append(ords, int32(len(list))) //nolint:gosec // a batch has thousands of events
		}
		list = append(list, in)
		if in.event.Ours {
			own = append(own, in)
			channels, chats, messages = append(channels, string(in.event.Channel)), append(chats, in.event.Key.Chat), append(messages, in.event.Key.Message)
		}
	}
	collect := func(list []*inbound, base int) func(pgx.Rows) error {
		return func(rows pgx.Rows) error {
			var ord int
			var message int64
			_, err := pgx.ForEachRow(rows, []any{&ord, &message}, func() error {
				found[list[ord-base]] = message
				return nil
			})
			return err
		}
	}
	if len(digests) > 0 {
		q.Queue(sqlMails, tenants, digests, ords).Query(collect(list, 0))
	}
	if len(own) > 0 {
		q.Queue(sqlOwn, channels, chats, messages).Query(collect(own, 1))
	}
}

// setCopiesAside keeps what is not here under another key, neither in the
// database nor earlier in the batch.
func (b *batch) setCopiesAside(kept []*inbound, found map[*inbound]int64) []*inbound {
	type mailKey struct {
		tenant events.TenantID
		digest string
	}
	first := make(map[mailKey]*inbound)
	alone := kept[:0]
	for _, in := range kept {
		if message := found[in]; message != 0 {
			b.copies = append(b.copies, copied{in: in, message: message})
			b.result.Outcomes[in.ord] = Duplicate
			continue
		}
		digests := in.digests()
		var c *copied
		for _, d := range digests {
			if original := first[mailKey{in.event.Tenant, string(d)}]; original != nil {
				c = &copied{in: in, original: original, digest: d}
				break
			}
		}
		if c != nil {
			b.copies = append(b.copies, *c)
			b.result.Outcomes[in.ord] = Duplicate
			continue
		}
		if len(digests) > 0 {
			first[mailKey{in.event.Tenant, string(digests[0])}] = in
		}
		alone = append(alone, in)
	}
	return alone
}

// followOriginals gives copies of what is not stored after all the same end.
func (b *batch) followOriginals() {
	kept := b.copies[:0]
	for _, c := range b.copies {
		if c.original != nil {
			switch b.result.Outcomes[c.original.ord] {
			case Ignored:
				b.result.Outcomes[c.in.ord] = Ignored
				c.in.who, c.in.ignored, c.in.erased = c.original.who, c.original.ignored, c.original.erased
				b.ignored = append(b.ignored, c.in)
				continue
			case Quarantined:
				b.result.Outcomes[c.in.ord] = Quarantined
				b.records[c.in.ord].Unstorable = b.records[c.original.ord].Unstorable
				continue
			case Persisted, Duplicate:
			}
		}
		kept = append(kept, c)
	}
	b.copies = kept
}

// sqlKeepMails notes by what the mails just stored are known. A digest that
// another transaction has noted meanwhile refuses the batch, which then finds it.
const sqlKeepMails = `
INSERT INTO parley_mails (tenant_id, digest, message_id)
SELECT m.tenant_id, i.digest, m.id
  FROM unnest($1::integer[], $2::bigint[], $3::bytea[]) AS i (chat_id, seq, digest)
  JOIN crm_chat_messages m ON m.chat_id = i.chat_id AND m.seq = i.seq`

const sqlCopies = `
INSERT INTO parley_copies (channel_id, provider_chat, provider_message, part, tenant_id, message_id, event_id, accepted_at)
SELECT i.channel_id, i.chat, i.message, i.part, i.tenant_id, coalesce(nullif(i.message_id, 0), m.message_id), i.event_id, i.accepted_at
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[], $5::uuid[], $6::bigint[], $7::uuid[], $8::timestamptz[], $9::bytea[])
       AS i (channel_id, chat, message, part, tenant_id, message_id, event_id, accepted_at, digest)
  LEFT JOIN parley_mails m ON m.tenant_id = i.tenant_id AND m.digest = i.digest
 WHERE coalesce(nullif(i.message_id, 0), m.message_id) IS NOT NULL
ON CONFLICT DO NOTHING`

// queueMails queues what mails are known by, and what came a second time.
func (b *batch) queueMails(q *pgx.Batch, kept []*inbound, seqs []int64) {
	if b.has.mail {
		var chats, nums []int64
		var digests [][]byte
		for i, in := range kept {
			if d := in.digests(); len(d) > 0 {
				chats, nums, digests = append(chats, in.who.chat), append(nums, seqs[i]), append(digests, d[0])
			}
		}
		if len(chats) > 0 {
			q.Queue(sqlKeepMails, chats, nums, digests)
		}
	}
	if len(b.copies) == 0 {
		return
	}
	list := make([]*inbound, len(b.copies))
	tenants, ids, messages := make([]string, len(list)), make([]string, len(list)), make([]int64, len(list))
	accepted, digests := make([]any, len(list)), make([][]byte, len(list))
	for i, c := range b.copies {
		list[i], messages[i], digests[i] = c.in, c.message, c.digest
		tenants[i], ids[i], accepted[i] = string(c.in.event.Tenant), string(c.in.event.ID), c.in.event.AcceptedAt
	}
	q.Queue(sqlCopies, append(messageKeys(list), tenants, messages, ids, accepted, digests)...)
}
