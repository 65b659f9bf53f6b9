package transports_test

import (
	"errors"
	"strings"
	"testing"

	"parley/events"
	"parley/transports"
)

func TestNormalisePhone(t *testing.T) {
	for _, test := range []struct{ number, country, want string }{
		{"+49 151 12345678", "", "+4915112345678"},
		{"0151 12345678", "DE", "+4915112345678"},
		{"0151 12345678", "de", "+4915112345678"},
		{"0049 (151) 1234-5678", "DE", "+4915112345678"},
		{"+4915112345678", "US", "+4915112345678"},
		{"(202) 555-0143", "US", "+12025550143"},
		{"+1 202 555 0143 ext. 9", "", "+12025550143"},
		{"+39 06 1234 5678", "", "+390612345678"}, // Italy's zero belongs to the number
		{"tel:+44-20-7946-0018", "", "+442079460018"},

		// Brazil: mobiles with and without the ninth digit are one.
		{"+55 11 91234-5678", "", "+5511912345678"},
		{"+55 11 8123-4567", "", "+5511981234567"},
		{"+55 11 98123-4567", "", "+5511981234567"},
		{"(11) 8123-4567", "BR", "+5511981234567"},
		{"+55 84 9876-5432", "", "+5584998765432"},
		{"+55 11 3123-4567", "", "+551131234567"}, // a landline keeps its eight

		// Mexico: with and without the 1.
		{"+52 1 55 1234 5678", "", "+525512345678"},
		{"+52 55 1234 5678", "", "+525512345678"},
		{"5215512345678", "MX", "+525512345678"},
		{"55 1234 5678", "MX", "+525512345678"},
	} {
		got, err := transports.NormalisePhone(test.number, test.country)
		if err != nil || got != (events.Identity{Kind: events.Phone, Value: test.want}) {
			t.Errorf("NormalisePhone(%q, %q) = %v, %v; want %s", test.number, test.country, got, err, test.want)
		}
	}
	for _, number := range []string{
		"", "+", "12", "VERIFY", "+49", "0151 12345678" /* whose? */, "+999 123456789",
		"+1 202 555 0143 0143 0143", "anna@example.org", strings.Repeat("1", 300),
	} {
		if got, err := transports.NormalisePhone(number, ""); !errors.Is(err, transports.ErrNoIdentity) || got.Valid() {
			t.Errorf("NormalisePhone(%q) = %v, %v; want ErrNoIdentity", number, got, err)
		}
	}
}

func FuzzPhone(f *testing.F) {
	for _, number := range []string{"+49 151 12345678", "+55 11 8123-4567", "+52 1 55 1234 5678", "0151 123", "٠١٢٣٤٥٦٧٨٩", "+5511"} {
		for _, country := range []string{"", "DE", "BR", "MX", "US", "ZZ"} {
			f.Add(number, country)
		}
	}
	f.Fuzz(func(t *testing.T, number, country string) {
		one, err := transports.NormalisePhone(number, country)
		if err != nil {
			if one.Valid() {
				t.Fatalf("%v despite %v", one, err)
			}
			return
		}
		if len(one.Value) < 5 || len(one.Value) > 16 || one.Value[0] != '+' || strings.Trim(one.Value[1:], "0123456789") != "" {
			t.Fatalf("%q is not E.164", one.Value)
		}
		if two, err := transports.NormalisePhone(one.Value, country); err != nil || two != one {
			t.Fatalf("%v normalised again is %v, %v", one, two, err)
		}
	})
}

func TestNormaliseEmail(t *testing.T) {
	for address, want := range map[string]string{
		"Anna@Example.ORG":            "Anna@example.org",
		" anna@example.org\r\n":       "anna@example.org",
		"Anna Lee <anna@Example.org>": "anna@example.org",
		"anna+shop@example.org":       "anna+shop@example.org",
		"anna@example.org.":           "",
		"ANNA@MÜLLER.example":         "ANNA@müller.example",
		`"anna lee"@Example.org`:      `"anna lee"@example.org`,
		"":                            "",
		"anna":                        "",
		"@example.org":                "",
		"anna@":                       "",
		"a@b@example.org":             "",
		"anna@exa mple.org":           "",
		"anna\x00@example.org":        "",
		"anna@example.org, b@c.org":   "",
		"caf\xe9@example.org":         "",
		strings.Repeat("a", 250) + "@example.org": "",
	} {
		got, err := transports.NormaliseEmail(address)
		if want == "" {
			if !errors.Is(err, transports.ErrNoIdentity) || got.Valid() {
				t.Errorf("NormaliseEmail(%q) = %v, %v; want ErrNoIdentity", address, got, err)
			}
			continue
		}
		if err != nil || got != (events.Identity{Kind: events.EmailAddress, Value: want}) {
			t.Errorf("NormaliseEmail(%q) = %v, %v; want %s", address, got, err, want)
		}
	}
}

func FuzzEmail(f *testing.F) {
	for _, address := range []string{"Anna@Example.ORG", "Anna Lee <a@b.c>", `"a b"@c.d`, "a@[1.2.3.4]", "=?utf-8?q?x?= <a@b.c>", "a@b.c."} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		one, err := transports.NormaliseEmail(address)
		if err != nil {
			return
		}
		if two, err := transports.NormaliseEmail(one.Value); err != nil || two != one {
			t.Fatalf("%v normalised again is %v, %v", one, two, err)
		}
	})
}

func TestTelegramIdentity(t *testing.T) {
	if got := transports.TelegramIdentity(190000001); got != (events.Identity{Kind: events.TelegramUser, Value: "190000001"}) {
		t.Errorf("got %v", got)
	}
	for _, id := range []int64{0, -1001234567890} {
		if got := transports.TelegramIdentity(id); got.Valid() {
			t.Errorf("%d is %v, want nobody", id, got)
		}
	}
}
