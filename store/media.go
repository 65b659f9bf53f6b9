package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// MediaJob is one try to fetch one file of a client's message.
type MediaJob struct {
	ID       int64
	Tenant   events.TenantID
	Channel  events.ChannelID
	Message  int64
	Position int
	// Attempt is the number of this try: only it may settle the job.
	Attempt int
	// CreatedAt is when the message was stored.
	CreatedAt time.Time
	// Attachment is what the provider said of the file; its zero value when the
	// message no longer names it.
	Attachment events.Attachment
	// Where the event's payload is: Raw itself, the blob RawKey, or the bus, where
	// Event is in the frame StreamSeq of Partition (0 when it is not).
	Raw       json.RawMessage
	RawKey    string
	Event     events.EventID
	Partition int
	StreamSeq uint64
}

// ClaimMedia takes up to limit files that are due, the longest waiting first, for
// as long as lease: a try that is not settled by then is made again by whoever
// asks. Channels in busy are left out.
func (db *DB) ClaimMedia(ctx context.Context, limit int, lease time.Duration, busy []events.ChannelID) (jobs []MediaJob, err error) {
	channels := make([]string, len(busy))
	for i, id := range busy {
		channels[i] = string(id)
	}
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			WITH due AS (
			    SELECT id FROM parley_media
			     WHERE state = 'pending' AND due_at <= statement_timestamp() AND channel_id <> ALL ($3::uuid[])
			     ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
			), claimed AS (
			    UPDATE parley_media m
			       SET attempts = m.attempts + 1, due_at = clock_timestamp() + $2::interval, updated_at = clock_timestamp()
			      FROM due WHERE m.id = due.id
			    RETURNING m.*
			)
			SELECT c.id, c.tenant_id::text, c.channel_id::text, c.message_id, c.position, c.attempts, c.created_at,
			       m.content->'attachments'->c.position::int, p.raw, coalesce(p.blob_key, ''),
			       coalesce(m.event_id::text, ''), coalesce(m.stream_partition, 0), coalesce(m.stream_seq, 0)
			  FROM claimed c
			  JOIN crm_chat_messages m ON m.id = c.message_id
			  LEFT JOIN parley_payloads p ON p.message_id = c.message_id
			 ORDER BY c.message_id, c.position`, limit, lease, channels)
		jobs, err = pgx.CollectRows(rows, scanMediaJob)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claiming files to fetch: %w", err)
	}
	return jobs, nil
}

func scanMediaJob(row pgx.CollectableRow) (j MediaJob, err error) {
	var attachment []byte
	var seq int64
	err = row.Scan(&j.ID, &j.Tenant, &j.Channel, &j.Message, &j.Position, &j.Attempt, &j.CreatedAt,
		&attachment, &j.Raw, &j.RawKey, &j.Event, &j.Partition, &seq)
	if err != nil {
		return j, err
	}
	j.StreamSeq = uint64(seq) //nolint:gosec // a stream sequence
	if attachment != nil {
		// What another program made of it is a file that nobody can fetch.
		_ = json.Unmarshal(attachment, &j.Attachment)
	}
	return j, nil
}

// ErrMediaSettled says that a try is not the one that counts any more: it was
// made again meanwhile, or the message is gone. Nothing was written.
var ErrMediaSettled = errors.New("the file was settled by another try, or its message is gone")

// StoreMedia settles a try with the file's bytes: the upload, the attachment of
// what somebody attached, and the fact (attachment, stored). It fails with
// ErrMediaSettled, and with ErrNoSameUpload.
func (db *DB) StoreMedia(ctx context.Context, j *MediaJob, u NewUpload) error {
	return db.settleMedia(ctx, j, "storing a file", func(tx pgx.Tx, chat int64) error {
		upload, err := insertUpload(ctx, tx, j.Tenant, u)
		if err != nil {
			return err
		}
		if err := moveMedia(ctx, tx, j, `state = 'stored', upload_id = $3, code = NULL, words = NULL`, upload); err != nil {
			return err
		}
		if r := j.Attachment.Role; r == "" || r == events.InlineImage {
			if _, err := tx.Exec(ctx, `
				INSERT INTO crm_chat_message_attachments (tenant_id, message_id, upload_id) VALUES ($1, $2, $3)`,
				string(j.Tenant), j.Message, upload); err != nil {
				return err
			}
		}
		return mediaFact(ctx, tx, j, chat, "stored", map[string]any{
			"upload_id": upload, "kind": j.Attachment.Kind, "name": u.Name, "mime": u.MIME, "size": u.Size,
		})
	})
}

// RetryMedia settles a try that failed with another one, after wait.
func (db *DB) RetryMedia(ctx context.Context, j *MediaJob, code, words string, wait time.Duration) error {
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		return moveMedia(ctx, tx, j, `code = $3, words = $4, due_at = clock_timestamp() + $5::interval`, code, clean(words, maxWords), wait)
	})
	if err != nil {
		return fmt.Errorf("putting off a file: %w", err)
	}
	return nil
}

// FailMedia gives a file up, until somebody asks for it again, and writes the
// fact (attachment, failed). It fails with ErrMediaSettled.
func (db *DB) FailMedia(ctx context.Context, j *MediaJob, code, words string) error {
	words = clean(words, maxWords)
	return db.settleMedia(ctx, j, "giving up a file", func(tx pgx.Tx, chat int64) error {
		if err := moveMedia(ctx, tx, j, `state = 'failed', code = $3, words = $4`, code, words); err != nil {
			return err
		}
		return mediaFact(ctx, tx, j, chat, "failed", map[string]any{
			"kind": j.Attachment.Kind, "name": j.Attachment.Name, "code": code, "words": words,
		})
	})
}

// settleMedia runs f with the chat's lock, which keeps the chat's facts in order.
func (db *DB) settleMedia(ctx context.Context, j *MediaJob, doing string, f func(tx pgx.Tx, chat int64) error) error {
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		var chat int64
		err := tx.QueryRow(ctx, `
			SELECT c.id FROM crm_chats c WHERE c.id = (SELECT chat_id FROM crm_chat_messages WHERE id = $1)
			   FOR NO KEY UPDATE`, j.Message).Scan(&chat)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrMediaSettled
		}
		if err != nil {
			return err
		}
		return f(tx, chat)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// moveMedia changes the job's row if the try is the one that counts.
func moveMedia(ctx context.Context, tx pgx.Tx, j *MediaJob, set string, args ...any) error {
	tag, err := tx.Exec(ctx, `UPDATE parley_media SET updated_at = clock_timestamp(), `+set+`
		WHERE id = $1 AND attempts = $2 AND state = 'pending'`, append([]any{j.ID, j.Attempt}, args...)...)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrMediaSettled
	}
	return err
}

func mediaFact(ctx context.Context, tx pgx.Tx, j *MediaJob, chat int64, verb string, data map[string]any) error {
	data["message_id"], data["chat_id"], data["position"] = j.Message, chat, j.Position
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO parley_facts (tenant_id, noun, verb, chat_id, data) VALUES ($1, 'attachment', $2, $3, $4)",
		string(j.Tenant), verb, chat, text)
	return err
}

// RefetchMedia has the files of a message that failed fetched again, and those
// that wait fetched now. It returns how many there are, and fails with NotFound.
func (db *DB) RefetchMedia(ctx context.Context, tenant events.TenantID, message int64) (n int64, err error) {
	if err := validTenant(tenant); err != nil {
		return 0, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		if _, err := messageByID(ctx, tx, message); err != nil {
			return err
		}
		// A try under way is left alone: it has no code yet, or the last one's.
		tag, err := tx.Exec(ctx, `
			UPDATE parley_media SET state = 'pending', due_at = statement_timestamp(), created_at = statement_timestamp(),
			       updated_at = statement_timestamp()
			 WHERE message_id = $1 AND state = 'failed'`, message)
		n = tag.RowsAffected()
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no message %d.", message)}
	}
	if err != nil {
		return 0, fmt.Errorf("fetching files again: %w", err)
	}
	return n, nil
}

// MediaBacklog reports how many files wait to be fetched, counting no further
// than 10,000, and how long the oldest has.
func (db *DB) MediaBacklog(ctx context.Context) (waiting int64, oldest time.Duration, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			SELECT count(*), coalesce(clock_timestamp() - min(created_at), interval '0')
			  FROM (SELECT created_at FROM parley_media WHERE state = 'pending' LIMIT 10000) p`).Scan(&waiting, &oldest)
	})
	return waiting, oldest, err
}
