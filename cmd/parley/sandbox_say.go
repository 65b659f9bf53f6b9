package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"
)

func sandboxSayCmd(a *app) *cobra.Command {
	var on, subject string
	cmd := &cobra.Command{
		Use:   "say WHO TEXT",
		Short: "Write to the business as a client",
		Long: `Writes to the business as a client. A name makes a person. A mail without --subject answers the last one
that the person got.`,
		Example: `  parley sandbox say anna "Is my order on its way?"
  parley sandbox say --on email --subject "Order 7" anna "Is it on its way?"`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if subject != "" && on != onEmail {
				return &usageError{cmd, errorf("only a mail has a subject: add --on email")}
			}
			wrote := func(out io.Writer, _ json.RawMessage) error {
				_, err := fmt.Fprintf(out, "%s wrote %s. It shows in: parley chats\n", clean(args[0]), wroteOn(on))
				return err
			}
			in := map[string]string{"from": args[0], "text": args[1]}
			switch on {
			case onTelegram:
				return play(a, cmd, on, http.MethodPost, "/sandbox/telegram/say", in, wrote)
			case onEmail:
				in["subject"] = subject
				return play(a, cmd, on, http.MethodPost, "/sandbox/mail/say", in, wrote)
			}
			in["network"] = on
			return play(a, cmd, on, http.MethodPost, "/sandbox/twilio/say", in, wrote)
		},
	}
	addOn(cmd, &on)
	cmd.Flags().StringVar(&subject, "subject", "", "a mail's subject")
	return cmd
}

// wroteOn is what somebody did who wrote on a network.
func wroteOn(on string) string {
	switch on {
	case onTelegram:
		return "on Telegram"
	case onWhatsApp:
		return "on WhatsApp"
	case onSMS:
		return "on SMS"
	}
	return "a mail"
}
