package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
)

// listenProbe is how often a quiet connection is asked whether it still lives: a
// peer that vanished says nothing.
const listenProbe = 30 * time.Second

// ListenDeliveries calls queued with the channel of each delivery that is queued
// from now on, on a connection of its own, until ctx ends or the connection
// fails. It is a wake-up and no more: calls may be missing, so its caller looks
// for itself when this returns, and now and then anyway. Ready, if not nil, is
// called once nothing more is missed; typing hears of who types, see
// [DB.ShowTyping].
func (db *DB) ListenDeliveries(ctx context.Context, ready func(), queued func(events.ChannelID), typing func(Typing)) error {
	if err := db.listen(ctx, ready, map[string]func(string){
		"parley_delivery": func(channel string) { queued(events.ChannelID(channel)) },
		typingNotified: func(payload string) {
			var t Typing
			if json.Unmarshal([]byte(payload), &t) == nil { // nobody else notifies there
				typing(t)
			}
		},
	}); err != nil {
		return fmt.Errorf("listening for deliveries: %w", err)
	}
	return nil
}

// ListenAccess calls changed with the tenant of each session or token that is
// revoked and each user whose role changes or who is disabled, like
// ListenDeliveries.
func (db *DB) ListenAccess(ctx context.Context, ready func(), changed func(events.TenantID)) error {
	if err := db.listen(ctx, ready, map[string]func(string){
		"parley_access": func(tenant string) { changed(events.TenantID(tenant)) },
	}); err != nil {
		return fmt.Errorf("listening for what is revoked: %w", err)
	}
	return nil
}

// listen calls what belongs to each of PostgreSQL's channels with what is notified
// there.
func (db *DB) listen(ctx context.Context, ready func(), heard map[string]func(payload string)) error {
	cfg := db.worker.Config().ConnConfig
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // it is given up either way
	}()
	for channel := range heard {
		if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
			return err
		}
	}
	if ready != nil {
		ready()
	}
	for {
		wait, cancel := context.WithTimeout(ctx, listenProbe)
		n, err := conn.WaitForNotification(wait)
		quiet := wait.Err() != nil
		cancel()
		switch {
		case err == nil:
			heard[n.Channel](n.Payload)
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case quiet && !conn.IsClosed():
			probe, cancel := context.WithTimeout(ctx, 5*time.Second)
			err = conn.Ping(probe)
			cancel()
		}
		if err != nil {
			return err
		}
	}
}

// QueueDepth is how much waits to be sent on a channel.
type QueueDepth struct {
	Channel events.ChannelID `db:"channel"`
	// Waiting counts deliveries that are queued or under way.
	Waiting int64 `db:"waiting"`
	// Oldest is how long the first of them has waited.
	Oldest time.Duration `db:"oldest"`
}

// QueueDepths tells what waits on these channels; those without anything are
// left out. It counts every waiting delivery, so ask every few seconds at most.
func (db *DB) QueueDepths(ctx context.Context, channels []events.ChannelID) ([]QueueDepth, error) {
	ids := make([]string, len(channels))
	for i, c := range channels {
		ids[i] = string(c)
	}
	rows, _ := db.worker.Query(ctx, `
		SELECT channel_id::text AS channel, count(*) AS waiting, clock_timestamp() - min(created_at) AS oldest
		  FROM parley_deliveries
		 WHERE channel_id = ANY ($1::uuid[]) AND in_lane AND state <> 'uncertain'
		 GROUP BY 1`, ids)
	depths, err := pgx.CollectRows(rows, pgx.RowToStructByName[QueueDepth])
	if err != nil {
		return nil, fmt.Errorf("counting what waits to be sent: %w", err)
	}
	return depths, nil
}

// DueChannels lists those of the channels that have a lane to look at now.
func (db *DB) DueChannels(ctx context.Context, channels []events.ChannelID) ([]events.ChannelID, error) {
	ids := make([]string, len(channels))
	for i, c := range channels {
		ids[i] = string(c)
	}
	rows, _ := db.worker.Query(ctx, `
		SELECT c.id::text FROM unnest($1::uuid[]) AS c (id)
		 WHERE EXISTS (SELECT FROM parley_lanes l WHERE l.channel_id = c.id AND l.due_at <= statement_timestamp())`, ids)
	due, err := pgx.CollectRows(rows, pgx.RowTo[events.ChannelID])
	if err != nil {
		return nil, fmt.Errorf("looking for due channels: %w", err)
	}
	return due, nil
}
