package phones

import (
	"strings"
	"time"
)

// phone is what a person sees of one network.
type phone struct {
	On, Title string
	// Address is what the business knows them by.
	Address string
	Lines   []line
	// Mail says that there are subjects, Reads that the business hears what was
	// read, Unread that something was not.
	Mail, Reads, Unread bool
}

// line is a message on a phone.
type line struct {
	At time.Time
	// Mine is what the person wrote.
	Mine          bool
	Subject, Text string
	Files         []string
	// State is what became of it, in words; empty where the network does not say.
	State string
}

// phones are all of a person's.
func (p *pages) phones(name string) []phone {
	return []phone{p.telegram(name), p.sms(name), p.whatsApp(name), p.mailbox(name)}
}

func (p *pages) telegram(name string) phone {
	ph := phone{On: "telegram", Title: "Telegram"}
	for _, m := range p.Telegram.Person(name).Phone() {
		l := line{At: m.Time, Mine: !m.FromBot, Text: m.Text}
		if m.Kind != "text" {
			l.Files = []string{strings.TrimSpace(m.Kind + " " + m.File)}
		}
		var state []string
		if m.Edited {
			state = append(state, "edited")
		}
		state = append(state, m.Reactions...)
		l.State = strings.Join(append(state, m.BotReactions...), " ")
		ph.Lines = append(ph.Lines, l)
	}
	return ph
}

func (p *pages) sms(name string) phone {
	who := p.Twilio.Person(name)
	ph := phone{On: "sms", Title: "SMS", Address: who.Number()}
	for _, m := range who.Phone() {
		ph.Lines = append(ph.Lines, line{At: m.Time, Mine: !m.FromBusiness, Text: m.Text, Files: fileNames(m.Files)})
	}
	return ph
}

func (p *pages) whatsApp(name string) phone {
	ph := phone{On: "whatsapp", Title: "WhatsApp", Reads: true}
	who, err := p.Twilio.Person(name).WhatsApp()
	if err != nil {
		return ph
	}
	ph.Address = who.Number()
	for _, m := range who.Phone() {
		l := line{At: m.Time, Mine: !m.FromBusiness, Text: m.Text, Files: fileNames(m.Files)}
		if m.FromBusiness {
			ph.Unread = ph.Unread || m.Status == "delivered"
			if l.State = "unread"; m.Status == "read" {
				l.State = "read"
			}
		}
		ph.Lines = append(ph.Lines, l)
	}
	return ph
}

func (p *pages) mailbox(name string) phone {
	ph := phone{On: "email", Title: "Mailbox", Mail: true}
	who, err := p.Mail.Person(name)
	if err != nil {
		return ph
	}
	ph.Address = who.Address()
	for _, m := range who.Phone() {
		ph.Lines = append(ph.Lines, line{At: m.Time, Mine: !m.FromBusiness, Subject: m.Subject, Text: m.Text, Files: m.Files})
	}
	return ph
}

// fileNames are the last parts of addresses.
func fileNames(addresses []string) []string {
	var names []string
	for _, a := range addresses {
		a, _, _ = strings.Cut(a, "?")
		names = append(names, a[strings.LastIndexByte(a, '/')+1:])
	}
	return names
}
