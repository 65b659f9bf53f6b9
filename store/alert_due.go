package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parley/inbox"
)

// presentFor is how long somebody who was seen counts as there: three times the
// heartbeat, so that one that is late makes nobody absent.
const presentFor = "90 seconds"

// Present notes who has a page open at a process, and forgets who has been gone for
// long.
func (db *DB) Present(ctx context.Context, process string, who []inbox.Present) error {
	tenants, users := make([]string, len(who)), make([]int64, len(who))
	for i, p := range who {
		tenants[i], users[i] = string(p.Tenant), p.User
	}
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		if len(who) > 0 {
			// Somebody may have been deleted since they opened it.
			if _, err := tx.Exec(ctx, `
				INSERT INTO parley_presence (tenant_id, user_id, process, seen_at)
				SELECT u.tenant_id, u.id, $1, clock_timestamp() FROM unnest($2::uuid[], $3::bigint[]) AS p (tenant_id, user_id)
				  JOIN core_users u ON u.tenant_id = p.tenant_id AND u.id = p.user_id ORDER BY 1, 2 FOR KEY SHARE OF u
				ON CONFLICT (tenant_id, user_id, process) DO UPDATE SET seen_at = excluded.seen_at`, process, tenants, users); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "DELETE FROM parley_presence WHERE seen_at < clock_timestamp() - interval '1 hour'")
		return err
	})
	if err != nil {
		return fmt.Errorf("noting who has a page open: %w", err)
	}
	return nil
}

// sqlDueAlerts looks, for each user who wants to be told and has no page open, at the
// open chats with something unread that are theirs, their teams' or nobody's, the
// last active ones of the last day.
const sqlDueAlerts = `
SELECT s.tenant_id::text, s.user_id, c.id, m.seq, m.unread, m.since,
       coalesce(nullif(btrim(concat_ws(' ', cl.first_name, cl.last_name)), ''), 'somebody'),
       s.way, CASE s.way WHEN 'mail' THEN u.email ELSE s.telegram_id END, coalesce(b.channel_id::text, ''), s.quiet_minutes * interval '1 minute'
  FROM parley_alert_settings s
  JOIN core_users u ON u.tenant_id = s.tenant_id AND u.id = s.user_id AND u.disabled_at IS NULL
  LEFT JOIN parley_alert_bots b ON b.tenant_id = s.tenant_id
 CROSS JOIN LATERAL (
    SELECT c.* FROM unnest('{1,3}'::smallint[]) f (folder) CROSS JOIN LATERAL (
        SELECT c.* FROM crm_chats c
         WHERE c.tenant_id = s.tenant_id AND c.folder = f.folder AND c.merged_into IS NULL
           AND c.activity_slot >= greatest(s.updated_at, clock_timestamp() - interval '1 day') - interval '15 seconds'
         ORDER BY c.activity_slot DESC LIMIT 200) c) c
  JOIN crm_clients cl ON cl.tenant_id = c.tenant_id AND cl.id = c.client_id
 CROSS JOIN LATERAL (
    SELECT max(x.seq) AS seq, count(*) AS unread, min(x.created_at) AS since FROM crm_chat_messages x
     WHERE x.chat_id = c.id AND x.direction = 'in' AND x.read_at IS NULL AND x.created_at >= s.updated_at) m
  LEFT JOIN parley_alerts a ON a.tenant_id = s.tenant_id AND a.user_id = s.user_id AND a.chat_id = c.id
 WHERE s.way <> 'off' AND (s.way <> 'mail' OR u.email <> '') AND (s.way <> 'telegram' OR b.channel_id IS NOT NULL)
   AND m.seq IS NOT NULL AND m.since <= clock_timestamp() - s.after_minutes * interval '1 minute'
   AND (c.assignee_id = s.user_id OR c.assignee_id IS NULL AND (c.team_id IS NULL
        OR EXISTS (SELECT FROM parley_team_members tm WHERE tm.tenant_id = s.tenant_id AND tm.team_id = c.team_id AND tm.user_id = s.user_id)))
   AND (a.seq IS NULL OR a.seq < m.seq AND a.at <= clock_timestamp() - s.quiet_minutes * interval '1 minute')
   AND NOT EXISTS (SELECT FROM parley_presence p WHERE p.tenant_id = s.tenant_id AND p.user_id = s.user_id
                      AND p.seen_at > clock_timestamp() - interval '` + presentFor + `')
 ORDER BY m.since LIMIT $1`

// DueAlerts lists what users of all tenants are to be told, the longest waiting
// first.
func (db *DB) DueAlerts(ctx context.Context, limit int) (list []inbox.DueAlert, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, sqlDueAlerts, limit)
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (a inbox.DueAlert, err error) {
			err = row.Scan(&a.Tenant, &a.User, &a.Chat, &a.Seq, &a.Unread, &a.Since, &a.Client, &a.Way, &a.To, &a.Channel, &a.Quiet)
			return a, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for who is to be told: %w", err)
	}
	return list, nil
}

// ClaimAlert notes that a user is told, before they are: it reports true to one
// caller only, who then tells them. What a crash cuts short is not told again.
func (db *DB) ClaimAlert(ctx context.Context, a inbox.DueAlert) (mine bool, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			INSERT INTO parley_alerts AS l (tenant_id, user_id, chat_id, seq, at, way) VALUES ($1, $2, $3, $4, clock_timestamp(), $5)
			ON CONFLICT (tenant_id, user_id, chat_id) DO UPDATE SET seq = excluded.seq, at = excluded.at, way = excluded.way, outcome = 'pending', words = ''
			 WHERE l.seq < excluded.seq AND l.at <= clock_timestamp() - $6::interval`,
			string(a.Tenant), a.User, a.Chat, a.Seq, a.Way, a.Quiet)
		mine = tag.RowsAffected() == 1
		return err
	})
	if IsConstraintError(err) { // the user or the chat is gone
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("noting that a user is told: %w", err)
	}
	return mine, nil
}

// SettleAlert notes what came of it: sent, or why not.
func (db *DB) SettleAlert(ctx context.Context, a inbox.DueAlert, why string) error {
	outcome := "sent"
	if why != "" {
		outcome = "failed"
	}
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE parley_alerts SET outcome = $5, words = $6 WHERE tenant_id = $1 AND user_id = $2 AND chat_id = $3 AND seq = $4",
			string(a.Tenant), a.User, a.Chat, a.Seq, outcome, clean(why, maxWords))
		return err
	})
	if err != nil {
		return fmt.Errorf("noting whether a user was told: %w", err)
	}
	return nil
}
