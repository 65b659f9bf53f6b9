package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/events"
	"parley/inbox/api"
)

func channelCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "channel", Short: "Connect and look after channels", Aliases: []string{"channels"}}
	cmd.AddCommand(channelAddCmd(a), channelListCmd(a), channelCheckCmd(a), channelPauseCmd(a, "pause"), channelPauseCmd(a, "resume"),
		channelChangeCmd(a), channelRotateCmd(a), channelReconcileCmd(a))
	return cmd
}

// tokenEnv holds the token where a file is inconvenient.
const tokenEnv = "PARLEY_CHANNEL_TOKEN" //nolint:gosec // its name

func channelAddCmd(a *app) *cobra.Command {
	var name, mode, apiURL, country, tokenFile string
	var settings, secretFiles map[string]string
	var noCheck bool
	cmd := &cobra.Command{
		Use:   "add TRANSPORT",
		Short: "Connect an account, such as a Telegram bot",
		Long: `Connects an account. Its token, or password, is read from --token-file (- is the standard input) or from
` + tokenEnv + `; never from the command line, which the process list shows. Further secrets come from
--secret-file. docs/channels.md has what each transport needs.

The provider is asked whether all is right before anything is stored.`,
		Example: `  parley channel add telegram --name Support --token-file bot.token
  pass show telegram-bot | parley channel add telegram --token-file -
  parley channel add email --token-file password --setting address=help@example.org --setting imap=mail.example.org --setting smtp=mail.example.org
  parley channel add whatsapp --token-file auth.token --setting account_sid=AC… --setting from=+15005550007`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			transport := strings.ToLower(args[0])
			secrets, err := readSecrets(cmd, events.Transport(transport), tokenFile, secretFiles)
			if err != nil {
				return err
			}
			if name == "" {
				name = strings.ToUpper(transport[:1]) + transport[1:]
			}
			if apiURL != "" {
				if settings == nil {
					settings = map[string]string{}
				}
				settings["api_url"] = apiURL
			}
			in := map[string]any{
				"transport": transport, "name": name, "settings": settings, "secrets": secrets, "unchecked": noCheck,
			}
			if mode != "" {
				in["mode"] = mode
			}
			if country != "" {
				in["country"] = country
			}
			if settings == nil {
				delete(in, "settings")
			}
			return answer(a, cmd, http.MethodPost, "/channels", nil, in, func(out io.Writer, ch api.Channel) error {
				account := ""
				if ch.Account != "" {
					account = " as " + clean(ch.Account)
				}
				_, err := fmt.Fprintf(out, "Connected %s%s, by %s. See how it fares: parley channel check %s\n",
					clean(ch.Name), account, ch.Mode, shellQuote(ch.Name))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what people call it (default: the transport)")
	cmd.Flags().StringVar(&tokenFile, "token-file", "", "file with the account's token; - is the standard input")
	cmd.Flags().StringToStringVar(&secretFiles, "secret-file", nil, "further secret of the adapter, name=file")
	cmd.Flags().StringVar(&mode, "mode", "", "polling or webhook (default: the transport's usual way)")
	cmd.Flags().StringVar(&apiURL, "api-url", "", "base URL of the provider's API, for one of your own")
	cmd.Flags().StringVar(&country, "country", "", "region of phone numbers without prefix, such as DE")
	cmd.Flags().StringToStringVar(&settings, "setting", nil, "further setting of the adapter, name=value")
	cmd.Flags().BoolVar(&noCheck, "no-check", false, "do not ask the provider whether the token is right")
	return cmd
}

// readSecrets reads the token and the further secrets. Where those are all there
// is, no token is needed.
func readSecrets(cmd *cobra.Command, transport events.Transport, tokenFile string, files map[string]string) (map[string]string, error) {
	secrets := make(map[string]string, 1+len(files))
	for name, file := range files {
		text, err := readToken(cmd, file)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", name, err)
		}
		secrets[name] = text
	}
	if tokenFile == "" && len(files) > 0 {
		return secrets, nil
	}
	token, err := readToken(cmd, tokenFile)
	if err != nil {
		return nil, err
	}
	name := adapters()[transport].token
	if name == "" {
		name = "token" // of a transport that the server will say it does not have
	}
	secrets[name] = token
	return secrets, nil
}

// maxToken is far above any provider's token.
const maxToken = 64 << 10

func readToken(cmd *cobra.Command, file string) (string, error) {
	var text []byte
	var err error
	switch file {
	case "":
		if token := strings.TrimSpace(os.Getenv(tokenEnv)); token != "" {
			return token, nil
		}
		return "", &usageError{cmd, errorf("no token: name its file with --token-file (- is the standard input), or set %s", tokenEnv)}
	case "-":
		text, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxToken))
	default:
		text, err = os.ReadFile(file) //nolint:gosec // the operator names it
	}
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", errorf("the token file is empty")
	}
	return token, nil
}

func channelListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List channels",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return answer(a, cmd, http.MethodGet, "/channels", nil, nil, printChannels)
		},
	}
}

func printChannels(out io.Writer, page api.List[api.Channel]) error {
	if len(page.Items) == 0 {
		_, err := fmt.Fprintln(out, "No channels yet. Connect one with: parley channel add telegram --token-file bot.token")
		return err
	}
	now := time.Now()
	t := newTable("NAME", "TRANSPORT", "ACCOUNT", "MODE", "STATE", "SINCE", "ID")
	for _, ch := range page.Items {
		since := ""
		if ch.Since != nil && !ch.Paused {
			since = when(*ch.Since, now)
		}
		t.add(ch.Name, string(ch.Transport), ch.Account, string(ch.Mode), channelState(ch), since, string(ch.ID))
	}
	return t.print(out)
}

func channelState(ch api.Channel) string {
	switch {
	case ch.Paused:
		return "paused"
	case ch.State == "":
		return "starting"
	case ch.State == events.NeedsAttention:
		return "needs attention: " + oneLine(ch.Error, 60)
	case ch.Error != "":
		return string(ch.State) + ": " + oneLine(ch.Error, 60)
	}
	return string(ch.State)
}

func channelCheckCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check CHANNEL",
		Short: "Ask the gateway and the provider how a channel fares",
		Long:  "Asks the gateway and the provider how a channel fares. Exits with 1 when something is wrong.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			var r api.ChannelCheck
			if err := c.ask(cmd.Context(), http.MethodPost, "/channels/"+url.PathEscape(args[0])+"/check", nil, nil, &r); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if a.json {
				err = printJSON(out, r)
			} else {
				_, err = fmt.Fprintf(out, "%s (%s, %s)\n  %s\n", clean(r.Name), r.Transport, r.Mode, strings.Join(cleanAll(r.Words), "\n  "))
			}
			if err == nil && (r.Report == nil || r.State == events.NeedsAttention || r.State == events.Degraded) {
				return &silentError{}
			}
			return err
		},
	}
}

func cleanAll(texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = oneLine(text, 0)
	}
	return out
}

func channelPauseCmd(a *app, verb string) *cobra.Command {
	short, done := "Stop a channel from accepting and sending", "%s is paused. Its provider keeps what comes in, for as long as it does. Go on with: parley channel resume %s\n"
	if verb == "resume" {
		short, done = "Let a paused channel go on", "%s goes on. See how it fares: parley channel check %s\n"
	}
	return &cobra.Command{
		Use: verb + " CHANNEL", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/channels/" + url.PathEscape(args[0]) + "/" + verb
			return answer(a, cmd, http.MethodPost, path, nil, nil, func(out io.Writer, ch api.Channel) error {
				_, err := fmt.Fprintf(out, done, clean(ch.Name), shellQuote(ch.Name))
				return err
			})
		},
	}
}
