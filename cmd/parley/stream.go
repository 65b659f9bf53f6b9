package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/events"
	"parley/inbox"
)

func chatTailCmd(a *app) *cobra.Command {
	var after string
	cmd := &cobra.Command{
		Use:   "tail [CHAT]",
		Short: "Follow what happens, in one chat or in all",
		Long: `Prints what happens until it is interrupted: messages, what becomes of replies, and more.
With --json it prints one CloudEvent per line, with the field resume: give it to --after to go on from there.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{}
			if len(args) > 0 {
				id, err := chatID(cmd, args[0])
				if err != nil {
					return err
				}
				query.Set("chat", strconv.FormatInt(id, 10))
			}
			if after != "" {
				query.Set("after", after)
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			err = c.follow(cmd.Context(), query, func() {
				if !a.json {
					_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "Following; Ctrl-C ends it.")
				}
			}, func(f followed) error { return printFact(cmd.OutOrStdout(), a.json, f) })
			if cmd.Context().Err() != nil {
				return nil // as asked
			}
			return err
		},
	}
	cmd.Flags().StringVar(&after, "after", "", "where to resume; 0 is the oldest that is kept")
	return cmd
}

// followed is one event of the stream.
type followed struct {
	resume string
	data   json.RawMessage
	fact   events.Fact
}

// follow reads the stream of facts until it or ctx ends. connected is called
// once the server has it open.
func (c *client) follow(ctx context.Context, query url.Values, connected func(), f func(followed) error) error {
	res, err := c.open(ctx, http.MethodGet, "/stream", query, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 8<<20)
	var ev followed
	var kind string
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "": // a comment, or the end of an event
			switch {
			case lines.Text() != "":
				if connected != nil {
					connected()
					connected = nil
				}
			case kind == "reset":
				return &inbox.Error{
					Code: inbox.NotFound, Message: "What happened since then is no longer kept.",
					Hint: "Look at the chats as they are, then follow without --after.",
				}
			case ev.data != nil:
				if err := json.Unmarshal(ev.data, &ev.fact); err != nil {
					return fmt.Errorf("reading what happened: %w", err)
				}
				if err := f(ev); err != nil {
					return err
				}
			}
			if lines.Text() == "" {
				ev, kind = followed{}, ""
			}
		case "id":
			ev.resume = value
		case "event":
			kind = value
		case "data":
			ev.data = json.RawMessage(value)
		}
	}
	if err := lines.Err(); err != nil && ctx.Err() == nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("following: %w", err)
	}
	return &inbox.Error{Code: inbox.Unavailable, Message: "The server closed the stream.", Hint: "It may be stopping; follow again once it runs."}
}

func printFact(out io.Writer, asJSON bool, f followed) error {
	if asJSON {
		resume, err := json.Marshal(f.resume)
		if err != nil {
			return err
		}
		line := strings.TrimSuffix(string(f.data), "}") + `,"resume":` + string(resume) + "}"
		_, err = fmt.Fprintln(out, line)
		return err
	}
	_, err := fmt.Fprintln(out, factLine(f.fact, time.Now()))
	return err
}

// factLine tells a fact to people.
func factLine(f events.Fact, now time.Time) string {
	var d struct {
		Seq      int64  `json:"seq"`
		Text     string `json:"text"`
		State    string `json:"state"`
		Words    string `json:"words"`
		Messages int64  `json:"messages"`
	}
	_ = json.Unmarshal(f.Data, &d) // other facts have other data
	line := pad(clock(f.Time, now), 5) + "  "
	if f.Chat != 0 {
		line += fmt.Sprintf("chat %d  ", f.Chat)
	}
	switch f.Noun + " " + f.Verb {
	case "message received":
		return line + "← " + oneLine(d.Text, 100)
	case "message queued":
		return line + "→ " + oneLine(d.Text, 100) + "  [queued]"
	case "chat read":
		return line + plural(d.Messages, "message") + " read"
	}
	line += f.Noun + " " + f.Verb
	if d.Seq != 0 {
		line = strings.TrimSuffix(line, f.Noun+" "+f.Verb) + fmt.Sprintf("%s %d %s", f.Noun, d.Seq, f.Verb)
	}
	if d.Words != "" {
		line += ": " + oneLine(d.Words, 100)
	}
	return line
}
