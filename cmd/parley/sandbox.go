package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/inbox"
	"parley/transports/sandbox"
)

func sandboxCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Play the clients' side of a demo",
		Long:  "Plays the people at the other end of the demo's stand-ins. A name makes a person.",
		Example: `  parley sandbox say anna "Is my order on its way?"
  parley sandbox say --on whatsapp bo "Do you ship to Norway?"
  parley sandbox say --on email --subject "Order 7" cleo "Is it on its way?"
  parley sandbox phone anna`,
	}
	cmd.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON for programs")
	cmd.AddCommand(sandboxSayCmd(a), sandboxPhoneCmd(a), sandboxPeopleCmd(a), sandboxFaultsCmd(a))
	return cmd
}

// standIn asks the stand-in's control endpoints.
type standIn struct{ base string }

func (a *app) standIn(ctx context.Context) (*standIn, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	if c.Sandbox == "" {
		return nil, &inbox.Error{
			Code: inbox.NotFound, Message: fmt.Sprintf("The server in %s has no stand-in providers.", c.dir),
			Hint: "parley demo runs one that has.",
		}
	}
	return &standIn{base: c.Sandbox}, nil
}

func (s *standIn) ask(ctx context.Context, method, path string, in []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(in))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return &inbox.Error{Code: inbox.Unavailable, Message: "The stand-in does not answer.", Hint: "Is the demo still running?", Err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("reading the stand-in's answer: %w", err)
	}
	if res.StatusCode >= 300 {
		var refused struct {
			Error string `json:"error"`
		}
		_ = json.Unmarshal(body, &refused)
		return &inbox.Error{Code: inbox.Invalid, Message: "The stand-in refused: " + strings.TrimPrefix(refused.Error, "sandbox: ") + "."}
	}
	return json.Unmarshal(body, out)
}

func sandboxSayCmd(a *app) *cobra.Command {
	var on, subject string
	cmd := &cobra.Command{
		Use:   "say WHO TEXT",
		Short: "Write to the business as a client",
		Long: `Writes to the business as a client. A name makes a person. A mail without --subject answers the last one
that the person got.`,
		Example: `  parley sandbox say anna "Is my order on its way?"
  parley sandbox say --on email --subject "Order 7" anna "Is it on its way?"`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if subject != "" && on != onEmail {
				return &usageError{cmd, errorf("only a mail has a subject: add --on email")}
			}
			if on == onEmail {
				return a.sayOnMail(cmd, args[0], subject, args[1])
			}
			if on != onTelegram {
				return a.sayOnTwilio(cmd, on, args[0], args[1])
			}
			s, err := a.standIn(cmd.Context())
			if err != nil {
				return err
			}
			in, err := json.Marshal(map[string]string{"from": args[0], "text": args[1]})
			if err != nil {
				return err
			}
			var sent struct {
				MessageID int64 `json:"message_id"`
			}
			if err := s.ask(cmd.Context(), http.MethodPost, "/sandbox/telegram/say", in, &sent); err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), sent)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s wrote on Telegram. It shows in: parley chats\n", clean(args[0]))
			return err
		},
	}
	addOn(cmd, &on)
	cmd.Flags().StringVar(&subject, "subject", "", "a mail's subject")
	return cmd
}

func sandboxPhoneCmd(a *app) *cobra.Command {
	var on string
	cmd := &cobra.Command{
		Use:   "phone WHO",
		Short: "Show what a client sees",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if on == onEmail {
				return a.phoneOnMail(cmd, args[0])
			}
			if on != onTelegram {
				return a.phoneOnTwilio(cmd, on, args[0])
			}
			s, err := a.standIn(cmd.Context())
			if err != nil {
				return err
			}
			var messages []sandbox.PhoneMessage
			if err := s.ask(cmd.Context(), http.MethodGet, "/sandbox/telegram/phone?who="+url.QueryEscape(args[0]), nil, &messages); err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), messages)
			}
			return printPhone(cmd.OutOrStdout(), args[0], messages)
		},
	}
	addOn(cmd, &on)
	return cmd
}

func printPhone(out io.Writer, who string, messages []sandbox.PhoneMessage) error {
	if len(messages) == 0 {
		_, err := fmt.Fprintf(out, "%s has no messages. Write one with: parley sandbox say %s \"Hello\"\n", clean(who), shellQuote(who))
		return err
	}
	now := time.Now()
	var b strings.Builder
	for _, m := range messages {
		from := "me"
		if m.FromBot {
			from = "business"
		}
		text := m.Text
		if m.Kind != "text" {
			text = strings.TrimSpace(fmt.Sprintf("[%s %s] %s", m.Kind, m.File, m.Text))
		}
		fmt.Fprintf(&b, "%s  %s %s", pad(clock(m.Time, now), 5), pad(from+":", 9), strings.ReplaceAll(clean(text), "\n", "\n"+strings.Repeat(" ", 17)))
		if m.Edited {
			b.WriteString("  [edited]")
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func sandboxPeopleCmd(a *app) *cobra.Command {
	var on string
	cmd := &cobra.Command{
		Use:   "people",
		Short: "List the clients there are",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.standInOn(cmd.Context(), on)
			if err != nil {
				return err
			}
			var found json.RawMessage
			if err := s.ask(cmd.Context(), http.MethodGet, "/sandbox/people", nil, &found); err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), found)
			}
			var people []struct {
				Name    string `json:"name"`
				ID      int64  `json:"id"`      // on Telegram
				Number  string `json:"number"`  // at Twilio
				Address string `json:"address"` // by mail
			}
			if err := json.Unmarshal(found, &people); err != nil {
				return fmt.Errorf("reading the stand-in's answer: %w", err)
			}
			if len(people) == 0 {
				example := "parley sandbox say anna \"Hello\""
				if on != onTelegram {
					example = "parley sandbox say --on " + on + " anna \"Hello\""
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "Nobody yet. Writing makes a person: "+example)
				return err
			}
			known := "NUMBER"
			switch on {
			case onTelegram:
				known = "TELEGRAM ID"
			case onEmail:
				known = "ADDRESS"
			}
			t := newTable("NAME", known)
			for _, p := range people {
				known := cmp.Or(p.Number, p.Address)
				if p.ID != 0 {
					known = strconv.FormatInt(p.ID, 10)
				}
				t.add(p.Name, known)
			}
			return t.print(cmd.OutOrStdout())
		},
	}
	addOn(cmd, &on)
	return cmd
}

func sandboxFaultsCmd(a *app) *cobra.Command {
	var on string
	cmd := &cobra.Command{
		Use:   "faults [JSON]",
		Short: "Show or set what goes wrong at a stand-in",
		Long: `Shows what goes wrong when the business sends, or sets it: shares from 0 to 1 by kind of fault.
{} is none. The stand-in for Twilio has one set of faults for SMS and WhatsApp together. All kinds are in the
documentation: go doc ./transports/sandbox TelegramFaults, TwilioFaults, MailFaults.`,
		Example: `  parley sandbox faults '{"server_error": 0.2, "hang_after": 0.05}'
  parley sandbox faults '{"next": ["reset_after"]}'
  parley sandbox faults --on whatsapp '{"undelivered": 0.1}'
  parley sandbox faults --on email '{"next": ["cut_after"], "drop_idle_ms": 500}'
  parley sandbox faults '{}'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			method, in := http.MethodGet, []byte(nil)
			if len(args) > 0 {
				if in = []byte(args[0]); !json.Valid(in) {
					return &usageError{cmd, errorf("%q is not JSON", args[0])}
				}
				method = http.MethodPost
			}
			s, err := a.standInOn(cmd.Context(), on)
			if err != nil {
				return err
			}
			var faults json.RawMessage
			if err := s.ask(cmd.Context(), method, "/sandbox/faults", in, &faults); err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), faults)
		},
	}
	addOn(cmd, &on)
	return cmd
}
