package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"parley/inbox"
	"parley/inbox/api"
)

func alertsCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "alerts", Short: "Who is told of new messages while they have no page open",
		Long: `Agents can be told by mail or Telegram that a client's message is unread, with a link to the
chat. Mail needs parley serve --alert-smtp; Telegram a bot of the tenant's, to which each of
them has written once.`,
	}
	cmd.AddCommand(alertsShowCmd(a), alertsSetCmd(a), alertsBotCmd(a))
	return cmd
}

func userArg(cmd *cobra.Command, text string) (string, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return "", &usageError{cmd, errorf("%q is no user's number; parley user list lists them", text)}
	}
	return text, nil
}

func alertsShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show USER", Short: "Say what a user is told", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := userArg(cmd, args[0])
			if err != nil {
				return err
			}
			return answer(a, cmd, http.MethodGet, "/users/"+id+"/alerts", nil, nil, printAlerts)
		},
	}
}

func alertsSetCmd(a *app) *cobra.Command {
	var way, telegram string
	var after, quiet time.Duration
	cmd := &cobra.Command{
		Use: "set USER", Short: "Choose what a user is told", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := userArg(cmd, args[0])
			if err != nil {
				return err
			}
			in := inbox.AlertSettings{
				Way: inbox.AlertWay(way), TelegramID: telegram, AfterMinutes: int(after / time.Minute), QuietMinutes: int(quiet / time.Minute),
			}
			return answer(a, cmd, http.MethodPut, "/users/"+id+"/alerts", nil, in, printAlerts)
		},
	}
	usual := inbox.DefaultAlerts()
	cmd.Flags().StringVar(&way, "way", string(inbox.AlertMail), "off, mail or telegram")
	cmd.Flags().StringVar(&telegram, "telegram", "", "the user's numeric id at Telegram")
	cmd.Flags().DurationVar(&after, "after", time.Duration(usual.AfterMinutes)*time.Minute, "how long a message is unread before")
	cmd.Flags().DurationVar(&quiet, "quiet", time.Duration(usual.QuietMinutes)*time.Minute, "how long nothing more is said of the same chat")
	return cmd
}

func printAlerts(out io.Writer, s inbox.AlertSettings) error {
	if s.Way == inbox.AlertOff {
		_, err := fmt.Fprintln(out, "They are told nothing.")
		return err
	}
	_, err := fmt.Fprintf(out, "They are told by %s once a message is unread for %d min, of the same chat again after %d min.\n", s.Way, s.AfterMinutes, s.QuietMinutes)
	return err
}

func alertsBotCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "bot CHANNEL", Short: "Choose the Telegram channel whose bot tells the agents", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return answer(a, cmd, http.MethodPut, "/alert-bot", nil, api.AlertBot{Channel: args[0]}, func(out io.Writer, _ api.AlertBot) error {
				_, err := fmt.Fprintf(out, "Alerts by Telegram come from %s. Each agent has to write to it once.\n", oneLine(args[0], 40))
				return err
			})
		},
	}
}
