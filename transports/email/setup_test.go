package email_test

import (
	"net/http"
	"testing"
	"time"

	"parley/events"
	"parley/transports"
	"parley/transports/email"
)

const (
	ownAddress = "office@example.com"
	password   = "correct-horse-battery"
	replyKey   = "made-up-reply-key"
)

// newMailbox is a mailbox with these settings besides what it needs.
func newMailbox(t testing.TB, settings map[string]string, dial email.Dial) *email.Mailbox {
	t.Helper()
	m, err := email.NewWithDial(account(settings), dial)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func account(settings map[string]string) transports.Account {
	all := map[string]string{
		"address": ownAddress, "name": "The Office",
		"imap": "127.0.0.1:1", "smtp": "127.0.0.1:1", "imap_security": "none", "smtp_security": "none",
		"authserv_id": "mx.example.com",
	}
	for name, value := range settings {
		all[name] = value
	}
	return transports.Account{
		Channel:    events.Channel{ID: "c1", Transport: events.Email, Settings: all},
		Secrets:    map[string]string{"password": password, "reply_key": replyKey},
		HTTPClient: &http.Client{Timeout: 10 * time.Second},
	}
}
