package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Erasures lists a tenant's erasures, the newest first, before a point in time
// (zero: from the newest).
func (db *DB) Erasures(ctx context.Context, tenant events.TenantID, before time.Time, limit int) (list []inbox.Erasure, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `SELECT id::text, client_id AS client, at, messages, files, todo IS NULL AS done FROM parley_erased
			WHERE $1::timestamptz IS NULL OR at < $1 ORDER BY at DESC LIMIT $2`, timeOrNil(before), limit)
		list, err = pgx.CollectRows(rows, pgx.RowToStructByName[inbox.Erasure])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing erasures: %w", err)
	}
	return list, nil
}

// PendingErasures lists erasures that are at least age old and have something
// left to do outside of the database.
func (db *DB) PendingErasures(ctx context.Context, age time.Duration, limit int) (list []PendingErasure, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		list = nil
		rows, _ := tx.Query(ctx, `SELECT id::text, client_id, at, messages, files, tenant_id::text, todo FROM parley_erased
			WHERE todo IS NOT NULL AND at < clock_timestamp() - $1::interval ORDER BY at LIMIT $2`, age, limit)
		var p PendingErasure
		_, err := pgx.ForEachRow(rows, []any{&p.ID, &p.Client, &p.At, &p.Messages, &p.Files, &p.Tenant, &p.Todo}, func() error {
			list = append(list, p)
			p.Todo = ErasureTodo{}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for erasures under way: %w", err)
	}
	return list, nil
}

// FinishErasure notes that nothing is left.
func (db *DB) FinishErasure(ctx context.Context, id string) error {
	_, err := db.worker.Exec(ctx, `UPDATE parley_erased SET todo = NULL WHERE id = $1`, id)
	if err != nil {
		return fmt.Errorf("finishing an erasure: %w", err)
	}
	return nil
}

// Unapplied returns those of the erasures that the database does not know: it was
// restored from a backup that is older.
func (db *DB) Unapplied(ctx context.Context, ids []string) (unknown []string, err error) {
	rows, _ := db.worker.Query(ctx, `SELECT i::text FROM unnest($1::uuid[]) i WHERE NOT EXISTS (SELECT FROM parley_erased e WHERE e.id = i)`, ids)
	if unknown, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, fmt.Errorf("comparing erasures: %w", err)
	}
	return unknown, nil
}

// EraseAgain repeats an erasure that a restored backup has undone, by the hashes
// of who it was: nothing else is known of them. Whoever came since is left alone.
func (db *DB) EraseAgain(ctx context.Context, tenant events.TenantID, id string, at time.Time, hashes [][]byte) error {
	if err := validTenant(tenant); err != nil {
		return err
	}
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		var exists bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM tenants WHERE id = $1)`, string(tenant)).Scan(&exists); err != nil || !exists {
			return err
		}
		all := make(map[string]bool, len(hashes))
		for _, h := range hashes {
			all[string(h)] = true
		}
		if err := writeTombstones(ctx, tx, string(tenant), all, at); err != nil {
			return err
		}
		clients, err := db.clientsOfHashes(ctx, tx, tenant, at, all)
		if err != nil {
			return err
		}
		for _, client := range clients {
			e, err := db.erasing(ctx, tx, tenant)
			if err != nil {
				return err
			}
			if _, err := e.client(ctx, client); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `INSERT INTO parley_erased (id, tenant_id, at, client_id, messages, files) VALUES ($1, $2, $3, 0, 0, 0)`, id, string(tenant), at)
		return err
	})
	if err != nil {
		return fmt.Errorf("repeating an erasure: %w", err)
	}
	return nil
}

// clientsOfHashes finds clients by the hashes of their names and of their rows. It
// reads all of the tenant's.
func (db *DB) clientsOfHashes(ctx context.Context, tx pgx.Tx, tenant events.TenantID, at time.Time, hashes map[string]bool) ([]int64, error) {
	rows, _ := tx.Query(ctx, `SELECT i.kind, i.value, c.id FROM parley_identities i JOIN crm_clients c ON c.id = i.client_id
		WHERE i.tenant_id = $1 AND c.created_at <= $2 AND c.merged_into IS NULL`, string(tenant), at)
	found := map[int64]bool{}
	var id events.Identity
	var client int64
	if _, err := pgx.ForEachRow(rows, []any{&id.Kind, &id.Value, &client}, func() error {
		if hashes[string(buryIdentity(db.erasureKey, id))] {
			found[client] = true
		}
		return nil
	}); err != nil {
		return nil, err
	}
	rows, _ = tx.Query(ctx, `SELECT id, created_at FROM crm_clients WHERE tenant_id = $1 AND created_at <= $2 AND merged_into IS NULL`, string(tenant), at)
	var created time.Time
	if _, err := pgx.ForEachRow(rows, []any{&client, &created}, func() error {
		if hashes[string(buryRow(db.erasureKey, client, created))] {
			found[client] = true
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// FramesWaitedFor returns those of a partition's frames in which files are that
// still have to be fetched.
func (db *DB) FramesWaitedFor(ctx context.Context, partition int, seqs []uint64) (waited []uint64, err error) {
	rows, _ := db.worker.Query(ctx, `SELECT DISTINCT m.stream_seq FROM parley_media x JOIN crm_chat_messages m ON m.id = x.message_id
		WHERE x.state = 'pending' AND m.stream_partition = $1 AND m.stream_seq = ANY ($2::bigint[])`, partition, seqs)
	if waited, err = pgx.CollectRows(rows, pgx.RowTo[uint64]); err != nil {
		return nil, fmt.Errorf("looking for files that wait: %w", err)
	}
	return waited, nil
}

// Buried returns which of the events are of somebody who was erased, or of an
// erased message: by their place in the list.
func (db *DB) Buried(ctx context.Context, list []*events.Inbound) (buried []bool, err error) {
	b := &batch{erasureKey: db.erasureKey}
	var graves []grave
	ins := make([]*inbound, len(list))
	for i, ev := range list {
		if !isUUID(string(ev.Tenant)) {
			continue
		}
		ins[i] = &inbound{event: ev}
		graves = append(graves, b.graves(ins[i])...)
	}
	buried = make([]bool, len(list))
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		found, err := exhume(ctx, tx, graves)
		for i, in := range ins {
			buried[i] = in != nil && found[in]
		}
		return err
	})
	return buried, err
}
