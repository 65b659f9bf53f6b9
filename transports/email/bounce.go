package email

import (
	"bytes"
	"strconv"
	"strings"

	"parley/events"
	"parley/transports"
)

// report is a delivery status notification (RFC 3464).
type report struct {
	// original is the Message-ID of the mail it is about.
	original   string
	recipients []reported
}

// reported is what became of one recipient's mail.
type reported struct {
	address, action, status, diagnostic string
}

// maxReported bounds the recipients of one report.
const maxReported = 100

// readReport reads a bounce; nil when the mail is none, or does not say which
// mail it is about.
func readReport(t *tree) *report {
	if len(t.containers) == 0 || t.containers[0].kind != "multipart/report" {
		return nil
	}
	var r report
	for _, p := range t.parts {
		switch p.kind {
		case "message/delivery-status", "message/global-delivery-status":
			r.recipients = readRecipients(p.decode(maxSource))
		case "message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global", "message/global-headers":
			h, _, _ := readHeader(p.decode(maxSource))
			if id := cleanID(h.get(OwnHeader)); id != "" {
				r.original = id
			} else if ids := h.ids("Message-ID"); len(ids) > 0 {
				r.original = ids[0]
			}
		}
	}
	if r.original == "" || len(r.recipients) == 0 {
		return nil
	}
	return &r
}

// readRecipients reads the groups of fields behind the first, each about one
// recipient (RFC 3464, section 2.3).
func readRecipients(data []byte) (all []reported) {
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	for group := range bytes.SplitSeq(data, []byte("\n\n")) {
		h, _, _ := readHeader(append(bytes.TrimSpace(group), '\n'))
		action := strings.ToLower(oneLine(h.get("Action")))
		if action == "" {
			continue
		}
		r := reported{action: action, status: statusCode(h.get("Status")), diagnostic: typed(h.get("Diagnostic-Code"))}
		// The original is what was written to; the final may be where it was
		// forwarded.
		if r.address = typed(h.get("Original-Recipient")); r.address == "" {
			r.address = typed(h.get("Final-Recipient"))
		}
		if all = append(all, r); len(all) >= maxReported {
			break
		}
	}
	return all
}

// typed is the value behind "rfc822;" or "smtp;".
func typed(value string) string {
	if _, rest, ok := strings.Cut(value, ";"); ok {
		value = rest
	}
	return truncate(oneLine(clean(utf8Of(value))), 500)
}

// statusCode is the code at the start of a Status (RFC 3463), empty when there
// is none.
func statusCode(value string) string {
	code, _, _ := strings.Cut(strings.TrimSpace(value), " ")
	for i, n := range strings.Split(code, ".") {
		if _, err := strconv.ParseUint(n, 10, 16); err != nil || i > 2 {
			return ""
		}
	}
	return code
}

// statuses are the events of a bounce.
func (l *letter) statuses(r *report) []events.Inbound {
	l.readHead()
	var evs []events.Inbound
	for i, to := range r.recipients {
		ev := events.Inbound{
			Kind:          events.StatusChanged,
			Key:           events.MessageKey{Chat: Chat, Message: r.original},
			ProviderEvent: l.mail.MessageID + "#" + l.mail.BodyHash[:16] + "#" + strconv.Itoa(i),
			ProviderTime:  l.time(),
			Status:        &events.Status{Code: to.status},
			Raw:           l.raw,
			Notes:         l.notes,
		}
		// The person the mail was written to: their partition keeps the order.
		if id, err := transports.NormaliseEmail(strings.Trim(to.address, "<>")); err == nil {
			ev.Person = person(events.MailAddress{}, id)
		} else {
			ev.Person = l.author()
		}
		who := ev.Person.Address
		switch to.action {
		case "failed":
			ev.Status.Name = events.Failed
			ev.Status.Words = "the mail to " + who + " could not be delivered"
		case "delayed":
			ev.Status.Name = events.Delayed
			ev.Status.Words = "the mail to " + who + " is not delivered yet; its server keeps trying"
		case "delivered":
			ev.Status.Name = events.Delivered
		default: // relayed, expanded: it left, of which there was no doubt
			ev.Kind, ev.Reason, ev.Status = events.Ignored, reasonNone, nil
		}
		if ev.Status != nil && to.diagnostic != "" && ev.Status.Words != "" {
			ev.Status.Words += ": " + to.diagnostic
		}
		evs = append(evs, ev)
	}
	return evs
}
