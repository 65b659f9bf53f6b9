package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/inbox/api"
	"parley/store"
)

func webhookCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "webhook", Short: "Tell other systems what happens, by HTTP"}
	cmd.AddCommand(
		webhookAddCmd(a), webhookListCmd(a), webhookLogCmd(a), webhookReplayCmd(a),
		webhookVerb(a, "test ID", "Send it the fact webhook.test", http.MethodPost, "/test", nil, "It is on its way; see: parley webhook log %s\n"),
		webhookVerb(a, "enable ID", "Tell it what happens from now on", http.MethodPatch, "", map[string]any{"enabled": true}, "Webhook %s is told what happens from now on.\n"),
		webhookVerb(a, "disable ID", "Tell it nothing more", http.MethodPatch, "", map[string]any{"enabled": false}, "Webhook %s is told nothing more.\n"),
		webhookVerb(a, "delete ID", "Delete it and its log", http.MethodDelete, "", nil, "Webhook %s is gone.\n"),
		webhookRotateCmd(a),
	)
	return cmd
}

func webhookAddCmd(a *app) *cobra.Command {
	var types []string
	var description string
	cmd := &cobra.Command{
		Use: "add URL", Short: "Post what happens to a URL; prints the signing secret once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]any{"url": args[0], "types": types, "description": description}
			return answer(a, cmd, http.MethodPost, "/webhooks", nil, in, printSecret)
		},
	}
	cmd.Flags().StringSliceVar(&types, "types", []string{}, "of facts, with commas, such as message.received; all when it is left out")
	cmd.Flags().StringVar(&description, "description", "", "what it is for")
	return cmd
}

func printSecret(out io.Writer, w api.MadeWebhook) error {
	_, err := fmt.Fprintf(out, "Webhook %s posts to %s.\nIts secret, to check signatures with (Standard Webhooks), is not shown again:\n  %s\n", w.ID, w.URL, w.Secret)
	return err
}

func webhookRotateCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rotate ID", Short: "Give it another secret; for a day it signs with both", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return answer(a, cmd, http.MethodPost, "/webhooks/"+args[0]+"/rotate", nil, nil, printSecret)
		},
	}
}

// webhookVerb is a command that does one thing to one webhook.
func webhookVerb(a *app, use, short, method, path string, in any, words string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			var said map[string]any
			// What it says holds whatever somebody else has changed.
			if err := c.ask(cmd.Context(), method, "/webhooks/"+args[0]+path, nil, in, &said, "If-Match", "*"); err != nil {
				return err
			}
			return show(a, cmd, said, func(out io.Writer, _ map[string]any) error {
				_, err := fmt.Fprintf(out, words, args[0])
				return err
			})
		},
	}
}

func webhookListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List webhooks",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return answerAll(a, cmd, "/webhooks", func(out io.Writer, list []store.Webhook) error {
				if len(list) == 0 {
					_, err := fmt.Fprintln(out, "No webhooks. Add one with: parley webhook add https://…")
					return err
				}
				now := time.Now()
				t := newTable("ID", "URL", "TYPES", "STATE")
				for _, w := range list {
					types, state := "all", "works"
					if len(w.Types) > 0 {
						types = strings.Join(w.Types, " ")
					}
					switch {
					case w.DisabledAt != nil:
						state = "disabled: " + w.DisabledWhy
					case w.FailingSince != nil:
						state = "failing since " + when(*w.FailingSince, now)
					}
					t.add(w.ID, oneLine(w.URL, 60), oneLine(types, 40), state)
				}
				return t.print(out)
			})
		},
	}
}

func webhookLogCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "log ID", Short: "What it was told lately, and what came of it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return answer(a, cmd, http.MethodGet, "/webhooks/"+args[0]+"/deliveries", nil, nil, func(out io.Writer, page api.List[store.WebhookDelivery]) error {
				now := time.Now()
				t := newTable("DELIVERY", "TYPE", "WHEN", "STATE", "TRIES", "LAST")
				for _, d := range page.Items {
					last := ""
					if len(d.Tries) > 0 {
						if last = d.Tries[0].Error; last == "" {
							last = strconv.Itoa(d.Tries[0].Status)
						}
					}
					t.add(strconv.FormatInt(d.ID, 10), d.Type, when(d.CreatedAt, now), d.State, strconv.Itoa(d.Attempts), oneLine(last, 60))
				}
				return t.print(out)
			})
		},
	}
}

func webhookReplayCmd(a *app) *cobra.Command {
	var since time.Duration
	cmd := &cobra.Command{
		Use: "replay ID [DELIVERY]", Short: "Tell it again: one delivery, or all that failed", Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]any{"since": time.Now().Add(-since)}
			if len(args) > 1 {
				delivery, err := strconv.ParseInt(args[1], 10, 64)
				if err != nil {
					return &usageError{cmd, errorf("%q is no delivery; parley webhook log lists them", args[1])}
				}
				in = map[string]any{"delivery": delivery}
			}
			type replayed struct{ Deliveries int64 }
			return answer(a, cmd, http.MethodPost, "/webhooks/"+args[0]+"/replay", nil, in, func(out io.Writer, r replayed) error {
				_, err := fmt.Fprintln(out, "Sent again: "+strconv.FormatInt(r.Deliveries, 10)+".")
				return err
			})
		},
	}
	cmd.Flags().DurationVar(&since, "since", 72*time.Hour, "without a delivery: how far back")
	return cmd
}
