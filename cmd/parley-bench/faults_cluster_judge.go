package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/transports/sandbox"
)

// replyToll is what one kind of fault cost agents.
type replyToll struct {
	sent, uncertain, conflicts int
	longest                    time.Duration
}

// judge compares everything with everything, and writes the table.
func (o *clusterOrdeal) judge(ctx context.Context) error {
	if err := o.ledger.compare(ctx, o.db); err != nil {
		return err
	}
	replies, err := o.replyTolls(ctx)
	if err != nil {
		return err
	}
	v, err := verifyReplies(ctx, o.db, o.log)
	if err != nil {
		return err
	}
	tolls := o.ordeal.tolls(o.ledger, o.kinds)
	var lines [][]string
	var all toll
	for _, t := range tolls {
		r := replies[t.kind]
		lines = append(lines, []string{
			t.kind, fmt.Sprint(t.times), thousands(t.accepted), fmt.Sprint(t.lost), fmt.Sprint(t.doubled), fmt.Sprint(t.disordered),
			thousands(t.longestAccept.Milliseconds()), thousands(t.longestStore.Milliseconds()),
			thousands(r.sent), fmt.Sprint(r.uncertain), thousands(r.longest.Milliseconds()), fmt.Sprint(r.conflicts),
		})
		all.lost += t.lost
		all.doubled += t.doubled
		if t.kind == faultFrozenGateway {
			o.report.holds(r.conflicts <= t.times, "%d polls met another in %d times: %s", r.conflicts, t.times, t.kind)
		} else {
			o.report.holds(r.conflicts == 0, "%d polls met another: %s", r.conflicts, t.kind)
		}
	}
	o.report.say("%s messages by %d clients, a tenth of them to a bot that is polled, and a reply a second to each of %d persons. Stalls are in\n"+
		"ms: from writing to the provider's 2xx, and to the committed row; of replies from queueing to the provider's acceptance.",
		thousands(len(o.ledger.byKey)), writerPeople, repliedPeople)
	o.report.table([]string{
		"fault", "times", "accepted", "lost", "doubled", "out of order", "until 2xx", "until stored",
		"replies", "uncertain", "until sent", "409",
	}, lines)
	o.report.say("Replies: %s. %d lost, %d twice, %d denied, %d out of order.", counts(v.states), v.lost, v.doubled, v.denied, v.disordered)
	o.report.holds(o.ledger.open() == 0, "%d messages never got their 2xx", o.ledger.open())
	o.report.holds(all.lost == 0, "%d accepted messages are not stored", all.lost)
	o.report.holds(all.doubled == 0, "%d messages are stored twice", all.doubled)
	o.report.holds(o.ledger.strange == 0, "%d stored messages were never written", o.ledger.strange)
	o.report.holds(o.ledger.disordered == 0, "%d messages are out of order", o.ledger.disordered)
	v.hold(o.report, v.interrupted) // what was under way when a dispatcher was cut off cannot be counted from outside
	for _, err := range o.ordeal.unasked {
		o.report.breaks("a parley ended by itself: %v", err)
	}
	if err := o.report.judgeFacts(ctx, o.db, o.nats.url(), o.bot.channel.Tenant); err != nil {
		return fmt.Errorf("comparing the facts: %w", err)
	}
	a, err := o.ordeal.servers[0].audit(ctx)
	if err != nil {
		return err
	}
	o.report.say("`parley audit`: %s.", auditLine(a))
	o.report.holds(a.Clean, "parley audit: %s", strings.Join(a.Findings, " "))
	return nil
}

// replyTolls charges each reply to the fault during which it left, or was queued if it
// is uncertain, and each second poller to the fault during which it came.
func (o *clusterOrdeal) replyTolls(ctx context.Context) (map[string]replyToll, error) {
	tolls := map[string]replyToll{}
	accepted := map[string]time.Time{}
	err := o.log.each(func(e sandbox.TelegramEntry) error {
		switch e.What {
		case sandbox.LogSent:
			accepted[e.Text] = e.Time
		case sandbox.LogConflict:
			t := tolls[o.ordeal.duringAt(e.Time)]
			t.conflicts++
			tolls[o.ordeal.duringAt(e.Time)] = t
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	rows, err := o.db.pool.Query(ctx, `
		SELECT m.message, d.state, m.created_at FROM parley_deliveries d JOIN crm_chat_messages m ON m.id = d.message_id`)
	if err != nil {
		return nil, err
	}
	var text, state string
	var queued time.Time
	_, err = pgx.ForEachRow(rows, []any{&text, &state, &queued}, func() error {
		at, sent := accepted[text]
		if !sent {
			at = queued
		}
		kind := o.ordeal.duringAt(at)
		t := tolls[kind]
		if sent {
			t.sent++
			t.longest = max(t.longest, at.Sub(queued))
		}
		if state == "uncertain" {
			t.uncertain++
		}
		tolls[kind] = t
		return nil
	})
	return tolls, err
}
