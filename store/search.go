package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// searchWindow is how many matches are ranked together, the newest first.
const searchWindow = 300

// MaxSearch is the most results of a page.
const MaxSearch = 100

// Search says what to look for.
type Search struct {
	// Words as people type them: all are wanted, "quoted" as a phrase, -word not,
	// with or between alternatives.
	Words string
	// Cursor is what an earlier page returned, empty for the first.
	Cursor string
	Limit  int // 1 to MaxSearch
}

// FoundMessage is a message that matches.
type FoundMessage struct {
	MessageID int64           `json:"message_id"`
	ChatID    int64           `json:"chat_id"`
	Seq       int64           `json:"seq"`
	Client    string          `json:"client" doc:"The chat's client."`
	Direction inbox.Direction `json:"direction"`
	Kind      string          `json:"kind"`
	CreatedAt time.Time       `json:"created_at"`
	// Excerpt is the part of the text that matches, in pieces, so that no character
	// of it means anything.
	Excerpt []Piece `json:"excerpt" nullable:"false" doc:"The part of the text that matches, in pieces."`
}

// Piece is a piece of an excerpt.
type Piece struct {
	Text  string `json:"text"`
	Match bool   `json:"match,omitempty" doc:"Whether this is what was looked for."`
}

// matchBegin and matchEnd surround matches inside the database, where other control
// characters stand for what PostgreSQL would take for HTML and leave out; messages
// are stripped of all of them first.
const matchBegin, matchEnd = "\x02", "\x03"

// SearchMessages finds a tenant's messages: the newest 300 that match, the best
// first, then the next 300. What was written within the last second or two may be
// missing. Invalid when there is nothing to look for.
func (db *DB) SearchMessages(ctx context.Context, tenant events.TenantID, s Search) (found []FoundMessage, next string, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, "", err
	}
	below, skip, err := searchCursor(s.Cursor)
	if err != nil {
		return nil, "", err
	}
	err = db.inTenantSearching(ctx, tenant, func(tx pgx.Tx) error {
		if below, err = searchBelow(ctx, tx, below, "crm_chat_messages_id_seq"); err != nil {
			return err
		}
		// The index knows no order of words, so phrases are looked for as words.
		var wanted, loose string
		if err := tx.QueryRow(ctx, `SELECT q::text, regexp_replace(q::text, '<(-|[0-9]+)>', '&', 'g') FROM websearch_to_tsquery('simple', $1) AS q`,
			s.Words).Scan(&wanted, &loose); err != nil {
			return err
		}
		if wanted == "" {
			return &inbox.Error{
				Code: inbox.Invalid, Message: fmt.Sprintf("There is no word in %q.", s.Words), Hint: "Give at least one word to look for.",
			}
		}
		rows, _ := tx.Query(ctx, `
			WITH f AS MATERIALIZED (SELECT f AS id FROM parley_find('parley_message_words', $2::tsquery, $3, $4) AS f), ranked AS MATERIALIZED (
				SELECT m.id, v @@ $1::tsquery AS matches, ts_rank_cd(v, $1::tsquery) AS rank
				  FROM f JOIN crm_chat_messages m ON m.id = f.id, LATERAL (SELECT to_tsvector('simple', parley_message_text(m.message, m.content)) AS v) AS words
			) SELECT coalesce((SELECT min(id) FROM f), 0), (SELECT count(*) FROM f), (SELECT count(*) FROM ranked WHERE matches),
			         (SELECT array_agg(id) FROM (SELECT id FROM ranked WHERE matches ORDER BY rank DESC, id DESC OFFSET $5 LIMIT $6) AS page)`,
			wanted, loose, below, searchWindow, skip, s.Limit)
		var ids []int64
		if ids, next, err = searchPage(rows, below, skip); err != nil {
			return err
		}
		rows, _ = tx.Query(ctx, `
			SELECT m.id, m.chat_id, m.seq, coalesce(nullif(btrim(concat_ws(' ', cl.first_name, cl.last_name)), ''), ''), m.direction, m.kind, m.created_at,
			       ts_headline('simple', translate(parley_message_text(m.message, m.content), E'<>&\x02\x03\x04\x05\x06', E'\x04\x05\x06'), $2::tsquery,
			           format('StartSel=%s, StopSel=%s, MaxWords=30, MinWords=15', E'\x02', E'\x03'))
			  FROM unnest($1::bigint[]) WITH ORDINALITY AS page (id, place)
			  JOIN crm_chat_messages m ON m.id = page.id JOIN crm_chats c ON c.id = m.chat_id JOIN crm_clients cl ON cl.id = c.client_id
			 ORDER BY page.place`, ids, wanted)
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (f FoundMessage, err error) {
			var text string
			err = row.Scan(&f.MessageID, &f.ChatID, &f.Seq, &f.Client, &f.Direction, &f.Kind, &f.CreatedAt, &text)
			f.Excerpt = pieces(text)
			return f, err
		})
		return err
	})
	if err != nil && inbox.CodeOf(err) == "" {
		err = fmt.Errorf("searching messages: %w", err)
	}
	return found, next, err
}

// FoundClient is a client who matches.
type FoundClient struct {
	ID        int64  `json:"id"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name,omitempty"`
	Phone     string `json:"phone,omitempty"`
	Email     string `json:"email,omitempty"`
	// ChatID is 0 for a client without a chat.
	ChatID int64 `json:"chat_id,omitempty"`
}

// emptyWindows is how many windows are looked at for a page that is not empty.
const emptyWindows = 10

const sqlRankClients = `
	WITH f AS MATERIALIZED (SELECT f AS id FROM parley_find('parley_client_words', $1::tsquery, $2, $3) AS f), ranked AS MATERIALIZED (
		SELECT c.id, (SELECT bool_and(t LIKE p) FROM unnest($4::text[]) AS p) AS matches,
		       (SELECT count(*) FROM unnest($4::text[]) AS p WHERE ' ' || t LIKE '% ' || ltrim(p, '%')) AS rank
		  FROM f JOIN crm_clients c ON c.id = f.id, LATERAL (SELECT lower(parley_client_text(c)) AS t) AS text
	) SELECT coalesce((SELECT min(id) FROM f), 0), (SELECT count(*) FROM f), (SELECT count(*) FROM ranked WHERE matches),
	         (SELECT array_agg(id) FROM (SELECT id FROM ranked WHERE matches ORDER BY rank DESC, id DESC OFFSET $5 LIMIT $6) AS page)`

// SearchClients finds a tenant's clients by parts of names, numbers and addresses:
// every word of s must occur in one of them. Of the newest 300, those where a word
// begins with it come first.
func (db *DB) SearchClients(ctx context.Context, tenant events.TenantID, s Search) (found []FoundClient, next string, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, "", err
	}
	below, skip, err := searchCursor(s.Cursor)
	if err != nil {
		return nil, "", err
	}
	err = db.inTenantSearching(ctx, tenant, func(tx pgx.Tx) error {
		if below, err = searchBelow(ctx, tx, below, "crm_clients_id_seq"); err != nil {
			return err
		}
		// A word of one or two letters is a beginning; of a longer one any place will
		// do, by its trigrams, or by six letters each as soon as it has them.
		var wanted string
		var parts []string
		if err := tx.QueryRow(ctx, `
			SELECT coalesce(string_agg(quote_literal(gram), ' & '), ''), array_agg(DISTINCT '%' || word || '%')
			  FROM regexp_split_to_table(lower($1), '[^[:alnum:]]+') AS word, LATERAL unnest(parley_trigrams(word)) AS gram
			 WHERE CASE WHEN length(word) > 5 THEN gram LIKE '~%' WHEN length(word) > 2 THEN gram NOT LIKE '^%' ELSE gram = '^' || word END`, s.Words).Scan(&wanted, &parts); err != nil {
			return err
		}
		if wanted == "" {
			return &inbox.Error{
				Code: inbox.Invalid, Message: fmt.Sprintf("There is neither a letter nor a digit in %q.", s.Words),
				Hint: "Give a part of a name, a number or an address.",
			}
		}
		var ids []int64
		for range emptyWindows {
			rows, _ := tx.Query(ctx, sqlRankClients, wanted, below, searchWindow, parts, skip, s.Limit)
			if ids, next, err = searchPage(rows, below, skip); err != nil {
				return err
			}
			if len(ids) > 0 || next == "" {
				break
			}
			// Those who have the word's trigrams, but not in a row.
			if below, skip, err = searchCursor(next); err != nil {
				return err
			}
		}
		rows, _ := tx.Query(ctx, `
			SELECT c.id, c.first_name, coalesce(c.last_name, ''), coalesce(c.phone_number, ''), coalesce(c.email, ''),
			       coalesce((SELECT h.id FROM crm_chats h WHERE h.client_id = c.id), 0)
			  FROM unnest($1::bigint[]) WITH ORDINALITY AS page (id, place) JOIN crm_clients c ON c.id = page.id ORDER BY page.place`, ids)
		found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[FoundClient])
		return err
	})
	if err != nil && inbox.CodeOf(err) == "" {
		err = fmt.Errorf("searching clients: %w", err)
	}
	return found, next, err
}

// searchBelow is where a search begins: behind the newest row unless it goes on.
func searchBelow(ctx context.Context, tx pgx.Tx, below int64, sequence string) (int64, error) {
	var end int64
	err := tx.QueryRow(ctx, "SELECT last_value + 1 FROM "+pgx.Identifier{sequence}.Sanitize()).Scan(&end)
	if below == 0 || below > end {
		below = end
	}
	return below, err
}

// searchPage reads a page's ids, and where the next one begins.
func searchPage(rows pgx.Rows, below, skip int64) (ids []int64, next string, err error) {
	// The lowest id of the window, how many are in it, and how many of them match.
	var lowest, seen, matching int64
	if _, err := pgx.ForEachRow(rows, []any{&lowest, &seen, &matching, &ids}, func() error { return nil }); err != nil {
		return nil, "", err
	}
	switch behind := skip + int64(len(ids)); {
	case behind < matching:
		next = cursorOf(below, behind)
	case seen == searchWindow:
		next = cursorOf(lowest, 0)
	}
	return ids, next, nil
}

// cursorOf is where a search goes on: so many results into the window below an id.
func cursorOf(below, skip int64) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d", below, skip))
}

func searchCursor(cursor string) (below, skip int64, err error) {
	if cursor == "" {
		return 0, 0, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%d %d", &below, &skip)
	}
	if err != nil || below <= 0 || skip < 0 || skip > searchWindow {
		return 0, 0, &inbox.Error{Code: inbox.Invalid, Message: "The cursor is not one of ours.", Hint: "Use the next of the page before, or none for the first."}
	}
	return below, skip, nil
}

// pieces cuts a headline at its marks.
func pieces(text string) []Piece {
	text = strings.NewReplacer("\x04", "<", "\x05", ">", "\x06", "&").Replace(text)
	list := []Piece{}
	for text != "" {
		before, rest, marked := strings.Cut(text, matchBegin)
		if before != "" {
			list = append(list, Piece{Text: before})
		}
		if !marked {
			break
		}
		var match string
		match, text, _ = strings.Cut(rest, matchEnd)
		list = append(list, Piece{Text: match, Match: true})
	}
	return list
}
