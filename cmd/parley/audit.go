package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"parley/inbox/api"
)

func auditCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "audit",
		Short: "Prove that everything accepted was stored",
		Long: `Holds what was accepted against what was stored: every event ended as exactly one of persisted,
duplicate, ignored or quarantined, and its row is there. It changes nothing, and takes minutes on large
databases. Exits with 1 when something is wrong.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			report, err := c.audit(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				err = printJSON(cmd.OutOrStdout(), report)
			} else {
				err = printAudit(cmd, report)
			}
			if err == nil && !report.Clean {
				return &silentError{}
			}
			return err
		},
	}
}

// audit has no time limit but ctx's.
func (c *client) audit(ctx context.Context) (report api.Audit, err error) {
	res, err := c.open(ctx, http.MethodPost, "/audit", nil, nil)
	if err != nil {
		return report, err
	}
	defer res.Body.Close()
	return report, json.NewDecoder(res.Body).Decode(&report)
}

func printAudit(cmd *cobra.Command, r api.Audit) error {
	out := cmd.OutOrStdout()
	t := newTable("PARTITION", "ACCEPTED", "PERSISTED", "DUPLICATE", "IGNORED", "QUARANTINED", "WAITING", "CHECKED")
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	for _, p := range r.Partitions {
		t.add(strconv.Itoa(p.Partition), n(p.Events), n(p.Persisted), n(p.Duplicate), n(p.Ignored),
			n(p.Quarantined), n(p.Waiting), n(p.Examined))
	}
	if err := t.print(out); err != nil {
		return err
	}
	if r.Clean {
		_, err := fmt.Fprintln(out, "\nClean: everything accepted is accounted for.")
		return err
	}
	_, err := fmt.Fprintln(out)
	for _, f := range r.Findings {
		_, err = fmt.Fprintln(out, "- "+oneLine(f, 0))
	}
	return err
}
