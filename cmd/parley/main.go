// Command parley is an omnichannel inbox hub: the server, and the operator's
// command line.
//
// Commands exit with 0 when they did what was asked, 2 when they were not
// understood, and 1 when anything else went wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"parley/inbox"
)

// version is set by the linker.
var version = "unversioned"

func main() { os.Exit(mainCode(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func mainCode(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	complain(stderr, err)
	var usage *usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

// complain says what went wrong and, on a line of its own, what to do.
func complain(w io.Writer, err error) {
	var silent *silentError
	if errors.As(err, &silent) {
		return
	}
	message, hint := err.Error(), ""
	var e *inbox.Error
	if errors.As(err, &e) {
		message, hint = e.Message, e.Hint
	}
	_, _ = fmt.Fprintln(w, "parley:", clean(message))
	if hint != "" {
		_, _ = fmt.Fprintln(w, "  "+clean(hint))
	}
}

// usageError is a command that was not understood.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%v\n  See: %s --help", e.err, e.cmd.CommandPath())
}

func (e *usageError) Unwrap() error { return e.err }

// silentError is a failure about which everything has been said.
type silentError struct{}

func (*silentError) Error() string { return "failed" }

// app is what all commands share.
type app struct {
	dataDir string
	tenant  string
	json    bool
}

func newRoot() *cobra.Command {
	a := &app{}
	root := &cobra.Command{
		Use:   "parley",
		Short: "An omnichannel inbox hub",
		Long: `Parley is an omnichannel inbox hub: clients write on Telegram, WhatsApp, SMS or email,
and every message lands in one chat per client, in your own PostgreSQL.

  parley demo     try it: a server with stand-in providers and a first conversation
  parley serve    run it

The other commands talk to the server that runs on this machine.`,
		SilenceErrors: true, SilenceUsage: true,
		// Without it, an unknown command would be taken for an argument.
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().StringVar(&a.dataDir, "data-dir", os.Getenv("PARLEY_DATA_DIR"),
		"folder of the server's data (PARLEY_DATA_DIR; default "+defaultDataDir()+")")
	serving := []*cobra.Command{serveCmd(a), demoCmd(a), migrateCmd(a), versionCmd(a)}
	asking := []*cobra.Command{
		chatsCmd(a), chatCmd(a), messageCmd(a), searchCmd(a), clientCmd(a), contactCmd(a), deliveriesCmd(a), templateCmd(a), hoursCmd(a), channelCmd(a), tenantCmd(a), userCmd(a), tokenCmd(a), webhookCmd(a), alertsCmd(a), statusCmd(a), doctorCmd(a), keyCmd(a), backupCmd(a), restoreCmd(a), quarantineCmd(a), auditCmd(a), auditLogCmd(a),
	}
	for _, cmd := range asking {
		cmd.PersistentFlags().StringVar(&a.tenant, "tenant", os.Getenv("PARLEY_TENANT"), "tenant's id or name, where there are several (PARLEY_TENANT)")
		cmd.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON for programs")
	}
	root.AddCommand(serving...)
	root.AddCommand(asking...)
	root.AddCommand(sandboxCmd(a))
	misunderstood(root)
	return root
}

// misunderstood makes a command's complaints about its flags and arguments usage
// errors.
func misunderstood(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{cmd, err} })
	check := cmd.Args
	if check == nil {
		check = cobra.NoArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{cmd, argumentError(cmd, args, err)}
		}
		return nil
	}
	if cmd.HasSubCommands() && cmd.RunE == nil {
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	for _, sub := range cmd.Commands() {
		misunderstood(sub)
	}
}

// argumentError says what a command takes instead of what cobra counted.
func argumentError(cmd *cobra.Command, args []string, err error) error {
	_, takes, _ := strings.Cut(strings.TrimSuffix(cmd.Use, " [flags]"), " ")
	switch {
	case cmd.HasSubCommands() && len(args) > 0:
		return err // an unknown command
	case takes == "":
		return errorf("%s takes no arguments, and got %q", cmd.CommandPath(), args)
	case len(args) == 0:
		return errorf("%s needs %s", cmd.CommandPath(), takes)
	}
	return errorf("%s takes %s, and got %d arguments (quote a text with blanks)", cmd.CommandPath(), takes, len(args))
}
