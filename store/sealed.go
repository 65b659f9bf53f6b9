package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// SealedKind is a kind of values that are sealed with the secret key.
type SealedKind string

// The kinds.
const (
	SealedChannels  SealedKind = "channels"
	SealedWebhooks  SealedKind = "webhooks"
	SealedTOTPs     SealedKind = "second factors"
	SealedOwnSecret SealedKind = "installation's keys"
)

// SealedKinds lists them all.
func SealedKinds() []SealedKind {
	return []SealedKind{SealedChannels, SealedWebhooks, SealedTOTPs, SealedOwnSecret}
}

// sealedColumn is where the values of a kind are.
type sealedColumn struct {
	// rows are id, tenant, name and value, of those that have one; id is of the type
	// idType, none is before first.
	rows, idType, first string
	// update replaces the value $2 of the row $1 of tenant $4 by $3.
	update string
}

func columnOf(kind SealedKind) sealedColumn {
	switch kind {
	case SealedChannels:
		return sealedColumn{
			rows: "SELECT id, tenant_id, name, sealed FROM parley_channels WHERE sealed IS NOT NULL AND sealed <> ''", idType: "uuid", first: noUUID,
			// Who has a copy learns of it by the version.
			update: "UPDATE parley_channels SET sealed = $3, version = version + 1 WHERE id = $1::uuid AND sealed = $2 AND tenant_id = $4::text::uuid",
		}
	case SealedWebhooks:
		return sealedColumn{
			rows: "SELECT id, tenant_id, url AS name, sealed FROM parley_webhooks", idType: "uuid", first: noUUID,
			update: "UPDATE parley_webhooks SET sealed = $3 WHERE id = $1::uuid AND sealed = $2 AND tenant_id = $4::text::uuid",
		}
	case SealedTOTPs:
		return sealedColumn{
			rows: "SELECT id, tenant_id, name, totp AS sealed FROM core_users WHERE totp IS NOT NULL", idType: "bigint", first: "-1",
			update: "UPDATE core_users SET totp = $3 WHERE id = $1::bigint AND totp = $2 AND tenant_id = $4::text::uuid",
		}
	case SealedOwnSecret:
		return sealedColumn{
			rows: "SELECT name AS id, NULL::uuid AS tenant_id, name, sealed FROM parley_secrets", idType: "text", first: "",
			update: "UPDATE parley_secrets SET sealed = $3 WHERE name = $1 AND sealed = $2 AND $4 = ''",
		}
	}
	panic("no such kind of sealed values: " + string(kind))
}

const noUUID = "00000000-0000-0000-0000-000000000000"

// SealedSchema is the schema's version from which on [DB.SealedCounts] works.
const SealedSchema = 30

// SealedCount is how many values of a kind a key has sealed.
type SealedCount struct {
	Kind SealedKind `json:"kind"`
	// Key is the key's ID, empty for values of before keys were named.
	Key   string `json:"key"`
	Count int64  `json:"count"`
}

// SealedCounts counts the sealed values of all tenants by kind and key.
func (db *DB) SealedCounts(ctx context.Context) (list []SealedCount, err error) {
	for _, kind := range SealedKinds() {
		err := db.asWorker(ctx, func(tx pgx.Tx) error {
			rows, _ := tx.Query(ctx, `SELECT CASE WHEN substring(sealed FROM 1 FOR length($1::bytea)) = $1 THEN substring(sealed FROM 1 FOR $2) ELSE ''::bytea END, count(*)
				FROM (`+columnOf(kind).rows+`) s GROUP BY 1 ORDER BY 1`, inbox.SealMagic(), inbox.SealMarkSize)
			var mark []byte
			c := SealedCount{Kind: kind}
			_, err := pgx.ForEachRow(rows, []any{&mark, &c.Count}, func() error {
				_, c.Key = inbox.SealMark(mark)
				list = append(list, c)
				return nil
			})
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("counting sealed %s: %w", kind, err)
		}
	}
	return list, nil
}

// SealedValue is one sealed value.
type SealedValue struct {
	Kind SealedKind
	ID   string
	// Tenant is empty for those of the whole installation.
	Tenant events.TenantID
	// Name is for people.
	Name   string
	Sealed []byte
}

// SealedOtherwise lists values of a kind that do not begin with mark, by id after an
// id, which is empty at first.
func (db *DB) SealedOtherwise(ctx context.Context, kind SealedKind, mark []byte, after string, limit int) (list []SealedValue, err error) {
	c := columnOf(kind)
	if after == "" {
		after = c.first
	}
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `SELECT id::text, coalesce(tenant_id::text, ''), coalesce(name, ''), sealed FROM (`+c.rows+`) s
			WHERE id > $1::text::`+c.idType+` AND substring(sealed FROM 1 FOR length($2::bytea)) <> $2 ORDER BY id LIMIT $3`, after, mark, limit)
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (SealedValue, error) {
			v := SealedValue{Kind: kind}
			return v, row.Scan(&v.ID, &v.Tenant, &v.Name, &v.Sealed)
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing sealed %s: %w", kind, err)
	}
	return list, nil
}

// Reseal replaces a value by one of the same content, unless somebody else has
// replaced it since it was read.
func (db *DB) Reseal(ctx context.Context, v SealedValue, sealed []byte) (done bool, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, columnOf(v.Kind).update, v.ID, v.Sealed, sealed, string(v.Tenant))
		done = tag.RowsAffected() == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("sealing anew, of the %s, %s: %w", v.Kind, v.ID, err)
	}
	return done, nil
}

// Secret is a sealed key of the whole installation. The first process that asks for
// it makes it, by offer.
func (db *DB) Secret(ctx context.Context, name string, offer func() ([]byte, error)) (sealed []byte, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		read := func() error {
			return tx.QueryRow(ctx, "SELECT sealed FROM parley_secrets WHERE name = $1", name).Scan(&sealed)
		}
		if err := read(); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		made, err := offer()
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO parley_secrets (name, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, made); err != nil {
			return err
		}
		return read()
	})
	if err != nil {
		return nil, fmt.Errorf("reading the installation's key for %s: %w", name, err)
	}
	return sealed, nil
}

// SetErasureKey is Options.ErasureKey for what has to ask the database for it first.
// Nothing else of db may be in use meanwhile.
func (db *DB) SetErasureKey(key []byte) { db.erasureKey = key }
