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
	"github.com/spf13/pflag"

	"parley/inbox"
	"parley/inbox/api"
)

// cardFlags are the fields of a client as flags.
func cardFlags(flags *pflag.FlagSet) {
	flags.String("last-name", "", "last name")
	flags.String("middle-name", "", "middle name")
	flags.String("phone", "", "phone number, such as +49 30 1234567")
	flags.String("email", "", "mail address")
	flags.String("address", "", "postal address")
	flags.String("born", "", "date of birth, such as 1990-12-31")
	flags.String("gender", "", "gender")
	flags.String("pin", "", "tax identification number")
	flags.String("comments", "", "notes and comments")
	flags.String("country", "", "of phone numbers without a prefix, such as DE")
}

// cardBody is what was given of them: an empty text takes a field away.
func cardBody(flags *pflag.FlagSet) map[string]any {
	body := map[string]any{}
	flags.Visit(func(f *pflag.Flag) {
		name := strings.ReplaceAll(f.Name, "-", "_")
		switch name {
		case "born":
			name = "date_of_birth"
		case "first_name", "last_name", "middle_name", "phone", "email", "address", "gender", "pin", "comments", "country":
		default:
			return
		}
		body[name] = f.Value.String()
	})
	return body
}

func clientAddCmd(a *app) *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use: "add FIRST-NAME", Short: "Add a client",
		Example: `  parley client add Anna --last-name Berg --phone "+49 30 1234567"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := cardBody(cmd.Flags())
			body["first_name"] = args[0]
			return askCard(a, cmd, http.MethodPost, "/clients", body, "Idempotency-Key", key)
		},
	}
	cardFlags(cmd.Flags())
	cmd.Flags().StringVar(&key, "key", "", "the same key adds the same client once")
	return cmd
}

func clientEditCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "edit CLIENT", Short: "Change what is known of a client",
		Long:    "Changes the fields that are given; an empty one is taken away.",
		Example: `  parley client edit 12 --email anna@example.com --comments ""`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := clientID(cmd, args[0])
			if err != nil {
				return err
			}
			body := cardBody(cmd.Flags())
			if len(body) == 0 {
				return &usageError{cmd, errorf("nothing is to be changed; see the flags")}
			}
			return askCard(a, cmd, http.MethodPatch, fmt.Sprintf("/clients/%d", id), body, "If-Match", "*")
		},
	}
	cmd.Flags().String("first-name", "", "first name")
	cardFlags(cmd.Flags())
	return cmd
}

func clientShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show CLIENT", Short: "Show what is known of a client", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := clientID(cmd, args[0])
			if err != nil {
				return err
			}
			return askCard(a, cmd, http.MethodGet, fmt.Sprintf("/clients/%d", id), nil)
		},
	}
}

// askCard asks for something that answers with a client.
func askCard(a *app, cmd *cobra.Command, method, path string, body any, header ...string) error {
	c, err := a.connect(cmd.Context())
	if err != nil {
		return err
	}
	if len(header) == 2 && header[1] == "" {
		header = nil
	}
	var card inbox.ClientCard
	if err := c.ask(cmd.Context(), method, path, nil, body, &card, header...); err != nil {
		return err
	}
	return show(a, cmd, card, printCard)
}

func printCard(out io.Writer, c inbox.ClientCard) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Client %d: %s\n", c.ID, oneLine(strings.Join(strings.Fields(c.FirstName+" "+c.MiddleName+" "+c.LastName), " "), 0))
	for _, field := range [][2]string{
		{"phone", c.Phone},
		{"email", c.Email},
		{"address", c.Address},
		{"born", c.DateOfBirth},
		{"gender", c.Gender},
		{"tax number", c.PIN},
		{"comments", c.Comments},
	} {
		if field[1] != "" {
			fmt.Fprintf(&b, "  %s: %s\n", field[0], oneLine(field[1], 0))
		}
	}
	if c.BlockedAt != nil {
		fmt.Fprintf(&b, "  blocked since %s\n", when(*c.BlockedAt, time.Now()))
	}
	if c.Chat != 0 {
		fmt.Fprintf(&b, "  chat %d: parley chat show %d\n", c.Chat, c.Chat)
	}
	if _, err := io.WriteString(out, b.String()); err != nil || len(c.Contacts) == 0 {
		return err
	}
	t := newTable("CONTACT", "TYPE", "VALUE")
	for _, k := range c.Contacts {
		t.add(strconv.FormatInt(k.ID, 10), string(k.Type), oneLine(k.Value, 60))
	}
	return t.print(out)
}

func clientListCmd(a *app) *cobra.Command {
	var limit int
	var cursor string
	cmd := &cobra.Command{
		Use: "list [WORDS]", Short: "Search clients, or list them, the newest first",
		Long: "Finds clients by parts of names, numbers and addresses, all of which occur; or by a whole contact.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			if len(args) > 0 {
				query.Set("search", strings.Join(args, " "))
			}
			if cursor != "" {
				query.Set("cursor", cursor)
			}
			return answer(a, cmd, http.MethodGet, "/clients", query, nil, printClients)
		},
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 20, "how many, at most 100")
	cmd.Flags().StringVar(&cursor, "cursor", "", "where an earlier page ended")
	return cmd
}

func printClients(out io.Writer, page api.List[inbox.Client]) error {
	if len(page.Items) == 0 {
		_, err := fmt.Fprintln(out, "Nobody is found. Add somebody with: parley client add")
		return err
	}
	t := newTable("CLIENT", "NAME", "PHONE", "EMAIL", "CHAT")
	for _, c := range page.Items {
		chat := ""
		if c.Chat != 0 {
			chat = strconv.FormatInt(c.Chat, 10)
		}
		t.add(strconv.FormatInt(c.ID, 10), oneLine(clientName(c), 40), oneLine(c.Phone, 20), oneLine(c.Email, 40), chat)
	}
	if err := t.print(out); err != nil || page.Next == "" {
		return err
	}
	_, err := fmt.Fprintf(out, "More: --cursor %s\n", page.Next)
	return err
}

func clientDeleteCmd(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete CLIENT", Short: "Delete a client with chat and messages; what they write again is a new client's",
		Long: `Deletes the rows. To be rid of the files and of what is on the bus as well, and to keep
them from coming back, use: parley client erase`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := clientID(cmd, args[0])
			if err != nil {
				return err
			}
			if !yes {
				return &inbox.Error{
					Code: inbox.Invalid, Message: "Deleting a client deletes all their messages and cannot be taken back.",
					Hint: fmt.Sprintf("If you mean it: parley client delete %d --yes", id),
				}
			}
			query := url.Values{"confirm": {strconv.FormatInt(id, 10)}}
			return answer(a, cmd, http.MethodDelete, fmt.Sprintf("/clients/%d", id), query, nil, func(out io.Writer, _ struct{}) error {
				_, err := fmt.Fprintf(out, "Client %d is deleted.\n", id)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}
