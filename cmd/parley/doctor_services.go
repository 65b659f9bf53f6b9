package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"parley/events"
	"parley/events/jetstream"
	"parley/inbox/api"
	"parley/store"
	"parley/store/localpg"
)

// Bounds of what a doctor finds acceptable.
const (
	// minPostgres is the oldest version with SET NULL of some columns, as server_version_num.
	minPostgres = 150000
	// A lease runs ten seconds, and a clock that is off by more shows wrong times.
	someSkew, muchSkew = time.Second, 10 * time.Second
	// Each pool may take 16 connections.
	processConnections = 32
	fullStream         = 0.8
)

func (d *doctor) database(ctx context.Context) {
	const check = "PostgreSQL"
	if !d.cfg.Roles.needDatabase() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, examineTimeout)
	defer cancel()
	at := d.cfg.DatabaseURL
	if at == "" {
		if d.server == nil {
			if _, err := localpg.Find(ctx, "", 0); err != nil {
				message, hint := plain(err)
				d.say(check, checkBroken, message, hint)
				return
			}
			d.say(check, checkSkipped, "The private one starts with the server.", "")
			return
		}
		var err error
		if at, err = localpg.URLOf(filepath.Join(d.cfg.DataDir, "postgres")); err != nil {
			d.say(check, checkBroken, fmt.Sprintf("The private one has no socket: %v.", err), "Look into "+filepath.Join(d.cfg.DataDir, "postgres", "postgres.log"))
			return
		}
	}
	e, err := store.Examine(ctx, at)
	if err != nil {
		message, _ := plain(err)
		d.say(check, checkBroken, message, "Check that it runs, that --database-url is right, and that pg_hba.conf lets this machine in.")
		return
	}
	before := len(d.found)
	broken := func(bad bool, words, do string) {
		if bad {
			d.say(check, checkBroken, words, do)
		}
	}
	broken(e.Version < minPostgres, fmt.Sprintf("It is version %d; Parley needs 15 or later.", e.Version/10000), "Upgrade it.")
	broken(e.ReadOnly, "It is a standby, which cannot be written to.", "Give the primary's URL; with several hosts add target_session_attrs=read-write.")
	broken(e.Encoding != "UTF8", "The database's encoding is "+e.Encoding+".", "Make it anew with: createdb --encoding=UTF8 --template=template0")
	for _, name := range []string{"fsync", "full_page_writes"} {
		broken(e.Settings[name] != "on", name+" is off: a power failure corrupts the database.", "ALTER SYSTEM SET "+name+" = on; and restart it.")
	}
	broken(e.Settings["synchronous_commit"] == "off", "synchronous_commit is off: a power failure loses what was stored.", "ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf();")
	broken(len(e.MissingRoles) > 0 && e.Schema > 0, "We cannot act as "+strings.Join(e.MissingRoles, ", ")+".", "Let an administrator create and grant these roles; parley migrate says how.")
	broken(len(e.Bypass) > 0, "Row security does not bind "+strings.Join(e.Bypass, ", ")+".", "ALTER ROLE … NOSUPERUSER NOBYPASSRLS; log in as an ordinary role that owns the database.")
	broken(len(e.Unwalled) > 0, "Row security is not forced on "+strings.Join(e.Unwalled, ", ")+".", "ALTER TABLE … ENABLE ROW LEVEL SECURITY; ALTER TABLE … FORCE ROW LEVEL SECURITY;")
	broken(e.Schema > e.Newest, fmt.Sprintf("Its schema has version %d, newer than this program's %d.", e.Schema, e.Newest), "Run the newer program.")
	broken(len(e.MissingRoles) > 0 && e.Schema == 0 && !e.MakesRoles, "Our role may not make the roles "+strings.Join(e.MissingRoles, ", ")+", which row security needs.",
		"Let an administrator ALTER ROLE … CREATEROLE, or make and grant them; parley migrate says how.")
	if e.Schema < e.Newest && e.Schema > 0 {
		d.say(check, checkWarning, fmt.Sprintf("Its schema has version %d, this program needs %d.", e.Schema, e.Newest), "It is migrated at the next start, or by: parley migrate")
	}
	if e.Settings["wal_level"] == "minimal" {
		d.say(check, checkWarning, "wal_level is minimal: neither standby nor point-in-time recovery is possible.", "ALTER SYSTEM SET wal_level = replica; and restart it.")
	}
	if e.Settings["data_checksums"] != "on" {
		d.say(check, checkWarning, "Its pages carry no checksums: a disk's silent errors go unnoticed.", "Stop it and run pg_checksums --enable.")
	}
	if left := e.MaxConnections - e.Connections; left < processConnections && d.server == nil {
		d.say(check, checkWarning, fmt.Sprintf("%d of its %d connections are in use; each process of Parley may take %d.", e.Connections, e.MaxConnections, processConnections), "Raise max_connections.")
	}
	if len(d.found) == before {
		d.ok(check, "Version %d.%d, schema %d, %d of %d connections in use.", e.Version/10000, e.Version%10000, e.Schema, e.Connections, e.MaxConnections)
	}
	d.clock(e)
}

func (d *doctor) clock(e store.Examination) {
	const check = "clock"
	do := "Let both machines follow the same time servers (chrony, systemd-timesyncd)."
	words := fmt.Sprintf("PostgreSQL's is %s ahead of ours (± %s).", e.Skew.Round(time.Millisecond), e.Uncertainty.Round(time.Millisecond))
	switch off := e.Skew.Abs() - e.Uncertainty; {
	case off > muchSkew:
		d.say(check, checkBroken, words, do)
	case off > someSkew:
		d.say(check, checkWarning, words, do)
	default:
		d.ok(check, "%s", words)
	}
}

func (d *doctor) bus(ctx context.Context) {
	const check = "NATS"
	at := d.cfg.NATSURL
	if at == "" {
		if d.server == nil {
			d.say(check, checkSkipped, "The embedded one starts with the server.", "")
			return
		}
		var err error
		if at, err = jetstream.EmbeddedURL(filepath.Join(d.cfg.DataDir, "nats")); err != nil {
			d.say(check, checkBroken, fmt.Sprintf("Where the embedded one is cannot be read: %v.", err), "Run this as the user who runs the server.")
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, examineTimeout)
	defer cancel()
	e, err := jetstream.Examine(ctx, jetstream.Options{URL: at})
	if err != nil {
		do := "Check that it runs with JetStream on (nats-server -js), that --nats-url is right, and that its user may use JetStream."
		if errors.Is(err, jetstream.ErrVersion) {
			do = ""
		}
		message, _ := plain(err)
		d.say(check, checkBroken, message, do)
		return
	}
	before := len(d.found)
	if e.MaxPayload < jetstream.MinPayload {
		d.say(check, checkBroken, fmt.Sprintf("A message may have %s only.", humanize.IBytes(uint64(e.MaxPayload))), "Set max_payload: 4MB in its configuration.") //nolint:gosec // not negative
	}
	if e.MaxStore >= 0 && float64(e.Store) > fullStream*float64(e.MaxStore) {
		d.say(check, checkBroken, fmt.Sprintf("The account's store is nearly full: %s of %s.", humanize.IBytes(uint64(e.Store)), humanize.IBytes(uint64(e.MaxStore))), "Raise its limit (max_file_store).") //nolint:gosec // not negative
	}
	for _, s := range e.Streams {
		if s.MaxBytes > 0 && float64(s.Bytes) > fullStream*float64(s.MaxBytes) && s.Stream != jetstream.FactStream {
			d.say(check, checkWarning, fmt.Sprintf("%s holds %s of %s; a full one refuses.", s.Stream, humanize.IBytes(s.Bytes), humanize.IBytes(s.MaxBytes)), "docs/runbook.md: ParleyBusFilling.")
		}
	}
	if single := unreplicated(e); single > 0 {
		d.say(check, checkWarning, fmt.Sprintf("It is a cluster, but one server alone keeps %s: what needs them waits while it is away.", plural(single, "stream")), "Start the servers once with --nats-replicas 3 (PARLEY_NATS_REPLICAS).")
	}
	if d.cfg.NATSURL != "" {
		d.say(check, checkSkipped, "Whether it syncs each write cannot be asked.", "Make sure that its configuration has jetstream { sync_interval: always }: without it a power failure loses what was accepted.")
	}
	if len(d.found) == before || d.found[len(d.found)-1].State == checkSkipped {
		d.ok(check, "Version %s, answers in %s, %s stored in %s.", e.Version, e.RoundTrip.Round(10*time.Microsecond), humanize.IBytes(uint64(e.Store)), plural(int64(len(e.Streams)), "stream")) //nolint:gosec // not negative
	}
}

// unreplicated counts the streams of a cluster that one server keeps.
func unreplicated(e jetstream.Examination) (n int64) {
	for _, s := range e.Streams {
		if e.Cluster != "" && s.Replicas < 2 {
			n++
		}
	}
	return n
}

// files stores a blob, reads it again and removes it, wherever files are kept.
func (d *doctor) files(ctx context.Context) {
	const check, key, words = "files", "doctor/probe", "Parley's doctor was here."
	if d.cfg.BlobURL == "" {
		return // in the data folder, or nowhere: said above
	}
	ctx, cancel := context.WithTimeout(ctx, examineTimeout)
	defer cancel()
	trouble := func(doing string, err error) {
		message, _ := plain(err)
		d.say(check, checkBroken, doing+": "+message, "Check --blob-url, and that this user may write there: for a bucket the keys (AWS_ACCESS_KEY_ID), which need to read, write, list and delete.")
	}
	blobs, err := openBlobs(ctx, &d.cfg)
	if err != nil {
		trouble("The store of files cannot be opened", err)
		return
	}
	defer func() { _ = blobs.Close() }() // every blob was synced by itself
	if err := blobs.Put(ctx, key, strings.NewReader(words)); err != nil {
		trouble("A file cannot be stored", err)
		return
	}
	f, err := blobs.Open(ctx, key)
	if err != nil {
		trouble("A file cannot be read again", err)
		return
	}
	got, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err == nil && string(got) != words {
		err = errors.New("it has other content")
	}
	if err != nil {
		trouble("A file cannot be read again", err)
		return
	}
	if err := blobs.Delete(ctx, key); err != nil {
		trouble("A file cannot be removed", err)
		return
	}
	d.ok(check, "They can be stored, read and removed.")
}

// channels asks the running server; without one nothing is known of them.
func (d *doctor) channels(ctx context.Context) {
	const check = "channels"
	if d.server == nil {
		d.say(check, checkSkipped, "The server does not run here.", "")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, examineTimeout)
	defer cancel()
	var tenants api.List[store.Tenant]
	if err := d.server.ask(ctx, http.MethodGet, "/tenants", nil, nil, &tenants); err != nil {
		message, _ := plain(err)
		d.say(check, checkSkipped, "They cannot be asked about: "+message, "")
		return
	}
	all, good := 0, 0
	for _, tenant := range tenants.Items {
		var list api.List[api.Channel]
		theirs := *d.server
		theirs.tenant = string(tenant.ID)
		if err := theirs.ask(ctx, http.MethodGet, "/channels", nil, nil, &list); err != nil {
			message, _ := plain(err)
			d.say(check, checkSkipped, "Those of "+tenant.Name+" cannot be asked about: "+message, "")
			continue
		}
		for _, ch := range list.Items {
			all++
			do := "parley channel check " + shellQuote(ch.Name) + " --tenant " + shellQuote(tenant.Name)
			switch {
			case ch.Paused:
				d.say(check, checkWarning, ch.Name+" is paused.", "")
			case ch.State == events.NeedsAttention:
				d.say(check, checkBroken, ch.Name+" needs attention: "+ch.Error, do)
			case ch.State == events.Degraded:
				d.say(check, checkWarning, ch.Name+" has trouble: "+ch.Error, do)
			default:
				good++
			}
		}
	}
	if good == all {
		d.ok(check, "%s, none in trouble.", plural(int64(all), "channel"))
	}
}

// readiness is whether the server is ready, and what is missing.
func (c *client) readiness(ctx context.Context) (ready bool, missing string, err error) {
	var s api.Status
	if err := c.ask(ctx, http.MethodGet, "/status", nil, nil, &s); err != nil {
		message, _ := plain(err)
		return false, message, nil //nolint:nilerr // it answered that it starts, or why not
	}
	return s.Ready, strings.Join(s.Missing, " "), nil
}
