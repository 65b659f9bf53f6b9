package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"parley/inbox"
	"parley/inbox/api"
)

// parseWhen reads a time to come: how long from now, a time of the day (tomorrow's
// when today's has passed), or a day with its time, by the clock of this machine.
func parseWhen(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(d), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation("2006-01-02 15:04", text, now.Location()); err == nil {
		return t, nil
	}
	clock, err := time.ParseInLocation("15:04", text, now.Location())
	if err != nil {
		return clock, errorf("%q is no time; write 15:30, 2026-12-24 09:00, or 90m for in an hour and a half", text)
	}
	at := time.Date(now.Year(), now.Month(), now.Day(), clock.Hour(), clock.Minute(), 0, 0, now.Location())
	if !at.After(now) {
		at = time.Date(now.Year(), now.Month(), now.Day()+1, clock.Hour(), clock.Minute(), 0, 0, now.Location())
	}
	return at, nil
}

// schedule asks for a reply to be sent later.
func schedule(cmd *cobra.Command, a *app, c *client, chat int64, in map[string]any, header []string) error {
	var s inbox.Scheduled
	err := c.ask(cmd.Context(), http.MethodPost, fmt.Sprintf("/chats/%d/scheduled", chat), nil, in, &s, header...)
	if inbox.CodeOf(err) == inbox.Stale && !a.json {
		return stale(cmd, c, chat, err)
	}
	if err != nil {
		return err
	}
	if a.json {
		return printJSON(cmd.OutOrStdout(), s)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "Scheduled as %d for %s. Take it back: parley chat scheduled --cancel %d\n", s.ID, s.DueAt.Local().Format("2006-01-02 15:04"), s.ID)
	return err
}

func chatScheduledCmd(a *app) *cobra.Command {
	var everything bool
	var cancel, move int64
	var at string
	cmd := &cobra.Command{
		Use: "scheduled [CHAT]", Short: "List, move and take back replies that are to be sent later", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			var s inbox.Scheduled
			switch {
			case cancel > 0:
				err = c.ask(cmd.Context(), http.MethodPost, fmt.Sprintf("/scheduled/%d/cancel", cancel), nil, nil, &s)
			case move > 0:
				due, whenErr := parseWhen(at, time.Now())
				if whenErr != nil {
					return &usageError{cmd, whenErr}
				}
				err = c.ask(cmd.Context(), http.MethodPatch, fmt.Sprintf("/scheduled/%d", move), nil, map[string]any{"send_at": due}, &s)
			default:
				return listScheduled(cmd, a, c, args, everything)
			}
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), s)
			}
			words := "Taken back; nothing of it was sent.\n"
			if s.State == inbox.ScheduleWaiting {
				words = "Moved to " + s.DueAt.Local().Format("2006-01-02 15:04") + ".\n"
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), words)
			return err
		},
	}
	cmd.Flags().BoolVar(&everything, "all", false, "also what was sent, cancelled or refused")
	cmd.Flags().Int64Var(&cancel, "cancel", 0, "take back the scheduled reply of this number")
	cmd.Flags().Int64Var(&move, "move", 0, "move the scheduled reply of this number to the time of --at")
	cmd.Flags().StringVar(&at, "at", "", "with --move: the new time, like 15:30")
	cmd.MarkFlagsMutuallyExclusive("cancel", "move")
	cmd.MarkFlagsRequiredTogether("move", "at")
	return cmd
}

func listScheduled(cmd *cobra.Command, a *app, c *client, args []string, everything bool) error {
	query := url.Values{"limit": {"200"}}
	if everything {
		query.Set("all", "true")
	}
	if len(args) == 1 {
		id, err := chatID(cmd, args[0])
		if err != nil {
			return err
		}
		query.Set("chat", strconv.FormatInt(id, 10))
	}
	var page api.List[inbox.Scheduled]
	if err := c.ask(cmd.Context(), http.MethodGet, "/scheduled", query, nil, &page); err != nil {
		return err
	}
	if a.json {
		return printJSON(cmd.OutOrStdout(), page)
	}
	if len(page.Items) == 0 {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), `Nothing is scheduled. Schedule a reply: parley chat reply 1 "…" --at 15:30`)
		return err
	}
	t := newTable("NO", "CHAT", "WHEN", "TEXT", "STATE")
	for _, s := range page.Items {
		state := string(s.State)
		if s.Words != "" {
			state += ": " + oneLine(s.Words, 80)
		}
		t.add(strconv.FormatInt(s.ID, 10), strconv.FormatInt(s.ChatID, 10), s.DueAt.Local().Format("2006-01-02 15:04"), oneLine(s.Text, 60), state)
	}
	return t.print(cmd.OutOrStdout())
}
