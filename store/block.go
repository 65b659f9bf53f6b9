package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// maxBlocks is how many block rules a tenant may have: each batch of theirs
// compares every sender with every rule.
const maxBlocks = 1000

const blockColumns = "id, kind, value, note, created_at"

// AddBlock adds a block rule; one that is there already is returned as it is.
// What the blocked wrote before stays.
func (db *DB) AddBlock(ctx context.Context, tenant events.TenantID, by inbox.Actor, r inbox.BlockRule) (out inbox.BlockRule, err error) {
	if err := validTenant(tenant); err != nil {
		return out, err
	}
	if r, err = r.Clean(); err != nil {
		return out, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, "INSERT INTO parley_blocks (kind, value, note) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING "+blockColumns, r.Kind, r.Value, r.Note)
		out, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[inbox.BlockRule])
		if errors.Is(err, pgx.ErrNoRows) {
			rows, _ = tx.Query(ctx, "SELECT "+blockColumns+" FROM parley_blocks WHERE kind = $1 AND value = $2", r.Kind, r.Value)
			out, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[inbox.BlockRule])
			return err
		}
		if err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM parley_blocks").Scan(&n); err != nil {
			return err
		}
		if n > maxBlocks {
			return &inbox.Error{
				Code: inbox.Refused, Message: fmt.Sprintf("There are %d block rules already.", maxBlocks),
				Hint: "Block a domain or a pattern instead of single addresses.",
			}
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{
			Action: "block.add", TargetKind: "block", TargetID: fmt.Sprint(out.ID), Detail: map[string]any{"kind": r.Kind, "value": r.Value},
		})
	})
	if err != nil {
		return inbox.BlockRule{}, fmt.Errorf("adding a block rule: %w", err)
	}
	return out, nil
}

// Blocks lists the block rules, the newest first, before an id (0: from the
// newest).
func (db *DB) Blocks(ctx context.Context, tenant events.TenantID, before int64, limit int) (list []inbox.BlockRule, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, "SELECT "+blockColumns+" FROM parley_blocks WHERE $1 = 0 OR id < $1 ORDER BY id DESC LIMIT $2", before, limit)
		list, err = pgx.CollectRows(rows, pgx.RowToStructByName[inbox.BlockRule])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing block rules: %w", err)
	}
	return list, nil
}

// RemoveBlock removes a block rule. What was ignored meanwhile stays ignored.
func (db *DB) RemoveBlock(ctx context.Context, tenant events.TenantID, by inbox.Actor, id int64) error {
	if err := validTenant(tenant); err != nil {
		return err
	}
	err := db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "DELETE FROM parley_blocks WHERE id = $1", id)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no block rule %d.", id), Hint: "List the block rules to see which there are."}
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{Action: "block.remove", TargetKind: "block", TargetID: fmt.Sprint(id)})
	})
	if err != nil {
		return fmt.Errorf("removing a block rule: %w", err)
	}
	return nil
}

// BlockClient blocks or unblocks a client: what they write is ignored, and kept,
// and nobody can write to them. Doing it again changes nothing.
func (db *DB) BlockClient(ctx context.Context, tenant events.TenantID, by inbox.Actor, client int64, blocked bool) error {
	if err := errors.Join(validTenant(tenant), validClient(client)); err != nil {
		return err
	}
	verb := map[bool]string{true: "block", false: "unblock"}[blocked]
	err := db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		var was bool
		var chat int64
		err := tx.QueryRow(ctx, `SELECT c.blocked_at IS NOT NULL, coalesce((SELECT h.id FROM crm_chats h WHERE h.client_id = c.id), 0)
			FROM crm_clients c WHERE c.id = $1 FOR NO KEY UPDATE`, client).Scan(&was, &chat)
		if errors.Is(err, pgx.ErrNoRows) {
			return noClient(client)
		}
		if err != nil || was == blocked {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE crm_clients SET blocked_at = CASE WHEN $2 THEN now() END, updated_at = now() WHERE id = $1`, client, blocked); err != nil {
			return err
		}
		if err := writeFact(ctx, tx, "client", verb+"ed", chat, map[string]any{"client_id": client, "chat_id": chat}); err != nil {
			return err
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{Action: "client." + verb, TargetKind: "client", TargetID: fmt.Sprint(client)})
	})
	if err != nil {
		return fmt.Errorf("%sing a client: %w", verb, err)
	}
	return nil
}
