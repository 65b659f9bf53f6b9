package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/inbox"
	"parley/inbox/api"
	"parley/store"
)

func chatsCmd(a *app) *cobra.Command {
	var limit int
	var unread bool
	var cursor, filter, label string
	cmd := &cobra.Command{
		Use:   "chats",
		Short: "List chats, the last active first",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > store.MaxChats {
				return &usageError{cmd, errorf("--limit is 1 to %d", store.MaxChats)}
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			if unread {
				query.Set("unread", "true")
			}
			switch filter {
			case "":
			case "mine":
				query.Set("assignee", "me")
			case "unassigned":
				query.Set("assignee", "none")
			case "unread":
				query.Set("unread", "true")
			case string(inbox.ChatOpen), string(inbox.ChatSnoozed), string(inbox.ChatClosed):
				query.Set("status", filter)
			default:
				return &usageError{cmd, errorf("--filter is mine, unassigned, open, snoozed, closed or unread")}
			}
			if label != "" {
				l, err := findLabel(cmd, c, label)
				if err != nil {
					return err
				}
				query.Set("label", strconv.FormatInt(l.ID, 10))
			}
			if cursor != "" {
				query.Set("cursor", cursor)
			}
			var page api.List[inbox.Chat]
			if err := c.ask(cmd.Context(), http.MethodGet, "/chats", query, nil, &page); err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), page)
			}
			return printChats(cmd, c, page, len(query) > 1)
		},
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 20, "how many, at most "+strconv.Itoa(store.MaxChats))
	cmd.Flags().BoolVar(&unread, "unread", false, "only chats with unread messages")
	cmd.Flags().StringVar(&filter, "filter", "", "only chats that are mine, unassigned, open, snoozed, closed or unread")
	cmd.Flags().StringVar(&label, "label", "", "only chats with this label")
	cmd.Flags().StringVar(&cursor, "cursor", "", "where an earlier page ended")
	return cmd
}

func printChats(cmd *cobra.Command, c *client, page api.List[inbox.Chat], filtered bool) error {
	out := cmd.OutOrStdout()
	if len(page.Items) == 0 {
		words := "No chats yet. A chat begins when a client writes on a connected channel."
		if filtered {
			words = "No such chats."
		}
		_, err := fmt.Fprintln(out, words)
		return err
	}
	now := time.Now()
	t := newTable("CHAT", "CLIENT", "UNREAD", "LAST MESSAGE", "WHEN")
	for _, chat := range page.Items {
		unread, at := "", ""
		switch {
		case chat.Unread >= store.MaxUnread:
			unread = fmt.Sprintf("%d+", store.MaxUnread)
		case chat.Unread > 0:
			unread = strconv.FormatInt(chat.Unread, 10)
		}
		if chat.LastMessageAt != nil {
			at = when(*chat.LastMessageAt, now)
		}
		t.add(strconv.FormatInt(chat.ID, 10), oneLine(clientName(chat.Client), 30), unread, oneLine(chat.Last, 60), at)
		// The last message was shown; with more unread, the ones before were not.
		if chat.Unread <= 1 && columnsOf(chat.Last) <= 60 && !strings.Contains(chat.Last, "\n") {
			c.saw(chat.ID, chat.LastSeq)
		}
	}
	if err := t.print(out); err != nil {
		return err
	}
	if page.Next != "" {
		same := "parley chats"
		if filtered {
			same = "the same with"
		}
		_, err := fmt.Fprintf(out, "More: %s --cursor %s\n", same, page.Next)
		return err
	}
	return nil
}

func clientName(c inbox.Client) string {
	return strings.TrimSpace(c.FirstName + " " + c.LastName)
}

func chatCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "chat", Short: "Show, answer and follow chats"}
	cmd.AddCommand(chatShowCmd(a), chatReplyCmd(a), chatStartCmd(a), chatUndoCmd(a), chatScheduledCmd(a), chatReadCmd(a), chatTailCmd(a), chatFilesCmd(a),
		chatAssignCmd(a), chatSnoozeCmd(a), chatStatusCmd(a, "close", inbox.ChatClosed, "Close a chat; the client's next message opens it again"),
		chatStatusCmd(a, "open", inbox.ChatOpen, "Open a chat again"), chatLabelCmd(a), chatNoteCmd(a))
	return cmd
}

// chatID reads a chat's number.
func chatID(cmd *cobra.Command, text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, &usageError{cmd, errorf("%q is not a chat's number; parley chats lists them", text)}
	}
	return id, nil
}

func chatShowCmd(a *app) *cobra.Command {
	var limit int
	var before, around int64
	cmd := &cobra.Command{
		Use:   "show CHAT",
		Short: "Show a chat's messages",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := chatID(cmd, args[0])
			if err != nil {
				return err
			}
			if limit < 1 || limit > store.MaxMessages {
				return &usageError{cmd, errorf("--limit is 1 to %d", store.MaxMessages)}
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			var chat inbox.Chat
			if err := c.ask(cmd.Context(), http.MethodGet, fmt.Sprintf("/chats/%d", id), nil, nil, &chat); err != nil {
				return err
			}
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			if before > 0 {
				query.Set("before", strconv.FormatInt(before, 10))
			}
			if around > 0 {
				query.Set("around", strconv.FormatInt(around, 10))
			}
			var page api.Messages
			if err := c.ask(cmd.Context(), http.MethodGet, fmt.Sprintf("/chats/%d/messages", id), query, nil, &page); err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), struct {
					inbox.Chat
					Messages api.Messages `json:"messages"`
				}{chat, page})
			}
			if err := printChat(cmd.OutOrStdout(), chat, page, before == 0 && around == 0); err != nil {
				return err
			}
			// Whoever reads the end has seen what is there, if they went back for it.
			if n := len(page.Items); n > 0 && before == 0 && around == 0 && chat.Unread <= int64(n) {
				c.saw(id, page.Items[n-1].Seq)
			}
			return nil
		},
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 30, "how many messages, at most "+strconv.Itoa(store.MaxMessages))
	cmd.Flags().Int64Var(&before, "before", 0, "the messages before this seq")
	cmd.Flags().Int64Var(&around, "around", 0, "this seq and some on both sides")
	cmd.MarkFlagsMutuallyExclusive("before", "around")
	return cmd
}

func printChat(out io.Writer, chat inbox.Chat, page api.Messages, newest bool) error {
	now := time.Now()
	var b strings.Builder
	fmt.Fprintf(&b, "Chat %d with %s", chat.ID, clean(clientName(chat.Client)))
	for _, way := range []string{chat.Client.Phone, chat.Client.Email} {
		if way != "" {
			b.WriteString(", " + clean(way))
		}
	}
	if chat.Client.BlockedAt != nil {
		b.WriteString(" (blocked)")
	}
	b.WriteString("\n")
	preferred := slices.IndexFunc(chat.Routes, func(r inbox.Route) bool { return r.State == inbox.RouteOpen })
	for i, r := range chat.Routes {
		fmt.Fprintf(&b, "  on %s (%s)", clean(r.Name), r.Transport)
		switch {
		case r.Reason != "":
			b.WriteString(": " + clean(r.Reason))
		case r.Unreachable != "":
			b.WriteString(": " + clean(r.Unreachable))
		case r.LastInboundAt != nil:
			b.WriteString(", wrote " + when(*r.LastInboundAt, now))
		}
		if i == preferred && len(chat.Routes) > 1 {
			b.WriteString(", replies go here")
		}
		if r.WindowEndsAt != nil && r.State == inbox.RouteOpen {
			b.WriteString(", until " + clock(*r.WindowEndsAt, now))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	if page.More && newest && len(page.Items) > 0 {
		fmt.Fprintf(&b, "      … earlier: parley chat show %d --before %d\n", chat.ID, page.Items[0].Seq)
	}
	for _, m := range page.Items {
		b.WriteString(messageLine(m, now))
	}
	if newest && chat.Unread > 0 {
		fmt.Fprintf(&b, "\n%s. Answer with: parley chat reply %d \"…\"\n", plural(chat.Unread, "unread message"), chat.ID)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// messageLine is a message with its seq, so that --before and --seen can name it.
func messageLine(m inbox.Message, now time.Time) string {
	arrow := "←"
	if m.Direction == inbox.Out {
		arrow = "→"
	}
	head := fmt.Sprintf("%5d  %s  %s %s: ", m.Seq, pad(clock(m.CreatedAt, now), 5), arrow, oneLine(m.Sender, 30))
	indent := strings.Repeat(" ", columnsOf(head))
	text := clean(m.Text)
	if m.Content != nil && m.Content.Mail != nil && m.Content.Mail.Subject != "" {
		text = "Subject: " + oneLine(m.Content.Mail.Subject, 0) + "\n" + text
	}
	// Further lines of the text begin under its first.
	line := head + strings.ReplaceAll(text, "\n", "\n"+indent)
	if s := messageState(m); s != "" {
		line += "  [" + s + "]"
	}
	line += "\n"
	for i := range m.Attachments {
		line += indent + fileLine(&m.Attachments[i]) + "\n"
	}
	for _, more := range messageMore(&m, now) {
		line += indent + more + "\n"
	}
	return line
}

// messageMore are lines about what there is to a message besides itself.
func messageMore(m *inbox.Message, now time.Time) (lines []string) {
	for _, e := range m.Edits {
		lines = append(lines, fmt.Sprintf("until %s: %s", clock(e.At, now), oneLine(e.Text, 60)))
	}
	for _, r := range m.Reactions {
		lines = append(lines, fmt.Sprintf("%s by %s", oneLine(strings.Join(r.Emoji, " "), 0), oneLine(r.By, 30)))
	}
	for _, via := range m.ReceivedVia {
		lines = append(lines, "received on "+oneLine(via.Name, 30)+" as well")
	}
	for _, l := range m.Links {
		why := map[string]string{
			"token":   "it was written to the reply address of",
			"thread":  "it answers a message of",
			"address": "its sender claims the address of the client of",
			"phone":   "its sender has the number of the client of",
		}[l.Why]
		lines = append(lines, fmt.Sprintf("%s chat %d, with %s", why, l.Chat, oneLine(l.Client, 30)))
	}
	return lines
}

// messageState says how far an outbound message has come, and what is
// remarkable of an inbound one.
func messageState(m inbox.Message) string {
	var parts []string
	if m.EditedAt != nil {
		parts = append(parts, "edited")
	}
	if m.Late {
		parts = append(parts, "stored late")
	}
	if d := m.Delivery; d != nil {
		state := string(d.State)
		if d.Parts > 1 && (d.State == inbox.Sending || d.State == inbox.Failed || d.State == inbox.Uncertain) {
			state += fmt.Sprintf(" (%d of %d parts sent)", d.PartsSent, d.Parts)
		}
		if d.Words != "" && d.State != inbox.Delivered && d.State != inbox.Read {
			state += ": " + oneLine(d.Words, 0)
		}
		parts = append(parts, state)
	}
	return strings.Join(parts, ", ")
}

func chatReadCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "read CHAT",
		Short: "Mark a chat's messages as read",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := chatID(cmd, args[0])
			if err != nil {
				return err
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			var chat inbox.Chat
			if err := c.ask(cmd.Context(), http.MethodGet, fmt.Sprintf("/chats/%d", id), nil, nil, &chat); err != nil {
				return err
			}
			var done struct {
				Messages int64 `json:"messages"`
			}
			if chat.LastSeq > 0 {
				in := map[string]int64{"seq": chat.LastSeq}
				if err := c.ask(cmd.Context(), http.MethodPost, fmt.Sprintf("/chats/%d/read", id), nil, in, &done); err != nil {
					return err
				}
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), done)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Marked %s as read.\n", plural(done.Messages, "message"))
			return err
		},
	}
}
