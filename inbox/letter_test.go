package inbox_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"parley/events"
	"parley/inbox"
)

func addresses(list string) (all []events.MailAddress) {
	for address := range strings.FieldsSeq(list) {
		all = append(all, events.MailAddress{Address: address})
	}
	return all
}

func TestAnswersGoToEverybodyButOurselves(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answered *events.Mail
		to, cc   string
		subject  string
	}{
		"nothing before": {nil, "ada@x.org", "", ""},
		"one to one": {
			&events.Mail{Subject: "Bread", From: addresses("ada@x.org")[0], To: addresses("shop@y.org")}, "ada@x.org", "", "Re: Bread",
		},
		"several": {
			&events.Mail{Subject: "re: RE:  Bread", From: addresses("ada@x.org")[0], To: addresses("Shop+42.abc@Y.org bob@x.org"), Cc: addresses("eve@x.org ada@x.org")},
			"ada@x.org", "bob@x.org eve@x.org", "Re: Bread",
		},
		"reply-to": {
			&events.Mail{From: addresses("ada@x.org")[0], ReplyTo: addresses("list@x.org"), To: addresses("shop@y.org")}, "list@x.org", "", "Re:",
		},
		"our own": {
			&events.Mail{Subject: "Re: x", From: addresses("shop@y.org")[0], To: addresses("ada@x.org"), Cc: addresses("bob@x.org")}, "ada@x.org", "bob@x.org", "Re: x",
		},
		"nobody named": {&events.Mail{From: addresses("shop@y.org")[0]}, "ada@x.org", "", "Re:"},
	} {
		got := inbox.AnswerMail(tt.answered, []string{"shop@y.org", ""}, "ada@x.org")
		if !reflect.DeepEqual(got.To, addresses(tt.to)) || !reflect.DeepEqual(got.Cc, addresses(tt.cc)) || got.Subject != tt.subject {
			t.Errorf("%s: to %v, cc %v, subject %q", name, got.To, got.Cc, got.Subject)
		}
	}
}

func TestAnswersStayInTheirThread(t *testing.T) {
	t.Parallel()
	got := inbox.AnswerMail(&events.Mail{MessageID: "c@x", References: []string{"a@x", "b@x"}}, nil, "ada@x.org")
	if fmt.Sprint(got.InReplyTo, got.References) != "[c@x] [a@x b@x c@x]" {
		t.Errorf("in reply to %v, references %v", got.InReplyTo, got.References)
	}
	got = inbox.AnswerMail(&events.Mail{MessageID: "c@x", InReplyTo: []string{"b@x"}}, nil, "ada@x.org")
	if fmt.Sprint(got.References) != "[b@x c@x]" {
		t.Errorf("references %v", got.References)
	}
	long := &events.Mail{MessageID: "last@x"}
	for i := range 100 {
		long.References = append(long.References, fmt.Sprint(i, "@x"))
	}
	got = inbox.AnswerMail(long, nil, "ada@x.org")
	if n := len(got.References); n != 20 || got.References[0] != "0@x" || got.References[1] != "82@x" || got.References[n-1] != "last@x" {
		t.Errorf("references %v", got.References)
	}
	if len(long.References) != 100 || long.References[1] != "1@x" {
		t.Error("the answered mail was changed")
	}
}

func FuzzMailAddresses(f *testing.F) {
	for _, seed := range []string{"ada@x.org", "Ada <ada@x.org>", "a@x\r\nBcc: b@x", "<>", "=?utf-8?q?a?= <a@x>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := inbox.MailAddresses([]string{text})
		if (err == nil) != (len(all) == 1) || err != nil && inbox.CodeOf(err) != inbox.Invalid {
			t.Fatalf("%v, %v", all, err)
		}
		if err == nil && strings.ContainsAny(all[0].Address, "\r\n\x00") {
			t.Fatalf("%q", all[0].Address)
		}
	})
}
