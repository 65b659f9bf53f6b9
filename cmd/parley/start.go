package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"parley/inbox"
)

func chatStartCmd(a *app) *cobra.Command {
	var via, first, last, key, subject, use string
	var variables map[string]string
	var force bool
	cmd := &cobra.Command{
		Use: "start TO [TEXT]", Short: "Write to somebody first", Args: cobra.RangeArgs(1, 2),
		Long: `Writes to a phone number or a mail address. Who has a client's number or address is that
client; anybody else becomes a new one, and their answer comes to the same chat. WhatsApp
takes only a template with an approved one (--use); Telegram lets a bot write only to people
who have written to it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 && use == "" {
				return &usageError{cmd, errorf("%s needs TO TEXT, or TO and --use", cmd.CommandPath())}
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			in := map[string]any{"to": args[0], "first_name": first, "last_name": last, "channel": via, "subject": subject, "force": force}
			if len(args) > 1 {
				if in["text"], err = textArg(cmd, args[1]); err != nil {
					return err
				}
			}
			if use != "" {
				own, err := c.template(cmd, use)
				if err != nil {
					return err
				}
				in["template_id"], in["variables"] = own.ID, variables
			}
			var header []string
			if key != "" {
				header = []string{"Idempotency-Key", key}
			}
			var m inbox.Message
			if err := c.ask(cmd.Context(), http.MethodPost, "/chats", nil, in, &m, header...); err != nil {
				return err
			}
			if m.Seq == 1 {
				c.saw(m.ChatID, m.Seq)
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), m)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Queued as message %d of chat %d by %s. See what becomes of it: parley chat show %d\n", m.Seq, m.ChatID, m.Transport, m.ChatID)
			return err
		},
	}
	cmd.Flags().StringVar(&via, "via", "", "channel to write through: its name or id; may be left out where only one can reach them")
	cmd.Flags().StringVar(&first, "first-name", "", "what a new client is called")
	cmd.Flags().StringVar(&last, "last-name", "", "their last name")
	cmd.Flags().StringVar(&use, "use", "", "name of a template of yours to send instead of TEXT; see parley template")
	cmd.Flags().StringToStringVar(&variables, "var", nil, "variable of the template, as NAME=VALUE; may be given several times")
	cmd.Flags().StringVar(&subject, "subject", "", "subject of a mail")
	cmd.Flags().BoolVar(&force, "force", false, "write even where they have a chat that you have not looked at")
	cmd.Flags().StringVar(&key, "key", "", "idempotency key: the same key with the same message sends once")
	return cmd
}
