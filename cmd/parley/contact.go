package main

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"
)

func contactCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "contact", Short: "Say how a client can be reached"}
	cmd.AddCommand(contactAddCmd(a), contactMoveCmd(a), contactRemoveCmd(a))
	return cmd
}

func contactAddCmd(a *app) *cobra.Command {
	var country string
	cmd := &cobra.Command{
		Use: "add CLIENT TYPE VALUE", Short: "Add a way to reach a client",
		Long:    "TYPE is email, phone, telegram, whatsapp or other. One that they have already is left as it is.",
		Example: "  parley contact add 12 telegram @anna_berg",
		Args:    cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := clientID(cmd, args[0])
			if err != nil {
				return err
			}
			body := map[string]string{"type": args[1], "value": args[2]}
			if country != "" {
				body["country"] = country
			}
			return askCard(a, cmd, http.MethodPost, fmt.Sprintf("/clients/%d/contacts", id), body)
		},
	}
	cmd.Flags().StringVar(&country, "country", "", "of a phone number without a prefix, such as DE")
	return cmd
}

// contactID reads a contact's number.
func contactID(cmd *cobra.Command, text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, &usageError{cmd, errorf("%q is not a contact's number; parley client show lists them", text)}
	}
	return id, nil
}

func contactMoveCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "move CONTACT CLIENT", Short: "Give a contact to another client",
		Long: "For a number that was noted with the wrong client. One that somebody has written from stays theirs; merge the clients instead.",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			contact, err := contactID(cmd, args[0])
			if err != nil {
				return err
			}
			client, err := clientID(cmd, args[1])
			if err != nil {
				return err
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			if err := c.ask(cmd.Context(), http.MethodPost, fmt.Sprintf("/clients/%d/take-contact", client), nil, map[string]int64{"contact": contact}, nil); err != nil {
				return err
			}
			return askCard(a, cmd, http.MethodGet, fmt.Sprintf("/clients/%d", client), nil)
		},
	}
}

func contactRemoveCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "remove CLIENT CONTACT", Short: "Remove a way to reach a client", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := clientID(cmd, args[0])
			if err != nil {
				return err
			}
			contact, err := contactID(cmd, args[1])
			if err != nil {
				return err
			}
			return askCard(a, cmd, http.MethodDelete, fmt.Sprintf("/clients/%d/contacts/%d", client, contact), nil)
		},
	}
}
