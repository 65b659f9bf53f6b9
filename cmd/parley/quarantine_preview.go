package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/store"
)

func quarantinePreviewCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "preview ID",
		Short: "Say what replaying one event would change, without doing it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := quarantineID(cmd, args[0])
			if err != nil {
				return err
			}
			return answer(a, cmd, http.MethodGet, "/quarantine/"+id+"/preview", nil, nil, func(out io.Writer, p store.ReplayPreview) error {
				return printReplayPreview(out, id, p)
			})
		},
	}
}

func printReplayPreview(out io.Writer, id string, p store.ReplayPreview) error {
	var b strings.Builder
	now := time.Now()
	for _, e := range p.Events {
		where := ""
		switch {
		case e.Outcome == store.Duplicate:
			where = fmt.Sprintf("it is there already, as message %d in chat %d", e.Message, e.Chat)
		case e.Outcome != store.Persisted:
			where = e.Why
		case e.NewClient:
			where = "a new client and chat: " + oneLine(e.Name, 60)
		case e.Message != 0:
			where = fmt.Sprintf("changes message %d in chat %d, with client %d, %s", e.Message, e.Chat, e.Client, oneLine(e.Name, 60))
		case e.Chat != 0:
			where = fmt.Sprintf("chat %d, with client %d, %s (by %s)", e.Chat, e.Client, oneLine(e.Name, 60), e.RoutedBy)
		default:
			where = "waits for the message that it is about"
		}
		fmt.Fprintf(&b, "%s, %s: %s\n", e.Kind, e.Outcome, clean(where))
		if e.Text != "" || e.Files > 0 {
			files := ""
			if e.Files > 0 {
				files = ", with " + plural(int64(e.Files), "file")
			}
			at := ""
			if e.SentAt != nil {
				at = when(*e.SentAt, now) + " "
			}
			fmt.Fprintf(&b, "  %sfrom %s%s: %s\n", at, oneLine(e.From, 60), files, oneLine(e.Text, 200))
		}
	}
	if p.Refused != "" {
		fmt.Fprintf(&b, "It would stay in quarantine: %s\n", clean(p.Refused))
	} else {
		fmt.Fprintf(&b, "Nothing was changed. To do it: parley quarantine replay %s\n", id)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
