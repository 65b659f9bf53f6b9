package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"parley/inbox"
	"parley/inbox/api"
)

func hoursCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "hours", Short: "Show opening hours and automatic replies", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			var all api.List[inbox.Hours]
			if err := c.ask(cmd.Context(), http.MethodGet, "/hours", nil, nil, &all); err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), all)
			}
			if len(all.Items) == 0 {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "No hours are set, so nothing is answered automatically. See: parley hours set --help")
				return err
			}
			for _, h := range all.Items {
				if err := printHours(cmd.OutOrStdout(), h); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.AddCommand(hoursSetCmd(a))
	return cmd
}

func printHours(out io.Writer, h inbox.Hours) error {
	var b strings.Builder
	of := "All channels"
	if h.Channel != "" {
		of = "Channel " + string(h.Channel)
	}
	fmt.Fprintf(&b, "%s, %s", of, clean(h.TimeZone))
	if !h.Enabled {
		b.WriteString(" (switched off)")
	}
	b.WriteString("\n")
	for _, day := range []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} {
		if spans := h.Week[day]; len(spans) > 0 {
			fmt.Fprintf(&b, "  %s %s\n", day, strings.Join(spans, ", "))
		}
	}
	days := make([]string, 0, len(h.Holidays))
	for day, spans := range h.Holidays {
		times := "closed"
		if len(spans) > 0 {
			times = strings.Join(spans, ", ")
		}
		days = append(days, "  "+day+" "+times+"\n")
	}
	slices.Sort(days)
	b.WriteString(strings.Join(days, ""))
	for what, text := range map[string]string{"away": h.Away, "greeting": h.Greeting} {
		if text != "" {
			fmt.Fprintf(&b, "  %s: %s\n", what, oneLine(text, 0))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func hoursSetCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "set FILE", Short: "Set opening hours and automatic replies from a JSON file", Args: cobra.ExactArgs(1),
		Long: `Sets the hours of one channel, or of all that have none of their own. - is the standard input.

  {"enabled": true, "time_zone": "Europe/Berlin",
   "week": {"mon": ["09:00-12:30", "13:30-17:00"], "tue": ["09:00-17:00"]},
   "holidays": {"2026-12-25": []},
   "away": "Hello {{first_name|there}}, we are back tomorrow.", "greeting": ""}`,
		RunE: func(cmd *cobra.Command, args []string) error {
			in := cmd.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("reading the hours: %w", err)
				}
				defer func() { _ = f.Close() }()
				in = f
			}
			var h inbox.Hours
			dec := json.NewDecoder(io.LimitReader(in, 1<<20))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&h); err != nil {
				return &inbox.Error{Code: inbox.Invalid, Message: "The hours are not as they should be: " + err.Error() + ".", Hint: "See: parley hours set --help", Err: err}
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			body := map[string]any{"enabled": h.Enabled, "time_zone": h.TimeZone, "week": orEmpty(h.Week), "holidays": orEmpty(h.Holidays), "away": h.Away, "greeting": h.Greeting}
			if h.Channel != "" {
				body["channel"] = h.Channel
			}
			if err := c.ask(cmd.Context(), http.MethodPut, "/hours", nil, body, &h, "If-Match", "*"); err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), h)
			}
			return printHours(cmd.OutOrStdout(), h)
		},
	}
}

func orEmpty(m map[string][]string) map[string][]string {
	if m == nil {
		return map[string][]string{}
	}
	return m
}
