package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"parley/inbox"
	"parley/inbox/api"
)

func chatUndoCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "undo CHAT SEQ", Short: "Take back a reply that has not left yet", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := chatID(cmd, args[0])
			if err != nil {
				return err
			}
			seq, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || seq < 1 {
				return &usageError{cmd, errorf("%q is no seq; parley chat show %d shows them", args[1], id)}
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			var page api.Messages
			query := url.Values{"around": {strconv.FormatInt(seq, 10)}, "limit": {"1"}}
			if err := c.ask(cmd.Context(), http.MethodGet, fmt.Sprintf("/chats/%d/messages", id), query, nil, &page); err != nil {
				return err
			}
			for _, m := range page.Items {
				if m.Seq != seq {
					continue
				}
				if err := c.ask(cmd.Context(), http.MethodPost, fmt.Sprintf("/messages/%d/undo", m.ID), nil, nil, &m); err != nil {
					return err
				}
				if a.json {
					return printJSON(cmd.OutOrStdout(), m)
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "Message %d of chat %d is taken back; nothing of it was sent.\n", seq, id)
				return err
			}
			return &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no message %d in chat %d.", seq, id), Hint: fmt.Sprintf("See parley chat show %d.", id)}
		},
	}
}
