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
	cmd := &cobra.Command{Use: "client", Short: "Say who is who"}
	cmd.AddCommand(clientMergeCmd(a), clientUnmergeCmd(a), clientSuggestionsCmd(a))
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
