package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// MaxReply is the longest reply in bytes of UTF-8. Transports split what is too
// long for one of their messages; this only keeps mistakes out.
const MaxReply = 64 << 10

// MaxMissed is how many of the missed messages a Stale error carries.
const MaxMissed = 20

// Reply is an agent's answer to a chat's client.
type Reply struct {
	Tenant events.TenantID
	Chat   int64
	// Channel to answer through; empty for the one the client wrote on last.
	Channel events.ChannelID
	// Text may be empty when there are Uploads.
	Text string
	// Uploads are the ids of the files to send, at most MaxAttachments, in order.
	Uploads []int64
	// User is the agent; see EnsureOperator.
	User int64
	// Seen is the seq of the newest message the agent saw, 0 for none.
	Seen int64
	// Force sends even when something newer was not seen.
	Force bool
	// Key makes a repeated reply the same reply; empty for none. It is unique
	// within the tenant.
	Key string
	// ReplyTo is the id of the message that is answered in particular, 0 for
	// none.
	ReplyTo int64
	// Template is sent instead of the text, which is then only what is shown.
	Template *inbox.Template
	// Approved are sent instead of the text where only templates are taken, by
	// channel; that of "" is for every other one.
	Approved map[events.ChannelID]*inbox.Template
	// Undo is how long the reply waits before it leaves.
	Undo time.Duration
	// Automatic marks what no person wrote.
	Automatic bool
	// Mail sets what a mail's head would otherwise take from the mail answered,
	// nil for nothing. Other transports refuse it.
	Mail *ReplyMail
	// Can is what the channels can do; what is not there is not limited.
	Can map[events.ChannelID]inbox.Abilities
}

// Missed is the detail of a Stale error: what the agent has not seen.
type Missed struct {
	// LastSeq is the chat's newest seq now.
	LastSeq int64 `json:"last_seq"`
	// Messages are the first MaxMissed of them.
	Messages []inbox.Message `json:"messages"`
}

// Reply stores a reply and queues its delivery, in one transaction. The fact
// (message, queued) goes with it, what the agent has seen counts as read, and
// their draft in that chat is gone.
// With a key that was used before for the same reply it changes nothing and
// returns the first one's message.
//
// It fails with Invalid, NotFound, Conflict (the key was used for something
// else), Refused (client blocked, no way to reach them), or Stale with *Missed
// as its detail when the client or a colleague wrote something the agent has
// not seen.
func (db *DB) Reply(ctx context.Context, r Reply) (m inbox.Message, err error) {
	if err := r.validate(); err != nil {
		return inbox.Message{}, err
	}
	// A second try finds what another caller stored under the key meanwhile. Its
	// chat may be another one, so that no lock came between.
	for range 2 {
		err = db.inTenantPlanned(ctx, r.Tenant, func(tx pgx.Tx) error {
			if m, err = reply(ctx, tx, r); err != nil {
				return err
			}
			return clearDraft(ctx, tx, r.Chat, r.User)
		})
		if r.Key == "" || !violates(err, "parley_messages_idempotency") {
			break
		}
	}
	if violates(err, "fk_crm_chat_message_attachments_upload_id") {
		return inbox.Message{}, &inbox.Error{
			Code: inbox.NotFound, Message: "A file of the reply was removed meanwhile.", Hint: "Upload it again.", Err: err,
		}
	}
	if err != nil {
		return inbox.Message{}, fmt.Errorf("replying: %w", err)
	}
	return m, nil
}

func (r *Reply) validate() error {
	if err := errors.Join(validTenant(r.Tenant), validChat(r.Chat)); err != nil {
		return err
	}
	switch {
	case r.Template != nil:
		if err := validTemplate(r); err != nil {
			return err
		}
	case strings.TrimSpace(r.Text) == "" && len(r.Uploads) == 0:
		return &inbox.Error{Code: inbox.Invalid, Message: "The reply has no text.", Hint: "Write something."}
	case r.Seen < 0:
		return &inbox.Error{Code: inbox.Invalid, Message: "The seen seq is below 0."}
	}
	if r.Undo > MaxUndo {
		return &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("A reply can be undone for %s at most.", MaxUndo), Hint: "Schedule what is to be sent later.",
		}
	}
	if len(r.Text) > MaxReply {
		return &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("The reply has %d bytes; %d is the most.", len(r.Text), MaxReply),
			Hint: "Send it in several replies.",
		}
	}
	if !isText(r.Text) {
		return &inbox.Error{Code: inbox.Invalid, Message: "The reply is not valid UTF-8 text.", Hint: "Send text, not a file."}
	}
	if r.Channel != "" {
		if _, err := uuid.Parse(string(r.Channel)); err != nil {
			return noChannel(r.Channel)
		}
	}
	if err := r.Mail.validate(); err != nil {
		return err
	}
	return validUploads(r.Uploads)
}

func reply(ctx context.Context, tx pgx.Tx, r Reply) (inbox.Message, error) {
	chat, err := lockChat(ctx, tx, r.Chat)
	if err != nil {
		return inbox.Message{}, err
	}
	if first, err := repeated(ctx, tx, r); err != nil || first != 0 {
		if err != nil {
			return inbox.Message{}, err
		}
		unnoted(ctx)
		return messageByID(ctx, tx, first)
	}
	if chat.blocked {
		return inbox.Message{}, &inbox.Error{
			Code: inbox.Refused, Message: fmt.Sprintf("The client of chat %d is blocked.", r.Chat),
			Hint: "Unblock the client to write to them.",
		}
	}
	if err := notStale(ctx, tx, r, chat.lastSeq); err != nil {
		return inbox.Message{}, err
	}
	way, err := chooseRoute(ctx, tx, r)
	if err != nil {
		return inbox.Message{}, err
	}
	answered, err := answeredKey(ctx, tx, r, way)
	if err != nil {
		return inbox.Message{}, err
	}
	if _, err := markRead(ctx, tx, r.Chat, r.Seen); err != nil {
		return inbox.Message{}, err
	}
	agent, err := ensureAgent(ctx, tx, r, way.Transport)
	if err != nil {
		return inbox.Message{}, err
	}
	files, err := uploadsByID(ctx, tx, r.Uploads)
	if err != nil {
		return inbox.Message{}, err
	}
	content := contentOf(cmp.Or(r.Text, templateText(r.Template)), files)
	content.Automatic = r.Automatic
	if answered != nil {
		content.Topic = answered.topic
		if answered.Valid() {
			content.ReplyTo = &answered.MessageKey
		}
	}
	if r.Can[way.Channel].Mail {
		if content.Mail, err = letterHead(ctx, tx, r, way); err != nil {
			return inbox.Message{}, err
		}
		content.Type = events.Letter
	}
	id, seq, at, err := insertReply(ctx, tx, r, way, agent, content)
	if err != nil {
		return inbox.Message{}, err
	}
	aim(ctx, id)
	d := newDelivery{
		Message: id, Chat: r.Chat, Channel: way.Channel, Member: way.member, Lane: way.Address, Template: way.template,
	}
	if d.Delay, err = undoDelay(ctx, tx, r.Undo); err != nil {
		return inbox.Message{}, err
	}
	if answered != nil && answered.Valid() {
		d.ReplyTo = answered.Message
	}
	delivery, err := enqueueDelivery(ctx, tx, d)
	if err != nil {
		return inbox.Message{}, err
	}
	err = writeFact(ctx, tx, "message", "queued", r.Chat, map[string]any{
		"message_id": id, "chat_id": r.Chat, "seq": seq, "kind": content.Type, "text": content.Plain(),
		"channel_id": way.Channel, "created_at": at, "delivery_id": delivery, "user_id": r.User,
	})
	if err != nil {
		return inbox.Message{}, err
	}
	return messageByID(ctx, tx, id)
}

// lockedChat is a chat whose row the transaction holds.
type lockedChat struct {
	lastSeq int64
	blocked bool
}

// lockChat takes the chat's row lock, under which its messages and facts are
// ordered, or fails with NotFound.
func lockChat(ctx context.Context, tx pgx.Tx, id int64) (c lockedChat, err error) {
	var merged int64
	err = tx.QueryRow(ctx, `
		SELECT c.last_seq, cl.blocked_at IS NOT NULL, coalesce(c.merged_into, 0)
		  FROM crm_chats c JOIN crm_clients cl ON cl.id = c.client_id
		 WHERE c.id = $1 FOR NO KEY UPDATE OF c`, id).Scan(&c.lastSeq, &c.blocked, &merged)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, noChat(id)
	}
	if err == nil && merged != 0 {
		return c, mergedChat(id, merged)
	}
	return c, err
}

func mergedChat(id, into int64) error {
	return &inbox.Error{
		Code: inbox.Conflict, Message: fmt.Sprintf("Chat %d was merged into chat %d.", id, into),
		Hint: fmt.Sprintf("Go on in chat %d.", into), Detail: map[string]any{"chat": into},
	}
}

// repeated is the id of the message stored under r's key, 0 when there is none.
func repeated(ctx context.Context, tx pgx.Tx, r Reply) (id int64, err error) {
	if r.Key == "" {
		return 0, nil
	}
	var same bool
	approved, err := templateJSON(slices.Collect(maps.Values(r.Approved))...)
	if err != nil {
		return 0, err
	}
	// What the caller left to Parley is not compared: it may choose differently now.
	err = tx.QueryRow(ctx, `
		SELECT m.id, m.chat_id = $2 AND coalesce(m.content->>'text', '') = $3 AND ($4 = '' OR m.channel_id::text = $4)
		       AND mb.user_id IS NOT DISTINCT FROM $5
		       AND EXISTS (SELECT FROM parley_deliveries d WHERE d.message_id = m.id AND d.action_no = 0
		                      AND (d.template IS NOT DISTINCT FROM $7::jsonb OR d.template = ANY ($8::text[]::jsonb[])))
		       AND ARRAY(SELECT a.upload_id::bigint FROM crm_chat_message_attachments a WHERE a.message_id = m.id ORDER BY a.id) = $6::bigint[]
		  FROM crm_chat_messages m JOIN crm_chat_members mb ON mb.id = m.sender_id
		 WHERE m.idempotency_key = $1`, r.Key, r.Chat, cmp.Or(r.Text, templateText(r.Template)), strings.ToLower(string(r.Channel)), r.User,
		append([]int64{}, r.Uploads...), r.Template, approved).Scan(&id, &same)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if !same {
		return 0, &inbox.Error{
			Code: inbox.Conflict, Message: "The idempotency key was used for another reply.",
			Hint: "Use a new key for a new reply.",
		}
	}
	return id, nil
}

// notStale compares what the agent saw with what the client and colleagues have
// written. The agent's own messages are no surprise to them.
func notStale(ctx context.Context, tx pgx.Tx, r Reply, last int64) error {
	if r.Seen > last {
		return &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("The chat's newest message is %d; %d cannot have been seen.", last, r.Seen),
			Hint: "Give the seq of the newest message that was shown.",
		}
	}
	if r.Force || r.Seen == last {
		return nil
	}
	rows, _ := tx.Query(ctx, messageSelect+`
		 WHERE m.chat_id = $1 AND m.seq > $2 AND mb.user_id IS DISTINCT FROM $3
		   AND NOT coalesce((m.content ->> 'automatic')::boolean, false) ORDER BY m.seq LIMIT $4`,
		r.Chat, r.Seen, r.User, MaxMissed)
	missed, err := pgx.CollectRows(rows, scanMessage)
	if err != nil || len(missed) == 0 {
		return err
	}
	return &inbox.Error{
		Code: inbox.Stale, Message: "Something was written in this chat that the reply did not take into account.",
		Hint:   fmt.Sprintf("Read it, then reply again having seen %d, or force the reply.", last),
		Detail: &Missed{LastSeq: last, Messages: missed},
	}
}

// chooseRoute finds the way a reply goes.
func chooseRoute(ctx context.Context, tx pgx.Tx, r Reply) (route, error) {
	routes, err := routesOf(ctx, tx, r.Chat)
	if err != nil {
		return route{}, err
	}
	if r.Channel == "" {
		if len(routes) == 0 {
			return route{}, &inbox.Error{
				Code: inbox.Refused, Message: fmt.Sprintf("There is no channel to reach the client of chat %d through.", r.Chat),
				Hint: "A client can be answered once they have written on a connected channel.",
			}
		}
		return usable(r, best(r, routes))
	}
	for _, way := range routes {
		if strings.EqualFold(string(way.Channel), string(r.Channel)) {
			return usable(r, way)
		}
	}
	var name string
	err = tx.QueryRow(ctx, "SELECT name FROM parley_channels WHERE id = $1", r.Channel).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return route{}, noChannel(r.Channel)
	}
	if err != nil {
		return route{}, err
	}
	refused := &inbox.Error{
		Code: inbox.Refused, Message: fmt.Sprintf("The client of chat %d has never written on channel %q.", r.Chat, name),
		Hint: "A client can be answered once they have written on a connected channel.",
	}
	if len(routes) > 0 {
		names := make([]string, len(routes))
		for i, way := range routes {
			names[i] = fmt.Sprintf("%q", way.Name)
		}
		refused.Hint = "They can be reached on " + strings.Join(names, ", ") + "."
	}
	return route{}, refused
}

// best is the first route that takes the reply, or the first of all, whose
// refusal is then told.
func best(r Reply, routes []route) route {
	for _, way := range routes {
		if _, err := usable(r, way); err == nil {
			return way
		}
	}
	return routes[0]
}

// usable is the route unless a rule is known that forbids it: the dispatcher
// would refuse it later.
func usable(r Reply, way route) (route, error) {
	can := r.Can[way.Channel]
	way.Judge(can, false, time.Now())
	way.template = r.Template
	if way.State == inbox.RouteWindowClosed && r.Template == nil {
		way.template = r.approvedFor(way.Channel)
	}
	if refused := way.Refusal(way.template != nil); refused != nil {
		return route{}, refused
	}
	if r.Mail != nil && r.Can != nil && !can.Mail {
		return route{}, &inbox.Error{
			Code: inbox.Refused, Message: fmt.Sprintf("Messages on channel %q have no subject and no recipients of their own.", way.Name),
			Hint: "Leave them out, or answer by mail.",
		}
	}
	if way.template != nil && r.Can != nil && !can.Templates {
		return route{}, &inbox.Error{
			Code: inbox.Refused, Message: fmt.Sprintf("Channel %q takes no templates.", way.Name),
			Hint: "Write a text instead, or answer on another channel.",
		}
	}
	return way, nil
}

// answeredMessage is a message that a reply answers, as the provider names it.
type answeredMessage struct {
	events.MessageKey
	topic string
}

// answeredKey is how the provider names the message that r answers in
// particular, nil when none.
func answeredKey(ctx context.Context, tx pgx.Tx, r Reply, way route) (*answeredMessage, error) {
	if r.ReplyTo == 0 {
		return nil, nil
	}
	var key answeredMessage
	var channel string
	// What we sent carries its provider's id in its first attempt that was.
	err := tx.QueryRow(ctx, `
		SELECT coalesce(m.channel_id::text, ''),
		       coalesce(m.provider_chat, a.provider_chat, ''), coalesce(m.provider_message, a.provider_id, ''), coalesce(m.content ->> 'topic', '')
		  FROM crm_chat_messages m
		  LEFT JOIN parley_deliveries d ON d.message_id = m.id AND d.action_no = 0
		  LEFT JOIN LATERAL (
			SELECT a.provider_chat, a.provider_id FROM parley_attempts a
			 WHERE a.delivery_id = d.id AND a.provider_id IS NOT NULL ORDER BY a.part, a.attempt LIMIT 1) a ON true
		 WHERE m.id = $1 AND m.chat_id = $2`, r.ReplyTo, r.Chat).Scan(&channel, &key.Chat, &key.Message, &key.topic)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, &inbox.Error{
			Code: inbox.NotFound, Message: fmt.Sprintf("There is no message %d in chat %d to answer.", r.ReplyTo, r.Chat),
			Hint: "Name a message of this chat by its id.",
		}
	}
	if err != nil {
		return nil, err
	}
	if can, known := r.Can[way.Channel]; known && can.Mail && channel == string(way.Channel) {
		return &key, nil // its head names it, whatever became of it
	}
	if channel != string(way.Channel) || !key.Valid() {
		return nil, &inbox.Error{
			Code: inbox.Refused, Message: fmt.Sprintf("Message %d cannot be quoted on channel %q: it is not known there.", r.ReplyTo, way.Name),
			Hint: "Reply without quoting it, or through the channel it came by.",
		}
	}
	return &key, nil
}

// ensureAgent is the agent's member of the chat on that transport.
func ensureAgent(ctx context.Context, tx pgx.Tx, r Reply, transport events.Transport) (id string, err error) {
	const find = "SELECT id::text FROM crm_chat_members WHERE chat_id = $1 AND user_id = $2 AND transport = $3"
	err = tx.QueryRow(ctx, find, r.Chat, r.User, transport).Scan(&id)
	if !errors.Is(err, pgx.ErrNoRows) {
		return id, err
	}
	// Only another program, which does not take the chat's lock, can collide.
	_, err = tx.Exec(ctx, `INSERT INTO crm_chat_members (chat_id, user_id, transport) VALUES ($1, $2, $3)
		ON CONFLICT (chat_id, user_id, transport) WHERE user_id IS NOT NULL DO NOTHING`, r.Chat, r.User, transport)
	if violates(err, "fk_crm_chat_members_user_id") {
		return "", &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no user %d to reply as.", r.User), Err: err}
	}
	if err != nil {
		return "", err
	}
	err = tx.QueryRow(ctx, find, r.Chat, r.User, transport).Scan(&id)
	return id, err
}

// insertReply writes the message as the chat's newest.
func insertReply(ctx context.Context, tx pgx.Tx, r Reply, way route, agent string, c events.Content) (id, seq int64, at time.Time, err error) {
	content, err := json.Marshal(c)
	if err != nil {
		return 0, 0, at, err
	}
	// Not now(), the transaction's start: it has waited for the lock since.
	err = tx.QueryRow(ctx, `
		UPDATE crm_chats
		   SET last_seq = last_seq + 1, last_message_at = greatest(last_message_at, statement_timestamp())
		 WHERE id = $1
		RETURNING last_seq, statement_timestamp()`, r.Chat).Scan(&seq, &at)
	if err != nil {
		return 0, 0, at, err
	}
	err = tx.QueryRow(ctx, `
		INSERT INTO crm_chat_messages
		       (chat_id, sender_id, message, seq, direction, kind, content, channel_id, created_at, idempotency_key)
		VALUES ($1, $2, $3, $4, 'out', $9, $5, $6, $7, nullif($8, ''))
		RETURNING id`,
		r.Chat, agent, c.Plain(), seq, content, way.Channel, at, r.Key, string(c.Type)).Scan(&id)
	if err != nil {
		return 0, 0, at, err
	}
	return id, seq, at, attachUploads(ctx, tx, id, r.Uploads)
}
