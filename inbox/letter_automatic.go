package inbox

import (
	"fmt"
	"slices"
	"strings"

	"parley/events"
)

// NoAutomaticReply is why no program may answer a message by itself, in words;
// empty when one may. Whatever answers without a person asks it first. It keeps
// the rules of RFC 3834, section 2: mails of programs, of lists and to nobody are
// not answered, for two programs would never end, nor is what failed DMARC, for
// whoever is named there did not write it. Own are our addresses.
func NoAutomaticReply(c *events.Content, from string, own []string) string {
	if c == nil || c.Mail == nil {
		return ""
	}
	switch m := c.Mail; {
	case m.Automatic != "":
		return fmt.Sprintf("It was written by a program (%s).", m.Automatic)
	case m.DMARC == "fail":
		return "It failed DMARC: who it names as its sender did not write it."
	}
	for _, address := range []string{from, c.Mail.From.Address} {
		switch b := bare(address); {
		case !strings.Contains(b, "@"):
			return "It has no sender to answer."
		case slices.ContainsFunc(own, func(o string) bool { return bare(o) == b }):
			return "It is from an address of ours."
		case nobodysMailbox(b[:strings.LastIndexByte(b, '@')]):
			return "Nobody reads what is written to its sender."
		}
	}
	return ""
}

// nobodysMailbox reports whether the part of an address before the @ is one that
// programs have, by RFC 3834, section 2, RFC 2142, section 6 and custom.
func nobodysMailbox(local string) bool {
	plain := strings.NewReplacer("-", "", "_", "", ".", "").Replace(local)
	switch plain {
	case "mailerdaemon", "postmaster", "listserv", "majordomo", "bounce", "bounces":
		return true
	}
	return strings.Contains(plain, "noreply") || strings.Contains(plain, "donotreply") || strings.HasPrefix(local, "owner-") ||
		strings.HasSuffix(local, "-request") || strings.HasSuffix(local, "-owner") || strings.HasPrefix(local, "bounce-")
}
