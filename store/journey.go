package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

const sqlJourneyHead = `
SELECT m.chat_id, m.seq, m.direction, coalesce(m.channel_id::text, ''), coalesce(ch.name, ''), mb.transport, coalesce(m.event_id::text, ''),
       coalesce(d.id, 0), coalesce(m.provider_chat, ''), coalesce(m.provider_message, ''), m.provider_at, coalesce(m.routed_by, ''),
       m.stream_partition, m.stream_seq
  FROM crm_chat_messages m
  JOIN crm_chat_members mb ON mb.id = m.sender_id
  LEFT JOIN parley_channels ch ON ch.id = m.channel_id
  LEFT JOIN parley_deliveries d ON d.message_id = m.id AND d.action_no = 0
 WHERE m.id = $1`

// sqlJourney has what is stored of a message, each with its time: what, words, part,
// attempt, outcome, provider's id, our reference, code, event.
const sqlJourney = `
SELECT m.created_at, CASE WHEN m.event_id IS NOT NULL THEN 'accepted' ELSE 'written' END,
       CASE WHEN m.event_id IS NOT NULL THEN 'The gateway had it on disk and told the provider so.'
                 || CASE WHEN m.late THEN ' It was stored by a replay.' ELSE '' END
            ELSE 'Written by ' || coalesce(u.name, nullif(btrim(concat_ws(' ', cl.first_name, cl.last_name)), ''), '` + FormerAgent + `') || '.' END,
       NULL::int, 0, '', '', '', '', coalesce(m.event_id::text, '')
  FROM crm_chat_messages m JOIN crm_chat_members mb ON mb.id = m.sender_id
  LEFT JOIN core_users u ON u.id = mb.user_id LEFT JOIN crm_clients cl ON cl.id = mb.client_id
 WHERE m.id = $1
UNION ALL
SELECT m.read_at, 'read', 'Marked as read here.', NULL, 0, '', '', '', '', '' FROM crm_chat_messages m
 WHERE m.id = $1 AND m.direction = 'in' AND m.read_at IS NOT NULL
UNION ALL
SELECT c.accepted_at, 'copy', 'It came again on ' || coalesce(ch.name, 'another channel') || ' and is the same message.', NULL, 0, '', c.provider_message, '', '', c.event_id::text
  FROM parley_copies c LEFT JOIN parley_channels ch ON ch.id = c.channel_id WHERE c.message_id = $1
UNION ALL
SELECT d.created_at, CASE WHEN d.action_no = 0 THEN 'queued' ELSE 'action' END,
       CASE WHEN d.action_no = 0 THEN 'Queued for ' || ch.name || '; it is now ' || d.state
            WHEN d.action ? 'text' THEN 'A change of its text was queued; it is now ' || d.state
            ELSE 'A reaction was queued; it is now ' || d.state END
         || CASE WHEN d.words <> '' THEN ': ' || d.words ELSE '.' END,
       NULL, 0, d.state, '', '', coalesce(d.code, ''), ''
  FROM parley_deliveries d JOIN parley_channels ch ON ch.id = d.channel_id WHERE d.message_id = $1
UNION ALL
SELECT a.started_at, 'attempt', CASE WHEN d.action_no = 0 THEN 'Handed to the provider.' ELSE 'The provider was asked to change it.' END,
       a.part, a.attempt, '', '', a.ref::text, '', ''
  FROM parley_deliveries d JOIN parley_attempts a ON a.delivery_id = d.id WHERE d.message_id = $1
UNION ALL
SELECT a.finished_at, 'answer',
       CASE a.outcome WHEN 'sent' THEN 'The provider accepted it.' WHEN 'retry' THEN 'Certainly not sent, to be tried again'
            WHEN 'rejected' THEN 'The provider refused it' WHEN 'uncertain' THEN 'Nobody knows whether it was sent' ELSE 'No answer yet' END
         || CASE WHEN a.words <> '' THEN ': ' || a.words WHEN a.outcome <> 'sent' THEN '.' ELSE '' END,
       a.part, a.attempt, a.outcome, coalesce(a.provider_id, ''), a.ref::text, coalesce(a.code, ''), ''
  FROM parley_deliveries d JOIN parley_attempts a ON a.delivery_id = d.id WHERE d.message_id = $1 AND a.finished_at IS NOT NULL
UNION ALL
SELECT u.accepted_at, CASE u.kind WHEN 'status' THEN 'status' WHEN 'edit' THEN 'edit' ELSE 'reaction' END,
       CASE u.kind WHEN 'status' THEN 'The provider reported: ' || coalesce(u.event -> 'status' ->> 'name', 'a status')
                        || coalesce(' (' || nullif(u.event -> 'status' ->> 'words', '') || ')', '') || '.'
                   WHEN 'edit' THEN 'The text was changed at the provider.' ELSE 'Reactions were changed at the provider.' END,
       NULL, 0, coalesce(u.event -> 'status' ->> 'name', ''), coalesce(u.provider_message, ''), coalesce(u.event -> 'status' ->> 'ref', ''),
       coalesce(u.event -> 'status' ->> 'code', ''), u.event_id::text
  FROM parley_updates u WHERE u.message_id = $1
UNION ALL
SELECT f.updated_at, 'file', 'File ' || f.position + 1 || ' is ' || f.state || coalesce(': ' || nullif(f.words, ''), '') || '.',
       NULL, f.attempts, f.state, '', '', coalesce(f.code, ''), ''
  FROM parley_media f WHERE f.message_id = $1`

// Journey returns what is stored of what happened to a message, or NotFound. What
// the bus knows of it is not among it.
func (db *DB) Journey(ctx context.Context, tenant events.TenantID, message int64) (j inbox.Journey, err error) {
	if err := validTenant(tenant); err != nil {
		return j, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		var partition *int
		var seq *int64
		j.MessageID = message
		err := tx.QueryRow(ctx, sqlJourneyHead, message).Scan(&j.ChatID, &j.Seq, &j.Direction, &j.Channel, &j.ChannelName, &j.Transport, &j.EventID,
			&j.DeliveryID, &j.ProviderChat, &j.ProviderMessage, &j.ProviderAt, &j.RoutedBy, &partition, &seq)
		if errors.Is(err, pgx.ErrNoRows) {
			return &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no message %d.", message)}
		}
		if err != nil {
			return err
		}
		if partition != nil && seq != nil {
			j.Bus = &inbox.JourneyBus{Partition: *partition, Seq: *seq}
		}
		rows, _ := tx.Query(ctx, sqlJourney, message)
		j.Steps, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s inbox.JourneyStep, err error) {
			err = row.Scan(&s.At, &s.What, &s.Words, &s.Part, &s.Attempt, &s.Outcome, &s.ProviderID, &s.Ref, &s.Code, &s.EventID)
			return s, err
		})
		if err != nil {
			return err
		}
		slices.SortStableFunc(j.Steps, func(a, b inbox.JourneyStep) int { return a.At.Compare(b.At) })
		rows, _ = tx.Query(ctx, sqlLinks, []int64{message})
		j.Links, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (l inbox.ChatLink, err error) {
			var of int64
			err = row.Scan(&of, &l.Chat, &l.Client, &l.Why)
			return l, err
		})
		return err
	})
	if err != nil {
		return j, fmt.Errorf("following a message's journey: %w", err)
	}
	return j, nil
}
