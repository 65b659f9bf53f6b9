package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"parley/inbox"
	"parley/store"
)

func chatReplyCmd(a *app) *cobra.Command {
	var via, key, subject, template string
	var to, cc []string
	var variables map[string]string
	var seen, replyTo int64
	var force bool
	var files []string
	var use string
	var undo time.Duration
	var at string
	var unlessAnswered bool
	cmd := &cobra.Command{
		Use:   "reply CHAT TEXT",
		Short: "Reply to a client",
		Long: `Sends a reply through the channel that the client wrote on last, or the one of --via.
The text - is read from the standard input; with --file it may be left out.

A reply says which message you saw last. When the client or a colleague wrote something
after it, the reply is refused and that is shown; repeat the command to send it anyway.
Without --seen it is what this command line has shown you of the chat.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := chatID(cmd, args[0])
			if err != nil {
				return err
			}
			text := ""
			switch {
			case len(args) > 1:
				text = args[1]
			case len(files) == 0 && template == "" && use == "":
				return &usageError{cmd, errorf("%s needs CHAT TEXT, or CHAT and --file or --use", cmd.CommandPath())}
			}
			if text, err = textArg(cmd, text); err != nil {
				return err
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			noted := !cmd.Flags().Changed("seen")
			if noted {
				seen = c.seen(id)
			}
			in := map[string]any{"text": text, "seen": seen}
			if via != "" {
				in["channel"] = via
			}
			if force {
				in["force"] = true
			}
			if replyTo > 0 {
				in["reply_to"] = replyTo
			}
			if len(files) > 0 {
				if in["attachments"], err = c.uploadAll(cmd.Context(), files); err != nil {
					return err
				}
			}
			if subject != "" {
				in["subject"] = subject
			}
			if len(to) > 0 {
				in["to"] = to
			}
			if cmd.Flags().Changed("cc") {
				in["cc"] = slices.DeleteFunc(cc, func(a string) bool { return a == "" })
			}
			if template != "" {
				in["template"] = inbox.Template{ID: template, Variables: variables}
			}
			if use != "" {
				own, err := c.template(cmd, use)
				if err != nil {
					return err
				}
				in["template_id"], in["variables"] = own.ID, variables
			}
			if cmd.Flags().Changed("undo") {
				in["undo_seconds"] = int(undo / time.Second)
			}
			var header []string
			if key != "" {
				header = []string{"Idempotency-Key", key}
			}
			if at != "" {
				due, err := parseWhen(at, time.Now())
				if err != nil {
					return &usageError{cmd, err}
				}
				in["send_at"], in["unless_answered"] = due, unlessAnswered
				return schedule(cmd, a, c, id, in, header)
			}
			var m inbox.Message
			err = c.ask(cmd.Context(), http.MethodPost, fmt.Sprintf("/chats/%d/messages", id), nil, in, &m, header...)
			if noted && use == "" && inbox.CodeOf(err) == inbox.Invalid {
				c.forget(id)
			}
			if inbox.CodeOf(err) == inbox.Stale && !a.json {
				return stale(cmd, c, id, err)
			}
			if err != nil {
				return err
			}
			if noted {
				c.saw(id, m.Seq)
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), m)
			}
			if d := m.Delivery; d != nil && d.DueAt.After(m.CreatedAt.Add(time.Second)) {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Message %d of chat %d leaves by %s in %s. Take it back until then: parley chat undo %d %d\n",
					m.Seq, id, m.Transport, d.DueAt.Sub(m.CreatedAt).Round(time.Second), id, m.Seq)
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Queued as message %d of chat %d by %s. See what becomes of it: parley chat show %d\n",
				m.Seq, id, m.Transport, id)
			return err
		},
	}
	cmd.Flags().StringVar(&via, "via", "", "channel to reply through: its name or id")
	cmd.Flags().Int64Var(&seen, "seen", 0, "seq of the last message you saw")
	cmd.Flags().BoolVar(&force, "force", false, "send whatever was written meanwhile")
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "file to send; may be given several times")
	cmd.Flags().StringVar(&key, "key", "", "idempotency key: the same key with the same reply sends once")
	cmd.Flags().StringVar(&subject, "subject", "", "subject of a mail")
	cmd.Flags().StringArrayVar(&to, "to", nil, "recipient of a mail instead of those of the mail answered; may be given several times")
	cmd.Flags().StringArrayVar(&cc, "cc", nil, "further recipient of a mail; empty for none")
	cmd.Flags().StringVar(&template, "template", "", "id of an approved template to send instead of TEXT")
	cmd.Flags().StringVar(&use, "use", "", "name of a template of yours to send instead of TEXT; see parley template")
	cmd.Flags().StringVar(&at, "at", "", "send it later: a time like 15:30, 2026-12-24 09:00, or in like 90m")
	cmd.Flags().BoolVar(&unlessAnswered, "unless-answered", false, "with --at: not when the client writes before")
	cmd.Flags().DurationVar(&undo, "undo", 0, "how long it can be taken back before it leaves, at most 60s; the usual time of the tenant when absent")
	cmd.Flags().StringToStringVar(&variables, "var", nil, "variable of the template, as NAME=VALUE; may be given several times")
	cmd.Flags().Int64Var(&replyTo, "reply-to", 0, "id of the message to quote")
	return cmd
}

// stale shows what the reply missed; that has been seen now.
func stale(cmd *cobra.Command, c *client, chat int64, err error) error {
	var e *inbox.Error
	var missed store.Missed
	data, ok := json.RawMessage(nil), false
	if errors.As(err, &e) {
		data, ok = e.Detail.(json.RawMessage)
	}
	if !ok || json.Unmarshal(data, &missed) != nil || len(missed.Messages) == 0 {
		return err
	}
	out := cmd.ErrOrStderr()
	_, _ = fmt.Fprintln(out, "parley: Not sent: you have not seen this yet.")
	now := time.Now()
	for _, m := range missed.Messages {
		_, _ = io.WriteString(out, messageLine(m, now))
	}
	last := missed.Messages[len(missed.Messages)-1].Seq
	hint := "  Repeat the command to send it now that you have."
	if last < missed.LastSeq {
		// More than an error can carry: only what was shown was seen.
		hint = fmt.Sprintf("  There is more: parley chat show %d", chat)
	}
	if cmd.Flags().Changed("seen") {
		hint = fmt.Sprintf("  Now that you have, repeat the command with --seen %d.", last)
	}
	_, _ = fmt.Fprintln(out, hint)
	c.saw(chat, last)
	return &silentError{}
}
