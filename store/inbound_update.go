package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// sqlUpdates stores edits, reactions, statuses and reachability; a provider's
// repetition of one is left out.
const sqlUpdates = `
INSERT INTO parley_updates (tenant_id, channel_id, kind, provider_event, provider_chat, provider_message, part,
                            event, event_id, accepted_at, stream_partition, stream_seq)
SELECT i.tenant_id, i.channel_id, i.kind, i.provider_event, nullif(i.chat, ''), nullif(i.message, ''), i.part,
       i.event, i.event_id, i.accepted_at, $12::smallint, nullif(i.seq, 0)
  FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::smallint[],
              $8::jsonb[], $9::uuid[], $10::timestamptz[], $11::bigint[]) WITH ORDINALITY
       AS i (tenant_id, channel_id, kind, provider_event, chat, message, part, event, event_id, accepted_at, seq, ord)
 ORDER BY i.ord
ON CONFLICT (channel_id, kind, provider_event) DO NOTHING
RETURNING event_id`

// sqlWaiting finds the updates whose target is there now: those of this batch,
// and those that waited for this batch's messages. A target is a client's
// message by its own key, or one of ours by the provider's id of an attempt or,
// for statuses, by our own reference of it.
const sqlWaiting = `
WITH target AS (
    SELECT DISTINCT channel_id, chat, message
      FROM unnest($1::uuid[], $2::text[], $3::text[]) AS t (channel_id, chat, message)
     WHERE chat <> '' AND message <> ''
), echoed AS (
    SELECT DISTINCT u.id, d.message_id, d.chat_id, d.parts > 1 AS is_part, false AS elsewhere
      FROM unnest($1::uuid[], $4::text[]) AS t (channel_id, ref)
      JOIN parley_attempts a ON a.ref = nullif(t.ref, '')::uuid AND a.channel_id = t.channel_id
      JOIN parley_deliveries d ON d.id = a.delivery_id
      JOIN parley_updates u ON u.channel_id = t.channel_id AND u.event -> 'status' ->> 'ref' = t.ref AND u.applied_at IS NULL
     WHERE t.ref <> ''
), found AS (
    SELECT u.id, coalesce(m.id, d.message_id) AS message_id, coalesce(m.chat_id, d.chat_id) AS chat_id,
           coalesce(m.id IS NULL AND (d.parts > 1 OR b.delivery_id IS NOT NULL), false) AS is_part,
           coalesce(m.direction = 'out' AND d.id IS NULL, false) AS elsewhere
      FROM target t
      JOIN parley_updates u ON u.channel_id = t.channel_id AND u.provider_chat = t.chat
       AND u.provider_message = t.message AND u.applied_at IS NULL
      LEFT JOIN crm_chat_messages m ON m.channel_id = u.channel_id AND m.provider_chat = u.provider_chat
       AND m.provider_message = u.provider_message AND m.part = u.part AND m.provider_message IS NOT NULL
      LEFT JOIN parley_attempts a ON a.channel_id = u.channel_id AND a.provider_chat = u.provider_chat
       AND a.provider_id = u.provider_message AND a.provider_id IS NOT NULL
      LEFT JOIN parley_albums b ON b.channel_id = u.channel_id AND b.provider_chat = u.provider_chat
       AND b.provider_id = u.provider_message
      LEFT JOIN parley_deliveries d ON d.id = coalesce(a.delivery_id, b.delivery_id)
     WHERE coalesce(m.id, d.message_id) IS NOT NULL
    UNION ALL
    SELECT id, message_id, chat_id, is_part, elsewhere FROM echoed
)
SELECT DISTINCT ON (u.id) u.id, u.kind, u.tenant_id, u.accepted_at, u.event, f.message_id, f.chat_id, f.is_part, f.elsewhere
  FROM found f JOIN parley_updates u ON u.id = f.id
 ORDER BY u.id`

// waitingUpdate is an update that can be applied now.
type waitingUpdate struct {
	ID         int64           `db:"id"`
	Kind       events.Kind     `db:"kind"`
	Tenant     events.TenantID `db:"tenant_id"`
	AcceptedAt time.Time       `db:"accepted_at"`
	Event      json.RawMessage `db:"event"`
	Message    int64           `db:"message_id"`
	Chat       int64           `db:"chat_id"`
	// IsPart says that it is about one of the several parts that our message was
	// sent in; Elsewhere that another program sent the message.
	IsPart    bool `db:"is_part"`
	Elsewhere bool `db:"elsewhere"`
}

// applyUpdates stores the batch's updates and applies what can be applied; the
// rest waits for its target.
func (b *batch) applyUpdates(ctx context.Context, tx pgx.Tx) error {
	if len(b.updates) > 0 {
		if err := b.storeUpdates(ctx, tx); err != nil {
			return fmt.Errorf("storing updates: %w", err)
		}
	}
	if len(b.updates) == 0 && !b.anyWaiting {
		return nil
	}
	var t targets
	for _, in := range b.updates {
		t.add(in.event)
	}
	for _, in := range b.messages {
		if b.result.Outcomes[in.ord] == Persisted {
			t.add(in.event)
		}
	}
	return t.apply(ctx, tx)
}

func (b *batch) storeUpdates(ctx context.Context, tx pgx.Tx) error {
	n := len(b.updates)
	tenants, channels, kinds, ids := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	provider, chats, messages := make([]string, n), make([]string, n), make([]string, n)
	parts, seqs, full, accepted := make([]int16, n), make([]int64, n), make([][]byte, n), make([]time.Time, n)
	ords := make(map[string]int, n)
	for i, in := range b.updates {
		ev := in.event
		tenants[i], channels[i], kinds[i], ids[i] = string(ev.Tenant), string(ev.Channel), string(ev.Kind), string(ev.ID)
		provider[i], chats[i], messages[i] = updateKey(ev), ev.Key.Chat, ev.Key.Message
		parts[i] = int16(ev.Key.Part)                       //nolint:gosec // adapters split a message into a handful of parts
		seqs[i], accepted[i] = int64(in.seq), ev.AcceptedAt //nolint:gosec // a stream sequence
		var err error
		if full[i], err = withoutRaw(ev); err != nil {
			return err
		}
		ords[ids[i]] = in.ord
		b.result.Outcomes[in.ord] = Duplicate
	}
	partition := &b.partition
	if b.late {
		partition = nil // its quarantine row answers for it
	}
	rows, err := tx.Query(ctx, sqlUpdates, tenants, channels, kinds, provider, chats, messages, parts,
		full, ids, accepted, seqs, partition)
	if err != nil {
		return err
	}
	var id string
	if _, err := pgx.ForEachRow(rows, []any{&id}, func() error {
		b.result.Outcomes[ords[id]] = Persisted
		return nil
	}); err != nil {
		return err
	}
	for _, in := range b.updates {
		if in.event.Kind == events.Reachability && b.result.Outcomes[in.ord] == Persisted {
			if err := applyReachability(ctx, tx, b.wroteSince(in)); err != nil {
				return err
			}
		}
	}
	return nil
}

// updateKey is an update's dedupe key. An empty id is never a key: an update
// without one cannot be recognised again.
func updateKey(ev *events.Inbound) string {
	if ev.ProviderEvent == "" {
		return "event:" + string(ev.ID)
	}
	return ev.ProviderEvent
}

// targets collects the messages whose waiting updates may be applied: by the
// provider's key, or by our own reference of an attempt.
type targets struct{ channels, chats, messages, refs []string }

func (t *targets) add(ev *events.Inbound) {
	t.channels = append(t.channels, string(ev.Channel))
	t.chats = append(t.chats, ev.Key.Chat)
	t.messages = append(t.messages, ev.Key.Message)
	t.refs = append(t.refs, statusRef(ev))
}

func (t *targets) apply(ctx context.Context, tx pgx.Tx) error {
	if len(t.channels) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, sqlWaiting, t.channels, t.chats, t.messages, t.refs)
	if err != nil {
		return err
	}
	waiting, err := pgx.CollectRows(rows, pgx.RowToStructByName[waitingUpdate])
	if err != nil {
		return err
	}
	for i := range waiting {
		if err := applyUpdate(ctx, tx, &waiting[i]); err != nil {
			return fmt.Errorf("applying %s: %w", waiting[i].Kind, err)
		}
	}
	return nil
}

func applyUpdate(ctx context.Context, tx pgx.Tx, u *waitingUpdate) error {
	var ev events.Inbound
	if err := json.Unmarshal(u.Event, &ev); err != nil {
		return err
	}
	verb := "updated"
	switch u.Kind {
	case events.Edit:
		verb = "edited"
		if u.IsPart {
			break // what the other parts say is not in it: history only
		}
		if err := applyEdit(ctx, tx, u, &ev); err != nil {
			return err
		}
	case events.Reacted:
		verb = "reacted"
		if err := applyReaction(ctx, tx, u, &ev); err != nil {
			return err
		}
	case events.StatusChanged:
		return applyStatusUpdate(ctx, tx, u, &ev)
	case events.Message, events.Reachability, events.Ignored:
	}
	return settleUpdate(ctx, tx, u, verb)
}

// settleUpdate marks an update applied and tells it as a fact.
func settleUpdate(ctx context.Context, tx pgx.Tx, u *waitingUpdate, verb string) error {
	_, err := tx.Exec(ctx, `
		WITH applied AS (
		    UPDATE parley_updates SET applied_at = clock_timestamp(), message_id = $2 WHERE id = $1 RETURNING tenant_id
		)
		INSERT INTO parley_facts (tenant_id, noun, verb, chat_id, data)
		SELECT tenant_id, 'message', $3, $4, json_build_object('message_id', $2::bigint, 'chat_id', $4::bigint, 'update_id', $1::bigint)
		  FROM applied`, u.ID, u.Message, verb, u.Chat)
	return err
}

// applyEdit replaces a message's content, keeping what it was before; an older
// edit that arrives late is kept as history only.
func applyEdit(ctx context.Context, tx pgx.Tx, u *waitingUpdate, ev *events.Inbound) error {
	if ev.Content == nil {
		return nil
	}
	content, err := json.Marshal(ev.Content)
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, `
		WITH old AS (
		    SELECT id, content FROM crm_chat_messages
		     WHERE id = $1 AND (edited_at IS NULL OR edited_at <= $2) FOR NO KEY UPDATE
		), kept AS (
		    UPDATE parley_updates SET before = old.content FROM old WHERE parley_updates.id = $5
		)
		UPDATE crm_chat_messages m SET message = $3, content = $4, kind = $6, edited_at = $2
		  FROM old WHERE m.id = old.id`,
		u.Message, sentAt(ev), ev.Content.Plain(), content, u.ID, string(ev.Content.Type))
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	return replaceMedia(ctx, tx, u.Message, ev.Content)
}

// applyReaction sets who has which reactions on a message now. An older set that
// arrives late is history only.
func applyReaction(ctx context.Context, tx pgx.Tx, u *waitingUpdate, ev *events.Inbound) error {
	if ev.Reaction == nil {
		return nil
	}
	who := ev.Person.Identity.Value
	if ev.Ours {
		who = "" // whom the message was written to, not who reacted
	}
	emoji := ev.Reaction.Emoji
	if emoji == nil {
		emoji = []string{}
	}
	// An empty set stays as a row, so that an older one is known to be older.
	_, err := tx.Exec(ctx, `
		INSERT INTO parley_reactions AS r (message_id, person, emoji, at, tenant_id) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (message_id, person) DO UPDATE SET emoji = excluded.emoji, at = excluded.at WHERE r.at <= excluded.at`,
		u.Message, who, emoji, sentAt(ev), string(u.Tenant))
	return err
}

// optedOut is the reason of whoever does not want to be written to.
const optedOut = "opted out"

// unreachableWhy is crm_chat_members.unreachable_why in words, from the reason
// that the adapter gives.
func unreachableWhy(ev *events.Inbound) string {
	switch ev.Reason {
	case "":
		return "The client blocked this channel."
	case optedOut:
		return "The client opted out of messages on this channel."
	}
	reason := clean(ev.Reason, maxWords)
	return "The client cannot be reached on this channel: " + strings.TrimSuffix(reason, ".") + "."
}

// applyReachability notes that a person blocked or unblocked the channel, or
// opted out or in again.
func applyReachability(ctx context.Context, tx pgx.Tx, ev *events.Inbound) error {
	_, err := tx.Exec(ctx, `
		WITH member AS (
		    UPDATE crm_chat_members
		       SET unreachable_at = CASE WHEN $3 THEN $4::timestamptz END,
		           unreachable_why = CASE WHEN $3 THEN $7 END, opted_out = $3 AND $8,
		           updated_at = now()
		     WHERE channel_id = $1 AND provider_user = $2
		    RETURNING tenant_id, chat_id, id
		), fact AS (
		    INSERT INTO parley_facts (tenant_id, noun, verb, chat_id, data)
		    SELECT tenant_id, 'member', CASE WHEN $3 THEN 'unreachable' ELSE 'reachable' END, chat_id,
		           json_build_object('member_id', id, 'chat_id', chat_id, 'why', $7::text) FROM member
		)
		UPDATE parley_updates SET applied_at = clock_timestamp()
		 WHERE channel_id = $1 AND kind = $5 AND provider_event = $6`,
		string(ev.Channel), ev.Person.Identity.Value, ev.Blocked, ev.AcceptedAt, string(ev.Kind), updateKey(ev), unreachableWhy(ev), ev.Reason == optedOut)
	return err
}
