package transports

import (
	"errors"
	"fmt"
	"net/mail"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"parley/events"
)

// ErrNoIdentity says that a sender's address names nobody in particular: an
// alphanumeric SMS sender, a short code, a broken mail address. The errors of
// this file wrap it and do not repeat the address.
var ErrNoIdentity = errors.New("address is not an identity")

// maxE164 is the most digits an international number has, country code included
// (ITU-T E.164, section 6.1); libphonenumber lets Germany's be longer.
const maxE164 = 15

// NormalisePhone turns a phone number as a provider or a person writes it into
// E.164 (https://www.itu.int/rec/T-REC-E.164). Country is the ISO 3166 region of
// numbers without an international prefix; empty means that they have one.
// Extensions are dropped.
//
// Two countries write one mobile number in two ways, and providers use both for
// the same person, so they become one here:
//
//   - Brazil's mobile numbers with and without the ninth digit (+55 AA 9NNNN-NNNN):
//     the ninth digit is added.
//   - Mexico's mobile numbers with and without the 1 that was dropped in August
//     2020 (+52 1 …): the 1 is removed.
func NormalisePhone(number, country string) (events.Identity, error) {
	parsed, err := phonenumbers.Parse(number, strings.ToUpper(country))
	if err != nil {
		return events.Identity{}, fmt.Errorf("parse phone number: %w: %w", ErrNoIdentity, err)
	}
	e164 := canonicalPhone(parsed)
	// Judged as it will be stored: whatever was longer or shorter only by those
	// digits is judged like its twin, and normalising again changes nothing.
	canonical, err := phonenumbers.Parse(e164, "")
	if err != nil {
		return events.Identity{}, fmt.Errorf("parse phone number: %w: %w", ErrNoIdentity, err)
	}
	if canonicalPhone(canonical) != e164 {
		return events.Identity{}, fmt.Errorf("phone number reads in more than one way: %w", ErrNoIdentity)
	}
	if len(e164) > len("+")+maxE164 || phonenumbers.IsPossibleNumberWithReason(canonical) != phonenumbers.IS_POSSIBLE {
		return events.Identity{}, fmt.Errorf("phone number has no possible length for its country: %w", ErrNoIdentity)
	}
	return events.Identity{Kind: events.Phone, Value: e164}, nil
}

func canonicalPhone(number *phonenumbers.PhoneNumber) string {
	national := phonenumbers.GetNationalSignificantNumber(number)
	switch number.GetCountryCode() {
	case 55:
		// Area code, then eight digits of which the first is 6 to 9 for mobiles and
		// 2 to 5 for landlines.
		if len(national) == 10 && national[2] >= '6' {
			national = national[:2] + "9" + national[2:]
		}
	case 52:
		if len(national) == 11 && national[0] == '1' {
			national = national[1:]
		}
	}
	return "+" + strconv.Itoa(int(number.GetCountryCode())) + national
}

// maxEmail is the longest address that fits an SMTP path (RFC 5321, section
// 4.5.3.1.3, with erratum 1690).
const maxEmail = 254

// NormaliseEmail trims a mail address and lower-cases its domain. The local part
// stays as it is: only its own server may fold its case (RFC 5321, section 2.4).
// A display name is dropped.
func NormaliseEmail(address string) (events.Identity, error) {
	address = strings.TrimSpace(address)
	if !utf8.ValidString(address) {
		return events.Identity{}, fmt.Errorf("mail address is not UTF-8: %w", ErrNoIdentity)
	}
	parsed, err := mail.ParseAddress(address)
	if err != nil {
		return events.Identity{}, fmt.Errorf("parse mail address: %w: %w", ErrNoIdentity, err)
	}
	at := strings.LastIndexByte(parsed.Address, '@')
	parsed = &mail.Address{Address: parsed.Address[:at] + "@" + strings.ToLower(parsed.Address[at+1:])}
	// String quotes a local part that needs it, so that the value parses again.
	value := strings.TrimSuffix(strings.TrimPrefix(parsed.String(), "<"), ">")
	if len(value) > maxEmail {
		return events.Identity{}, fmt.Errorf("mail address is longer than %d bytes: %w", maxEmail, ErrNoIdentity)
	}
	return events.Identity{Kind: events.EmailAddress, Value: value}, nil
}

// TelegramIdentity is the identity of a Telegram user: the numeric id, for
// usernames are recycled (https://core.telegram.org/bots/api#user). Ids of
// people are positive; anything else yields no identity.
func TelegramIdentity(id int64) events.Identity {
	if id <= 0 {
		return events.Identity{}
	}
	return events.Identity{Kind: events.TelegramUser, Value: strconv.FormatInt(id, 10)}
}
