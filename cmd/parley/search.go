package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/inbox"
	"parley/inbox/api"
	"parley/store"
)

func searchCmd(a *app) *cobra.Command {
	var limit int
	var cursor string
	var clients bool
	cmd := &cobra.Command{
		Use:   "search WORDS…",
		Short: "Find messages by their words, or clients",
		Long: `Finds messages that have all the words, the newest first among equals. "Quoted" words are a phrase,
-word is not wanted, and or stands between alternatives:

  parley search 'delivery -norway'
  parley search '"to oslo" or "to bergen"'

With --clients it finds clients by parts of their names, numbers and addresses.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 || limit > store.MaxSearch {
				return &usageError{cmd, errorf("--limit is 1 to %d", store.MaxSearch)}
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			query := url.Values{"q": {strings.Join(args, " ")}, "limit": {strconv.Itoa(limit)}}
			if cursor != "" {
				query.Set("cursor", cursor)
			}
			if clients {
				var page api.List[store.FoundClient]
				if err := c.ask(cmd.Context(), http.MethodGet, "/search/clients", query, nil, &page); err != nil {
					return err
				}
				return a.printFound(cmd, page, page.Next, len(page.Items), foundClients(page.Items))
			}
			var page api.List[store.FoundMessage]
			if err := c.ask(cmd.Context(), http.MethodGet, "/search/messages", query, nil, &page); err != nil {
				return err
			}
			return a.printFound(cmd, page, page.Next, len(page.Items), foundMessages(page.Items, time.Now()))
		},
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 20, "how many, at most "+strconv.Itoa(store.MaxSearch))
	cmd.Flags().StringVar(&cursor, "cursor", "", "where an earlier page ended")
	cmd.Flags().BoolVar(&clients, "clients", false, "find clients")
	return cmd
}

func (a *app) printFound(cmd *cobra.Command, page any, next string, n int, t *table) error {
	out := cmd.OutOrStdout()
	switch {
	case a.json:
		return printJSON(out, page)
	case n == 0:
		_, err := fmt.Fprintln(out, "Nothing found.")
		return err
	}
	if err := t.print(out); err != nil || next == "" {
		return err
	}
	_, err := fmt.Fprintln(out, "There is more: --cursor "+next)
	return err
}

func foundMessages(found []store.FoundMessage, now time.Time) *table {
	t := newTable("MESSAGE", "CHAT", "CLIENT", "WHEN", "")
	for _, f := range found {
		text := map[inbox.Direction]string{inbox.In: "← ", inbox.Out: "→ "}[f.Direction]
		for _, p := range f.Excerpt {
			if p.Match {
				text += "[" + p.Text + "]"
			} else {
				text += p.Text
			}
		}
		t.add(strconv.FormatInt(f.MessageID, 10), strconv.FormatInt(f.ChatID, 10), oneLine(f.Client, 30), when(f.CreatedAt, now), oneLine(text, 80))
	}
	return t
}

func foundClients(found []store.FoundClient) *table {
	t := newTable("CLIENT", "CHAT", "NAME", "PHONE", "EMAIL")
	for _, f := range found {
		chat := ""
		if f.ChatID != 0 {
			chat = strconv.FormatInt(f.ChatID, 10)
		}
		t.add(strconv.FormatInt(f.ID, 10), chat, oneLine(strings.TrimSpace(f.FirstName+" "+f.LastName), 40), f.Phone, f.Email)
	}
	return t
}
