// Command parley-bench measures Parley on this machine, and breaks it on purpose.
//
//	parley-bench all                inbound and outbound, one after the other
//	parley-bench inbound            webhook to committed row, beside its ceilings
//	parley-bench outbound           queued reply to provider's acceptance
//	parley-bench files              attachments both ways over every network
//	parley-bench walls              the cost of row security
//	parley-bench desk               what agents ask for, at ten million messages
//	parley-bench page               agents' pages in a browser, at a million chats
//	parley-bench stream             webhook to event at open streams
//	parley-bench start              cold start to ready, and memory
//	parley-bench scale              1, 2 and 4 gateways and routers
//	parley-bench soak               an hour of moderate load: is anything growing?
//	parley-bench attack             strangers try everything, while others work
//	parley-bench upgrade            processes of an earlier version are replaced under load
//	parley-bench faults inbound     kills and freezes while clients write
//	parley-bench faults outbound    a provider that fails, then dispatchers that die
//	parley-bench faults             both
//	parley-bench faults cluster     three NATS servers, roles apart, and all that can happen to them
//
// It runs the real program (bin/parley) as child processes, on a private
// PostgreSQL with fsync on. Nothing survives it but the report. Exit status 1
// means that an invariant was broken or that something could not be measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "parley-bench: %v\n", err)
		os.Exit(1)
	}
}

const usage = `usage: parley-bench all | inbound | outbound | files | walls | desk | page | stream | start | scale | soak | attack | upgrade | faults [inbound|outbound|cluster] [flags]

"parley-bench inbound -h" lists the flags; --quick is for trying it out.
`

// command is one of the program's jobs.
type command func(ctx context.Context, args []string, out io.Writer) error

// commands by name. The last four are the other ends of a measurement, each in
// a process of its own so that its CPU time is told apart.
var commands = map[string]command{
	"all":             benchAll,
	"inbound":         benchInbound,
	"outbound":        benchOutbound,
	"files":           benchFiles,
	"walls":           benchWalls,
	"desk":            benchDesk,
	"page":            benchPage,
	"stream":          benchStream,
	"start":           benchStart,
	"scale":           benchScale,
	"soak":            benchSoak,
	"attack":          attackCommand,
	"upgrade":         benchUpgrade,
	"faults":          faultsAll,
	"faults inbound":  faultsInbound,
	"faults outbound": faultsOutbound,
	"faults cluster":  faultsCluster,

	"generate": generateCommand,
	"telegram": telegramCommand,
	"nats":     natsCommand,
	"node":     nodeCommand,
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 || args[0] == "-h" || args[0] == "--help" || args[0] == "help" {
		_, err := io.WriteString(out, usage)
		return err
	}
	words := 1
	if len(args) > 1 && args[0] == "faults" && !strings.HasPrefix(args[1], "-") {
		words = 2
	}
	do, ok := commands[strings.Join(args[:words], " ")]
	if !ok {
		return fmt.Errorf("there is no command %q\n%s", strings.Join(args[:words], " "), usage)
	}
	return do(ctx, args[words:], out)
}

// benchAll is what `make bench` runs.
func benchAll(ctx context.Context, args []string, out io.Writer) error {
	if err := benchInbound(ctx, args, out); err != nil {
		return fmt.Errorf("inbound: %w", err)
	}
	if err := benchOutbound(ctx, args, out); err != nil {
		return fmt.Errorf("outbound: %w", err)
	}
	return nil
}

// faultsAll is what `make faults` runs. A broken invariant in one does not keep
// the other from being tried.
func faultsAll(ctx context.Context, args []string, out io.Writer) error {
	err := faultsInbound(ctx, args, out)
	if ctx.Err() != nil {
		return err
	}
	return errors.Join(err, faultsOutbound(ctx, args, out))
}
