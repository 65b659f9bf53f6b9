package email

import (
	"slices"
	"strings"

	"github.com/emersion/go-msgauth/authres"

	"parley/events"
)

// The words of Mail.DMARC.
const (
	dmarcPass = "pass"
	dmarcFail = "fail"
	dmarcNone = "none"
)

// dmarc is what the mailbox's own server found (RFC 8601), by the names it signs
// with; empty when it does not say. Of several findings the worst counts: a
// sender can only have added better ones. A pass for another domain than the
// From's is none.
func dmarc(h header, own []string) string {
	found, from := "", h.addresses("From")
	for _, value := range h.all("Authentication-Results") {
		id, results, _ := authres.Parse(withoutComments(value))
		if !slices.Contains(own, strings.ToLower(id)) {
			continue
		}
		for _, r := range results {
			d, ok := r.(*authres.DMARCResult)
			if !ok {
				continue
			}
			this := dmarcNone
			switch d.Value {
			case authres.ResultPass:
				if aligned(from, d.From) {
					this = dmarcPass
				}
			case authres.ResultFail:
				this = dmarcFail
			default: // none, temperror, permerror: nobody vouches
			}
			if found == "" || rank(this) < rank(found) {
				found = this
			}
		}
	}
	return found
}

func rank(result string) int { return slices.Index([]string{dmarcFail, dmarcNone, dmarcPass}, result) }

func aligned(from []events.MailAddress, domain string) bool {
	if len(from) == 0 {
		return false
	}
	of := from[0].Address
	of = of[strings.LastIndexByte(of, '@')+1:]
	return domain == "" || strings.EqualFold(strings.Trim(domain, `"`), of) || strings.HasSuffix(strings.ToLower(domain), "@"+strings.ToLower(of))
}

// withoutComments takes out what stands in parentheses (RFC 5322, section 3.2.2),
// which authres takes for results.
func withoutComments(s string) string {
	var out strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && depth > 0:
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
			out.WriteByte(c)
		case c == '(' && !quoted:
			depth++
		case c == ')' && depth > 0:
			depth--
			out.WriteByte(' ')
		case depth == 0:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// automatic says why no program may answer a mail (RFC 3834, section 2), empty
// when a person wrote it.
func automatic(h header) string {
	submitted := fieldValue(h.get("Auto-Submitted"))
	precedence := strings.ToLower(h.get("Precedence"))
	from := strings.ToLower(h.get("From"))
	switch {
	case submitted == "auto-replied", h.has("X-Autoreply"), h.has("X-Autorespond"), h.has("X-Auto-Reply"), precedence == "auto_reply":
		return "auto-replied"
	case submitted != "" && submitted != "no":
		return "auto-generated"
	case strings.Join(strings.Fields(h.get("Return-Path")), "") == "<>", strings.Contains(from, "mailer-daemon@"):
		return "auto-generated"
	case h.has("List-Id"), precedence == "list":
		return "list"
	case precedence == "bulk", precedence == "junk", h.has("List-Unsubscribe"), h.has("Feedback-ID"):
		return "bulk"
	}
	return ""
}
