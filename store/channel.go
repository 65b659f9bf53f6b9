package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Channel is a connected account as PostgreSQL, its truth, has it.
type Channel struct {
	events.Channel
	// Account is the account's name at the provider, such as "@my_bot"; empty
	// until it was checked.
	Account   string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// A suspended tenant's channels are paused, whatever they are otherwise.
const channelColumns = `id::text, tenant_id::text, transport, name, mode, webhook_path, coalesce(country, ''), settings, sealed,
	paused_at IS NOT NULL OR EXISTS (SELECT FROM tenants t WHERE t.id = parley_channels.tenant_id AND t.suspended_at IS NOT NULL), version, coalesce(account, ''), created_at, updated_at`

func scanChannel(row pgx.CollectableRow) (c Channel, err error) {
	err = row.Scan(&c.ID, &c.Tenant, &c.Transport, &c.Name, &c.Mode, &c.WebhookPath, &c.Country,
		&c.Settings, &c.Sealed, &c.Paused, &c.Version, &c.Account, &c.CreatedAt, &c.UpdatedAt)
	return c, err
}

// CreateChannel stores a new channel under ch.ID, which its sealed secrets are
// bound to. A name or provider account that the tenant has already is a
// Conflict. With a key that made a channel before, it returns that one, which has
// another id; the caller says whether it is the same.
func (db *DB) CreateChannel(ctx context.Context, ch events.Channel, account, key string) (c Channel, err error) {
	if err := validTenant(ch.Tenant); err != nil {
		return Channel{}, err
	}
	settings, err := json.Marshal(ch.Settings)
	if err != nil {
		return Channel{}, fmt.Errorf("creating a channel: %w", err)
	}
	if ch.Settings == nil {
		settings = []byte("{}")
	}
	err = db.inTenant(ctx, ch.Tenant, func(tx pgx.Tx) error {
		aim(ctx, ch.ID)
		if err := lockChannelNames(ctx, tx); err != nil {
			return err
		}
		if key != "" {
			if c, err = channelOfKey(ctx, tx, key); !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
		}
		if err := channelIsNew(ctx, tx, ch, account); err != nil {
			return err
		}
		rows, _ := tx.Query(ctx, `
			INSERT INTO parley_channels (id, transport, name, mode, webhook_path, country, settings, sealed, account, paused_at, idempotency_key)
			VALUES ($1, $2, $3, $4, $5, nullif($6, ''), $7, $8, nullif($9, ''), CASE WHEN $10 THEN now() END, nullif($11, ''))
			RETURNING `+channelColumns,
			ch.ID, ch.Transport, ch.Name, ch.Mode, ch.WebhookPath, ch.Country, settings, ch.Sealed, account, ch.Paused, key)
		c, err = pgx.CollectExactlyOneRow(rows, scanChannel)
		return err
	})
	switch {
	case err == nil:
		return c, nil
	case sqlState(err) == sqlStateCheck:
		return Channel{}, &inbox.Error{
			Code: inbox.Invalid, Message: "The channel's name, mode or webhook path is not valid.",
			Hint: "It needs a name, and a mode of webhook or polling.", Err: err,
		}
	case sqlState(err) == sqlStateForeignKey:
		return Channel{}, &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no tenant %q.", ch.Tenant), Err: err}
	}
	return Channel{}, fmt.Errorf("creating a channel: %w", err)
}

// ChannelOfKey is the channel that a key made; found is false when it made none.
func (db *DB) ChannelOfKey(ctx context.Context, tenant events.TenantID, key string) (c Channel, found bool, err error) {
	if err := validTenant(tenant); err != nil {
		return Channel{}, false, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		c, err = channelOfKey(ctx, tx, key)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Channel{}, false, nil
	}
	return c, err == nil, err
}

func channelOfKey(ctx context.Context, tx pgx.Tx, key string) (Channel, error) {
	rows, _ := tx.Query(ctx, "SELECT "+channelColumns+" FROM parley_channels WHERE idempotency_key = $1", key)
	return pgx.CollectExactlyOneRow(rows, scanChannel)
}

// lockChannelNames lets nobody else name a channel until the transaction ends.
func lockChannelNames(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockChannelName))
	return err
}

// channelIsNew refuses a second channel of one name, which people could not
// tell apart, and a second one of one account, whose pollers would steal each
// other's updates. It is called with lockChannelNames.
func channelIsNew(ctx context.Context, tx pgx.Tx, ch events.Channel, account string) error {
	var name string
	var same bool
	err := tx.QueryRow(ctx, `
		SELECT name, lower(name) = lower($1) FROM parley_channels
		 WHERE (lower(name) = lower($1) OR ($3 <> '' AND transport = $2 AND account = $3)) AND id <> $4
		 ORDER BY 2 DESC LIMIT 1`, ch.Name, ch.Transport, account, ch.ID).Scan(&name, &same)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	case same:
		return &inbox.Error{
			Code: inbox.Conflict, Message: fmt.Sprintf("There is a channel named %q already.", name),
			Hint: "Give this one another name.",
		}
	default:
		return &inbox.Error{
			Code: inbox.Conflict, Message: fmt.Sprintf("The account %s is connected already, as channel %q.", account, name),
			Hint: "One account can be connected once.",
		}
	}
}

// Channels lists the tenant's channels by name.
func (db *DB) Channels(ctx context.Context, tenant events.TenantID) (cs []Channel, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, "SELECT "+channelColumns+" FROM parley_channels ORDER BY lower(name), id")
		cs, err = pgx.CollectRows(rows, scanChannel)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing channels: %w", err)
	}
	return cs, nil
}

// AllChannels lists every tenant's channels, for the projection onto the bus.
func (db *DB) AllChannels(ctx context.Context) (cs []Channel, err error) {
	err = db.asWorker(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, "SELECT "+channelColumns+" FROM parley_channels ORDER BY id")
		cs, err = pgx.CollectRows(rows, scanChannel)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing all channels: %w", err)
	}
	return cs, nil
}

// Channel returns one channel, or NotFound.
func (db *DB) Channel(ctx context.Context, tenant events.TenantID, id events.ChannelID) (Channel, error) {
	return db.oneChannel(ctx, tenant, id, "reading a channel",
		"SELECT "+channelColumns+" FROM parley_channels WHERE id = $1")
}

// ChannelChange is what an update of a channel changes; nil fields stay.
type ChannelChange struct {
	Name     *string
	Mode     *events.ChannelMode
	Country  *string
	Settings map[string]string
	Account  *string
	// IfVersion is the version that was read, 0 for any; another fails with
	// Changed.
	IfVersion int64
}

// UpdateChannel changes a channel and raises its version. A name that another one
// has is a Conflict.
func (db *DB) UpdateChannel(ctx context.Context, tenant events.TenantID, id events.ChannelID, ch ChannelChange) (Channel, error) {
	c, err := db.oneChannelTx(ctx, tenant, id, "changing a channel", func(tx pgx.Tx) (Channel, error) {
		if ch.Name != nil {
			if err := lockChannelNames(ctx, tx); err != nil {
				return Channel{}, err
			}
			if err := channelIsNew(ctx, tx, events.Channel{ID: id, Name: *ch.Name}, ""); err != nil {
				return Channel{}, err
			}
		}
		// Before the update, so that whoever else changes it waits here.
		var version int64
		if err := tx.QueryRow(ctx, "SELECT version FROM parley_channels WHERE id = $1 FOR NO KEY UPDATE", id).Scan(&version); err != nil {
			return Channel{}, err
		}
		if err := sameVersion(ch.IfVersion, version, "The channel"); err != nil {
			return Channel{}, err
		}
		rows, _ := tx.Query(ctx, `
			UPDATE parley_channels
			   SET name = coalesce($2, name), mode = coalesce($3, mode),
			       country = CASE WHEN $4::text IS NULL THEN country ELSE nullif($4, '') END,
			       -- Who changes the settings does not take the guard away.
			       settings = coalesce($5::jsonb, settings) || CASE WHEN settings ? 'guarded' THEN jsonb_build_object('guarded', settings->'guarded') ELSE '{}' END,
			       account = CASE WHEN $6::text IS NULL THEN account ELSE nullif($6, '') END,
			       version = version + 1, updated_at = now()
			 WHERE id = $1
			RETURNING `+channelColumns, id, ch.Name, ch.Mode, ch.Country, settingsOrNil(ch.Settings), ch.Account)
		return pgx.CollectExactlyOneRow(rows, scanChannel)
	})
	if sqlState(err) == sqlStateCheck {
		return Channel{}, &inbox.Error{
			Code: inbox.Invalid, Message: "The channel's name or mode is not valid.",
			Hint: "It needs a name, and a mode of webhook or polling.", Err: err,
		}
	}
	return c, err
}

func settingsOrNil(s map[string]string) any {
	if s == nil {
		return nil
	}
	return s
}

// PauseChannel stops a channel from accepting and sending, or lets it go on.
// The version rises only when that changes anything.
func (db *DB) PauseChannel(ctx context.Context, tenant events.TenantID, id events.ChannelID, paused bool) (Channel, error) {
	return db.oneChannel(ctx, tenant, id, "pausing a channel", `
		UPDATE parley_channels
		   SET paused_at = CASE WHEN $2 THEN coalesce(paused_at, now()) END,
		       version = version + ($2 <> (paused_at IS NOT NULL))::int,
		       updated_at = CASE WHEN $2 <> (paused_at IS NOT NULL) THEN now() ELSE updated_at END
		 WHERE id = $1
		RETURNING `+channelColumns, paused)
}

// RotateChannel replaces a channel's sealed secrets and its webhook path, and
// raises its version. An empty path or nil secrets stay as they are.
func (db *DB) RotateChannel(ctx context.Context, tenant events.TenantID, id events.ChannelID, sealed []byte, webhookPath string) (Channel, error) {
	return db.oneChannel(ctx, tenant, id, "rotating a channel's secrets", `
		UPDATE parley_channels
		   SET sealed = coalesce($2, sealed), webhook_path = coalesce(nullif($3, ''), webhook_path),
		       version = version + 1, updated_at = now()
		 WHERE id = $1
		RETURNING `+channelColumns, sealed, webhookPath)
}

// oneChannel runs sql, whose $1 is the id and which returns channelColumns.
func (db *DB) oneChannel(ctx context.Context, tenant events.TenantID, id events.ChannelID, doing, sql string, args ...any) (Channel, error) {
	return db.oneChannelTx(ctx, tenant, id, doing, func(tx pgx.Tx) (Channel, error) {
		rows, _ := tx.Query(ctx, sql, append([]any{id}, args...)...)
		return pgx.CollectExactlyOneRow(rows, scanChannel)
	})
}

// oneChannelTx runs f, which returns the channel of that id or pgx.ErrNoRows.
func (db *DB) oneChannelTx(ctx context.Context, tenant events.TenantID, id events.ChannelID, doing string, f func(pgx.Tx) (Channel, error)) (c Channel, err error) {
	if err := validTenant(tenant); err != nil {
		return Channel{}, err
	}
	if _, err := uuid.Parse(string(id)); err != nil {
		return Channel{}, noChannel(id)
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		c, err = f(tx)
		aim(ctx, id)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Channel{}, noChannel(id)
	}
	if err != nil {
		return Channel{}, fmt.Errorf("%s: %w", doing, err)
	}
	return c, nil
}

func noChannel(id events.ChannelID) error {
	return &inbox.Error{
		Code: inbox.NotFound, Message: fmt.Sprintf("There is no channel %q.", id),
		Hint: "List the channels to see which there are.",
	}
}
