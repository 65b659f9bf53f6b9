package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// limits of a mail's head: a line of it has 998 bytes at most (RFC 5322, section
// 2.1.1), and providers take about a hundred recipients.
const (
	maxSubject    = 900
	maxRecipients = 50
)

// ReplyMail is what an agent sets of a mail's head; what is empty follows the
// mail that is answered.
type ReplyMail struct {
	Subject string
	// To and Cc replace the recipients. Cc is not nil and empty to leave all out.
	To, Cc []events.MailAddress
}

func (m *ReplyMail) validate() error {
	switch {
	case m == nil:
	case len(m.Subject) > maxSubject || !isText(m.Subject) || strings.ContainsAny(m.Subject, "\r\n"):
		return &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("The subject is not one line of at most %d bytes.", maxSubject), Hint: "Shorten it.",
		}
	case len(m.To)+len(m.Cc) > maxRecipients:
		return &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("The reply has %d recipients; %d is the most.", len(m.To)+len(m.Cc), maxRecipients),
			Hint: "Write to fewer people at once.",
		}
	}
	return nil
}

// letterHead is the head of a reply by mail. Its Message-ID is made here, once:
// stored before the mail leaves, it is the same for each attempt.
func letterHead(ctx context.Context, tx pgx.Tx, r Reply, way route) (*events.Mail, error) {
	answered, err := answeredMail(ctx, tx, r, way)
	if err != nil {
		return nil, err
	}
	// A mailbox that was never checked has its address from the operator alone.
	const sql = "SELECT coalesce(nullif(account, ''), settings ->> 'address', '') FROM parley_channels WHERE id = $1"
	var account string
	if err := tx.QueryRow(ctx, sql, string(way.Channel)).Scan(&account); err != nil {
		return nil, err
	}
	head := inbox.AnswerMail(answered, []string{account}, way.Address)
	if set := r.Mail; set != nil {
		head.Subject = cmp.Or(set.Subject, head.Subject)
		if len(set.To) > 0 {
			head.To = set.To
		}
		if set.Cc != nil {
			head.Cc = set.Cc
		}
	}
	head.Subject = cmp.Or(head.Subject, firstLine(r.Text), "Message")
	head.From = events.MailAddress{Address: account}
	domain := "parley.invalid"
	if at := strings.LastIndexByte(account, '@'); at > 0 && at < len(account)-1 {
		domain = account[at+1:]
	}
	head.MessageID = uuid.Must(uuid.NewV7()).String() + "@" + domain
	if r.Automatic {
		head.Automatic = "auto-replied"
	}
	head.ChatToken = strconv.FormatInt(r.Chat, 10)
	return &head, nil
}

// answeredMail is the head of the mail that a reply answers: the one it names, or
// the client's last on that channel; nil when there is none.
func answeredMail(ctx context.Context, tx pgx.Tx, r Reply, way route) (m *events.Mail, err error) {
	sql, args := `
		SELECT content -> 'mail' FROM crm_chat_messages
		 WHERE chat_id = $1 AND channel_id = $2 AND direction = 'in' AND content ? 'mail' ORDER BY seq DESC LIMIT 1`, []any{r.Chat, string(way.Channel)}
	if r.ReplyTo != 0 {
		sql, args = `SELECT content -> 'mail' FROM crm_chat_messages WHERE chat_id = $1 AND id = $2 AND content ? 'mail'`, []any{r.Chat, r.ReplyTo}
	}
	err = tx.QueryRow(ctx, sql, args...).Scan(&m)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return m, err
}

// firstLine is the start of a text as a subject.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	const most = 60
	if runes := []rune(line); len(runes) > most {
		line = string(runes[:most]) + "…"
	}
	return strings.TrimSpace(line)
}
