package email

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	netmail "net/mail"
	"strings"
	"time"

	"github.com/emersion/go-message/mail"
	"golang.org/x/net/idna"

	"parley/events"
	"parley/transports"
)

// outgoing is a mail ready to be sent.
type outgoing struct {
	id   string
	from string
	to   []string
	// utf8 is true when an address needs SMTPUTF8 (RFC 6531).
	utf8  bool
	bytes []byte
}

// fileError is an attachment that could not be read.
type fileError struct{ err error }

func (e *fileError) Error() string { return "read an attachment: " + e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

// wordsError is why a mail can never be sent, for people.
type wordsError string

func (e wordsError) Error() string { return string(e) }

// compose writes a mail. Texts are quoted-printable, which every server passes
// on unchanged and no signature breaks over; files are base64.
func (m *Mailbox) compose(ctx context.Context, out transports.Outbound, now time.Time) (*outgoing, error) {
	head := out.Mail
	if head == nil {
		head = &transports.MailHead{}
	}
	to, cc := head.To, head.Cc
	if len(to)+len(cc) == 0 {
		to = []events.MailAddress{{Address: out.To}}
	}
	o := &outgoing{id: cleanID(head.MessageID)}
	if o.id == "" {
		o.id = m.messageID(out)
	}
	var h mail.Header
	h.SetDate(now)
	from, err := o.addresses([]events.MailAddress{{Name: m.name, Address: m.address}})
	if err != nil {
		return nil, err
	}
	o.from = from[0].Address
	h.SetAddressList("From", from)
	for _, list := range []struct {
		name string
		all  []events.MailAddress
	}{{"To", to}, {"Cc", cc}} {
		all, err := o.addresses(list.all)
		if err != nil {
			return nil, err
		}
		if len(all) > 0 {
			h.SetAddressList(list.name, all)
		}
		for _, a := range all {
			o.to = append(o.to, a.Address)
		}
	}
	if address := m.answers.address(head.ReplyToken); address != "" {
		all, err := o.addresses([]events.MailAddress{{Name: m.name, Address: address}})
		if err == nil {
			h.SetAddressList("Reply-To", all)
		}
	}
	h.SetSubject(oneLine(clean(head.Subject)))
	h.SetMessageID(o.id)
	if id := cleanID(head.InReplyTo); id != "" {
		h.SetMsgIDList("In-Reply-To", []string{id})
	}
	var references []string
	for _, id := range head.References {
		if id = cleanID(id); id != "" {
			references = append(references, id)
		}
	}
	if len(references) > 0 {
		h.SetMsgIDList("References", references)
	}
	if head.Automatic == "auto-replied" || head.Automatic == "auto-generated" {
		h.Set("Auto-Submitted", head.Automatic)
	}
	h.Set(OwnHeader, "<"+o.id+">")
	if o.bytes, err = write(ctx, h, out.Part); err != nil {
		return nil, err
	}
	return o, nil
}

// messageID is one for callers that have none: the same for each attempt.
func (m *Mailbox) messageID(out transports.Outbound) string {
	sum := sha256.Sum256([]byte(out.Ref + "\n" + out.To + "\n" + out.Text))
	return hex.EncodeToString(sum[:16]) + "@" + m.domain
}

// addresses checks a list for the wire: domains in ASCII (RFC 5891), nothing
// that would break out of its line.
func (o *outgoing) addresses(list []events.MailAddress) (all []*mail.Address, err error) {
	for _, a := range list {
		id := identity(a)
		if !id.Valid() {
			return nil, wordsError(fmt.Sprintf("%q is not a mail address", truncate(oneLine(clean(a.Address)), 100)))
		}
		at := strings.LastIndexByte(id.Value, '@')
		domain, err := idna.Lookup.ToASCII(id.Value[at+1:])
		if err != nil && !strings.HasPrefix(id.Value[at+1:], "[") {
			return nil, wordsError(fmt.Sprintf("%q is not a mail domain", id.Value[at+1:]))
		} else if err != nil {
			domain = id.Value[at+1:]
		}
		if strings.HasSuffix(domain, ".invalid") {
			return nil, wordsError("nobody is known by this address: the mail it came from names no sender")
		}
		local := id.Value[:at]
		o.utf8 = o.utf8 || !ascii([]byte(local))
		all = append(all, &mail.Address{Name: oneLine(clean(a.Name)), Address: unquoteLocal(local) + "@" + domain})
	}
	return all, nil
}

// unquoteLocal undoes NormaliseEmail's quoting, which net/mail does itself.
func unquoteLocal(local string) string {
	if a, err := netmail.ParseAddress(local + "@example.com"); err == nil {
		return strings.TrimSuffix(a.Address, "@example.com")
	}
	return local
}

func write(ctx context.Context, h mail.Header, part transports.Part) ([]byte, error) {
	var out bytes.Buffer
	if part.Attachment == nil {
		setText(&h.Header)
		w, err := mail.CreateSingleInlineWriter(&out, h)
		if err != nil {
			return nil, err
		}
		_, err = io.WriteString(w, lineEnds(part.Text))
		err = errors.Join(err, w.Close()) // writes the rest
		return out.Bytes(), err
	}
	w, err := mail.CreateWriter(&out, h)
	if err != nil {
		return nil, err
	}
	if part.Text != "" {
		var th mail.InlineHeader
		setText(&th.Header)
		tw, err := w.CreateSingleInline(th)
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(tw, lineEnds(part.Text)); err != nil {
			return nil, err
		}
		if err := tw.Close(); err != nil {
			return nil, err
		}
	}
	room := int64(maxFiles)
	for _, f := range append([]transports.File{*part.Attachment}, part.Album...) {
		if err := writeFile(ctx, w, f, &room); err != nil {
			return nil, err
		}
	}
	err = w.Close() // writes the last boundary
	return out.Bytes(), err
}

// contentTyper is what all headers of go-message can.
type contentTyper interface {
	SetContentType(t string, params map[string]string)
	Set(name, value string)
}

func setText(h contentTyper) {
	h.SetContentType("text/plain", map[string]string{"charset": "utf-8"})
	h.Set("Content-Transfer-Encoding", "quoted-printable")
}

// lineEnds are the CRLF that mail has (RFC 5322, section 2.3).
func lineEnds(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	return strings.ReplaceAll(s, "\n", "\r\n") + "\r\n"
}

func writeFile(ctx context.Context, w *mail.Writer, f transports.File, room *int64) error {
	if f.Size > *room {
		return tooLarge()
	}
	var h mail.AttachmentHeader
	kind := strings.ToLower(f.MIME)
	if _, _, err := mime.ParseMediaType(kind); err != nil || strings.HasPrefix(kind, "multipart/") || strings.HasPrefix(kind, "message/") {
		kind = "application/octet-stream" // those must not be base64 (RFC 2046, section 5)
	}
	h.Set("Content-Type", kind)
	name := fileName(f.Name)
	if name == "" {
		name = "file"
	}
	// RFC 2231 for what is not ASCII, where go-message writes encoded words.
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	h.Set("Content-Transfer-Encoding", "base64")
	content, err := f.Open(ctx)
	if err != nil {
		return &fileError{err}
	}
	defer content.Close()
	aw, err := w.CreateAttachment(h)
	if err != nil {
		return err
	}
	n, err := io.Copy(aw, io.LimitReader(content, *room+1))
	if err != nil {
		return &fileError{err}
	}
	if *room -= n; *room < 0 {
		return tooLarge()
	}
	return aw.Close()
}

func tooLarge() error {
	return wordsError(fmt.Sprintf("the files are too large for a mail: %d MB in all at most", maxFiles>>20))
}
