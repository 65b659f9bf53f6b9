package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/events"
	"parley/inbox"
	"parley/inbox/api"
	"parley/transports/sandbox"
)

// onEmail is the network with subjects.
const onEmail = string(events.Email)

// mailStandIn asks the stand-in for a mail server.
func (a *app) mailStandIn(ctx context.Context) (*standIn, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	at, err := loadMailAt(c.dir)
	if err != nil {
		return nil, err
	}
	var page api.List[api.Channel]
	if err := c.ask(ctx, http.MethodGet, "/channels", nil, nil, &page); err != nil {
		return nil, err
	}
	for _, ch := range page.Items {
		// The file may be an older run's.
		if at.IMAP != "" && ch.Transport == events.Email && ch.Settings["imap"] == at.IMAP {
			return &standIn{base: "http://" + at.Control}, nil
		}
	}
	return nil, noStandIn(c.dir, onEmail)
}

func noStandIn(dir, on string) error {
	return &inbox.Error{
		Code: inbox.NotFound, Message: fmt.Sprintf("The server in %s has no stand-in for %s.", dir, on), Hint: "parley demo runs one that has.",
	}
}

func (a *app) sayOnMail(cmd *cobra.Command, who, subject, text string) error {
	s, err := a.mailStandIn(cmd.Context())
	if err != nil {
		return err
	}
	in, err := json.Marshal(map[string]string{"from": who, "subject": subject, "text": text})
	if err != nil {
		return err
	}
	var sent struct {
		MessageID string `json:"message_id"`
	}
	if err := s.ask(cmd.Context(), http.MethodPost, "/sandbox/mail/say", in, &sent); err != nil {
		return err
	}
	if a.json {
		return printJSON(cmd.OutOrStdout(), sent)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s wrote a mail. It shows in: parley chats\n", clean(who))
	return err
}

func (a *app) phoneOnMail(cmd *cobra.Command, who string) error {
	s, err := a.mailStandIn(cmd.Context())
	if err != nil {
		return err
	}
	var mails []sandbox.MailPhoneMessage
	if err := s.ask(cmd.Context(), http.MethodGet, "/sandbox/mail/phone?who="+url.QueryEscape(who), nil, &mails); err != nil {
		return err
	}
	if a.json {
		return printJSON(cmd.OutOrStdout(), mails)
	}
	return printMails(cmd.OutOrStdout(), who, mails)
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
