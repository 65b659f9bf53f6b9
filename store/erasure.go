package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// ErasureTodo is what is left to do outside of the database.
type ErasureTodo struct {
	// Chats whose facts are to be purged.
	Chats []int64 `json:"chats"`
	// Blobs that no row names any more, unless another got the same bytes since.
	Blobs []string `json:"blobs,omitempty"`
	// Frames of the bus with what the client sent, by partition.
	Frames map[int][]uint64 `json:"frames,omitempty"`
	// Identities are keyed hashes of who it was.
	Identities [][]byte `json:"identities"`
}

// PendingErasure is an erasure with something left to do.
type PendingErasure struct {
	inbox.Erasure
	Tenant events.TenantID
	Todo   ErasureTodo
}

// EraseClient removes a client, whoever was merged into them, and everything of
// theirs in the database: rows, waiting facts, what is in quarantine and what was
// kept of them as ignored. Keyed hashes stay, by which nothing of it is taken a
// second time. What is left outside is the caller's, and is kept as a todo until
// [DB.FinishErasure].
//
// It fails with NotFound, and with Conflict for a client that was merged into
// another.
func (db *DB) EraseClient(ctx context.Context, tenant events.TenantID, by inbox.Actor, client int64) (p PendingErasure, err error) {
	if err := errors.Join(validTenant(tenant), validClient(client)); err != nil {
		return PendingErasure{}, err
	}
	for range mergeTries {
		err = db.asWorker(ctx, func(tx pgx.Tx) error {
			e, err := db.erasing(ctx, tx, tenant)
			if err != nil {
				return err
			}
			if p, err = e.client(ctx, client); err != nil {
				return err
			}
			return appendAudit(ctx, tx, by, NewAuditEntry{
				Action: "client.erase", TargetKind: "client", TargetID: fmt.Sprint(client),
				Detail: map[string]any{"messages": p.Messages, "files": p.Files},
			})
		})
		if sqlState(err) != sqlStateDeadlock {
			break
		}
	}
	if err != nil {
		return PendingErasure{}, fmt.Errorf("erasing a client: %w", err)
	}
	return p, nil
}

// erasing is an erasure's transaction, as the worker: what nobody may change
// otherwise is emptied, too. Every statement names the tenant.
type erasing struct {
	tx      pgx.Tx
	key     []byte
	tenant  string
	clients []int64
	chats   []int64
	people  []events.Identity
	hashes  map[string]bool
}

func (db *DB) erasing(ctx context.Context, tx pgx.Tx, tenant events.TenantID) (*erasing, error) {
	_, err := tx.Exec(ctx, `SELECT set_config('parley.tenant', $1, true), set_config('statement_timeout', '0', true)`, string(tenant))
	return &erasing{tx: tx, key: db.erasureKey, tenant: string(tenant)}, err
}

func (e *erasing) client(ctx context.Context, client int64) (p PendingErasure, err error) {
	if err := e.lock(ctx, client); err != nil {
		return p, err
	}
	p.Erasure = inbox.Erasure{ID: uuid.Must(uuid.NewV7()).String(), Client: client}
	p.Tenant = events.TenantID(e.tenant)
	// By the database's clock, for it judges what comes again.
	if err := e.tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&p.At); err != nil {
		return p, err
	}
	for _, step := range []struct {
		what string
		do   func(context.Context, *PendingErasure) error
	}{
		{"who it was", e.identify}, {"what it sent", e.messages}, {"what waits elsewhere", e.empty}, {"rows", e.remove}, {"hashes", e.bury},
	} {
		if err := step.do(ctx, &p); err != nil {
			return p, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	for partition, seqs := range p.Todo.Frames {
		slices.Sort(seqs)
		p.Todo.Frames[partition] = slices.Compact(seqs)
	}
	todo, err := json.Marshal(p.Todo)
	if err != nil {
		return p, err
	}
	_, err = e.tx.Exec(ctx, `INSERT INTO parley_erased (id, tenant_id, at, client_id, messages, files, todo) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		p.ID, e.tenant, p.At, client, p.Messages, p.Files, todo)
	if err != nil {
		return p, err
	}
	// Of no chat: those facts are purged.
	return p, writeFact(ctx, e.tx, "client", "erased", 0, map[string]any{"client_id": client, "chat_ids": e.chats})
}

// lock takes the client, who was merged into it, and their chats.
func (e *erasing) lock(ctx context.Context, client int64) error {
	rows, _ := e.tx.Query(ctx, `
		SELECT id, coalesce(merged_into, 0) FROM crm_clients WHERE tenant_id = $1 AND id IN (
		       WITH RECURSIVE all_of AS (
		           SELECT $2::integer AS id
		           UNION SELECT c.id FROM crm_clients c JOIN all_of a ON c.merged_into = a.id WHERE c.tenant_id = $1
		       ) SELECT id FROM all_of) ORDER BY id FOR UPDATE`, e.tenant, client)
	var id, into, merged int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &into}, func() error {
		e.clients = append(e.clients, id)
		if id == client {
			merged = into
		}
		return nil
	}); err != nil {
		return err
	}
	if !slices.Contains(e.clients, client) {
		return noClient(client)
	}
	if merged != 0 {
		return &inbox.Error{
			Code: inbox.Conflict, Message: fmt.Sprintf("Client %d was merged into client %d.", client, merged),
			Hint: fmt.Sprintf("Erase client %d, which is the same person, or take the merge back first.", merged),
		}
	}
	rows, _ = e.tx.Query(ctx, `SELECT id FROM crm_chats WHERE client_id = ANY ($1::integer[]) ORDER BY id FOR UPDATE`, e.clients)
	var err error
	e.chats, err = pgx.CollectRows(rows, pgx.RowTo[int64])
	return err
}

// identify collects every name that the client was known by.
func (e *erasing) identify(ctx context.Context, p *PendingErasure) error {
	rows, err := e.tx.Query(ctx, `
		SELECT DISTINCT kind, value FROM (
		    SELECT kind, value FROM parley_identities WHERE client_id = ANY ($1::integer[])
		    UNION ALL SELECT 'phone', phone_number FROM crm_clients WHERE id = ANY ($1::integer[])
		    UNION ALL SELECT 'email', email FROM crm_clients WHERE id = ANY ($1::integer[])
		    UNION ALL SELECT CASE contact_type WHEN 'whatsapp' THEN 'phone' ELSE contact_type END, contact_value
		      FROM crm_client_contacts WHERE client_id = ANY ($1::integer[])
		    UNION ALL SELECT CASE WHEN transport IN ('sms', 'whatsapp') THEN 'phone' ELSE transport END, regexp_replace(provider_user, '^' || $2, '')
		      FROM crm_chat_members WHERE client_id = ANY ($1::integer[])
		) known (kind, value) WHERE value <> '' AND kind IN ('phone', 'email', 'email_unproven', 'telegram', 'sender')`, e.clients, unprovenPrefix)
	if err != nil {
		return err
	}
	e.people, err = pgx.CollectRows(rows, pgx.RowToStructByPos[events.Identity])
	if err != nil {
		return err
	}
	e.hashes = make(map[string]bool, len(e.people))
	for _, id := range e.people {
		e.hashes[string(buryIdentity(e.key, id))] = true
	}
	// Who has no name of these is known again by their row.
	if err := e.rows(ctx); err != nil {
		return err
	}
	for h := range e.hashes {
		p.Todo.Identities = append(p.Todo.Identities, []byte(h))
	}
	p.Todo.Chats = e.chats
	return nil
}

// rows collects the rows that the client was.
func (e *erasing) rows(ctx context.Context) error {
	rows, _ := e.tx.Query(ctx, "SELECT id, created_at FROM crm_clients WHERE id = ANY ($1::integer[])", e.clients)
	var id int64
	var created time.Time
	_, err := pgx.ForEachRow(rows, []any{&id, &created}, func() error {
		e.hashes[string(buryRow(e.key, id, created))] = true
		return nil
	})
	return err
}

// sqlKeys are the provider's keys of a chat's messages: its own, those under which
// it came again, and those that our sends got.
const sqlKeys = `
SELECT m.channel_id::text, m.provider_chat, m.provider_message, m.part FROM crm_chat_messages m
 WHERE m.chat_id = ANY ($1::integer[]) AND m.provider_message IS NOT NULL
UNION ALL
SELECT c.channel_id::text, c.provider_chat, c.provider_message, c.part FROM parley_copies c
  JOIN crm_chat_messages m ON m.id = c.message_id WHERE m.chat_id = ANY ($1::integer[])
UNION ALL
SELECT a.channel_id::text, a.provider_chat, a.provider_id, 0 FROM parley_attempts a
  JOIN parley_deliveries d ON d.id = a.delivery_id WHERE d.chat_id = ANY ($1::integer[]) AND a.provider_id IS NOT NULL
UNION ALL
SELECT b.channel_id::text, b.provider_chat, b.provider_id, 0 FROM parley_albums b
  JOIN parley_deliveries d ON d.id = b.delivery_id WHERE d.chat_id = ANY ($1::integer[])`

// messages collects the hashes of what was sent and received, and where it is on
// the bus.
func (e *erasing) messages(ctx context.Context, p *PendingErasure) error {
	rows, _ := e.tx.Query(ctx, sqlKeys, e.chats)
	var channel, chat, message string
	var part int16
	if _, err := pgx.ForEachRow(rows, []any{&channel, &chat, &message, &part}, func() error {
		e.hashes[string(buryMessage(e.key, channel, chat, message, part))] = true
		return nil
	}); err != nil {
		return err
	}
	rows, _ = e.tx.Query(ctx, `
		SELECT 'ref', convert_to(a.ref::text, 'UTF8') FROM parley_attempts a JOIN parley_deliveries d ON d.id = a.delivery_id WHERE d.chat_id = ANY ($1::integer[])
		UNION ALL
		SELECT 'mail', x.digest FROM parley_mails x JOIN crm_chat_messages m ON m.id = x.message_id WHERE m.chat_id = ANY ($1::integer[])`, e.chats)
	var kind string
	var value []byte
	if _, err := pgx.ForEachRow(rows, []any{&kind, &value}, func() error {
		e.hashes[string(bury(e.key, kind, string(value)))] = true
		return nil
	}); err != nil {
		return err
	}
	rows, _ = e.tx.Query(ctx, `
		SELECT DISTINCT stream_partition, stream_seq FROM (
		    SELECT stream_partition, stream_seq FROM crm_chat_messages WHERE chat_id = ANY ($1::integer[])
		    UNION ALL SELECT u.stream_partition, u.stream_seq FROM parley_updates u JOIN crm_chat_messages m ON m.id = u.message_id
		     WHERE m.chat_id = ANY ($1::integer[])) s
		 WHERE stream_partition IS NOT NULL AND stream_seq IS NOT NULL`, e.chats)
	var partition int
	var seq uint64
	if _, err := pgx.ForEachRow(rows, []any{&partition, &seq}, func() error {
		p.addFrame(partition, seq)
		return nil
	}); err != nil {
		return err
	}
	return e.tx.QueryRow(ctx, `SELECT count(*) FROM crm_chat_messages WHERE chat_id = ANY ($1::integer[])`, e.chats).Scan(&p.Messages)
}

func (p *PendingErasure) addFrame(partition int, seq uint64) {
	if p.Todo.Frames == nil {
		p.Todo.Frames = make(map[int][]uint64)
	}
	p.Todo.Frames[partition] = append(p.Todo.Frames[partition], seq)
}

// bury writes the hashes.
func (e *erasing) bury(ctx context.Context, p *PendingErasure) error {
	return writeTombstones(ctx, e.tx, e.tenant, e.hashes, p.At)
}

func writeTombstones(ctx context.Context, tx pgx.Tx, tenant string, hashes map[string]bool, at time.Time) error {
	list := make([][]byte, 0, len(hashes))
	for h := range hashes {
		list = append(list, []byte(h))
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO parley_tombstones AS t (tenant_id, digest, erased_at) SELECT $1, d, $3 FROM unnest($2::bytea[]) d ORDER BY d
		ON CONFLICT (tenant_id, digest) DO UPDATE SET erased_at = greatest(t.erased_at, excluded.erased_at)`, tenant, list, at)
	return err
}
