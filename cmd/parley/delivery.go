package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"parley/inbox"
	"parley/inbox/api"
)

func deliveriesCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "deliveries", Short: "Look after messages that failed, or may not have arrived",
		Long: `A message whose provider gave no answer is uncertain: it may have arrived. Parley
never sends it again by itself; you decide.`,
	}
	cmd.AddCommand(deliveriesListCmd(a),
		deliveryCmd(a, "retry", "Send an uncertain message again, which may double it"),
		deliveriesSettleCmd(a),
		deliveryCmd(a, "cancel", "Take back a message that was not sent yet"))
	return cmd
}

func deliveriesListCmd(a *app) *cobra.Command {
	var waiting bool
	var before int64
	cmd := &cobra.Command{
		Use: "list", Short: "List failed and uncertain messages, the newest first",
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{"limit": {"100"}}
			if waiting {
				query.Set("waiting", "true")
			}
			if before > 0 {
				query.Set("before", strconv.FormatInt(before, 10))
			}
			return answer(a, cmd, http.MethodGet, "/deliveries", query, nil, func(out io.Writer, page api.List[inbox.DeliveryItem]) error {
				return printDeliveries(out, page.Items, waiting)
			})
		},
	}
	cmd.Flags().BoolVar(&waiting, "waiting", false, "what waits to be sent instead")
	cmd.Flags().Int64Var(&before, "before", 0, "only those before this one")
	return cmd
}

func printDeliveries(out io.Writer, items []inbox.DeliveryItem, waiting bool) error {
	if len(items) == 0 {
		words := "No message failed or is uncertain."
		if waiting {
			words = "No message waits to be sent."
		}
		_, err := fmt.Fprintln(out, words)
		return err
	}
	now := time.Now()
	t := newTable("ID", "CHAT", "CHANNEL", "STATE", "SINCE", "MESSAGE", "WHY")
	for _, d := range items {
		t.add(strconv.FormatInt(d.ID, 10), strconv.FormatInt(d.ChatID, 10), oneLine(d.ChannelName, 20), string(d.State),
			when(d.UpdatedAt, now), oneLine(d.Text, 40), oneLine(d.Words, 80))
	}
	return t.print(out)
}

// deliveryID reads a delivery's number.
func deliveryID(cmd *cobra.Command, text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, &usageError{cmd, errorf("%q is not a delivery's number; parley deliveries list shows them", text)}
	}
	return id, nil
}

func deliveryCmd(a *app, verb, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " DELIVERY", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeDelivery(cmd, a, args[0], verb, nil)
		},
	}
}

func deliveriesSettleCmd(a *app) *cobra.Command {
	var sent, failed bool
	cmd := &cobra.Command{
		Use: "settle DELIVERY", Short: "Say whether an uncertain message arrived", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			as := inbox.Sent
			if failed {
				as = inbox.Failed
			}
			return changeDelivery(cmd, a, args[0], "settle", map[string]any{"as": as})
		},
	}
	cmd.Flags().BoolVar(&sent, "sent", false, "it did arrive")
	cmd.Flags().BoolVar(&failed, "failed", false, "it did not")
	cmd.MarkFlagsMutuallyExclusive("sent", "failed")
	cmd.MarkFlagsOneRequired("sent", "failed")
	return cmd
}

func changeDelivery(cmd *cobra.Command, a *app, arg, verb string, in any) error {
	id, err := deliveryID(cmd, arg)
	if err != nil {
		return err
	}
	path := fmt.Sprintf("/deliveries/%d/%s", id, verb)
	return answer(a, cmd, http.MethodPost, path, nil, in, func(out io.Writer, m inbox.Message) error {
		_, err := fmt.Fprintf(out, "Message %d of chat %d is %s.\n", m.Seq, m.ChatID, m.Delivery.State)
		return err
	})
}
