package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"parley/events"
	"parley/events/jetstream"
)

// toll is what one kind of fault cost.
type toll struct {
	kind                                string
	times                               int
	accepted, lost, doubled, disordered int
	longestAccept, longestStore         time.Duration
}

// judge compares everything with everything, and writes the table.
func (o *inboundOrdeal) judge(ctx context.Context) error {
	if err := o.ledger.read(o.telegram); err != nil {
		return err
	}
	if err := o.ledger.compare(ctx, o.db); err != nil {
		return err
	}
	tolls := o.ordeal.tolls(o.ledger, []string{faultKill, faultFreeze, faultPostgres, faultNATS})
	var lines [][]string
	var all toll
	deliveries, answered := 0, 0
	for _, w := range o.ledger.byKey {
		deliveries += w.deliveries
		answered += w.answered
	}
	for _, t := range tolls {
		lines = append(lines, []string{
			t.kind, fmt.Sprint(t.times), thousands(t.accepted), fmt.Sprint(t.lost), fmt.Sprint(t.doubled), fmt.Sprint(t.disordered),
			fmt.Sprintf("%.1f", t.longestAccept.Seconds()), fmt.Sprintf("%.1f", t.longestStore.Seconds()),
		})
		all.accepted += t.accepted
		all.lost += t.lost
		all.doubled += t.doubled
	}
	o.report.say("%s messages by %d clients through %d parleys with all roles, one NATS and one PostgreSQL, both restarted too.\n"+
		"The provider made %s requests, of which %s were answered 2xx: it delivers %.0f %% once more after a 2xx, %d copies at once\n"+
		"during one second in %d, and again what timed out. Stalls are in seconds: from writing to the 2xx, and to the committed row.",
		thousands(len(o.ledger.byKey)), writerPeople, faultyServers, thousands(deliveries), thousands(answered), 100*redeliver, copies, copiesEvery)
	o.report.table([]string{"fault", "times", "accepted", "lost", "doubled", "out of order", "longest until 2xx", "longest until stored"}, lines)

	o.report.holds(o.ledger.open() == 0, "%d messages never got their 2xx", o.ledger.open())
	o.report.holds(all.lost == 0, "%d accepted messages are not stored", all.lost)
	o.report.holds(all.doubled == 0, "%d messages are stored twice", all.doubled)
	o.report.holds(o.ledger.strange == 0, "%d stored messages were never written", o.ledger.strange)
	o.report.holds(o.ledger.disordered == 0, "%d messages are out of order", o.ledger.disordered)
	for _, err := range o.ordeal.unasked {
		o.report.breaks("a parley ended by itself: %v", err)
	}
	if err := o.report.judgeFacts(ctx, o.db, o.nats.url, o.bot.channel.Tenant); err != nil {
		return fmt.Errorf("comparing the facts: %w", err)
	}
	a, err := o.ordeal.servers[0].audit(ctx)
	if err != nil {
		return err
	}
	o.report.say("`parley audit`: %s.", auditLine(a))
	o.report.holds(a.Clean, "parley audit: %s", strings.Join(a.Findings, " "))
	var fenced int64
	for _, p := range a.Partitions {
		fenced += p.Fenced
	}
	o.report.holds(fenced > 0, "no batch was fenced: the freezes hit nobody in the middle of one")
	return nil
}

// tolls charges each message to the fault that was the last to begin before it
// was accepted, and its wait for the row to the last before that was committed.
func (o *ordeal) tolls(l *inboundLedger, kinds []string) []toll {
	tolls := []toll{{kind: faultNone}}
	for _, kind := range kinds {
		tolls = append(tolls, toll{kind: kind})
	}
	find := func(kind string) *toll {
		for i := range tolls {
			if tolls[i].kind == kind {
				return &tolls[i]
			}
		}
		return &tolls[0]
	}
	for _, s := range o.strikes {
		find(s.kind).times++
	}
	at := func(when time.Time) *toll { return find(o.duringAt(when)) }
	for _, w := range l.byKey {
		if w.accepted.IsZero() {
			continue
		}
		t := at(w.accepted)
		t.accepted++
		t.longestAccept = max(t.longestAccept, w.accepted.Sub(w.at))
		switch {
		case w.rows == 0:
			t.lost++
			continue
		case w.rows > 1:
			t.doubled++
		}
		t = at(w.committed)
		t.longestStore = max(t.longestStore, w.committed.Sub(w.at))
	}
	for _, w := range l.worst {
		at(w.accepted).disordered++
	}
	tolls[0].times = 0
	return tolls
}

// duringAt is the kind of the last fault that had begun at a moment.
func (o *ordeal) duringAt(when time.Time) string {
	kind := faultNone
	for _, s := range o.strikes {
		if s.at.After(when) {
			break
		}
		kind = s.kind
	}
	return kind
}

// judgeFacts reads what subscribers got: one fact for each stored message, told
// in the order of its chat. Facts may repeat; their ids say so.
func (r *report) judgeFacts(ctx context.Context, c *cluster, bus string, tenant events.TenantID) error {
	b, err := jetstream.Open(ctx, jetstream.Options{URL: bus})
	if err != nil {
		return err
	}
	defer b.Close()
	var stored int
	if err := c.pool.QueryRow(ctx, `SELECT count(*) FROM crm_chat_messages WHERE direction = 'in' AND stream_seq IS NOT NULL`).Scan(&stored); err != nil {
		return err
	}
	facts, err := b.Facts(ctx, jetstream.FactOptions{Tenant: tenant})
	if err != nil {
		return err
	}
	defer facts.Close()
	seen := map[int64]bool{}
	newest := map[int64]int64{}
	repeated, disordered, received := 0, 0, map[int64]bool{}
	for {
		// Whatever is there comes at once.
		next, cancel := context.WithTimeout(ctx, 3*time.Second)
		records, err := facts.Next(next, 1000)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			break
		}
		if err != nil {
			return err
		}
		for _, f := range records {
			if f.Err != nil {
				return f.Err
			}
			if seen[f.Fact.ID] {
				repeated++
				continue
			}
			seen[f.Fact.ID] = true
			if f.Fact.Noun != "message" || f.Fact.Verb != "received" {
				continue
			}
			message, seq, err := factMessage(f.Fact)
			if err != nil {
				return err
			}
			received[message] = true
			if seq <= newest[f.Fact.Chat] {
				disordered++
			}
			newest[f.Fact.Chat] = max(newest[f.Fact.Chat], seq)
		}
	}
	r.say("Facts: %s on the bus, %s of them repeated (same id), about %s of %s stored messages.",
		thousands(len(seen)+repeated), thousands(repeated), thousands(len(received)), thousands(stored))
	r.holds(len(received) == stored, "%d of %d stored messages have no fact", stored-len(received), stored)
	r.holds(disordered == 0, "%d facts of a chat came out of order", disordered)
	return nil
}

// factMessage reads whom a fact is about.
func factMessage(f events.Fact) (id, seq int64, err error) {
	var data struct {
		ID  int64 `json:"message_id"`
		Seq int64 `json:"seq"`
	}
	err = json.Unmarshal(f.Data, &data)
	return data.ID, data.Seq, err
}
