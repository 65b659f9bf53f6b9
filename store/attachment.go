package store

import (
	"context"
	"fmt"
	"mime"
	"slices"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// MaxAttachments is how many files one reply may have.
const MaxAttachments = 20

// sqlAttachments reads what became of the files of messages: those of clients by
// their place, then those that were attached here or by another program.
const sqlAttachments = `
SELECT m.message_id, m.position, m.state, coalesce(m.code, ''), coalesce(m.words, ''), m.id AS ord,
       coalesce(u.id, 0), coalesce(u.name, ''), coalesce(u.mime_type, ''), coalesce(u.size, 0),
       coalesce(u.width, 0), coalesce(u.height, 0), u.thumbnail_key IS NOT NULL
  FROM parley_media m LEFT JOIN core_uploads u ON u.id = m.upload_id
 WHERE m.message_id = ANY ($1::bigint[])
UNION ALL
SELECT a.message_id, NULL, 'stored', '', '', a.id,
       u.id, coalesce(u.name, ''), coalesce(u.mime_type, ''), coalesce(u.size, 0),
       coalesce(u.width, 0), coalesce(u.height, 0), u.thumbnail_key IS NOT NULL
  FROM crm_chat_message_attachments a JOIN core_uploads u ON u.id = a.upload_id
 WHERE a.message_id = ANY ($1::bigint[])
   AND NOT EXISTS (SELECT FROM parley_media m WHERE m.message_id = a.message_id AND m.upload_id = a.upload_id)
 ORDER BY 1, 2 NULLS LAST, 6`

// attach fills in the messages' files. Most messages have none, and none to ask
// for: a message with content names its files there.
func attach(ctx context.Context, tx pgx.Tx, ms []inbox.Message) error {
	byID := make(map[int64]*inbox.Message)
	var ids []int64
	for i := range ms {
		m := &ms[i]
		if m.Content != nil && len(m.Content.Attachments) == 0 {
			continue
		}
		byID[m.ID], ids = m, append(ids, m.ID)
		if m.Content != nil {
			m.Attachments = namedFiles(m.Content)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, sqlAttachments, ids)
	if err != nil {
		return fmt.Errorf("attachments: %w", err)
	}
	// How many of a message's files were attached so far, which is their place.
	attached := make(map[int64]int)
	var (
		message, ord int64
		position     *int
		a            inbox.File
	)
	_, err = pgx.ForEachRow(rows, []any{
		&message, &position, &a.State, &a.Code, &a.Words, &ord,
		&a.Upload, &a.Name, &a.MIME, &a.Size, &a.Width, &a.Height, &a.Thumbnail,
	}, func() error {
		m := byID[message]
		at := attached[message]
		if position != nil {
			at = *position
		} else {
			attached[message]++
		}
		if at >= len(m.Attachments) {
			if position != nil {
				return nil // a file that the message no longer names
			}
			at = len(m.Attachments)
			m.Attachments = append(m.Attachments, inbox.File{Position: at, Kind: inbox.KindOfFile(a.MIME)})
		}
		become(&m.Attachments[at], &a)
		return nil
	})
	if err != nil {
		return fmt.Errorf("attachments: %w", err)
	}
	return nil
}

// namedFiles are a content's files as its provider described them.
func namedFiles(c *events.Content) []inbox.File {
	list := make([]inbox.File, len(c.Attachments))
	for i := range c.Attachments {
		a := &c.Attachments[i]
		list[i] = inbox.File{
			Position: i, Kind: a.Kind, Name: inbox.CleanFileName(a.Name), MIME: a.MIME, Size: a.Size,
			Width: a.Width, Height: a.Height, Duration: a.Duration, Role: a.Role, ContentID: a.ContentID,
			// Until a row says otherwise.
			State: inbox.FileFailed, Words: "The file was not fetched.",
		}
	}
	return list
}

// become adds what is known of a file here to what its provider said.
func become(a, known *inbox.File) {
	a.State, a.Code, a.Words = known.State, known.Code, known.Words
	if known.Upload == 0 {
		return
	}
	a.Upload, a.Size, a.MIME, a.Thumbnail = known.Upload, known.Size, known.MIME, known.Thumbnail
	if known.Name != "" {
		a.Name = known.Name
	}
	if known.Width > 0 {
		a.Width, a.Height = known.Width, known.Height
	}
}

// contentOf is a reply's structured content.
func contentOf(text string, files []inbox.Upload) events.Content {
	c := events.Content{Type: events.Text, Text: text}
	for _, u := range files {
		kind := inbox.KindOfFile(u.MIME)
		plain, _, err := mime.ParseMediaType(u.MIME)
		if err != nil {
			plain = u.MIME
		}
		c.Attachments = append(c.Attachments, events.Attachment{
			Kind: kind, Name: u.Name, MIME: plain, Size: u.Size, Width: u.Width, Height: u.Height,
		})
	}
	if len(c.Attachments) > 0 {
		c.Type = c.Attachments[0].Kind
	}
	return c
}

// attachUploads gives a message its files, in order.
func attachUploads(ctx context.Context, tx pgx.Tx, message int64, uploads []int64) error {
	if len(uploads) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO crm_chat_message_attachments (message_id, upload_id)
		SELECT $1, id FROM unnest($2::int[]) WITH ORDINALITY AS u (id, ord) ORDER BY ord`, message, uploads)
	return err
}

// validUploads checks the files of a reply as far as that takes no look-up.
func validUploads(ids []int64) error {
	sorted := slices.Sorted(slices.Values(ids))
	switch {
	case len(ids) > MaxAttachments:
		return &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("The reply has %d files; %d is the most.", len(ids), MaxAttachments),
			Hint: "Send them in several replies.",
		}
	case len(slices.Compact(sorted)) < len(ids):
		return &inbox.Error{Code: inbox.Invalid, Message: "The reply names a file twice.", Hint: "Name each file once."}
	}
	return nil
}
