package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/transports/sandbox"
)

func sandboxPhoneCmd(a *app) *cobra.Command {
	var on string
	cmd := &cobra.Command{
		Use:   "phone WHO",
		Short: "Show what a client sees",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			who := args[0]
			query := url.Values{"who": {who}}
			switch on {
			case onTelegram:
				return play(a, cmd, on, http.MethodGet, "/sandbox/telegram/phone?"+query.Encode(), nil, func(out io.Writer, messages []sandbox.PhoneMessage) error {
					return printPhone(out, who, messages)
				})
			case onEmail:
				return play(a, cmd, on, http.MethodGet, "/sandbox/mail/phone?"+query.Encode(), nil, func(out io.Writer, mails []sandbox.MailPhoneMessage) error {
					return printMails(out, who, mails)
				})
			}
			query.Set("network", on)
			return play(a, cmd, on, http.MethodGet, "/sandbox/twilio/phone?"+query.Encode(), nil, func(out io.Writer, messages []sandbox.TwilioPhoneMessage) error {
				return printPhone(out, who, asOnTelegram(messages))
			})
		},
	}
	addOn(cmd, &on)
	return cmd
}

// asOnTelegram is what a phone shows, whatever the network.
func asOnTelegram(messages []sandbox.TwilioPhoneMessage) []sandbox.PhoneMessage {
	shown := make([]sandbox.PhoneMessage, 0, len(messages))
	for _, m := range messages {
		one := sandbox.PhoneMessage{Time: m.Time, FromBot: m.FromBusiness, Kind: "text", Text: m.Text}
		if len(m.Files) > 0 {
			one.Kind, one.File = "file", m.Files[0]
		}
		shown = append(shown, one)
	}
	return shown
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

// printMails shows each mail below its subject, and what it answers.
func printMails(out io.Writer, who string, mails []sandbox.MailPhoneMessage) error {
	if len(mails) == 0 {
		_, err := fmt.Fprintf(out, "%s has no mail. Write one with: parley sandbox say --on email --subject \"Order 7\" %s \"Hello\"\n", clean(who), shellQuote(who))
		return err
	}
	now := time.Now()
	number := map[string]int{}
	var b strings.Builder
	const indent = 17
	for i, m := range mails {
		number[m.MessageID] = i + 1
		from := "me"
		if m.FromBusiness {
			from = "business"
		}
		subject := oneLine(m.Subject, 200)
		if subject == "" {
			subject = "(no subject)"
		}
		fmt.Fprintf(&b, "%s  %s %d. %s", pad(clock(m.Time, now), 5), pad(from+":", 9), i+1, subject)
		if n := number[m.InReplyTo]; n > 0 {
			fmt.Fprintf(&b, "  (answers %d)", n)
		}
		b.WriteString("\n")
		lines := strings.Split(strings.TrimRight(clean(m.Text), "\n"), "\n")
		for _, name := range m.Files {
			lines = append(lines, "[file "+oneLine(name, 100)+"]")
		}
		for _, line := range lines {
			b.WriteString(strings.TrimRight(strings.Repeat(" ", indent)+line, " ") + "\n")
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
