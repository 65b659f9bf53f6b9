package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/inbox"
)

func keyCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "key", Short: "Rotate the secret key",
		Long: `The secret key seals the channels' credentials, webhooks' secrets and second factors. There can be several: the
first seals, all open. A new one comes behind the others until every process has it, then in front, then
what the old one sealed is sealed anew, then the old one is retired. No process has to stop.

  parley key rotate         all of that but the last, where the keys are in a file and all processes read that one
  parley key retire KEY     the last, twelve hours later

Give these commands the flags and the environment that the server gets. Where the keys are given by
PARLEY_SECRET_KEY, or in several places, take the steps one by one: docs/runbook.md.`,
	}
	cmd.AddCommand(keyListCmd(a), keyNewCmd(), keyAddCmd(a), keyUseCmd(a), keyResealCmd(a), keyRetireCmd(a), keyRotateCmd(a))
	return cmd
}

// keyCommand is a command on the keys of a server.
func keyCommand(a *app, cmd *cobra.Command, run func(cmd *cobra.Command, k *keyring, args []string) error) *cobra.Command {
	var f serveFlags
	f.logs, f.levels = "text", "info"
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := f.config(cmd, a, defaultDataDir())
		if err != nil {
			return err
		}
		cfg.Roles = allRoles
		if cfg.DataDir, err = filepath.Abs(cfg.DataDir); err != nil {
			return err
		}
		k, err := openKeys(cmd.Context(), a, cfg)
		if err != nil {
			return err
		}
		defer k.close()
		return run(cmd, k, args)
	}
	f.addExternal(cmd)
	f.addKeys(cmd)
	return cmd
}

func keyListCmd(a *app) *cobra.Command {
	return keyCommand(a, &cobra.Command{Use: "list", Short: "List keys, and what depends on each"}, func(cmd *cobra.Command, k *keyring, _ []string) error {
		r, err := k.report(cmd.Context())
		if err != nil {
			return err
		}
		if a.json {
			return printJSON(cmd.OutOrStdout(), r)
		}
		return r.print(cmd.OutOrStdout(), time.Now())
	})
}

func (r *keyReport) print(w io.Writer, now time.Time) error {
	t := newTable("KEY", "MADE", "", "SEALED", "PROCESSES THAT SEAL", "LINKS UNTIL")
	for _, s := range r.Keys {
		made, does, until := "", "opens", ""
		if s.Made != nil {
			made = when(*s.Made, now)
		}
		switch {
		case !s.Given:
			does = "MISSING"
		case s.Seals:
			does = "seals"
		}
		if s.Until != nil {
			until = when(*s.Until, now)
		}
		t.add(s.ID, made, does, words(s.Sealed), fmt.Sprintf("%d of %d", len(s.Sealing), r.Processes), until)
		if len(s.Lacking) > 0 && s.Given {
			t.add("", "", "", "not known to "+strings.Join(s.Lacking, ", "), "", "")
		}
	}
	if n := words(r.Unnamed); n != "" {
		t.add("", "", "", n+", from before keys were named", "", "")
	}
	return t.print(w)
}

func keyNewCmd() *cobra.Command {
	return &cobra.Command{
		Use: "new", Short: "Print a new key, and store it nowhere",
		Long: "Prints a new key with its date: the whole file of a new installation, or a line to put behind the keys of one that there is.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), inbox.DatedKey(time.Now()))
			return err
		},
	}
}

func keyAddCmd(a *app) *cobra.Command {
	return keyCommand(a, &cobra.Command{Use: "add", Short: "Put a new key into the file, that opens and does not seal yet"}, func(cmd *cobra.Command, k *keyring, _ []string) error {
		key, err := k.add()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "The key %s was added. Keep a copy of the file. Once every process has it: parley key use %s\n", key.ID, key.ID)
		return err
	})
}

func keyUseCmd(a *app) *cobra.Command {
	return keyCommand(a, &cobra.Command{
		Use: "use KEY", Short: "Seal with another key from now on",
		Long: "Puts a key in front of the others in the file. It is refused while a running process does not have the key.",
		Args: cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, k *keyring, args []string) error {
		key, err := k.find(args[0])
		if err != nil {
			return err
		}
		if err := k.use(cmd.Context(), key); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "The key %s seals from now on. Seal anew what others sealed: parley key reseal\n", key.ID)
		return err
	})
}

func keyResealCmd(a *app) *cobra.Command {
	return keyCommand(a, &cobra.Command{
		Use: "reseal", Short: "Seal with the first key what others have sealed",
		Long: `Seals anew what other keys have sealed, a hundred values at a time, while everything goes on. Cut short, it goes
on where it was when it is called again. It is refused while a running process does not have the first key, or
seals with another one.`,
	}, func(cmd *cobra.Command, k *keyring, _ []string) error {
		done, err := k.reseal(cmd.Context())
		if err != nil {
			return err
		}
		if a.json {
			return printJSON(cmd.OutOrStdout(), done)
		}
		return printResealed(cmd.OutOrStdout(), done)
	})
}

func keyRetireCmd(a *app) *cobra.Command {
	var now bool
	cmd := keyCommand(a, &cobra.Command{
		Use: "retire KEY", Short: "Take an old key out of the file, once nothing depends on it",
		Long: `Takes a key away. It is refused while the key is needed, with what needs it. Keep the key with the backups
that were made before: they cannot be restored without it.`,
		Args: cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, k *keyring, args []string) error {
		key, err := k.find(args[0])
		if err != nil {
			return err
		}
		words, err := k.retire(cmd.Context(), key, !now)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), words)
		return err
	})
	cmd.Flags().BoolVar(&now, "now", false, "give up links to files that were made with it in the last hours")
	return cmd
}

func keyRotateCmd(a *app) *cobra.Command {
	return keyCommand(a, &cobra.Command{
		Use: "rotate", Short: "Make a new key, use it, and seal everything anew",
		Long: `Adds a new key to the file, waits until every running process has it, puts it in front, waits until all seal
with it, and seals anew what old keys sealed. Cut short, it goes on where it was when it is called again. All
processes have to read this one file; otherwise take the steps one by one.`,
	}, func(cmd *cobra.Command, k *keyring, _ []string) error {
		old := k.keys.Current()
		say := func(format string, args ...any) {
			if !a.json {
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...)
			}
		}
		done, err := k.rotate(cmd.Context(), say)
		if err != nil {
			return err
		}
		if a.json {
			return printJSON(cmd.OutOrStdout(), map[string]any{"key": k.keys.Current().ID, "before": old.ID, "resealed": done})
		}
		if err := printResealed(cmd.OutOrStdout(), done); err != nil || len(done.Failed) > 0 {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Keep a copy of the file. In twelve hours: parley key retire %s\n", old.ID)
		return err
	})
}
