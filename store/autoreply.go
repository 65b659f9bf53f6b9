package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// autoReplyWithin is how old a message may be that is answered automatically:
// after an outage nobody needs to hear that nobody was there.
const autoReplyWithin = "interval '30 minutes'"

// AutoReplyKind is why something is answered automatically.
type AutoReplyKind string

// The kinds.
const (
	AutoAway     AutoReplyKind = "away"
	AutoGreeting AutoReplyKind = "greeting"
)

// AutoReplyRule is what is answered on a channel just now. Day is the day there,
// like 2026-12-25.
type AutoReplyRule struct {
	Tenant  events.TenantID
	Channel events.ChannelID
	Kind    AutoReplyKind
	Day     string
	Text    string
}

// HoursOfChannels returns, for every channel whose hours have something to
// answer, those hours.
func (db *DB) HoursOfChannels(ctx context.Context) (all map[events.TenantID][]inbox.Hours, err error) {
	all = map[events.TenantID][]inbox.Hours{}
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			SELECT c.tenant_id::text, c.id::text, h.enabled, h.time_zone, h.week, h.holidays, h.away, h.greeting, h.version
			  FROM parley_hours any_of
			  JOIN parley_channels c ON c.tenant_id = any_of.tenant_id AND (any_of.channel_id = c.id OR any_of.channel_id IS NULL
			       AND NOT EXISTS (SELECT FROM parley_hours own WHERE own.tenant_id = c.tenant_id AND own.channel_id = c.id))
			  JOIN parley_hours h ON h.id = any_of.id
			 WHERE h.enabled AND (h.away <> '' OR h.greeting <> '') AND c.paused_at IS NULL`)
		var tenant events.TenantID
		var h inbox.Hours
		_, err := pgx.ForEachRow(rows, []any{&tenant, &h.Channel, &h.Enabled, &h.TimeZone, &h.Week, &h.Holidays, &h.Away, &h.Greeting, &h.Version}, func() error {
			all[tenant] = append(all[tenant], h)
			h = inbox.Hours{}
			return nil
		})
		return err
	})
	return all, err
}

// AutoReplyDue is a chat in which something is to be answered by a rule.
type AutoReplyDue struct {
	Chat int64
	Rule AutoReplyRule
}

// AutoRepliesDue finds up to limit chats of one tenant whose last message is their
// client's, was written by a person a short while ago, and is not answered yet
// that day. What they write opens a chat again, so only open ones are looked at:
// folders 0 to 3.
func (db *DB) AutoRepliesDue(ctx context.Context, tenant events.TenantID, rules []AutoReplyRule, limit int) (due []AutoReplyDue, err error) {
	if err := validTenant(tenant); err != nil || len(rules) == 0 {
		return nil, err
	}
	var channels, kinds, days []string
	for _, r := range rules {
		channels, kinds, days = append(channels, string(r.Channel)), append(kinds, string(r.Kind)), append(days, r.Day)
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			SELECT c.id, r.ord
			  FROM crm_chats c
			  JOIN crm_clients cl ON cl.id = c.client_id AND cl.blocked_at IS NULL
			  JOIN LATERAL (SELECT m.direction, m.channel_id, m.created_at, m.content FROM crm_chat_messages m
			                 WHERE m.chat_id = c.id ORDER BY m.seq DESC LIMIT 1) last ON true
			  JOIN unnest($2::uuid[], $3::text[], $4::date[]) WITH ORDINALITY AS r (channel_id, kind, day, ord) ON r.channel_id = last.channel_id
			 WHERE c.tenant_id = $1 AND c.folder = ANY ('{0,1,2,3}') AND c.activity_slot >= now() - `+autoReplyWithin+` - interval '15 seconds'
			   AND last.direction = 'in' AND last.created_at > now() - `+autoReplyWithin+`
			   AND coalesce(last.content -> 'mail' ->> 'automatic', '') = '' AND coalesce(last.content -> 'mail' ->> 'dmarc', '') <> 'fail'
			   AND NOT EXISTS (SELECT FROM parley_autoreplies a WHERE a.tenant_id = c.tenant_id AND a.client_id = c.client_id AND a.day = r.day)
			   AND (r.kind = 'away' OR c.created_at > now() - `+autoReplyWithin+`
			        AND NOT EXISTS (SELECT FROM crm_chat_messages o WHERE o.chat_id = c.id AND o.direction = 'out'))
			 ORDER BY c.id LIMIT $5`, string(tenant), channels, kinds, days, limit)
		var chat int64
		var ord int
		_, err := pgx.ForEachRow(rows, []any{&chat, &ord}, func() error {
			due = append(due, AutoReplyDue{Chat: chat, Rule: rules[ord-1]})
			return nil
		})
		return err
	})
	return due, err
}

// AutoReply answers a chat by a rule, in one transaction with the row that says
// that its client was answered that day: however many try, and whatever crashes,
// it is done once. It does nothing when somebody has answered meanwhile. Where the
// client may not be written to (opted out, no longer within the window), the day
// counts as answered all the same, for nothing would change by trying again.
func (db *DB) AutoReply(ctx context.Context, rule AutoReplyRule, chat, user int64, can map[events.ChannelID]inbox.Abilities) (answered bool, err error) {
	if err := errors.Join(validTenant(rule.Tenant), validChat(chat)); err != nil {
		return false, err
	}
	text, err := inbox.ParseTemplate(rule.Text)
	if err != nil {
		return false, err
	}
	values, err := db.TemplateValues(ctx, rule.Tenant, chat, 0)
	if err != nil {
		return false, err
	}
	words, _ := text.Render(values)
	err = db.inTenant(ctx, rule.Tenant, func(tx pgx.Tx) error {
		held, err := lockChat(ctx, tx, chat)
		if err != nil || held.blocked {
			return err
		}
		silent, nobodys, err := notToBeAnswered(ctx, tx, chat, rule.Channel)
		if err != nil || silent {
			return err
		}
		tag, err := tx.Exec(ctx, `INSERT INTO parley_autoreplies (client_id, day, kind)
			SELECT client_id, $2::date, $3 FROM crm_chats WHERE id = $1
			ON CONFLICT (tenant_id, client_id, day) DO NOTHING`, chat, rule.Day, rule.Kind)
		if err != nil || tag.RowsAffected() == 0 || nobodys {
			return err
		}
		var m inbox.Message
		err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			m, err = reply(ctx, tx, Reply{
				Tenant: rule.Tenant, Chat: chat, Channel: rule.Channel, Text: words, User: user, Force: true, Automatic: true, Can: can,
			})
			return err
		})
		var refused *inbox.Error
		if errors.As(err, &refused) {
			return nil
		}
		if err != nil {
			return err
		}
		answered = true
		_, err = tx.Exec(ctx, `UPDATE parley_autoreplies a SET message_id = $2 FROM crm_chats c
			 WHERE c.id = $1 AND a.tenant_id = c.tenant_id AND a.client_id = c.client_id AND a.day = $3::date`, chat, m.ID, rule.Day)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("answering chat %d automatically: %w", chat, err)
	}
	return answered, nil
}

// notToBeAnswered looks at a chat's last message: silent when it is not the
// client's on that channel, or a program's or forged; nobodys when its sender is
// one that no program may answer, today or tomorrow (RFC 3834, section 2).
func notToBeAnswered(ctx context.Context, tx pgx.Tx, chat int64, channel events.ChannelID) (silent, nobodys bool, err error) {
	var (
		theirs bool
		last   events.Content
		own    []string
	)
	err = tx.QueryRow(ctx, `SELECT direction = 'in' AND channel_id = $2, coalesce(content, '{}'),
		       ARRAY(SELECT unnest(ARRAY[account, coalesce(settings ->> 'address', '')]) FROM parley_channels WHERE transport = 'email')
		  FROM crm_chat_messages WHERE chat_id = $1 ORDER BY seq DESC LIMIT 1`, chat, string(channel)).Scan(&theirs, &last, &own)
	if err != nil || !theirs || last.Mail == nil {
		return !theirs, false, err
	}
	if inbox.NoAutomaticReply(&last, last.Mail.From.Address, own) == "" {
		return false, false, nil
	}
	silent = last.Mail.Automatic != "" || last.Mail.DMARC == "fail"
	return silent, !silent, nil
}

// AutoReplyRules are what is answered on channels with these hours now.
func AutoReplyRules(tenant events.TenantID, hours []inbox.Hours, now time.Time) (rules []AutoReplyRule) {
	for _, h := range hours {
		open, day := h.Open(now)
		rule := AutoReplyRule{Tenant: tenant, Channel: h.Channel, Day: day, Kind: AutoAway, Text: h.Away}
		if open {
			rule.Kind, rule.Text = AutoGreeting, h.Greeting
		}
		if rule.Text != "" {
			rules = append(rules, rule)
		}
	}
	return rules
}
