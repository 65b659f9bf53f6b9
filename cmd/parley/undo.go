package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func chatUndoCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "undo CHAT SEQ", Short: "Take back a reply that has not left yet", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := chatID(cmd, args[0])
			if err != nil {
				return err
			}
			seq, err := seqArg(cmd, id, args[1])
			if err != nil {
				return err
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			m, err := messageAt(cmd, c, id, seq)
			if err != nil {
				return err
			}
			if err := c.ask(cmd.Context(), http.MethodPost, fmt.Sprintf("/messages/%d/undo", m.ID), nil, nil, &m); err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), m)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Message %d of chat %d is taken back; nothing of it was sent.\n", seq, id)
			return err
		},
	}
}
