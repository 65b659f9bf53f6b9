// Package outboundtest gives tests of sending a database with people to write
// to and messages that wait to be sent.
package outboundtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"parley/events"
	"parley/store"
	"parley/store/storetest"
)

// World is one business in a database of its own.
type World struct {
	T      testing.TB
	DB     *store.DB
	URL    string
	Tenant events.TenantID

	pool *pgxpool.Pool
}

// New makes a world that ends with its test.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{T: t, URL: storetest.NewDatabase(t)}
	w.DB = w.Open()
	cfg, err := pgxpool.ParseConfig(w.URL)
	w.check(err)
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SET ROLE parley_worker")
		return err
	}
	w.pool, err = pgxpool.NewWithConfig(t.Context(), cfg)
	w.check(err)
	t.Cleanup(w.pool.Close)
	tenant, err := w.DB.CreateTenant(t.Context(), "Bakery")
	w.check(err)
	w.Tenant = tenant.ID
	return w
}

// Open opens the database once more, as another process would.
func (w *World) Open() *store.DB {
	w.T.Helper()
	db, err := store.Open(w.T.Context(), w.URL, nil)
	w.check(err)
	w.T.Cleanup(db.Close)
	return db
}

func (w *World) check(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// Exec runs SQL that sees every tenant.
func (w *World) Exec(sql string, args ...any) {
	w.T.Helper()
	_, err := w.pool.Exec(context.Background(), sql, args...)
	w.check(err)
}

// Alter runs SQL as the database's owner, which may change its schema.
func (w *World) Alter(sql string) {
	w.T.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, w.URL)
	w.check(err)
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	w.check(err)
}

// Row reads one row into dest.
func (w *World) Row(sql string, args []any, dest ...any) {
	w.T.Helper()
	w.check(w.pool.QueryRow(context.Background(), sql, args...).Scan(dest...))
}

// Strings reads the single text column of sql.
func (w *World) Strings(sql string, args ...any) []string {
	w.T.Helper()
	rows, _ := w.pool.Query(context.Background(), sql, args...)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.check(err)
	return list
}

// Channel connects a channel of that transport.
func (w *World) Channel(transport events.Transport) events.Channel {
	w.T.Helper()
	ch, err := w.DB.CreateChannel(w.T.Context(), events.Channel{
		ID: events.ChannelID(uuid.NewString()), Tenant: w.Tenant, Transport: transport,
		Name: "Channel " + uuid.NewString()[:8], Mode: events.Webhook, WebhookPath: strings.Repeat("x", 32) + uuid.NewString(),
	}, "", "")
	w.check(err)
	return ch.Channel
}

// People makes n clients that have just written on the channel, with addresses
// "<prefix>1" to "<prefix>n".
func (w *World) People(ch events.ChannelID, prefix string, n int) {
	w.T.Helper()
	w.Exec(`
		WITH c AS (
		    INSERT INTO crm_clients (tenant_id, first_name)
		    SELECT $1, $3 || i FROM generate_series(1, $4::int) i RETURNING id, first_name
		), h AS (
		    INSERT INTO crm_chats (tenant_id, client_id) SELECT $1, id FROM c RETURNING id, client_id
		)
		INSERT INTO crm_chat_members (tenant_id, chat_id, client_id, transport, channel_id, provider_user, address)
		SELECT $1, h.id, c.id, ch.transport, ch.id, c.first_name, c.first_name
		  FROM c JOIN h ON h.client_id = c.id JOIN parley_channels ch ON ch.id = $2`,
		string(w.Tenant), string(ch), prefix, n)
	w.Exec(`
		INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message, channel_id)
		SELECT tenant_id, chat_id, id, 'hello', channel_id FROM crm_chat_members
		 WHERE channel_id = $1 AND starts_with(address, $2)`, string(ch), prefix)
}

// Queue queues a message to each address in turn, that reads "<text> <address>",
// and returns the deliveries' ids.
func (w *World) Queue(ch events.ChannelID, text string, addresses ...string) []int64 {
	w.T.Helper()
	return w.queue(ch, addresses, func(i int) string { return fmt.Sprintf("%s %s", text, addresses[i]) })
}

// QueueTexts queues these messages to one address.
func (w *World) QueueTexts(ch events.ChannelID, address string, texts ...string) []int64 {
	w.T.Helper()
	return w.queue(ch, slices.Repeat([]string{address}, len(texts)), func(i int) string { return texts[i] })
}

func (w *World) queue(ch events.ChannelID, addresses []string, text func(int) string) []int64 {
	w.T.Helper()
	texts := make([]string, len(addresses))
	for i := range addresses {
		texts[i] = text(i)
	}
	rows, _ := w.pool.Query(context.Background(), `
		WITH o AS (
		    SELECT ord, text, p.id AS member, p.chat_id, p.address
		      FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS o (address, text, ord)
		      JOIN crm_chat_members p ON p.channel_id = $1 AND p.address = o.address
		), m AS (
		    -- Sent by the client's own member: who wrote it does not matter here.
		    INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message, direction, content, channel_id)
		    SELECT $4, chat_id, member, text, 'out', jsonb_build_object('type', 'text', 'text', text), $1
		      FROM o ORDER BY ord
		    RETURNING id, chat_id, sender_id
		)
		INSERT INTO parley_deliveries (tenant_id, message_id, chat_id, channel_id, member_id, lane)
		SELECT $4, m.id, m.chat_id, $1, m.sender_id, p.address
		  FROM m JOIN crm_chat_members p ON p.id = m.sender_id ORDER BY m.id
		RETURNING id`, string(ch), addresses, texts, string(w.Tenant))
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	// Another transaction's view: the members were committed before.
	w.check(err)
	if len(ids) != len(addresses) {
		w.T.Fatalf("queued %d of %d", len(ids), len(addresses))
	}
	slices.Sort(ids)
	return ids
}

// States counts the deliveries by state.
func (w *World) States() map[string]int {
	w.T.Helper()
	states := make(map[string]int)
	rows, _ := w.pool.Query(context.Background(), "SELECT state, count(*) FROM parley_deliveries GROUP BY 1")
	var state string
	var n int
	_, err := pgx.ForEachRow(rows, []any{&state, &n}, func() error {
		states[state] = n
		return nil
	})
	w.check(err)
	return states
}

// State is one delivery's state.
func (w *World) State(id int64) string {
	w.T.Helper()
	var state string
	w.Row("SELECT state FROM parley_deliveries WHERE id = $1", []any{id}, &state)
	return state
}

// Disconnect ends every connection of the workers, as a failing network would.
func (w *World) Disconnect() {
	w.T.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, w.URL)
	w.check(err)
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, `
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		 WHERE datname = current_database() AND application_name = 'parley_worker'`)
	w.check(err)
}

// Until waits until the condition holds; it fails the test after a minute, which
// only a defect takes.
func (w *World) Until(what string, holds func() bool) {
	w.T.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			w.T.Fatalf("waited in vain until %s; deliveries: %v", what, w.States())
		}
	}
}

// Addresses are "<prefix>1" to "<prefix>n", each so many times, going round.
func Addresses(prefix string, n, rounds int) []string {
	list := make([]string, 0, n*rounds)
	for range rounds {
		for i := range n {
			list = append(list, fmt.Sprint(prefix, i+1))
		}
	}
	return list
}
