package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// ReplayPreview is what a replay would do, found out without doing it.
type ReplayPreview struct {
	// Refused says why it would stay in quarantine, empty when it would not.
	Refused string          `json:"refused,omitempty" doc:"Why it would stay in quarantine."`
	Events  []PreviewedItem `json:"events" nullable:"false" doc:"What would become of each event in the record."`
}

// PreviewedItem is what would become of one event.
type PreviewedItem struct {
	Outcome Outcome `json:"outcome" enum:"persisted,duplicate,ignored,quarantined"`
	// Why is in plain words where the outcome needs them.
	Why     string           `json:"why,omitempty"`
	Kind    events.Kind      `json:"kind"`
	Tenant  events.TenantID  `json:"tenant_id"`
	Channel events.ChannelID `json:"channel_id"`
	From    string           `json:"from,omitempty" doc:"The sender as the provider names them."`
	Text    string           `json:"text,omitempty" doc:"The message, cut after 500 characters."`
	Files   int              `json:"files,omitempty"`
	SentAt  *time.Time       `json:"sent_at,omitempty"`
	// NewClient says that nobody is known by that name yet.
	NewClient bool   `json:"new_client,omitempty" doc:"A client and a chat would be made."`
	Client    int64  `json:"client_id,omitempty" doc:"Whose it would be; absent for a new client."`
	Name      string `json:"client_name,omitempty"`
	Chat      int64  `json:"chat_id,omitempty"`
	RoutedBy  string `json:"routed_by,omitempty" doc:"What it is that says whose it is."`
	Message   int64  `json:"message_id,omitempty" doc:"The message that is there already: the duplicate, or the one to be changed."`
}

// mostPreviewed is how much of a message a preview shows, in characters.
const mostPreviewed = 500

// PreviewQuarantined does what [DB.ReplayQuarantined] does in a transaction that
// is rolled back, and says what it came to. Numbers that sequences gave out on the
// way are lost; nothing else stays.
func (db *DB) PreviewQuarantined(ctx context.Context, scope QuarantineScope, id int64, parse func(data []byte) ([]events.Inbound, error)) (p ReplayPreview, err error) {
	p.Events = []PreviewedItem{}
	err = scope.work(ctx, db, id, func(tx pgx.Tx) error {
		q, err := quarantined(ctx, tx, id, sqlReplaying)
		if err != nil {
			return err
		}
		list, err := parse(q.Event)
		if err == nil {
			err = scope.admits(ctx, tx, list)
		}
		if err != nil {
			p.Refused = err.Error()
			return nil
		}
		b := db.newLateBatch(list, q.Partition, q.Seq)
		before, err := storedMessages(ctx, tx, list)
		if err != nil {
			return err
		}
		// A savepoint: after a refusal the names are still read.
		err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			if err := b.store(ctx, tx); err != nil {
				return err
			}
			// What is checked at the commit is checked now.
			_, err := tx.Exec(ctx, `SET CONSTRAINTS ALL IMMEDIATE`)
			return err
		})
		if err != nil {
			if sqlState(err) == "" {
				return err
			}
			p.Refused = err.Error()
			return errProbed
		}
		if p.Events, err = b.preview(ctx, tx, before); err != nil {
			return err
		}
		for _, e := range p.Events {
			if e.Outcome == Quarantined {
				p.Refused = e.Why
			}
		}
		return errProbed
	})
	if err != nil && !errors.Is(err, errProbed) {
		return ReplayPreview{}, fmt.Errorf("previewing a replay: %w", err)
	}
	return p, nil
}

// storedMessages are the messages that the events name and that are there, by
// the events' places.
func storedMessages(ctx context.Context, tx pgx.Tx, list []events.Inbound) (map[int][2]int64, error) {
	found := make(map[int][2]int64)
	for i := range list {
		ev := &list[i]
		if !isUUID(string(ev.Channel)) || !ev.Key.Valid() {
			continue
		}
		var id, chat int64
		err := tx.QueryRow(ctx, `SELECT id, chat_id FROM crm_chat_messages
			WHERE channel_id = $1 AND provider_chat = $2 AND provider_message = $3 AND part = $4 AND provider_message IS NOT NULL`,
			string(ev.Channel), ev.Key.Chat, ev.Key.Message, ev.Key.Part).Scan(&id, &chat)
		switch {
		case err == nil:
			found[i] = [2]int64{id, chat}
		case !errors.Is(err, pgx.ErrNoRows):
			return nil, err
		}
	}
	return found, nil
}

// preview says what the batch did.
func (b *batch) preview(ctx context.Context, tx pgx.Tx, before map[int][2]int64) ([]PreviewedItem, error) {
	items := make([]PreviewedItem, len(b.records))
	for i := range b.records {
		ev, it := b.records[i].Event, &items[i]
		*it = PreviewedItem{Outcome: b.result.Outcomes[i], Kind: ev.Kind, Tenant: ev.Tenant, Channel: ev.Channel, From: ev.Person.Identity.Value}
		it.Message, it.Chat = before[i][0], before[i][1]
		if at := sentAt(ev); !at.IsZero() {
			it.SentAt = &at
		}
		if c := ev.Content; c != nil {
			it.Text, it.Files = cut(c.Text, mostPreviewed), len(c.Attachments)
		}
		if u := b.records[i].Unstorable; u != nil {
			it.Why = u.Reason
		}
	}
	for _, in := range b.ignored {
		items[in.ord].Why = in.ignored
		if in.erased {
			items[in.ord].Text, items[in.ord].From = "", ""
		}
	}
	for _, in := range b.messages {
		it := &items[in.ord]
		it.RoutedBy = in.who.routedBy
		if in.why != "" {
			it.RoutedBy = in.why
		}
		if it.NewClient = in.who.fresh; it.NewClient {
			it.Name = firstName(&in.event.Person)
			if last := in.event.Person.LastName; last != "" {
				it.Name += " " + truncate(last)
			}
			continue
		}
		it.Client, it.Chat = in.who.client, in.who.chat
	}
	for i := range items {
		if items[i].Chat == 0 {
			continue
		}
		err := tx.QueryRow(ctx, `SELECT c.id, btrim(concat_ws(' ', c.first_name, c.last_name)) FROM crm_chats h JOIN crm_clients c ON c.id = h.client_id WHERE h.id = $1`,
			items[i].Chat).Scan(&items[i].Client, &items[i].Name)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return nil, err
		}
	}
	return items, nil
}

// cut ends a text after so many characters.
func cut(text string, most int) string {
	if r := []rune(strings.TrimSpace(text)); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
