package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"parley/inbox/api"
)

func channelRotateCmd(a *app) *cobra.Command {
	var secretFiles map[string]string
	var remove []string
	var webhook, noCheck bool
	cmd := &cobra.Command{
		Use: "rotate CHANNEL", Short: "Replace a channel's secrets",
		Long: `Replaces secrets of a channel without taking it down: each --secret-file is name=file, - is the standard input.
What is not named stays. The provider is asked whether they are right, and still the same account's, before anything
changes; gateways and dispatchers use them within seconds.`,
		Example: `  parley channel rotate Support --secret-file token=bot.token
  parley channel rotate Hotline --secret-file auth_token_next=next.token
  parley channel rotate Hotline --secret-file auth_token=next.token --remove auth_token_next
  parley channel rotate Support --webhook`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(secretFiles)+len(remove) == 0 && !webhook {
				return &usageError{cmd, errorf("nothing to rotate: name a secret and its file with --secret-file, or use --webhook")}
			}
			secrets := make(map[string]string)
			for _, name := range remove {
				secrets[name] = ""
			}
			for name, file := range secretFiles {
				text, err := readToken(cmd, file)
				if err != nil {
					return fmt.Errorf("secret %s: %w", name, err)
				}
				secrets[name] = text
			}
			in := map[string]any{"secrets": secrets, "webhook": webhook, "unchecked": noCheck}
			return answer(a, cmd, http.MethodPost, "/channels/"+url.PathEscape(args[0])+"/rotate", nil, in, func(out io.Writer, ch api.Channel) error {
				_, err := fmt.Fprintf(out, "%s has its new secrets. See how it fares: parley channel check %s\n", clean(ch.Name), shellQuote(ch.Name))
				return err
			})
		},
	}
	cmd.Flags().StringToStringVar(&secretFiles, "secret-file", nil, "new secret, name=file")
	cmd.Flags().StringArrayVar(&remove, "remove", nil, "name of a secret to take away")
	cmd.Flags().BoolVar(&webhook, "webhook", false, "give the channel a new address to be called at")
	cmd.Flags().BoolVar(&noCheck, "no-check", false, "do not ask the provider whether the secrets are right")
	return cmd
}

func channelReconcileCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "reconcile CHANNEL", Short: "Compare a channel with what its provider has",
		Long: `Asks for a comparison of a channel with what its provider has, which also happens by itself every now and then and
after an outage. What is missing is stored within about a minute.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return answer(a, cmd, http.MethodPost, "/channels/"+url.PathEscape(args[0])+"/reconcile", nil, nil, func(out io.Writer, ch api.Channel) error {
				_, err := fmt.Fprintf(out, "%s is compared with its provider; what is missing comes within about a minute.\n", clean(ch.Name))
				return err
			})
		},
	}
}
