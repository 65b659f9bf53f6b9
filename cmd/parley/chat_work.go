package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/inbox"
	"parley/inbox/api"
)

// workOnChat changes a chat and says what it is then.
func workOnChat(a *app, cmd *cobra.Command, c *client, method string, id int64, path string, body any) error {
	var chat inbox.Chat
	if err := c.ask(cmd.Context(), method, fmt.Sprintf("/chats/%d%s", id, path), nil, body, &chat); err != nil {
		return err
	}
	return show(a, cmd, chat, func(out io.Writer, chat inbox.Chat) error {
		_, err := fmt.Fprintf(out, "Chat %d with %s: %s.\n", chat.ID, oneLine(clientName(chat.Client), 40), chatWorkWords(chat))
		return err
	})
}

// chatWorkWords say where a chat stands.
func chatWorkWords(chat inbox.Chat) string {
	words := []string{string(chat.Status)}
	if chat.SnoozedUntil != nil {
		words[0] += " until " + when(*chat.SnoozedUntil, time.Now())
	}
	if chat.Assignee != nil {
		words = append(words, "with "+oneLine(chat.Assignee.Name, 40))
	}
	if chat.Team != nil {
		words = append(words, "with team "+oneLine(chat.Team.Name, 40))
	}
	for _, l := range chat.Labels {
		words = append(words, "labelled "+oneLine(l.Name, 40))
	}
	return strings.Join(words, ", ")
}

// onChat is a command about one chat, by its number.
func onChat(a *app, use, short string, args cobra.PositionalArgs, do func(cmd *cobra.Command, c *client, id int64, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := chatID(cmd, args[0])
			if err != nil {
				return err
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			return do(cmd, c, id, args[1:])
		},
	}
}

func chatAssignCmd(a *app) *cobra.Command {
	var team string
	cmd := onChat(a, "assign CHAT [USER]", "Give a chat to a user, a team, both or nobody", cobra.RangeArgs(1, 2),
		func(cmd *cobra.Command, c *client, id int64, args []string) error {
			body := map[string]int64{}
			if len(args) > 0 {
				user, err := findUser(cmd, c, args[0])
				if err != nil {
					return err
				}
				body["user"] = user.ID
			}
			if team != "" {
				t, err := findTeam(cmd, c, team)
				if err != nil {
					return err
				}
				body["team"] = t.ID
			}
			return workOnChat(a, cmd, c, http.MethodPut, id, "/assignment", body)
		})
	cmd.Long = "USER is an id or a mail address; without USER and --team the chat is nobody's."
	cmd.Flags().StringVar(&team, "team", "", "a team's name or id")
	return cmd
}

func findTeam(cmd *cobra.Command, c *client, name string) (inbox.Team, error) {
	var teams api.List[inbox.Team]
	if err := c.ask(cmd.Context(), http.MethodGet, "/teams", nil, nil, &teams); err != nil {
		return inbox.Team{}, err
	}
	names := make([]string, len(teams.Items))
	for i, t := range teams.Items {
		if strings.EqualFold(t.Name, name) || strconv.FormatInt(t.ID, 10) == name {
			return t, nil
		}
		names[i] = t.Name
	}
	return inbox.Team{}, notAmong("team", name, names)
}

func findLabel(cmd *cobra.Command, c *client, name string) (inbox.Label, error) {
	var labels api.List[inbox.Label]
	if err := c.ask(cmd.Context(), http.MethodGet, "/labels", nil, nil, &labels); err != nil {
		return inbox.Label{}, err
	}
	names := make([]string, len(labels.Items))
	for i, l := range labels.Items {
		if strings.EqualFold(l.Name, name) {
			return l, nil
		}
		names[i] = l.Name
	}
	return inbox.Label{}, notAmong("label", name, names)
}

func notAmong(what, name string, names []string) error {
	hint := "There is none yet."
	if len(names) > 0 {
		hint = "There are: " + clean(strings.Join(names, ", ")) + "."
	}
	return &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no %s %q.", what, name), Hint: hint}
}

func chatStatusCmd(a *app, verb string, status inbox.ChatStatus, short string) *cobra.Command {
	return onChat(a, verb+" CHAT", short, cobra.ExactArgs(1), func(cmd *cobra.Command, c *client, id int64, _ []string) error {
		return workOnChat(a, cmd, c, http.MethodPut, id, "/status", map[string]any{"status": status})
	})
}

func chatSnoozeCmd(a *app) *cobra.Command {
	var wait time.Duration
	var until string
	cmd := onChat(a, "snooze CHAT", "Put a chat out of sight until a time, or until the client writes", cobra.ExactArgs(1),
		func(cmd *cobra.Command, c *client, id int64, _ []string) error {
			at := time.Now().Add(wait)
			if until != "" {
				var err error
				if at, err = aDay(until); err != nil {
					return &usageError{cmd, fmt.Errorf("--until: %w", err)}
				}
			} else if wait <= 0 {
				return &usageError{cmd, errorf("say until when: --for 3h, or --until 2026-12-31")}
			}
			return workOnChat(a, cmd, c, http.MethodPut, id, "/status", map[string]any{"status": inbox.ChatSnoozed, "until": at.UTC().Format(time.RFC3339)})
		})
	cmd.Flags().DurationVar(&wait, "for", 0, "how long, such as 3h or 30m")
	cmd.Flags().StringVar(&until, "until", "", "a day like 2026-12-31, or a time like 2026-12-31T08:00:00Z")
	cmd.MarkFlagsMutuallyExclusive("for", "until")
	return cmd
}

func chatLabelCmd(a *app) *cobra.Command {
	var remove, add bool
	cmd := onChat(a, "label CHAT LABEL", "Put a label on a chat, or take it off", cobra.ExactArgs(2),
		func(cmd *cobra.Command, c *client, id int64, args []string) error {
			label, err := findLabel(cmd, c, args[0])
			if inbox.CodeOf(err) == inbox.NotFound && add {
				err = c.ask(cmd.Context(), http.MethodPost, "/labels", nil, map[string]string{"name": args[0]}, &label)
			}
			if err != nil {
				return err
			}
			method := http.MethodPut
			if remove {
				method = http.MethodDelete
			}
			return workOnChat(a, cmd, c, method, id, fmt.Sprintf("/labels/%d", label.ID), nil)
		})
	cmd.Flags().BoolVar(&remove, "remove", false, "take it off")
	cmd.Flags().BoolVar(&add, "add", false, "make the label if there is none of that name")
	cmd.MarkFlagsMutuallyExclusive("remove", "add")
	return cmd
}

func chatNoteCmd(a *app) *cobra.Command {
	var key string
	cmd := onChat(a, "note CHAT [TEXT]", "Write a private note, or list them", cobra.RangeArgs(1, 2),
		func(cmd *cobra.Command, c *client, id int64, args []string) error {
			path := fmt.Sprintf("/chats/%d/notes", id)
			if len(args) == 0 {
				var page api.List[inbox.Note]
				if err := c.ask(cmd.Context(), http.MethodGet, path, nil, nil, &page); err != nil {
					return err
				}
				return show(a, cmd, page, printNotes)
			}
			var header []string
			if key != "" {
				header = []string{"Idempotency-Key", key}
			}
			var note inbox.Note
			if err := c.ask(cmd.Context(), http.MethodPost, path, nil, map[string]string{"text": args[0]}, &note, header...); err != nil {
				return err
			}
			return show(a, cmd, note, func(out io.Writer, n inbox.Note) error {
				_, err := fmt.Fprintf(out, "Note %d is in chat %d; the client does not see it.\n", n.ID, n.ChatID)
				return err
			})
		})
	cmd.Flags().StringVar(&key, "key", "", "the same key writes the same note once")
	return cmd
}

func printNotes(out io.Writer, page api.List[inbox.Note]) error {
	if len(page.Items) == 0 {
		_, err := fmt.Fprintln(out, "There are no notes.")
		return err
	}
	t := newTable("NOTE", "WHEN", "BY", "TEXT")
	for _, n := range page.Items {
		by := "former agent"
		if n.User != nil {
			by = n.User.Name
		}
		t.add(strconv.FormatInt(n.ID, 10), when(n.CreatedAt, time.Now()), oneLine(by, 30), oneLine(n.Text, 100))
	}
	return t.print(out)
}
