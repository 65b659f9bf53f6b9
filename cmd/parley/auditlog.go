package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/inbox"
	"parley/inbox/api"
	"parley/store"
)

func auditLogCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit-log",
		Short: "Show who did what, and from where",
	}
	cmd.AddCommand(auditLogListCmd(a), auditLogExportCmd(a))
	return cmd
}

func auditLogListCmd(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what was done last, the newest first",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			var page api.List[store.AuditEntry]
			if err := c.ask(cmd.Context(), http.MethodGet, "/audit-log", url.Values{"limit": {strconv.Itoa(limit)}}, nil, &page); err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), page)
			}
			now := time.Now()
			t := newTable("WHEN", "WHO", "WHAT", "TO WHAT", "FROM", "WITH")
			for _, e := range page.Items {
				who := strings.TrimSpace(string(e.ActorKind) + " " + e.ActorName)
				t.add(when(e.At, now), oneLine(who, 40), e.Action, strings.TrimSpace(e.TargetKind+" "+e.TargetID), e.Address, oneLine(e.UserAgent, 30))
			}
			return t.print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "how many, at most 200")
	return cmd
}

func auditLogExportCmd(a *app) *cobra.Command {
	var format, out, from, until string
	var after int64
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Export the log, the oldest entries first",
		Long: `Writes the log as lines of JSON, or as comma-separated values, to standard output or a new file.
To go on where an earlier export ended, give the id of its last entry with --after.`,
		Example: `  parley audit-log export --output log.ndjson
  parley audit-log export --format csv --from 2026-01-01 --until 2026-02-01 > january.csv`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{"format": {format}}
			if after > 0 {
				query.Set("after", strconv.FormatInt(after, 10))
			}
			for name, text := range map[string]string{"from": from, "until": until} {
				if text == "" {
					continue
				}
				at, err := aDay(text)
				if err != nil {
					return &usageError{cmd, fmt.Errorf("--%s: %w", name, err)}
				}
				query.Set(name, at.UTC().Format(time.RFC3339))
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			res, err := c.open(cmd.Context(), http.MethodGet, "/audit-log/export", query, nil)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			return saveExport(cmd, res.Body, out)
		},
	}
	cmd.Flags().StringVar(&format, "format", "ndjson", "ndjson or csv")
	cmd.Flags().StringVar(&out, "output", "", "a new file, which only you can read")
	cmd.Flags().StringVar(&from, "from", "", "only what was done since, such as 2026-01-31 or 2026-01-31T08:00:00Z")
	cmd.Flags().StringVar(&until, "until", "", "only what was done before")
	cmd.Flags().Int64Var(&after, "after", 0, "only entries with higher ids")
	return cmd
}

// aDay reads a day of the local zone, or a moment.
func aDay(text string) (time.Time, error) {
	if t, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%q is neither a day like 2026-01-31 nor a time like 2026-01-31T08:00:00Z", text)
	}
	return t, nil
}

// saveExport copies the stream; a part of it is no success.
func saveExport(cmd *cobra.Command, in io.Reader, path string) error {
	cut := func(err error) error {
		return &inbox.Error{
			Code: inbox.Unavailable, Message: "The export was cut short: " + err.Error() + ".",
			Hint: "Go on with --after and the id of the last whole entry.", Err: err,
		}
	}
	if path == "" {
		if _, err := io.Copy(cmd.OutOrStdout(), in); err != nil {
			return cut(err)
		}
		return nil
	}
	file, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(file, in)
	if err != nil {
		_ = file.Close() // what came is in it
		return cut(err)
	}
	if err := file.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes\n", path, n)
	return err
}
