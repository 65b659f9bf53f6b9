package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/inbox"
	"parley/inbox/api"
	"parley/store"
)

func tokenCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Let programs in"}
	cmd.AddCommand(tokenAddCmd(a), tokenListCmd(a), tokenRevokeCmd(a))
	return cmd
}

func tokenAddCmd(a *app) *cobra.Command {
	var role, scopes string
	var days int
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a token for a program; prints it once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]any{"name": args[0], "role": role, "scopes": strings.Split(scopes, ","), "days": days}
			return answer(a, cmd, http.MethodPost, "/tokens", nil, in, func(out io.Writer, made api.MadeToken) error {
				_, err := fmt.Fprintf(out, "The token of %s, valid until %s, is not shown again:\n  %s\n", oneLine(made.Name, 60), day(made.ExpiresAt), made.Secret)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&role, "role", string(inbox.Agent), "what it may do at most: admin, agent or read_only")
	cmd.Flags().StringVar(&scopes, "scopes", "chats:read,chats:write", "what it is for, with commas: chats:read, chats:write, channels:read, channels:write, users:read, users:write, audit:read, webhooks:read, webhooks:write")
	cmd.Flags().IntVar(&days, "days", 90, "how long it is valid, at most 366")
	return cmd
}

func tokenListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List tokens",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return answerAll(a, cmd, "/tokens", printTokens)
		},
	}
}

func printTokens(out io.Writer, tokens []store.Token) error {
	now := time.Now()
	t := newTable("ID", "NAME", "BEGINS WITH", "ROLE", "SCOPES", "LAST USED", "VALID")
	for _, tok := range tokens {
		used := "never"
		if tok.LastUsedAt != nil {
			used = when(*tok.LastUsedAt, now)
		}
		valid := "until " + day(tok.ExpiresAt)
		switch {
		case tok.RevokedAt != nil:
			valid = "revoked"
		case tok.ExpiresAt.Before(now):
			valid = "expired"
		case tok.User.DisabledAt != nil:
			valid = "disabled"
		}
		t.add(tok.ID, oneLine(tok.Name, 40), tok.Prefix, roleWords(tok.User.Role), strings.Join(tok.Scopes, " "), used, valid)
	}
	return t.print(out)
}

func tokenRevokeCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID|NAME",
		Short: "Revoke a token, at once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			tokens, err := all[store.Token](cmd, c, "/tokens")
			if err != nil {
				return err
			}
			var found []store.Token
			for _, t := range tokens {
				if t.ID == args[0] || t.Name == args[0] && t.RevokedAt == nil {
					found = append(found, t)
				}
			}
			if len(found) != 1 {
				return &inbox.Error{
					Code: inbox.NotFound, Message: fmt.Sprintf("%d tokens are %q.", len(found), args[0]), Hint: "List them with: parley token list",
				}
			}
			if err := c.ask(cmd.Context(), http.MethodDelete, "/tokens/"+found[0].ID, nil, nil, nil); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "The token of %s lets nobody in any more.\n", oneLine(found[0].Name, 60))
			return err
		},
	}
}
