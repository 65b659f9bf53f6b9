package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/inbox"
)

// How a check ended.
const (
	checkOK      = "ok"
	checkWarning = "warning"
	checkBroken  = "broken"
	// checkSkipped could not be made; why is in the words.
	checkSkipped = "skipped"
)

// finding is what one check found.
type finding struct {
	Check string `json:"check"`
	State string `json:"state"` // ok, warning, broken or skipped
	Words string `json:"words"`
	// Do says what to do, empty when there is nothing.
	Do string `json:"do,omitempty"`
}

// doctor looks at what a server with cfg would have, or has.
type doctor struct {
	app *app
	cfg Config
	// keys are nil where they cannot be read or are not made yet.
	keys *inbox.Keyring
	// server is the one that runs in the data folder, nil when none does.
	server *client
	found  []finding
}

func (d *doctor) say(check, state, words, do string) {
	d.found = append(d.found, finding{Check: check, State: state, Words: words, Do: do})
}

func (d *doctor) ok(check, format string, args ...any) {
	d.say(check, checkOK, fmt.Sprintf(format, args...), "")
}

// examineTimeout bounds what is asked of another program.
const examineTimeout = 10 * time.Second

func doctorCmd(a *app) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong with this machine and what the server needs",
		Long: `Checks the configuration, the data folder, the disk, the secret key, the ports, the public URL, PostgreSQL, NATS, the clocks
and the channels, and says what to do about what it finds. It changes nothing. Give it the flags and the
environment that the server gets.

Exits with 1 when something is broken; a warning is not.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.config(cmd, a, defaultDataDir())
			if err != nil {
				return err
			}
			if len(cfg.Roles) == 0 {
				cfg.Roles = allRoles
			}
			if cfg.DataDir, err = filepath.Abs(cfg.DataDir); err != nil {
				return err
			}
			if cfg.BusRoom, err = busRoom(f.busRoom); err != nil {
				return &usageError{cmd, err}
			}
			d := &doctor{app: a, cfg: cfg}
			d.examine(cmd.Context())
			if a.json {
				err = printJSON(cmd.OutOrStdout(), map[string]any{"findings": d.found, "healthy": !d.broken()})
			} else {
				err = d.print(cmd.OutOrStdout())
			}
			if err == nil && d.broken() {
				return &silentError{}
			}
			return err
		},
	}
	f.add(cmd, "127.0.0.1:8080")
	f.addExternal(cmd)
	f.addShared(cmd)
	f.addBusRoom(cmd)
	return cmd
}

func (d *doctor) examine(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 6*examineTimeout)
	defer cancel()
	d.configuration()
	d.dataFolder()
	d.disk()
	d.busRoom()
	d.findServer(ctx)
	d.secretKey()
	d.ports(ctx)
	d.publicURL(ctx)
	d.database(ctx)
	d.bus(ctx)
	d.files(ctx)
	d.channels(ctx)
	d.sealed(ctx)
}

func (d *doctor) broken() bool {
	for _, f := range d.found {
		if f.State == checkBroken {
			return true
		}
	}
	return false
}

func (d *doctor) print(w io.Writer) error {
	t := newTable("CHECK", "", "WHAT")
	n := map[string]int64{}
	for _, f := range d.found {
		n[f.State]++
		t.add(f.Check, f.State, f.Words)
		if f.Do != "" {
			t.add("", "", "→ "+f.Do)
		}
	}
	if err := t.print(w); err != nil {
		return err
	}
	words := []string{}
	for _, state := range []string{checkBroken, checkWarning} {
		if n[state] > 0 {
			words = append(words, fmt.Sprintf("%d %s", n[state], state))
		}
	}
	if len(words) == 0 {
		words = append(words, "Nothing is wrong")
	}
	_, err := fmt.Fprintf(w, "\n%s.\n", strings.Join(words, ", "))
	return err
}
