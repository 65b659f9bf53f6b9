package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Limits of a page of chats.
const (
	DefaultChats = 50
	MaxChats     = 200
)

// ChatPage says which chats to list; the zero value is the DefaultChats last
// active ones of all.
type ChatPage struct {
	// Cursor is what an earlier page returned, empty for the first.
	Cursor string
	// Limit is DefaultChats when 0, and at most MaxChats.
	Limit int
	ChatFilter
}

// ChatFilter says which chats are meant: those for which all that is set holds.
type ChatFilter struct {
	// Status is any when empty.
	Status inbox.ChatStatus
	// Unread leaves only chats with unread messages, Unassigned those that are
	// neither a user's nor a team's.
	Unread, Unassigned bool
	// Assignee and Team are whose the chats are, Label what they have; 0 for any.
	Assignee, Team, Label int64
	// Transport is one that the client is reached by; empty for any.
	Transport events.Transport
}

// A chat's folder (crm_chats.folder) is the sum of its status and these.
const (
	folderUnread   = 1
	folderAssigned = 2
)

// chatFolders are the folders of each status without the above.
var chatFolders = map[inbox.ChatStatus]int16{inbox.ChatOpen: 0, inbox.ChatSnoozed: 4, inbox.ChatClosed: 8}

// folders are the folders that the filter's chats are in.
func (f ChatFilter) folders() []int16 {
	var list []int16
	for status, base := range chatFolders {
		if f.Status != "" && f.Status != status {
			continue
		}
		for _, assigned := range []int16{0, folderAssigned} {
			if f.Unassigned && assigned != 0 || (f.Assignee != 0 || f.Team != 0) && assigned == 0 {
				continue
			}
			if !f.Unread {
				list = append(list, base+assigned)
			}
			list = append(list, base+assigned+folderUnread)
		}
	}
	slices.Sort(list)
	return list
}

// Chats lists chats, the last active first, without their routes. It returns
// the cursor of the next page, empty when this was the last. A chat that becomes
// active between two pages may be on both, or on neither: it moved to the front.
func (db *DB) Chats(ctx context.Context, tenant events.TenantID, page ChatPage) (chats []inbox.Chat, next string, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, "", err
	}
	if _, known := chatFolders[page.Status]; page.Status != "" && !known {
		return nil, "", noStatus(page.Status)
	}
	var rows []chatRow
	err = db.inTenantPlanned(ctx, tenant, func(tx pgx.Tx) error {
		few, err := page.few(ctx, tx)
		if err != nil {
			return err
		}
		sql, args, err := page.sql(few)
		if err != nil {
			return err
		}
		r, _ := tx.Query(ctx, sql, args...)
		rows, err = pgx.CollectRows(r, scanChat)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("listing chats: %w", err)
	}
	if limit := page.limit(); len(rows) > limit {
		rows = rows[:limit]
		next = chatCursor(rows[limit-1])
	}
	chats = make([]inbox.Chat, len(rows))
	for i, r := range rows {
		chats[i] = r.Chat
	}
	return chats, next, nil
}

func (p ChatPage) limit() int {
	if p.Limit <= 0 {
		return DefaultChats
	}
	return min(p.Limit, MaxChats)
}

// fewChats is up to how many chats with a label, or of a transport, are looked
// at one by one. Where there are more, one comes soon enough in the order of the
// list.
const fewChats = 2000

// few are the chats with the filter's label and transport where those are few,
// nil where they are many or the filter names neither.
func (f ChatFilter) few(ctx context.Context, tx pgx.Tx) (few []int64, err error) {
	look := func(sql string, arg any) error {
		rows, _ := tx.Query(ctx, sql, arg, fewChats+1)
		found, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err == nil && len(found) <= fewChats && (few == nil || len(found) < len(few)) {
			few = append([]int64{}, found...)
		}
		return err
	}
	if f.Label != 0 {
		if err := look("SELECT chat_id FROM parley_chat_labels WHERE label_id = $1 LIMIT $2", f.Label); err != nil {
			return nil, err
		}
	}
	if f.Transport != "" {
		if err := look(`SELECT m.chat_id FROM parley_channels ch JOIN crm_chat_members m ON m.channel_id = ch.id
			WHERE ch.transport = $1 LIMIT $2`, f.Transport); err != nil {
			return nil, err
		}
	}
	return few, nil
}

// sql selects the page and one chat more, which tells whether there is a next.
func (p ChatPage) sql(few []int64) (string, []any, error) {
	args := []any{p.folders()}
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	where := ""
	if p.Cursor != "" {
		at, id, err := parseChatCursor(p.Cursor)
		if err != nil {
			return "", nil, err
		}
		from := arg(at)
		where += " AND c.activity_slot <= " + from + " AND (" + activity + ", c.id) < (" + from + ", " + arg(id) + ")"
	}
	if p.Assignee != 0 {
		where += " AND c.assignee_id = " + arg(p.Assignee)
	}
	if p.Team != 0 {
		where += " AND c.team_id = " + arg(p.Team)
	}
	if p.Label != 0 {
		where += " AND EXISTS (SELECT FROM parley_chat_labels x WHERE x.chat_id = c.id AND x.label_id = " + arg(p.Label) + ")"
	}
	if p.Transport != "" {
		where += " AND EXISTS (SELECT FROM crm_chat_members m WHERE m.chat_id = c.id AND m.client_id IS NOT NULL AND m.transport = " + arg(p.Transport) + ")"
	}
	// The limit is part of the text, so that the plan counts on it.
	order := " ORDER BY c.activity_slot DESC, " + activity + " DESC, c.id DESC LIMIT " + strconv.Itoa(p.limit()+1)
	// The page is cut before anything is joined to it. Each folder is read from its
	// newest chat on, no further than the page is long.
	list := "SELECT c.* FROM unnest($1::smallint[]) f (folder) CROSS JOIN LATERAL (SELECT c.* FROM crm_chats c WHERE c.folder = f.folder AND c.merged_into IS NULL" + where + order + ") c" + order
	if few != nil {
		list = "SELECT c.* FROM crm_chats c WHERE c.id = ANY (" + arg(few) + "::integer[]) AND c.folder = ANY ($1::smallint[]) AND c.merged_into IS NULL" + where + order
	}
	return "WITH c AS MATERIALIZED (" + list + ") SELECT " + chatColumns + " FROM c" + chatJoins +
		" ORDER BY " + activity + " DESC, c.id DESC", args, nil
}

func chatCursor(c chatRow) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d", c.at.UnixMicro(), c.ID))
}

func parseChatCursor(cursor string) (at time.Time, id int64, err error) {
	invalid := &inbox.Error{
		Code: inbox.Invalid, Message: "The cursor is none that a list of chats returned.",
		Hint: "Leave it out to start from the newest chat.",
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return at, 0, invalid
	}
	micros, chat, ok := strings.Cut(string(text), ".")
	us, err := strconv.ParseInt(micros, 10, 64)
	if !ok || err != nil {
		return at, 0, invalid
	}
	if id, err = strconv.ParseInt(chat, 10, 32); err != nil {
		return at, 0, invalid
	}
	return time.UnixMicro(us), id, nil
}
