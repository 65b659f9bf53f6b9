package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// attackPause is between two attempts of one kind: what is measured is whether
// anything gets in and what it costs others, not how much a machine bears.
const attackPause = 10 * time.Millisecond

// attempts counts what was tried of one kind, and what came of it.
type attempts struct {
	kind string
	// tried, of which got got in, and failed made the server err (5xx).
	tried, got, failed atomic.Int64
	mu                 sync.Mutex
	// first is the first that got in, or failed.
	first string
}

// tell counts one attempt that was answered with a status, 0 for none.
func (a *attempts) tell(in bool, code int, what string) {
	a.tried.Add(1)
	broke := code >= 500 && code != 501 && code != 503
	switch {
	case in:
		a.got.Add(1)
	case broke:
		a.failed.Add(1)
	default:
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.first == "" {
		a.first = fmt.Sprintf("%s: %d", what, code)
	}
}

// attacker tries one kind until the context ends.
type attacker struct {
	kind string
	// try makes the nth attempt.
	try func(ctx context.Context, n int, a *attempts) error
	// hands is how many try at once, one when zero.
	hands int
	// pause is between two attempts of a hand, attackPause when zero.
	pause time.Duration
	// most is how often a phase tries, zero for as often as it can.
	most int
}

// attackCommand lets strangers try everything against a server that others work
// with. It fails when anything gets in.
func attackCommand(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parseSettings("attack", args)
	if err != nil {
		return err
	}
	dir, remove, err := workFolder(s)
	if err != nil {
		return err
	}
	defer remove()
	r, err := newReport(s, "attack", out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	w, err := newAttackWorld(ctx, s, dir, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	return w.run(ctx)
}

func (w *attackWorld) run(ctx context.Context) error {
	w.report.say("# Strangers try everything\n")
	w.report.machine(ctx, w.db)
	list := w.attackers()
	all := make([]*attempts, len(list))
	for i, who := range list {
		all[i] = &attempts{kind: who.kind}
	}
	runs, err := w.oneByOne(ctx, list, all)
	if err != nil {
		return err
	}
	calm, err := w.honest(ctx, len(runs)+1, w.seconds)
	if err != nil {
		return fmt.Errorf("honest users before: %w", err)
	}
	fmt.Fprintln(os.Stderr, "calm:", calm)
	stormy, err := w.meanwhile(ctx, len(runs)+2, w.seconds, list, all)
	if err != nil {
		return fmt.Errorf("honest users meanwhile: %w", err)
	}
	runs = append(runs, calm, stormy)
	if err := w.settled(ctx, runs...); err != nil {
		w.report.breaks("not everything accepted was stored, or a file never tried: %v", err)
	}
	w.ssrf(all)
	if err := w.judgeMail(ctx, all); err != nil {
		return err
	}
	w.report.holds(w.stale.Load() > 0, "no session and no token was ended and used again")
	w.report.holds(w.redirected.Load() > 0, "no file was pointed inside")
	w.report.holds(w.names.later.Load() > 0, "no name meant anything else when it was dialled")
	w.write(all, calm, stormy)
	return w.verify(ctx, runs...)
}

// meanwhile lets honest users work while strangers try, each of the list at once.
func (w *attackWorld) meanwhile(ctx context.Context, run int, long time.Duration, list []attacker, all []*attempts) (honestRun, error) {
	attacked, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for i, who := range list {
		for hand := range max(who.hands, 1) {
			wg.Go(func() { w.attack(attacked, who, hand, all[i]) })
		}
	}
	stormy, err := w.honest(ctx, run, long)
	stop()
	wg.Wait()
	return stormy, errors.Join(err, w.server.health())
}

// attack tries until the context ends. Errors of the network are refusals: whoever
// hangs up lets nobody in.
func (w *attackWorld) attack(ctx context.Context, who attacker, hand int, a *attempts) {
	// Phases go on where the last one of the kind ended.
	first := int(a.tried.Load()) + hand
	for n := first; ctx.Err() == nil && (who.most == 0 || n-first < who.most); n += max(who.hands, 1) {
		if err := who.try(ctx, n, a); err != nil && ctx.Err() == nil {
			a.tell(false, 0, err.Error())
		}
		select {
		case <-time.After(max(who.pause, attackPause)):
		case <-ctx.Done():
		}
	}
}

// ssrf counts what reached the canary: whatever asked for it, it should not have.
func (w *attackWorld) ssrf(all []*attempts) {
	for _, a := range all {
		if n := w.canary.hits(a.kind); n > 0 {
			a.got.Add(n)
			a.first = fmt.Sprintf("the canary was visited %d times", n)
		}
	}
}

// write writes the tables, and what got in.
func (w *attackWorld) write(all []*attempts, calm, stormy honestRun) {
	var lines [][]string
	var tried, got int64
	for _, a := range all {
		tried, got = tried+a.tried.Load(), got+a.got.Load()
		lines = append(lines, []string{a.kind, thousands(a.tried.Load()), thousands(a.got.Load()), thousands(a.failed.Load())})
		w.report.holds(a.got.Load() == 0, "%s: %d got in, the first: %s", a.kind, a.got.Load(), a.first)
		w.report.holds(a.failed.Load() == 0, "%s: the server failed %d times, the first: %s", a.kind, a.failed.Load(), a.first)
		w.report.holds(a.tried.Load() > 0, "%s: was never tried", a.kind)
	}
	lines = append(lines, []string{"**all**", thousands(tried), thousands(got), ""})
	w.report.say("\n## What was tried, one by one for %s and all at once for %s\n", w.each, w.seconds)
	w.report.table([]string{"kind", "attempts", "got in", "server errors"}, lines)
	w.report.say("\n## What all at once cost honest users\n")
	w.report.table([]string{"who", "", "times", "p50 ms", "p99 ms", "longest ms"}, [][]string{
		calm.clients.row("client's webhook", "before"), stormy.clients.row("client's webhook", "meanwhile"),
		calm.agent.row("agent's request", "before"), stormy.agent.row("agent's request", "meanwhile"),
		calm.mails.row("client's mail, to its row", "before"), stormy.mails.row("client's mail, to its row", "meanwhile"),
	})
}
