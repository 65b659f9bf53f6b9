package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"parley/store"
)

// upgradePause is how long load goes on before and after each step.
const upgradePause = 6 * time.Second

// benchUpgrade replaces two processes of an earlier version by two of this, one after
// the other and under load. The first new one migrates, while the old ones work.
func benchUpgrade(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parseSettings("upgrade", args)
	if err != nil {
		return err
	}
	if s.from == "" {
		return errors.New("say which program to upgrade from: -from file, built of an earlier version")
	}
	s.serve = strings.TrimSpace(crewFlags + " " + s.serve)
	dir, remove, err := workFolder(s)
	if err != nil {
		return err
	}
	defer remove()
	r, err := newReport(s, "upgrade", out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	r.say("# Rolling upgrade\n")
	o := &clusterOrdeal{settings: s, dir: dir, report: r, ledger: newInboundLedger()}
	return o.upgrade(ctx)
}

func (o *clusterOrdeal) upgrade(ctx context.Context) (err error) {
	if o.db, err = newCluster(ctx, o.dir, o.settings); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.db.close()) }()
	var stores []string
	for i := range clusterNodes {
		stores = append(stores, filepath.Join(o.dir, fmt.Sprintf("store-%d", i+1)))
	}
	if o.nats, err = startNATSCluster(ctx, o.dir, stores); err != nil {
		return err
	}
	defer o.nats.stop()
	if o.front, err = startFront(ctx); err != nil {
		return err
	}
	defer o.front.close()
	if err := o.connect(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.telegram.Close()) }()
	o.ordeal = &ordeal{dice: rand.New(rand.NewPCG(o.seed, 1)), db: o.db} //nolint:gosec // no secret
	defer o.dismiss()
	for i := range crewEach {
		if err := o.hire(ctx, o.from, "", fmt.Sprintf("old-%d", i+1)); err != nil {
			return err
		}
	}
	o.report.machine(ctx, o.db)
	if err := o.versions(ctx, "before"); err != nil {
		return err
	}
	load, enough := context.WithCancel(ctx)
	defer enough()
	err = both(func() error {
		defer enough()
		return o.replace(ctx)
	}, func() error {
		return both(func() error { return o.write(load) }, func() error { return o.reply(load) })
	})
	if err != nil {
		return err
	}
	if err := o.versions(ctx, "after"); err != nil {
		return err
	}
	if err := o.settle(ctx); err != nil {
		return err
	}
	return o.judge(ctx)
}

// replace starts each new process beside the old ones, and then ends an old one.
func (o *clusterOrdeal) replace(ctx context.Context) error {
	o.ordeal.strikes = append(o.ordeal.strikes, strike{kind: faultNone, at: time.Now()})
	step := func(kind string, do func() error) error {
		if err := o.ordeal.pause(ctx, upgradePause); err != nil {
			return err
		}
		o.kinds = append(o.kinds, kind)
		o.ordeal.begin(&strike{kind: kind, at: time.Now()}, "")
		if err := do(); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		return nil
	}
	for i := range crewEach {
		old := o.crew[i]
		if err := step(fmt.Sprintf("new process %d starts", i+1), func() error {
			return o.hire(ctx, o.parley, "", fmt.Sprintf("new-%d", i+1))
		}); err != nil {
			return err
		}
		if err := step(fmt.Sprintf("old process %d is told to stop", i+1), func() error {
			o.ordeal.servers = o.ordeal.servers[1:] // it is not to be started again
			old.stop()
			o.report.holds(old.cmd.ProcessState.Success(), "an old process did not stop in order: %s", old.cmd.ProcessState)
			return nil
		}); err != nil {
			return err
		}
	}
	return o.ordeal.pause(ctx, upgradePause)
}

// versions says which programs and schema there are.
func (o *clusterOrdeal) versions(ctx context.Context, when string) error {
	schema, newest, err := store.SchemaVersion(ctx, o.db.server.URL())
	if err != nil {
		return err
	}
	var words []string
	for _, program := range []string{o.from, o.parley} {
		out, err := exec.CommandContext(ctx, program, "version").Output() //nolint:gosec // the operator's choice
		if err != nil {
			return fmt.Errorf("%s version: %w", program, err)
		}
		words = append(words, strings.TrimSpace(strings.SplitN(string(out), "\n", 2)[0]))
	}
	o.report.say("Schema %s: %d (the new program's is %d). From %s to %s.", when, schema, newest, words[0], words[1])
	return nil
}
