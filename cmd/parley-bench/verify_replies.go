package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/transports/sandbox"
)

// unclear are the faults after which nobody on our side can know whether the
// message was accepted.
var unclear = []string{
	"server_error", "hang_before", "reset_before", "server_error_after", "hang_after", "reset_after", "cut_after",
}

// replyEvidence is what the stand-in's log says of one reply.
type replyEvidence struct {
	accepted, unclear int
}

// repliesVerdict is the stand-in's log against the rows.
type repliesVerdict struct {
	// accepted are the log's; states count the rows'.
	accepted int
	states   map[string]int
	faults   map[string]int
	lastSent time.Time
	// Lost are sent by the rows and unknown to the provider; denied are failed by
	// the rows and accepted; doubled were accepted twice; disordered overtook an
	// earlier one to the same person; unsettled are still waiting.
	lost, denied, doubled, disordered, unsettled int
	// groundless are uncertain without any fault or interruption, by their code
	// and whether the provider has them.
	groundless map[string]int
	// interrupted are uncertain because their dispatcher died or froze; injected
	// because of the stand-in's faults.
	interrupted, injected int
	// attempts of each outcome.
	attempts map[string]int
}

// verifyReplies compares every reply both ways.
func verifyReplies(ctx context.Context, c *cluster, t *standIn) (*repliesVerdict, error) {
	v := &repliesVerdict{states: map[string]int{}, faults: map[string]int{}, attempts: map[string]int{}, groundless: map[string]int{}}
	log, err := v.readLog(t)
	if err != nil {
		return nil, err
	}
	rows, err := c.pool.Query(ctx, `
		SELECT m.id::text, m.message, d.state, coalesce(d.code, '') FROM parley_deliveries d JOIN crm_chat_messages m ON m.id = d.message_id`)
	if err != nil {
		return nil, err
	}
	var id, text, state, code string
	_, err = pgx.ForEachRow(rows, []any{&id, &text, &state, &code}, func() error {
		v.judge(log[text], state, code)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the deliveries: %w", err)
	}
	rows, err = c.pool.Query(ctx, `SELECT outcome, count(*)::int FROM parley_attempts GROUP BY 1`)
	if err != nil {
		return nil, err
	}
	var n int
	_, err = pgx.ForEachRow(rows, []any{&state, &n}, func() error { v.attempts[state] = n; return nil })
	return v, err
}

// readLog collects what the stand-in saw, by text, and checks the order.
func (v *repliesVerdict) readLog(t *standIn) (map[string]replyEvidence, error) {
	log := map[string]replyEvidence{}
	newest := map[int64]int{}
	err := t.each(func(e sandbox.TelegramEntry) error {
		if e.What != sandbox.LogSent && e.What != sandbox.LogRefused {
			return nil
		}
		r := log[e.Text]
		if e.Fault != "" {
			v.faults[e.Fault]++
		}
		if slices.Contains(unclear, e.Fault) {
			r.unclear++
		}
		if e.What == sandbox.LogSent {
			r.accepted++
			v.accepted++
			v.lastSent = e.Time
			var person int64
			var load, k int
			if _, err := fmt.Sscanf(e.Text, "reply %d %d.%d ", &person, &load, &k); err != nil {
				return fmt.Errorf("the stand-in has %q, which nobody sent: %w", e.Text, err)
			}
			number := load*1_000_000 + k
			if r.accepted > 1 {
				v.doubled++
			} else if number <= newest[e.Chat] || person != e.Chat {
				v.disordered++
			}
			newest[e.Chat] = max(newest[e.Chat], number)
		}
		log[e.Text] = r
		return nil
	})
	return log, err
}

// judge holds one delivery against the log.
func (v *repliesVerdict) judge(r replyEvidence, state, code string) {
	v.states[state]++
	switch state {
	case "sent", "delivered", "read":
		if r.accepted == 0 {
			v.lost++
		}
	case "failed", "cancelled":
		if r.accepted > 0 {
			v.denied++
		}
	case "uncertain":
		switch {
		case code == "interrupted":
			v.interrupted++
		case r.unclear > 0:
			v.injected++
		default:
			v.groundless[fmt.Sprintf("%q (accepted %d times)", code, r.accepted)]++
		}
	default:
		v.unsettled++
	}
}

// hold reports what is broken. At most interruptions may be uncertain because a
// dispatcher died.
func (v *repliesVerdict) hold(r *report, interruptions int) {
	r.holds(v.lost == 0, "%d replies count as sent, but the provider never got them", v.lost)
	r.holds(v.denied == 0, "%d replies count as failed, but the provider accepted them", v.denied)
	r.holds(v.doubled == 0, "%d replies reached the provider twice", v.doubled)
	r.holds(v.disordered == 0, "%d replies overtook an earlier one to the same person", v.disordered)
	r.holds(v.unsettled == 0, "%d replies are neither sent nor given up", v.unsettled)
	r.holds(len(v.groundless) == 0, "replies are uncertain without a reason: %s", counts(v.groundless))
	r.holds(v.interrupted <= interruptions, "%d replies were interrupted, but only %d were under way", v.interrupted, interruptions)
}

// counts writes a map as words, sorted by name.
func counts(m map[string]int) string {
	var parts []string
	for name, n := range m {
		parts = append(parts, fmt.Sprintf("%s %s", thousands(n), name))
	}
	slices.SortFunc(parts, func(a, b string) int {
		return strings.Compare(a[strings.IndexByte(a, ' ')+1:], b[strings.IndexByte(b, ' ')+1:])
	})
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
