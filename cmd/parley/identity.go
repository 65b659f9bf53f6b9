package main

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"parley/inbox"
	"parley/inbox/api"
)

func clientCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "client", Short: "Say who is who, and what is known of them"}
	cmd.AddCommand(clientListCmd(a), clientShowCmd(a), clientAddCmd(a), clientEditCmd(a), clientDeleteCmd(a), clientExportCmd(a), clientImportCmd(a), clientMergeCmd(a), clientUnmergeCmd(a), clientSuggestionsCmd(a), clientBlockCmd(a, "block", "Ignore what CLIENT writes"), clientBlockCmd(a, "unblock", "Listen to CLIENT again"), clientEraseCmd(a))
	return cmd
}

func clientID(cmd *cobra.Command, text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 32)
	if err != nil || id < 1 {
		return 0, &usageError{cmd, errorf("%q is not a client's number", text)}
	}
	return id, nil
}

func clientMergeCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "merge CLIENT FROM", Short: "Make FROM part of CLIENT: one chat, one person",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			into, err := clientID(cmd, args[0])
			if err != nil {
				return err
			}
			from, err := clientID(cmd, args[1])
			if err != nil {
				return err
			}
			return changeMerge(cmd, a, into, "merge", map[string]int64{"from": from}, func(m inbox.Merge) string {
				return fmt.Sprintf("Client %d is part of client %d: %d messages moved to chat %d. To take it back: parley client unmerge %d", m.From, m.Into, m.Messages, m.Chat, m.From)
			})
		},
	}
}

func clientUnmergeCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "unmerge CLIENT", Short: "Take back that CLIENT was merged into another",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := clientID(cmd, args[0])
			if err != nil {
				return err
			}
			return changeMerge(cmd, a, from, "unmerge", nil, func(m inbox.Merge) string {
				return fmt.Sprintf("Client %d is a client of its own again: %d messages moved back to chat %d.", m.From, m.Messages, m.FromChat)
			})
		},
	}
}

func changeMerge(cmd *cobra.Command, a *app, client int64, verb string, in any, words func(inbox.Merge) string) error {
	c, err := a.connect(cmd.Context())
	if err != nil {
		return err
	}
	var m inbox.Merge
	if err := c.ask(cmd.Context(), http.MethodPost, fmt.Sprintf("/clients/%d/%s", client, verb), nil, in, &m); err != nil {
		return err
	}
	if a.json {
		return printJSON(cmd.OutOrStdout(), m)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), words(m))
	return err
}

func clientBlockCmd(a *app, verb, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " CLIENT", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := clientID(cmd, args[0])
			if err != nil {
				return err
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			if err := c.ask(cmd.Context(), http.MethodPost, fmt.Sprintf("/clients/%d/%s", client, verb), nil, nil, nil); err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), map[string]any{"client": client, "blocked": verb == "block"})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Client %d is %sed.\n", client, verb)
			return err
		},
	}
}

func clientEraseCmd(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "erase CLIENT", Short: "Remove CLIENT and everything of theirs for good",
		Long: `Removes a client with all messages and files, from the database, the bus and the blob
store. Keyed hashes stay, so that neither the provider nor a backup brings it back.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := clientID(cmd, args[0])
			if err != nil {
				return err
			}
			if !yes {
				return &inbox.Error{
					Code: inbox.Invalid, Message: "Erasing cannot be taken back.",
					Hint: fmt.Sprintf("If you mean it: parley client erase %d --yes", client),
				}
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			var e inbox.Erasure
			if err := c.ask(cmd.Context(), http.MethodPost, fmt.Sprintf("/clients/%d/erase", client), nil, nil, &e); err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), e)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Client %d is erased, with %d messages and %d files.\n", e.Client, e.Messages, e.Files)
			return err
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

func clientSuggestionsCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "suggestions CLIENT", Short: "List who may be the same person, and why",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := clientID(cmd, args[0])
			if err != nil {
				return err
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			var page api.List[inbox.Suggestion]
			if err := c.ask(cmd.Context(), http.MethodGet, fmt.Sprintf("/clients/%d/merge-suggestions", client), nil, nil, &page); err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), page)
			}
			if len(page.Items) == 0 {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "Nobody else looks like the same person.")
				return err
			}
			t := newTable("CLIENT", "NAME", "WHY")
			for _, s := range page.Items {
				for i, r := range s.Reasons {
					id, name := "", ""
					if i == 0 {
						id, name = strconv.FormatInt(s.Client.ID, 10), oneLine(s.Client.FirstName+" "+s.Client.LastName, 40)
					}
					t.add(id, name, oneLine(r.Words, 100))
				}
			}
			return t.print(cmd.OutOrStdout())
		},
	}
}
