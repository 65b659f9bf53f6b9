package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/inbox/api"
	"parley/store"
)

func quarantineCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "quarantine", Short: "Look at what could not be stored, and try again"}
	cmd.AddCommand(quarantineListCmd(a), quarantineShowCmd(a), quarantinePreviewCmd(a), quarantineReplayCmd(a))
	return cmd
}

func quarantineListCmd(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what could not be stored, the newest first",
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{"limit": {"500"}}
			if all {
				query.Set("all", "true")
			}
			return answer(a, cmd, http.MethodGet, "/quarantine", query, nil, printQuarantine)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also what was replayed")
	return cmd
}

func printQuarantine(out io.Writer, page api.List[store.QuarantinedEvent]) error {
	if len(page.Items) == 0 {
		_, err := fmt.Fprintln(out, "Nothing is in quarantine.")
		return err
	}
	now := time.Now()
	t := newTable("ID", "SINCE", "REPLAYED", "REASON")
	for _, q := range page.Items {
		replayed := "no"
		if q.ReplayedAt != nil {
			replayed = when(*q.ReplayedAt, now)
		}
		t.add(strconv.FormatInt(q.ID, 10), when(q.CreatedAt, now), replayed, oneLine(q.Reason, 100))
	}
	return t.print(out)
}

func quarantineID(cmd *cobra.Command, text string) (string, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return "", &usageError{cmd, errorf("%q is not an event's number; parley quarantine list lists them", text)}
	}
	return strconv.FormatInt(id, 10), nil
}

func quarantineShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show one event as it came",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := quarantineID(cmd, args[0])
			if err != nil {
				return err
			}
			return answer(a, cmd, http.MethodGet, "/quarantine/"+id, nil, nil, func(out io.Writer, q api.QuarantineRecord) error {
				text := q.Text
				var pretty bytes.Buffer
				if len(q.Event) > 0 && json.Indent(&pretty, q.Event, "", "  ") == nil {
					text = pretty.String()
				}
				_, err := fmt.Fprintf(out, "Event %d, in quarantine since %s (partition %d, sequence %d)\n  %s\n\n%s\n",
					q.ID, when(q.CreatedAt, time.Now()), q.Partition, q.Seq, oneLine(q.Reason, 0), clean(text))
				return err
			})
		},
	}
}

func quarantineReplayCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "replay ID",
		Short: "Try again to store one event",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := quarantineID(cmd, args[0])
			if err != nil {
				return err
			}
			return answer(a, cmd, http.MethodPost, "/quarantine/"+id+"/replay", nil, nil, func(out io.Writer, r api.Replayed) error {
				outcomes := make([]string, len(r.Outcomes))
				for i, o := range r.Outcomes {
					outcomes[i] = string(o)
				}
				_, err := fmt.Fprintf(out, "Replayed: %s.\n", strings.Join(outcomes, ", "))
				return err
			})
		},
	}
}
