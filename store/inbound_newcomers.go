package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// SettingNewClients is the channel setting that limits how many new clients it
// brings in an hour: a guard against floods of strangers. Without it there is no
// limit. What is beyond goes to quarantine, where a person can replay it.
const SettingNewClients = "new_clients_per_hour"

// parseLimit reads the setting; what is no positive number limits nothing.
func parseLimit(setting string) int {
	n, err := strconv.ParseInt(setting, 10, 32)
	if err != nil || n < 0 || setting == "" {
		return noLimit
	}
	return int(n)
}

const noLimit = -1

// newcomerKey is what is counted together. Backlog that an outage made is
// counted when it was accepted.
type newcomerKey struct {
	tenant  events.TenantID
	channel events.ChannelID
	hour    time.Time
}

const (
	sqlOpenHours = `
INSERT INTO parley_newcomers (channel_id, hour, tenant_id)
SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[])
ON CONFLICT DO NOTHING`
	// Rows are held until the transaction ends: two partitions share one limit.
	sqlHoldHours = `
SELECT i.ord, n.clients
  FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[]) WITH ORDINALITY AS i (channel_id, hour, tenant_id, ord)
  JOIN parley_newcomers n ON n.tenant_id = i.tenant_id AND n.channel_id = i.channel_id AND n.hour = i.hour
 ORDER BY n.channel_id, n.hour FOR NO KEY UPDATE OF n`
	sqlCountHours = `
UPDATE parley_newcomers n SET clients = n.clients + i.clients
  FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::integer[]) AS i (channel_id, hour, tenant_id, clients)
 WHERE n.tenant_id = i.tenant_id AND n.channel_id = i.channel_id AND n.hour = i.hour`
	sqlForgetHours = `
DELETE FROM parley_newcomers WHERE tenant_id = ANY ($1::uuid[]) AND channel_id = ANY ($2::uuid[]) AND hour < now() - interval '7 days'`
)

// limit refuses strangers beyond their channels' limits, in the order in which
// they wrote, and returns the others. Whom the business wrote to first is not
// counted, nor what a person replays.
func (b *batch) limit(ctx context.Context, tx pgx.Tx, strangers []*person) ([]*person, error) {
	if len(b.limits) == 0 || b.late {
		return strangers, nil
	}
	groups := make(map[newcomerKey][]*person)
	var keys []newcomerKey
	for _, p := range strangers {
		if _, limited := b.limits[p.channel]; !limited || p.invited {
			continue
		}
		k := newcomerKey{p.tenant, p.channel, p.first.AcceptedAt.UTC().Truncate(time.Hour)}
		if groups[k] == nil {
			keys = append(keys, k)
		}
		groups[k] = append(groups[k], p)
	}
	if len(keys) == 0 {
		return strangers, nil
	}
	slices.SortFunc(keys, func(a, b newcomerKey) int {
		return cmp.Or(cmp.Compare(a.channel, b.channel), a.hour.Compare(b.hour))
	})
	channels, tenants, hours := make([]string, len(keys)), make([]string, len(keys)), make([]time.Time, len(keys))
	for i, k := range keys {
		channels[i], tenants[i], hours[i] = string(k.channel), string(k.tenant), k.hour
	}
	counts := make([]int, len(keys))
	var q pgx.Batch
	q.Queue(sqlOpenHours, channels, hours, tenants)
	q.Queue(sqlHoldHours, channels, hours, tenants).Query(func(rows pgx.Rows) error {
		var ord, n int
		_, err := pgx.ForEachRow(rows, []any{&ord, &n}, func() error { counts[ord-1] = n; return nil })
		return err
	})
	if err := tx.SendBatch(ctx, &q).Close(); err != nil {
		return nil, err
	}
	refused := make(map[*person]bool)
	granted := make([]int32, len(keys))
	for i, k := range keys {
		group := groups[k]
		slices.SortFunc(group, func(a, b *person) int { return cmp.Compare(a.ord, b.ord) })
		room := min(len(group), max(0, b.limits[k.channel]-counts[i]))
		granted[i] = int32(room) //nolint:gosec // a batch has thousands of events
		for _, p := range group[room:] {
			refused[p] = true
		}
	}
	var q2 pgx.Batch
	q2.Queue(sqlCountHours, channels, hours, tenants, granted)
	q2.Queue(sqlForgetHours, tenants, channels)
	if err := tx.SendBatch(ctx, &q2).Close(); err != nil {
		return nil, err
	}
	b.refuse(refused)
	return slices.DeleteFunc(strangers, func(p *person) bool { return refused[p] }), nil
}

// refuse puts what these people wrote into quarantine.
func (b *batch) refuse(refused map[*person]bool) {
	if len(refused) == 0 {
		return
	}
	b.messages = slices.DeleteFunc(b.messages, func(in *inbound) bool {
		if !refused[in.who] {
			return false
		}
		b.result.Outcomes[in.ord] = Quarantined
		b.records[in.ord].Unstorable = &Unstorable{Reason: fmt.Sprintf(
			"From somebody new, beyond the %d new clients an hour that the channel lets in (setting %s). Replay it to let them in.",
			b.limits[in.event.Channel], SettingNewClients)}
		return true
	})
	b.people = slices.DeleteFunc(b.people, func(p *person) bool { return refused[p] })
}
