package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/inbox"
	"parley/inbox/api"
)

func messageCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "message", Short: "See what happened to a message"}
	cmd.AddCommand(messageShowCmd(a))
	return cmd
}

func messageShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show ID | show CHAT SEQ", Short: "What happened to a message, when and why", Args: cobra.RangeArgs(1, 2),
		Long: `Shows when a message was accepted, stored, tried and answered, by which identity it came to
its chat, and what the logs call it. It is named by its id, or by its chat and its number
there, as parley chat show prints it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			var id int64
			if len(args) == 1 {
				if id, err = strconv.ParseInt(args[0], 10, 64); err != nil || id < 1 {
					return &usageError{cmd, errorf("%q is not a message's id", args[0])}
				}
			} else {
				chat, err := chatID(cmd, args[0])
				if err != nil {
					return err
				}
				seq, err := seqArg(cmd, chat, args[1])
				if err != nil {
					return err
				}
				m, err := messageAt(cmd, c, chat, seq)
				if err != nil {
					return err
				}
				id = m.ID
			}
			var j inbox.Journey
			if err := c.ask(cmd.Context(), http.MethodGet, fmt.Sprintf("/messages/%d/journey", id), nil, nil, &j); err != nil {
				return err
			}
			return show(a, cmd, j, printJourney)
		},
	}
}

// seqArg reads a message's number in its chat.
func seqArg(cmd *cobra.Command, chat int64, text string) (int64, error) {
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seq < 1 {
		return 0, &usageError{cmd, errorf("%q is no seq; parley chat show %d shows them", text, chat)}
	}
	return seq, nil
}

// messageAt finds a chat's message by its number there.
func messageAt(cmd *cobra.Command, c *client, chat, seq int64) (inbox.Message, error) {
	var page api.Messages
	query := url.Values{"around": {strconv.FormatInt(seq, 10)}, "limit": {"1"}}
	if err := c.ask(cmd.Context(), http.MethodGet, fmt.Sprintf("/chats/%d/messages", chat), query, nil, &page); err != nil {
		return inbox.Message{}, err
	}
	for _, m := range page.Items {
		if m.Seq == seq {
			return m, nil
		}
	}
	return inbox.Message{}, &inbox.Error{
		Code: inbox.NotFound, Message: fmt.Sprintf("There is no message %d in chat %d.", seq, chat), Hint: fmt.Sprintf("See parley chat show %d.", chat),
	}
}

func printJourney(out io.Writer, j inbox.Journey) error {
	var b strings.Builder
	from := "from the client"
	if j.Direction == inbox.Out {
		from = "to the client"
	}
	fmt.Fprintf(&b, "Message %d, number %d of chat %d, %s by %s", j.MessageID, j.Seq, j.ChatID, from, j.Transport)
	if j.ChannelName != "" {
		b.WriteString(" on " + oneLine(j.ChannelName, 40))
	}
	b.WriteString("\n")
	if j.EventID != "" {
		fmt.Fprintf(&b, "In the logs: event=%s\n", j.EventID)
	}
	if j.TraceID != "" {
		fmt.Fprintf(&b, "Trace: %s\n", j.TraceID)
	}
	if j.DeliveryID != 0 {
		fmt.Fprintf(&b, "In the logs: delivery=%d\n", j.DeliveryID)
	}
	if j.Bus != nil {
		fmt.Fprintf(&b, "On the bus: partition %d, sequence %d\n", j.Bus.Partition, j.Bus.Seq)
	}
	if j.ProviderMessage != "" {
		fmt.Fprintf(&b, "At the provider: %s in %s\n", oneLine(j.ProviderMessage, 60), oneLine(j.ProviderChat, 60))
	}
	b.WriteString("\n")
	t := newTable("WHEN", "AFTER", "WHAT", "")
	for i, s := range j.Steps {
		after := ""
		if i > 0 {
			after = s.At.Sub(j.Steps[i-1].At).Round(100 * time.Microsecond).String()
		}
		words := oneLine(s.Words, 0)
		if s.Part != nil && (*s.Part > 0 || s.Attempt > 1) {
			words = fmt.Sprintf("Part %d, try %d: %s", *s.Part+1, s.Attempt, words)
		}
		if s.Code != "" {
			words += " (code " + oneLine(s.Code, 40) + ")"
		}
		if s.ProviderID != "" {
			words += " (" + oneLine(s.ProviderID, 60) + ")"
		}
		t.add(s.At.Local().Format("2006-01-02 15:04:05.000"), after, s.What, words)
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return err
	}
	if err := t.print(out); err != nil {
		return err
	}
	for _, l := range j.Links {
		if _, err := fmt.Fprintf(out, "It has to do with chat %d, with %s (%s).\n", l.Chat, oneLine(l.Client, 30), l.Why); err != nil {
			return err
		}
	}
	for _, m := range j.Missing {
		if _, err := fmt.Fprintln(out, "Not known: "+m); err != nil {
			return err
		}
	}
	return nil
}
