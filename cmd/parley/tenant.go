package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"parley/inbox"
	"parley/inbox/api"
	"parley/inbox/desk"
	"parley/store"
)

func tenantCmd(a *app) *cobra.Command {
	list := tenantListCmd(a)
	cmd := &cobra.Command{
		Use: "tenant", Short: "Say which businesses there are", Aliases: []string{"tenants"},
		Args: cobra.NoArgs, RunE: list.RunE,
	}
	cmd.AddCommand(tenantAddCmd(a), list, tenantShowCmd(a), tenantRenameCmd(a), tenantSuspendCmd(a, "suspend"), tenantSuspendCmd(a, "resume"), tenantRemoveCmd(a))
	return cmd
}

func tenantAddCmd(a *app) *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Add a business; prints the link that makes its first owner, once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			var header []string
			if key != "" {
				header = []string{"Idempotency-Key", key}
			}
			var made api.MadeTenant
			if err := c.ask(cmd.Context(), http.MethodPost, "/tenants", nil, map[string]any{"name": args[0]}, &made, header...); err != nil {
				return err
			}
			return show(a, cmd, made, func(out io.Writer, t api.MadeTenant) error {
				if _, err := fmt.Fprintf(out, "Added %s (%s). Commands name it with --tenant %s.\n", clean(t.Name), t.ID, shellQuote(t.Name)); err != nil {
					return err
				}
				if t.Link == "" {
					_, err := fmt.Fprintln(out, "It has been added before: its first owner has a link already.")
					return err
				}
				_, err := fmt.Fprintf(out, "This link makes its first owner, once, within three days, and is not shown again:\n  %s\n", t.Link)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "idempotency key: the same key with the same name adds once")
	return cmd
}

func tenantListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List tenants", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return answer(a, cmd, http.MethodGet, "/tenants", nil, nil, func(out io.Writer, page api.List[store.Tenant]) error {
				t := newTable("NAME", "ID", "SINCE", "")
				for _, tenant := range page.Items {
					t.add(tenant.Name, string(tenant.ID), day(tenant.CreatedAt), tenantState(tenant))
				}
				return t.print(out)
			})
		},
	}
}

func tenantState(t store.Tenant) string {
	if t.SuspendedAt != nil {
		return "suspended since " + day(*t.SuspendedAt)
	}
	return ""
}

func tenantPath(name string) string { return "/tenants/" + url.PathEscape(name) }

func tenantShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME|ID", Short: "Show a tenant", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return answer(a, cmd, http.MethodGet, tenantPath(args[0]), nil, nil, func(out io.Writer, t store.Tenant) error {
				state := tenantState(t)
				if state == "" {
					state = "active"
				}
				_, err := fmt.Fprintf(out, "%s\n  id     %s\n  since  %s\n  state  %s\n", clean(t.Name), t.ID, day(t.CreatedAt), state)
				return err
			})
		},
	}
}

func tenantRenameCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rename NAME|ID NEWNAME", Short: "Rename a tenant; its people log in by the new name", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			var t store.Tenant
			if err := c.ask(cmd.Context(), http.MethodGet, tenantPath(args[0]), nil, nil, &t); err != nil {
				return err
			}
			was := t.Name
			if err := c.ask(cmd.Context(), http.MethodPatch, tenantPath(string(t.ID)), nil, map[string]any{"name": args[1]}, &t,
				"If-Match", strconv.Quote(strconv.FormatInt(t.Version, 10))); err != nil {
				return err
			}
			return show(a, cmd, t, func(out io.Writer, t store.Tenant) error {
				_, err := fmt.Fprintf(out, "%s is called %s from now on.\n", clean(was), clean(t.Name))
				return err
			})
		},
	}
}

func tenantSuspendCmd(a *app, verb string) *cobra.Command {
	short, done := "Keep everybody of a tenant out and pause its channels, at once", "%s is suspended: nobody of it can log in, and its channels are paused. Let it go on with: parley tenant resume %s\n"
	if verb == "resume" {
		short, done = "Let a suspended tenant go on", "%s goes on. See how its channels fare: parley channel list --tenant %s\n"
	}
	return &cobra.Command{
		Use: verb + " NAME|ID", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return answer(a, cmd, http.MethodPost, tenantPath(args[0])+"/"+verb, nil, nil, func(out io.Writer, t store.Tenant) error {
				_, err := fmt.Fprintf(out, done, clean(t.Name), shellQuote(t.Name))
				return err
			})
		},
	}
}

func tenantRemoveCmd(a *app) *cobra.Command {
	var typed string
	cmd := &cobra.Command{
		Use: "remove NAME|ID", Short: "Remove a tenant and everything of it for good", Args: cobra.ExactArgs(1),
		Long: `Removes a tenant for good: its users, clients, chats, messages, files, channels, facts and the providers' payloads
on the bus. Nobody else's are touched. It takes the tenant's name typed again as --yes-remove. To stop a business
and keep what it has, suspend it.`,
		Example: "  parley tenant remove Bakery --yes-remove Bakery",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			var t store.Tenant
			if err := c.ask(cmd.Context(), http.MethodGet, tenantPath(args[0]), nil, nil, &t); err != nil {
				return err
			}
			if typed == "" {
				return &inbox.Error{
					Code: inbox.Invalid, Message: fmt.Sprintf("This removes %s and everything of it, and cannot be taken back.", clean(t.Name)),
					Hint: fmt.Sprintf("If you mean it: parley tenant remove %s --yes-remove %s", t.ID, shellQuote(t.Name)),
				}
			}
			// As long as it takes: a large one has many rows.
			res, err := c.open(cmd.Context(), http.MethodPost, tenantPath(string(t.ID))+"/remove", nil, map[string]any{"name": typed})
			if err != nil {
				return err
			}
			defer res.Body.Close()
			var gone desk.RemovedTenant
			if err := json.NewDecoder(res.Body).Decode(&gone); err != nil {
				return fmt.Errorf("reading the server's answer: %w", err)
			}
			return show(a, cmd, gone, printRemoved)
		},
	}
	cmd.Flags().StringVar(&typed, "yes-remove", "", "the tenant's name, typed again")
	return cmd
}

func printRemoved(out io.Writer, gone desk.RemovedTenant) error {
	var all int64
	for _, n := range gone.Rows {
		all += n
	}
	var parts []string
	for _, what := range []struct{ table, one, many string }{
		{"core_users", "user", "users"},
		{"parley_channels", "channel", "channels"},
		{"crm_clients", "client", "clients"},
		{"crm_chats", "chat", "chats"},
		{"crm_chat_messages", "message", "messages"},
	} {
		parts = append(parts, counted(gone.Rows[what.table], what.one, what.many))
	}
	parts = append(parts, counted(int64(gone.Files), "file", "files"))
	end := "Bus and files are gone over once more in a minute, for what was under way.\n"
	if !gone.Done {
		end = "Bus or files cannot be reached just now: what is left there goes as soon as they can.\n"
	}
	_, err := fmt.Fprintf(out, "Removed %s: %s; %s of the database in all. %s", clean(gone.Name), strings.Join(parts, ", "), counted(all, "row", "rows"), end)
	return err
}

func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + many
}
