package main

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"parley/events"
)

func sandboxCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Play the clients' side of a demo",
		Long:  "Plays the people at the other end of the demo's stand-ins. A name makes a person.",
		Example: `  parley sandbox say anna "Is my order on its way?"
  parley sandbox say --on whatsapp bo "Do you ship to Norway?"
  parley sandbox say --on email --subject "Order 7" cleo "Is it on its way?"
  parley sandbox phone anna`,
	}
	cmd.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON for programs")
	cmd.AddCommand(sandboxSayCmd(a), sandboxPhoneCmd(a), sandboxPeopleCmd(a), sandboxFaultsCmd(a))
	return cmd
}

// The networks that the stand-ins have.
const (
	onTelegram = string(events.Telegram) // unless told otherwise
	onSMS      = string(events.SMS)
	onWhatsApp = string(events.WhatsApp)
	onEmail    = string(events.Email) // with subjects
)

func addOn(cmd *cobra.Command, on *string) {
	cmd.Flags().StringVar(on, "on", onTelegram, "the network: telegram, sms, whatsapp or email")
}

func sandboxFaultsCmd(a *app) *cobra.Command {
	var on string
	cmd := &cobra.Command{
		Use:   "faults [JSON]",
		Short: "Show or set what goes wrong at a stand-in",
		Long: `Shows what goes wrong when the business sends, or sets it: shares from 0 to 1 by kind of fault.
{} is none. The stand-in for Twilio has one set of faults for SMS and WhatsApp together. All kinds are in the
documentation: go doc ./transports/sandbox TelegramFaults, TwilioFaults, MailFaults.`,
		Example: `  parley sandbox faults '{"server_error": 0.2, "hang_after": 0.05}'
  parley sandbox faults '{"next": ["reset_after"]}'
  parley sandbox faults --on whatsapp '{"undelivered": 0.1}'
  parley sandbox faults --on email '{"next": ["cut_after"], "drop_idle_ms": 500}'
  parley sandbox faults '{}'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			method, in := http.MethodGet, any(nil)
			if len(args) > 0 {
				if !json.Valid([]byte(args[0])) {
					return &usageError{cmd, errorf("%q is not JSON", args[0])}
				}
				method, in = http.MethodPost, json.RawMessage(args[0])
			}
			return play(a, cmd, on, method, "/sandbox/faults", in, func(out io.Writer, faults json.RawMessage) error {
				return printJSON(out, faults)
			})
		},
	}
	addOn(cmd, &on)
	return cmd
}
