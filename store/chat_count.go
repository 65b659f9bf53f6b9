package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// sqlChatCounts counts each folder up to MaxUnread, then those of the user's own
// open chats, and those of their teams.
const sqlChatCounts = `
SELECT 0, '', f.folder, (SELECT count(*) FROM (SELECT FROM crm_chats c WHERE c.folder = f.folder AND c.merged_into IS NULL LIMIT ` + maxUnreadSQL + `) x)
  FROM generate_series(0, 11) f (folder)
UNION ALL
SELECT -1, '', f.folder, (SELECT count(*) FROM (
       SELECT FROM crm_chats c WHERE c.assignee_id = $1 AND c.folder = f.folder AND c.merged_into IS NULL LIMIT ` + maxUnreadSQL + `) x)
  FROM generate_series(2, 3) f (folder)
UNION ALL
SELECT t.id, t.name, f.folder, (SELECT count(*) FROM (
       SELECT FROM crm_chats c WHERE c.team_id = t.id AND c.folder = f.folder AND c.merged_into IS NULL LIMIT ` + maxUnreadSQL + `) x)
  FROM parley_team_members tm JOIN parley_teams t ON t.id = tm.team_id, generate_series(2, 3) f (folder)
 WHERE tm.user_id = $1
 ORDER BY 2, 1, 3`

// ChatCounts counts the chats of the inbox's lists as a user sees them, each up
// to MaxUnread.
func (db *DB) ChatCounts(ctx context.Context, tenant events.TenantID, user int64) (c inbox.ChatCounts, err error) {
	if err := validTenant(tenant); err != nil {
		return inbox.ChatCounts{}, err
	}
	c.Teams = []inbox.TeamCount{}
	err = db.inTenantPlanned(ctx, tenant, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sqlChatCounts, user)
		if err != nil {
			return err
		}
		var of, folder, n int64
		var name string
		_, err = pgx.ForEachRow(rows, []any{&of, &name, &folder, &n}, func() error {
			for _, into := range countsOf(&c, of, name, folder) {
				into.Chats = min(into.Chats+n, MaxUnread)
				if folder&folderUnread != 0 {
					into.Unread = min(into.Unread+n, MaxUnread)
				}
			}
			return nil
		})
		return err
	})
	if err != nil {
		return inbox.ChatCounts{}, fmt.Errorf("counting chats: %w", err)
	}
	return c, nil
}

// countsOf are the counts that a folder adds to: of all chats for 0, of the
// user's own for -1, else of a team's.
func countsOf(c *inbox.ChatCounts, of int64, name string, folder int64) []*inbox.ChatCount {
	switch {
	case of == -1:
		return []*inbox.ChatCount{&c.Mine}
	case of > 0:
		if n := len(c.Teams); n == 0 || c.Teams[n-1].Team.ID != of {
			c.Teams = append(c.Teams, inbox.TeamCount{Team: inbox.Named{ID: of, Name: name}})
		}
		return []*inbox.ChatCount{&c.Teams[len(c.Teams)-1].ChatCount}
	case folder >= 8:
		return []*inbox.ChatCount{&c.Closed}
	case folder >= 4:
		return []*inbox.ChatCount{&c.Snoozed}
	case folder&folderAssigned == 0:
		return []*inbox.ChatCount{&c.Open, &c.Unassigned}
	}
	return []*inbox.ChatCount{&c.Open}
}
