package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"parley/inbox"
)

func clientImportCmd(a *app) *cobra.Command {
	var dry bool
	var country string
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Import clients from a CSV file",
		Long: `FILE is UTF-8 text with a head, separated by commas, semicolons or tabs; - is the standard
input. The columns: name (or first_name and last_name), middle_name, phone, email, telegram,
whatsapp, other, address, date_of_birth, gender, pin, comments.

Who has one of a line's numbers, addresses or accounts already gets what they lack; nobody is
made twice. A line that cannot be imported is told, and the others go on.`,
		Example: `  parley client import clients.csv --dry-run
  parley client import clients.csv --country DE`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := cmd.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("reading the clients: %w", err)
				}
				defer func() { _ = f.Close() }()
				in = f
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			query := url.Values{"dry_run": {strconv.FormatBool(dry)}}
			if country != "" {
				query.Set("country", country)
			}
			// A large file takes longer than other requests.
			res, err := c.open(cmd.Context(), http.MethodPost, "/clients/import", query, in, "Content-Type", "text/csv")
			if err != nil {
				return err
			}
			defer res.Body.Close()
			var report inbox.ImportReport
			if err := json.NewDecoder(res.Body).Decode(&report); err != nil {
				return fmt.Errorf("reading the server's answer: %w", err)
			}
			return show(a, cmd, report, printImport)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would happen")
	cmd.Flags().StringVar(&country, "country", "", "of phone numbers without a prefix, such as DE")
	return cmd
}

func printImport(out io.Writer, r inbox.ImportReport) error {
	t := newTable("LINE", "", "NAME", "CLIENT", "WHY")
	for _, l := range r.Lines {
		client := ""
		switch {
		case l.Client != 0:
			client = strconv.FormatInt(l.Client, 10)
		case l.SameAs != 0:
			client = fmt.Sprintf("of line %d", l.SameAs)
		}
		why := l.Why
		if l.Hint != "" {
			why += " " + l.Hint
		}
		t.add(strconv.Itoa(l.Line), string(l.Verdict), oneLine(l.Name, 30), client, oneLine(why, 0))
	}
	if len(r.Lines) > 0 {
		if err := t.print(out); err != nil {
			return err
		}
	}
	words := "%d created, %d merged, %d unchanged, %d refused.\n"
	if r.DryRun {
		words = "A dry run, nothing is changed: " + words
	}
	_, err := fmt.Fprintf(out, words, r.Created, r.Merged, r.Unchanged, r.Refused)
	return err
}
