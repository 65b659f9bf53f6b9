package email

import (
	"strings"

	"parley/events"
)

// maxAttachments is how many files of a mail are listed; the mail has all.
const maxAttachments = 100

// body finds a mail's text and files.
type body struct {
	*letter
	tree *tree
	// html is the first HTML text, decoded.
	html     string
	htmlPart *part
}

func (b *body) read() {
	b.protection()
	var plain, fromHTML []string
	shown := map[int]bool{} // alternatives that a plain text stands for
	for _, p := range b.tree.parts {
		switch {
		case !p.isText():
		case p.kind == "text/plain":
			text, note := b.tree.texts.plainText(p)
			if note != "" {
				b.note(note)
			}
			if text != "" {
				plain = append(plain, text)
				if p.alternative > 0 {
					shown[p.alternative] = true
				}
			}
		}
	}
	for _, p := range b.tree.parts {
		if !p.isText() || p.kind != "text/html" {
			continue
		}
		source, note := b.tree.texts.decode(charsetOf(p), p.decode(maxSource))
		if note != "" {
			b.note(note)
		}
		if b.htmlPart == nil {
			b.htmlPart, b.html = p, source
		}
		if p.alternative > 0 && shown[p.alternative] {
			continue
		}
		if text := htmlText(source); text != "" {
			fromHTML = append(fromHTML, text)
		}
	}
	b.text = strings.Join(append(plain, fromHTML...), "\n\n")
	b.files()
	if b.text == "" {
		b.text = b.calendar()
	}
	switch {
	case strings.HasPrefix(b.text, "-----BEGIN PGP MESSAGE-----"):
		b.mail.Encrypted = true
	case strings.Contains(b.text, "-----BEGIN PGP SIGNED MESSAGE-----"):
		b.mail.Signed = true
	}
}

// charsetOf is the declared charset of an HTML part, in its header or itself.
func charsetOf(p *part) string {
	if c := p.params["charset"]; c != "" {
		return c
	}
	head := strings.ToLower(string(p.decode(1024)))
	if _, rest, ok := strings.Cut(head, "charset="); ok {
		rest = strings.TrimLeft(rest, `"' `)
		if i := strings.IndexAny(rest, `"'/> ;`); i > 0 {
			return rest[:i]
		}
	}
	return ""
}

// protection says whether the mail is signed or encrypted (RFC 1847, RFC 8551,
// section 3.2).
func (b *body) protection() {
	for _, c := range b.tree.containers {
		switch c.kind {
		case "multipart/signed":
			b.mail.Signed = true
		case "multipart/encrypted":
			b.mail.Encrypted = true
		}
	}
	for _, p := range b.tree.parts {
		if p.kind == "application/pkcs7-mime" || p.kind == "application/x-pkcs7-mime" {
			if strings.EqualFold(p.params["smime-type"], "signed-data") {
				b.mail.Signed = true
			} else {
				b.mail.Encrypted = true
			}
		}
	}
}

func (b *body) files() {
	if b.htmlPart != nil {
		b.attachments = append(b.attachments, events.Attachment{
			Kind: events.Document, Ref: b.htmlPart.path, Name: "mail.html", MIME: "text/html",
			Size: int64(len(b.html)), Role: events.HTMLBody, InRaw: true,
		})
	}
	for _, p := range b.tree.parts {
		if p.isText() {
			continue
		}
		if len(b.attachments) >= maxAttachments {
			b.note("there are more files than are shown; the mail has all of them")
			return
		}
		b.attachments = append(b.attachments, b.file(p))
	}
}

func (b *body) file(p *part) events.Attachment {
	a := events.Attachment{
		Kind: kindOf(p.kind), Ref: p.path, Name: p.name, MIME: clean(p.kind),
		Size: p.size(), ContentID: p.contentID, InRaw: true,
	}
	if a.Kind == events.Photo && p.contentID != "" && p.disposition != "attachment" || b.shownInHTML(p) {
		// Programs leave the disposition out, or call the images of a multipart/related
		// attachments: what the HTML shows, or nothing but a Content-ID names, is
		// within it.
		if b.htmlPart != nil && (p.related || b.shownInHTML(p)) {
			a.Role = events.InlineImage
		}
	}
	if a.Name == "" {
		a.Name = nameFor(p)
	}
	return a
}

func (b *body) shownInHTML(p *part) bool {
	return p.contentID != "" && strings.HasPrefix(p.kind, "image/") && strings.Contains(b.html, "cid:"+p.contentID)
}

// nameFor names a file that came without one.
func nameFor(p *part) string {
	switch p.kind {
	case "message/rfc822":
		inner, _, _ := readHeader(p.decode(64 << 10))
		if subject := fileName(strings.ReplaceAll(inner.text("Subject"), "/", "-")); subject != "" {
			return truncate(subject, 100) + ".eml"
		}
		return "mail " + p.path + ".eml"
	case "text/calendar":
		return "invitation.ics"
	case "application/ms-tnef":
		return "winmail.dat"
	case "application/pkcs7-signature", "application/x-pkcs7-signature":
		return "smime.p7s"
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return "smime.p7m"
	case "application/pgp-signature":
		return "signature.asc"
	}
	name := "file " + p.path
	if ending, ok := endings[p.kind]; ok {
		name += ending
	}
	return name
}

// endings of the common types. The system's table differs from machine to
// machine.
var endings = map[string]string{
	"image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp", "image/heic": ".heic",
	"application/pdf": ".pdf", "application/zip": ".zip", "text/plain": ".txt", "text/html": ".html", "text/csv": ".csv",
	"audio/mpeg": ".mp3", "audio/ogg": ".ogg", "video/mp4": ".mp4", "text/x-vcard": ".vcf", "text/vcard": ".vcf",
}

func kindOf(mediaType string) events.ContentType {
	switch mediaType {
	case "image/jpeg", "image/png", "image/gif", "image/webp":
		return events.Photo
	}
	switch kind, _, _ := strings.Cut(mediaType, "/"); kind {
	case "video":
		return events.Video
	case "audio":
		return events.Audio
	}
	return events.Document
}

// calendar says in words what an invitation is about (RFC 5545), for a mail that
// says nothing else.
func (b *body) calendar() string {
	for _, p := range b.tree.parts {
		if p.kind != "text/calendar" {
			continue
		}
		text, _ := b.tree.texts.decode(p.params["charset"], p.decode(maxSource))
		text = strings.NewReplacer("\r\n ", "", "\r\n\t", "", "\n ", "", "\n\t", "").Replace(text)
		found := map[string]string{}
		inEvent := false
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
			name, _, _ = strings.Cut(strings.ToUpper(name), ";")
			inEvent = inEvent || name == "BEGIN" && value == "VEVENT"
			if _, twice := found[name]; !twice && (inEvent || name == "METHOD") {
				found[name] = calendarText.Replace(clean(value))
			}
		}
		var lines []string
		for _, f := range []struct{ name, words string }{
			{"METHOD", "Calendar"}, {"SUMMARY", "What"}, {"DTSTART", "From"}, {"DTEND", "Until"}, {"LOCATION", "Where"},
		} {
			if v := oneLine(found[f.name]); v != "" {
				lines = append(lines, f.words+": "+truncate(v, 500))
			}
		}
		return strings.Join(lines, "\n")
	}
	return ""
}

var calendarText = strings.NewReplacer(`\n`, " ", `\N`, " ", `\,`, ",", `\;`, ";", `\\`, `\`)
