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
	"parley/store"
)

func userCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "user", Short: "Say who may use Parley, and as what"}
	cmd.AddCommand(userAddCmd(a), userListCmd(a), userDisableCmd(a), userRoleCmd(a), userResetCmd(a))
	return cmd
}

func userAddCmd(a *app) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:   "add EMAIL",
		Short: "Invite somebody; prints the link that lets them in once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]any{"email": args[0], "role": role}
			return answer(a, cmd, http.MethodPost, "/invitations", nil, in, func(out io.Writer, link api.Link) error {
				return printLink(out, link, fmt.Sprintf("%s joins as %s", args[0], roleWords(link.Role)))
			})
		},
	}
	cmd.Flags().StringVar(&role, "role", string(inbox.Agent), "owner, admin, agent or read_only")
	return cmd
}

func printLink(out io.Writer, link api.Link, what string) error {
	_, err := fmt.Fprintf(out, "With this link %s. It works once, until %s, and is not shown again:\n  %s\n",
		what, link.ExpiresAt.Local().Format("2 Jan 15:04"), link.Link)
	return err
}

func roleWords(r inbox.Role) string { return strings.ReplaceAll(string(r), "_", " ") }

func userListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List users",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return answerAll(a, cmd, "/users", printUsers)
		},
	}
}

func printUsers(out io.Writer, users []store.Account) error {
	t := newTable("ID", "NAME", "EMAIL", "ROLE", "")
	for _, u := range users {
		var notes []string
		if u.Service {
			notes = append(notes, "program")
		}
		if u.SecondFactor {
			notes = append(notes, "second factor")
		}
		if u.DisabledAt != nil {
			notes = append(notes, "disabled")
		}
		t.add(strconv.FormatInt(u.ID, 10), oneLine(u.Name, 40), u.Email, roleWords(u.Role), strings.Join(notes, ", "))
	}
	return t.print(out)
}

// findUser finds a user by id or email address.
func findUser(cmd *cobra.Command, c *client, name string) (store.Account, error) {
	users, err := all[store.Account](cmd, c, "/users")
	if err != nil {
		return store.Account{}, err
	}
	for _, u := range users {
		if strconv.FormatInt(u.ID, 10) == name || u.Email != "" && strings.EqualFold(u.Email, name) {
			return u, nil
		}
	}
	return store.Account{}, &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no user %q.", name), Hint: "List them with: parley user list"}
}

func userDisableCmd(a *app) *cobra.Command {
	var undo bool
	cmd := &cobra.Command{
		Use:   "disable EMAIL|ID",
		Short: "Keep a user out, at once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			words := "%s is kept out; their sessions have ended.\n"
			if undo {
				words = "%s may log in again.\n"
			}
			return a.changeUser(cmd, args[0], map[string]any{"disabled": !undo}, words)
		},
	}
	cmd.Flags().BoolVar(&undo, "undo", false, "let them in again")
	return cmd
}

func userRoleCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "role EMAIL|ID ROLE",
		Short: "Change what a user may do: owner, admin, agent or read_only",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeUser(cmd, args[0], map[string]any{"role": args[1]}, "%s is "+roleWords(inbox.Role(args[1]))+" from now on.\n")
		},
	}
}

func (a *app) changeUser(cmd *cobra.Command, name string, change map[string]any, words string) error {
	c, err := a.connect(cmd.Context())
	if err != nil {
		return err
	}
	u, err := findUser(cmd, c, name)
	if err != nil {
		return err
	}
	if err := c.ask(cmd.Context(), http.MethodPatch, fmt.Sprintf("/users/%d", u.ID), nil, change, &u, "If-Match", strconv.Quote(strconv.FormatInt(u.Version, 10))); err != nil {
		return err
	}
	return show(a, cmd, u, func(out io.Writer, u store.Account) error {
		_, err := fmt.Fprintf(out, words, oneLine(u.Name, 40))
		return err
	})
}

func userResetCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "reset EMAIL|ID",
		Short: "Print a link with which a user chooses a new password",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			u, err := findUser(cmd, c, args[0])
			if err != nil {
				return err
			}
			var link api.Link
			if err := c.ask(cmd.Context(), http.MethodPost, fmt.Sprintf("/users/%d/reset", u.ID), nil, nil, &link); err != nil {
				return err
			}
			return show(a, cmd, link, func(out io.Writer, link api.Link) error {
				return printLink(out, link, u.Email+" chooses a new password, and sets up the second factor anew")
			})
		},
	}
}

// day prints a day.
func day(t time.Time) string { return t.Local().Format("2 Jan 2006") }
