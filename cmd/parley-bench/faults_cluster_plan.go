package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

const (
	// cutFor is longer than a gateway's, a router's and a dispatcher's lease.
	cutFor = 13 * time.Second
	// fullFor is how long a disk is full.
	fullFor = 8 * time.Second
	// skewFor is how long a process's clock is wrong.
	skewFor = 15 * time.Second
)

// faultFrozenGateway is the only fault with a second poller: a frozen process cannot
// hang up.
const faultFrozenGateway = "SIGSTOP of a gateway past its lease"

// plan lists everything that happens.
func (o *clusterOrdeal) plan() {
	add := func(kind string, do func(ctx context.Context, s *strike) error) {
		o.kinds = append(o.kinds, kind)
		if do == nil {
			return
		}
		o.ordeal.more[kind] = func(ctx context.Context, s *strike) error {
			err := do(ctx, s)
			if err != nil && ctx.Err() == nil {
				o.report.breaks("%s: %v", kind, err) // what comes next may still be learnt
			}
			return ctx.Err()
		}
	}
	for _, role := range []string{"gateway", "router", "dispatcher", "api"} {
		article := "a "
		if role == "api" {
			article = "an "
		}
		add("kill -9 of "+article+role, func(ctx context.Context, s *strike) error { return o.kill(ctx, s, role) })
		add("SIGSTOP of "+article+role+" past its lease", func(ctx context.Context, s *strike) error { return o.freeze(ctx, s, role) })
	}
	add("kill -9 of a leading NATS server, away for 5 s", o.killLeader)
	add("SIGSTOP of a leading NATS server, 10 s", o.freezeLeader)
	add("kill -9 of all NATS servers", o.killNATS)
	for _, cut := range []struct {
		words string
		state cableState
	}{{"cut", cableCut}, {"stalled", cableStalls}, {"half open", cableHalfOpen}, {"slow by 150 ms", cableSlow}} {
		add("a process's way to NATS "+cut.words+", 13 s", func(ctx context.Context, s *strike) error {
			m := o.pick("gateway", "router")
			return o.cut(ctx, s, m, m.nats, cut.state)
		})
		add("a process's way to PostgreSQL "+cut.words+", 13 s", func(ctx context.Context, s *strike) error {
			m := o.pick("router", "dispatcher")
			return o.cut(ctx, s, m, []*cable{m.database}, cut.state)
		})
	}
	add(faultPostgres, nil)
	add("orderly restart of PostgreSQL", o.restartPostgres)
	if o.disks != nil {
		add("full disk of one NATS server, 8 s", func(ctx context.Context, s *strike) error {
			i := o.ordeal.dice.IntN(clusterNodes)
			return o.fillNATS(ctx, s, i, i+1)
		})
		add("full disks of all NATS servers, 8 s", func(ctx context.Context, s *strike) error { return o.fillNATS(ctx, s, 0, clusterNodes) })
		add("full disk of PostgreSQL, 8 s", o.fillPostgres)
	}
	if o.skewed != "" {
		add("a process's clock 5 minutes ahead, 15 s", o.skew)
	}
}

// pick chooses a process of one of the roles.
func (o *clusterOrdeal) pick(roles ...string) *member {
	var fit []*member
	for _, m := range o.crew {
		if slices.Contains(roles, m.role) {
			fit = append(fit, m)
		}
	}
	return fit[o.ordeal.dice.IntN(len(fit))]
}

func (o *clusterOrdeal) kill(ctx context.Context, s *strike, role string) error {
	m := o.pick(role)
	o.ordeal.begin(s, m.name)
	m.kill()
	return errors.Join(o.ordeal.pause(ctx, time.Second), m.start())
}

func (o *clusterOrdeal) freeze(ctx context.Context, s *strike, role string) error {
	m := o.pick(role)
	o.ordeal.begin(s, m.name)
	m.signal(syscall.SIGSTOP)
	err := o.ordeal.pause(ctx, routerFrozenFor)
	m.signal(syscall.SIGCONT)
	return err
}

func (o *clusterOrdeal) killLeader(ctx context.Context, s *strike) error {
	n, err := o.nats.leader(ctx, "PARLEY_IN_00")
	if err != nil {
		return err
	}
	o.ordeal.begin(s, n.name)
	n.kill()
	return errors.Join(o.ordeal.pause(ctx, 5*time.Second), n.start(), o.nats.whole(ctx))
}

func (o *clusterOrdeal) freezeLeader(ctx context.Context, s *strike) error {
	n, err := o.nats.leader(ctx, "PARLEY_IN_00")
	if err != nil {
		return err
	}
	o.ordeal.begin(s, n.name)
	n.signal(syscall.SIGSTOP)
	err = o.ordeal.pause(ctx, 10*time.Second)
	n.signal(syscall.SIGCONT)
	return errors.Join(err, o.nats.whole(ctx))
}

func (o *clusterOrdeal) killNATS(ctx context.Context, s *strike) error {
	o.ordeal.begin(s, "all")
	for _, n := range o.nats.nodes {
		n.kill()
	}
	err := o.ordeal.pause(ctx, time.Second)
	for _, n := range o.nats.nodes {
		err = errors.Join(err, n.start())
	}
	return errors.Join(err, o.nats.whole(ctx))
}

func (o *clusterOrdeal) cut(ctx context.Context, s *strike, m *member, cables []*cable, state cableState) error {
	o.ordeal.begin(s, m.name)
	for _, w := range cables {
		w.turn(state)
	}
	err := o.ordeal.pause(ctx, cutFor)
	for _, w := range cables {
		w.turn(cablePasses)
	}
	return err
}

func (o *clusterOrdeal) restartPostgres(ctx context.Context, s *strike) error {
	o.ordeal.begin(s, "")
	return errors.Join(o.db.server.Stop(ctx), o.db.start(ctx))
}

// fillNATS fills the disks of some servers, and does what the runbook says then: make
// room, and start them again.
func (o *clusterOrdeal) fillNATS(ctx context.Context, s *strike, from, to int) error {
	victim := "all"
	if to == from+1 {
		victim = o.nats.nodes[from].name
	}
	o.ordeal.begin(s, victim)
	var err error
	for _, v := range o.disks[from:to] {
		err = errors.Join(err, v.fill())
	}
	err = errors.Join(err, o.ordeal.pause(ctx, fullFor))
	for _, v := range o.disks[from:to] {
		err = errors.Join(err, v.clear())
	}
	for _, n := range o.nats.nodes[from:to] {
		n.stop()
		err = errors.Join(err, n.start())
	}
	return errors.Join(err, o.nats.whole(ctx))
}

// fillPostgres fills PostgreSQL's disk. If that ends it, it is started again once
// there is room.
func (o *clusterOrdeal) fillPostgres(ctx context.Context, s *strike) error {
	o.ordeal.begin(s, "")
	disk := o.disks[clusterNodes]
	if err := errors.Join(disk.fill(), o.ordeal.pause(ctx, fullFor), disk.clear()); err != nil {
		return err
	}
	err := until(ctx, 15*time.Second, "PostgreSQL", func() (bool, error) {
		err := o.db.pool.Ping(ctx)
		return err == nil, err
	})
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	_ = o.db.server.Kill() // it has ended, or will not
	if err := o.db.start(ctx); err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	return nil
}

// skew runs a process by a wrong clock for a while.
func (o *clusterOrdeal) skew(ctx context.Context, s *strike) error {
	m := o.pick("gateway", "router", "dispatcher")
	o.ordeal.begin(s, m.name)
	right := m.program
	m.kill()
	m.program = o.skewed
	err := errors.Join(m.start(), o.ordeal.pause(ctx, skewFor))
	m.kill()
	m.program = right
	return errors.Join(err, m.start())
}
