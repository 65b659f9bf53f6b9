package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"parley/inbox/api"
)

// temper damages what is stored by hand: an audit that does not turn red after
// that would prove nothing when it is green.
func (o *inboundOrdeal) temper(ctx context.Context) error {
	o.report.say("\n## Damage by hand\n")
	if err := o.deleteRow(ctx); err != nil {
		return fmt.Errorf("deleting a row: %w", err)
	}
	if err := o.skipRecord(ctx); err != nil {
		return fmt.Errorf("skipping a record: %w", err)
	}
	return nil
}

// expect says what the audit finds, and holds it to be as it should.
func (o *inboundOrdeal) expect(ctx context.Context, clean bool, after string) error {
	a, err := o.ordeal.servers[0].audit(ctx)
	if err != nil {
		return err
	}
	o.report.say("- %s: the audit is %s.%s", after, colour(a), quoted(a.Findings))
	o.report.holds(a.Clean == clean, "after %s the audit is %s", after, colour(a))
	return nil
}

func colour(a api.Audit) string {
	if a.Clean {
		return "green"
	}
	return "red"
}

func quoted(findings []string) string {
	if len(findings) == 0 {
		return ""
	}
	return "\n  > " + strings.Join(findings, "\n  > ")
}

// deleteRow takes a message away and puts it back.
func (o *inboundOrdeal) deleteRow(ctx context.Context) error {
	conn, err := o.db.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	for _, sql := range []string{
		`CREATE TEMP TABLE kept AS SELECT * FROM crm_chat_messages WHERE direction = 'in' AND stream_seq IS NOT NULL ORDER BY id LIMIT 1`,
		`DELETE FROM crm_chat_messages WHERE id IN (SELECT id FROM kept)`,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := o.expect(ctx, false, "one message row deleted"); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `INSERT INTO crm_chat_messages SELECT * FROM kept`); err != nil {
		return err
	}
	return o.expect(ctx, true, "the row put back")
}

// skipRecord makes routers miss a record: they are stopped, somebody writes, and
// the record is deleted from the stream before it was read.
func (o *inboundOrdeal) skipRecord(ctx context.Context) error {
	o.stopServers()
	gate, err := startServer(ctx, o.dir, "gateway", o.settings, o.db, o.bot, serverOptions{
		nats: o.nats.url, public: o.front.url, roles: "gateway",
	})
	if err != nil {
		return err
	}
	defer gate.stop()
	o.front.add(gate.listen)
	for i := range 5 {
		// All by one client, so that all are in one partition.
		if _, err := o.telegram.Person("client 0").Say(fmt.Sprintf("w0 %d while nobody routes", 1_000_000+i)); err != nil {
			return err
		}
	}
	if err := o.accepted(ctx); err != nil {
		return err
	}
	stream, seq, err := o.deleteUnread(ctx)
	if err != nil {
		return err
	}
	gate.stop()
	for _, s := range o.ordeal.servers {
		if err := s.start(); err != nil {
			return err
		}
		if err := s.ready(ctx, o.bot); err != nil {
			return err
		}
	}
	if err := o.quiet(ctx); err != nil {
		return err
	}
	return o.expect(ctx, false, fmt.Sprintf("record %d of %s deleted before a router read it", seq, stream))
}

// deleteUnread deletes the second of the records that wait, which leaves a gap
// with something behind it.
func (o *inboundOrdeal) deleteUnread(ctx context.Context) (stream string, seq uint64, err error) {
	nc, err := nats.Connect(o.nats.url)
	if err != nil {
		return "", 0, err
	}
	defer nc.Close()
	js, err := natsjs.New(nc)
	if err != nil {
		return "", 0, err
	}
	rows, err := o.db.pool.Query(ctx, `SELECT stream, last_seq FROM parley_partitions`)
	if err != nil {
		return "", 0, err
	}
	defer rows.Close()
	var last int64
	for rows.Next() {
		if err := rows.Scan(&stream, &last); err != nil {
			return "", 0, err
		}
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return "", 0, err
		}
		seq = uint64(last) + 2 //nolint:gosec // a stream sequence
		if s.CachedInfo().State.LastSeq > seq {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			return stream, seq, s.DeleteMsg(ctx, seq)
		}
	}
	return "", 0, errors.Join(errors.New("no partition has records that wait"), rows.Err())
}
