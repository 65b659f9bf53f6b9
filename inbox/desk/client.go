package desk

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"parley/events"
	"parley/inbox"
	"parley/store"
	"parley/transports"
)

// NewClient is a client to add.
type NewClient struct {
	store.ClientChange
	Contacts []store.NewContact
	// Country is the ISO 3166 region of phone numbers without prefix, empty when
	// they have one.
	Country string
	// Key makes a repeated request the same client; empty for none.
	Key string
}

// AddClient adds a client, with numbers and addresses in the form in which they
// are compared; see [store.DB.AddClient].
func (d *Desk) AddClient(ctx context.Context, tenant events.TenantID, by inbox.Actor, n NewClient) (inbox.ClientCard, error) {
	change, err := tidyClient(n.ClientChange, n.Country)
	if err != nil {
		return inbox.ClientCard{}, err
	}
	if change.FirstName == nil {
		return inbox.ClientCard{}, noFirstName()
	}
	contacts := make([]store.NewContact, len(n.Contacts))
	for i, c := range n.Contacts {
		if contacts[i], err = TidyContact(c, n.Country); err != nil {
			return inbox.ClientCard{}, err
		}
	}
	return d.Store.AddClient(ctx, tenant, by, change, contacts, n.Key)
}

// ChangeClient changes a client; see [store.DB.ChangeClient].
func (d *Desk) ChangeClient(ctx context.Context, tenant events.TenantID, by inbox.Actor, id, version int64, country string, c store.ClientChange) (inbox.ClientCard, error) {
	change, err := tidyClient(c, country)
	if err != nil {
		return inbox.ClientCard{}, err
	}
	return d.Store.ChangeClient(ctx, tenant, by, id, version, change)
}

func noFirstName() error {
	return &inbox.Error{Code: inbox.Invalid, Message: "A client needs a first name.", Hint: "Use whatever they are known by."}
}

// longest are the most characters of the data model's columns.
const (
	longestName  = 255
	longestShort = 20
	longestText  = 10_000
)

func tidyClient(c store.ClientChange, country string) (store.ClientChange, error) {
	for _, f := range []struct {
		what string
		text **string
		most int
	}{
		{"first name", &c.FirstName, longestName},
		{"last name", &c.LastName, longestName},
		{"middle name", &c.MiddleName, longestName},
		{"phone number", &c.Phone, longestName},
		{"mail address", &c.Email, longestName},
		{"address", &c.Address, longestText},
		{"date of birth", &c.DateOfBirth, longestShort},
		{"gender", &c.Gender, longestShort},
		{"tax number", &c.PIN, longestShort},
		{"comments", &c.Comments, longestText},
	} {
		if *f.text == nil {
			continue
		}
		text := strings.TrimSpace(**f.text)
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) || utf8.RuneCountInString(text) > f.most {
			return c, &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("The %s is text of at most %d characters.", f.what, f.most)}
		}
		*f.text = &text
	}
	if c.FirstName != nil && *c.FirstName == "" {
		return c, noFirstName()
	}
	if c.DateOfBirth != nil && *c.DateOfBirth != "" {
		if born, err := time.Parse(time.DateOnly, *c.DateOfBirth); err != nil || born.After(time.Now()) {
			return c, &inbox.Error{Code: inbox.Invalid, Message: "The date of birth is no day that has been.", Hint: "Write it like 1990-12-31."}
		}
	}
	if c.Phone != nil && *c.Phone != "" {
		tidy, err := TidyContact(store.NewContact{Type: inbox.ContactPhone, Value: *c.Phone}, country)
		if err != nil {
			return c, err
		}
		c.Phone = &tidy.Value
	}
	if c.Email != nil && *c.Email != "" {
		tidy, err := TidyContact(store.NewContact{Type: inbox.ContactEmail, Value: *c.Email}, country)
		if err != nil {
			return c, err
		}
		c.Email = &tidy.Value
	}
	return c, nil
}

// Telegram's usernames (https://telegram.org/faq#q-what-can-i-use-as-my-username)
// and the ids of people (https://core.telegram.org/bots/api#user, 52 bits).
var (
	telegramName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{3,31}$`)
	telegramID   = regexp.MustCompile(`^[1-9][0-9]{0,15}$`)
)

// TidyContact checks a contact's value by its type and returns it in the form in
// which it is compared: a number in E.164, an address with its domain in small
// letters, a Telegram user by id or @name. Country is that of numbers without
// prefix.
func TidyContact(c store.NewContact, country string) (store.NewContact, error) {
	c.Value = strings.TrimSpace(c.Value)
	invalid := func(what, hint string) (store.NewContact, error) {
		return c, &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("%q is no %s.", c.Value, what), Hint: hint}
	}
	if c.Value == "" || len(c.Value) > longestName || !utf8.ValidString(c.Value) || strings.ContainsRune(c.Value, 0) {
		return c, &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("A contact is text of at most %d bytes.", longestName), Hint: "Write the number, address or name."}
	}
	switch c.Type {
	case inbox.ContactPhone, inbox.ContactWhatsApp:
		id, err := transports.NormalisePhone(c.Value, country)
		if err != nil {
			return invalid("phone number", "Write it with its country's prefix, like +49 30 1234567, or name the country.")
		}
		c.Value = id.Value
	case inbox.ContactEmail:
		id, err := transports.NormaliseEmail(c.Value)
		if err != nil {
			return invalid("mail address", "Write it like ada@example.com.")
		}
		c.Value = id.Value
	case inbox.ContactTelegram:
		name := strings.TrimPrefix(c.Value, "@")
		if link, err := url.Parse(c.Value); err == nil && (link.Host == "t.me" || link.Host == "telegram.me") {
			name = strings.Trim(link.Path, "/")
		}
		switch {
		case telegramID.MatchString(name) && !strings.HasPrefix(c.Value, "@"):
			c.Value = name
		case telegramName.MatchString(name):
			c.Value = "@" + name
		default:
			return invalid("Telegram user", "Write a username like @ada_lovelace, or the user's numeric id.")
		}
	case inbox.ContactOther:
	default:
		return c, &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("There is no type of contact %q.", c.Type), Hint: "Use one of: email, phone, telegram, whatsapp, other."}
	}
	return c, nil
}
