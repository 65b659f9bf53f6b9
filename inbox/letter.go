package inbox

import (
	"net/mail"
	"slices"
	"strings"

	"parley/events"
)

// maxReferences is how many earlier mails a reply names. The first and the last
// ones are what threads hang by (RFC 5322, section 3.6.4, sets no limit; servers
// cut long header fields).
const maxReferences = 20

// AnswerMail is the head of a mail that answers another: its subject, everybody
// who got it but ourselves, and the references that keep it in its thread. Own
// are our addresses; client is written to where the other names nobody.
func AnswerMail(answered *events.Mail, own []string, client string) events.Mail {
	if answered == nil {
		return events.Mail{To: []events.MailAddress{{Address: client}}}
	}
	head := events.Mail{Subject: reSubject(answered.Subject)}
	seen := make(map[string]bool)
	for _, address := range own {
		seen[bare(address)] = true
	}
	add := func(list *[]events.MailAddress, all ...events.MailAddress) {
		for _, a := range all {
			if key := bare(a.Address); a.Address != "" && !seen[key] {
				seen[key] = true
				*list = append(*list, a)
			}
		}
	}
	add(&head.To, answered.ReplyTo...)
	if len(head.To) == 0 {
		add(&head.To, answered.From)
	}
	if len(head.To) == 0 { // one of our own: to whom that went
		add(&head.To, answered.To...)
	} else {
		add(&head.Cc, answered.To...)
	}
	add(&head.Cc, answered.Cc...)
	if len(head.To) == 0 {
		head.To = []events.MailAddress{{Address: client}}
	}
	if answered.MessageID == "" {
		return head
	}
	head.InReplyTo = []string{answered.MessageID}
	earlier := answered.References
	if len(earlier) == 0 && len(answered.InReplyTo) == 1 {
		earlier = answered.InReplyTo // RFC 5322, section 3.6.4
	}
	head.References = append(slices.Clone(earlier), answered.MessageID)
	if n := len(head.References); n > maxReferences {
		head.References = append(head.References[:1:1], head.References[n-maxReferences+1:]...)
	}
	return head
}

// bare is an address as it is compared: without its tag, in lower case. A
// mailbox's plus-addresses are its own.
func bare(address string) string {
	address = strings.ToLower(strings.TrimSpace(address))
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address
	}
	local, _, _ := strings.Cut(address[:at], "+")
	return local + address[at:]
}

// reSubject is the subject of an answer: one "Re: ", however many there were.
func reSubject(subject string) string {
	for {
		rest := strings.TrimSpace(subject)
		if len(rest) < 3 || !strings.EqualFold(rest[:3], "re:") {
			return strings.TrimSpace("Re: " + rest)
		}
		subject = rest[3:]
	}
}

// MailAddresses reads addresses such as "Ada <ada@example.com>". Its error is
// for whoever wrote them.
func MailAddresses(list []string) ([]events.MailAddress, error) {
	var all []events.MailAddress
	for _, text := range list {
		a, err := mail.ParseAddress(text)
		if err != nil || strings.ContainsAny(text, "\r\n\x00") {
			return nil, &Error{
				Code: Invalid, Message: "One of the recipients is no mail address.",
				Hint: "Write ada@example.com, or Ada <ada@example.com>.", Err: err,
			}
		}
		all = append(all, events.MailAddress{Name: a.Name, Address: a.Address})
	}
	return all, nil
}
