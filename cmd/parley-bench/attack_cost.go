package main

import (
	"context"
	"fmt"
	"os"
)

// oneByOne tries each kind alone, just after honest users worked in peace, and
// writes what each cost them.
func (w *attackWorld) oneByOne(ctx context.Context, list []attacker, all []*attempts) (runs []honestRun, err error) {
	if w.each <= 0 {
		return nil, nil
	}
	var lines [][]string
	for i, who := range list {
		calm, err := w.honest(ctx, len(runs)+1, w.each)
		if err != nil {
			return runs, fmt.Errorf("honest users before %s: %w", who.kind, err)
		}
		stormy, err := w.meanwhile(ctx, len(runs)+2, w.each, list[i:i+1], all[i:i+1])
		if err != nil {
			return runs, fmt.Errorf("honest users during %s: %w", who.kind, err)
		}
		tried := all[i].tried.Load()
		runs = append(runs, calm, stormy)
		// What one kind left to do is not the next one's cost.
		if err := w.settled(ctx, runs...); err != nil {
			return runs, fmt.Errorf("after %s: %w", who.kind, err)
		}
		fmt.Fprintf(os.Stderr, "%s: %d attempts; before %s; meanwhile %s\n", who.kind, tried, calm, stormy)
		rate := func(w waits) string { return fmt.Sprintf("%.0f", float64(len(w))/calm.took.Seconds()) }
		lines = append(lines, []string{
			who.kind, thousands(tried),
			rate(calm.clients) + " → " + rate(stormy.clients), pair(calm.clients, stormy.clients, 0.5), pair(calm.clients, stormy.clients, 0.99),
			rate(calm.agent) + " → " + rate(stormy.agent), pair(calm.agent, stormy.agent, 0.5), pair(calm.agent, stormy.agent, 0.99),
			pair(calm.mails, stormy.mails, 0.5),
		})
	}
	w.report.say("\n## What each kind cost honest users, by itself: before → meanwhile, %s each\n", w.each)
	w.report.table([]string{"kind", "attempts", "messages/s", "p50 ms", "p99 ms", "agent's requests/s", "p50 ms", "p99 ms", "mail p50 ms"}, lines)
	return runs, nil
}

// pair is a quantile before and meanwhile, in milliseconds.
func pair(before, meanwhile waits, q float64) string {
	return fmt.Sprintf("%.0f → %.0f", quantile(before, q).Seconds()*1000, quantile(meanwhile, q).Seconds()*1000)
}
