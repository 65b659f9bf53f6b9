package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"
)

// routerFrozenFor is longer than the router's lease and the database's patience
// with idle transactions, both 10 s.
const routerFrozenFor = 13 * time.Second

// The faults that strike from outside.
const (
	faultNone     = "(none)"
	faultKill     = "kill -9 of a parley"
	faultFreeze   = "SIGSTOP of a parley past its lease"
	faultPostgres = "crash and restart of PostgreSQL"
	faultNATS     = "kill -9 and restart of NATS"
)

// strike is one fault and when it began.
type strike struct {
	kind   string
	at     time.Time
	victim string
}

// ordeal breaks what runs, in an order that the dice choose.
type ordeal struct {
	dice    *rand.Rand
	db      *cluster
	nats    *natsServer
	servers []*server
	strikes []strike
	// unasked are parleys that ended although nobody killed them.
	unasked []error
	// pending is asked right after a kill and while frozen: how much was under
	// way; nil if nobody wants to know.
	pending func(ctx context.Context) (int, error)
	// underWay sums its answers.
	underWay int
	// frozenFor is how long freezes last, longer than the leases.
	frozenFor time.Duration
	// more are faults by name beside those known here; each begins
	// what it is given once it knows whom it strikes.
	more map[string]func(ctx context.Context, s *strike) error
	// rounds is how often each fault strikes; 0 for as often as there is time.
	rounds int
}

// run strikes until over is closed, each kind once a round, or for so many
// rounds.
func (o *ordeal) run(ctx context.Context, kinds []string, over <-chan struct{}) error {
	o.strikes = append(o.strikes, strike{kind: faultNone, at: time.Now()})
	for round := 0; o.rounds == 0 || round < o.rounds; round++ {
		for _, i := range o.dice.Perm(len(kinds)) {
			calm := time.NewTimer(time.Duration(2000+o.dice.IntN(3000)) * time.Millisecond)
			select {
			case <-calm.C:
			case <-over:
				calm.Stop()
				return nil
			case <-ctx.Done():
				calm.Stop()
				return ctx.Err()
			}
			if err := o.revive(); err != nil {
				return err
			}
			if err := o.strike(ctx, kinds[i]); err != nil {
				return fmt.Errorf("%s: %w", kinds[i], err)
			}
		}
	}
	return nil
}

// begin notes a strike whose victim is known.
func (o *ordeal) begin(s *strike, victim string) {
	s.victim = victim
	o.strikes = append(o.strikes, *s)
}

// revive starts what ended by itself, and remembers that it did.
func (o *ordeal) revive() error {
	for _, s := range o.servers {
		if err := s.health(); err != nil {
			o.unasked = append(o.unasked, err)
			if err := s.start(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *ordeal) strike(ctx context.Context, kind string) error {
	s := strike{kind: kind, at: time.Now()}
	defer func() {
		fmt.Fprintf(os.Stderr, "%s %s %s, over after %.1f s\n", s.at.Format(time.TimeOnly), s.kind, s.victim, time.Since(s.at).Seconds())
	}()
	switch kind {
	case faultKill:
		victim := o.busiest(ctx)
		s.victim = victim.name
		o.strikes = append(o.strikes, s)
		victim.kill()
		return errors.Join(o.count(ctx), o.pause(ctx, time.Second), victim.start())
	case faultFreeze:
		victim := o.busiest(ctx)
		s.victim = victim.name
		o.strikes = append(o.strikes, s)
		victim.signal(syscall.SIGSTOP)
		err := errors.Join(o.count(ctx), o.pause(ctx, o.frozenFor))
		victim.signal(syscall.SIGCONT)
		return err
	case faultPostgres:
		o.strikes = append(o.strikes, s)
		if err := o.db.server.Kill(); err != nil {
			return err
		}
		return o.db.start(ctx)
	case faultNATS:
		o.strikes = append(o.strikes, s)
		o.nats.kill()
		return errors.Join(o.pause(ctx, time.Second), o.nats.start(ctx))
	}
	if do := o.more[kind]; do != nil {
		return do(ctx, &s)
	}
	return fmt.Errorf("there is no fault %q", kind)
}

func (o *ordeal) count(ctx context.Context) error {
	if o.pending == nil {
		return nil
	}
	n, err := o.pending(ctx)
	o.underWay += n
	return err
}

func (o *ordeal) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// busiest is a server that holds a lease, so that a fault hits something; which,
// the dice choose.
func (o *ordeal) busiest(ctx context.Context) *server {
	var holders []*server
	for _, s := range o.servers {
		var holds bool
		// An owner is named host/pid/life.
		err := o.db.pool.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM parley_partitions WHERE owner LIKE $1 AND lease_until > now())
			    OR EXISTS (SELECT FROM parley_leases WHERE name LIKE 'dispatch:%' AND owner LIKE $1 AND lease_until > now())`,
			fmt.Sprintf("%%/%d/%%", s.pid())).Scan(&holds)
		if err == nil && holds && s.running() {
			holders = append(holders, s)
		}
	}
	if len(holders) == 0 {
		holders = o.servers
	}
	return holders[o.dice.IntN(len(holders))]
}

// quiet waits until all run and nothing that was accepted is on its way, by the
// audit of one of them.
func (o *ordeal) quiet(ctx context.Context, auditor *server) error {
	return until(ctx, 3*time.Minute, "everything to be stored and told", func() (bool, error) {
		for _, s := range o.servers {
			if err := s.health(); err != nil {
				return false, err
			}
		}
		a, err := auditor.audit(ctx)
		if err != nil {
			return false, err
		}
		for _, p := range a.Partitions {
			if p.Waiting > 0 {
				return false, fmt.Errorf("partition %d has %d waiting", p.Partition, p.Waiting)
			}
		}
		var facts int
		err = o.db.pool.QueryRow(ctx, `SELECT count(*) FROM parley_facts`).Scan(&facts)
		if err == nil && facts > 0 {
			err = fmt.Errorf("%d facts wait", facts)
		}
		return err == nil && facts == 0, err
	})
}

// both runs two at the same time, and yields their errors.
func both(f, g func() error) error {
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { err = g() })
	return errors.Join(f(), func() error { wg.Wait(); return err }())
}
