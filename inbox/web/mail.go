package web

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/microcosm-cc/bluemonday"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
)

// maxMail is the most of a mail's HTML that is shown, in bytes.
const maxMail = 2 << 20

// mailPolicy is what a mail shown in its frame may do: nothing but look, at its
// own pictures. The sanitiser is the first wall, this the second: no scripts, no
// forms, no other origin, wherever it is opened. It keeps Parley's origin, or its
// pictures, which take the session's cookie, would not be shown.
const mailPolicy = "sandbox allow-popups allow-same-origin; default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

// mailRules is what stays of a mail's HTML: words, tables, and pictures that came
// with it. Pictures from elsewhere would tell the sender who reads it, and when.
func mailRules() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowStandardAttributes()
	p.AllowLists()
	p.AllowTables()
	p.AllowElements("p", "br", "div", "span", "b", "strong", "i", "em", "u", "s", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre",
		"code", "hr", "center", "font", "small", "sub", "sup")
	p.AllowAttrs("align", "valign", "bgcolor", "color", "width", "height", "cellpadding", "cellspacing", "border").Globally()
	p.AllowAttrs("href").OnElements("a")
	p.AllowURLSchemes("http", "https", "mailto", "tel")
	p.RequireNoReferrerOnLinks(true)
	p.AddTargetBlankToFullyQualifiedLinks(true)
	p.AllowAttrs("src").Matching(ownPicture).OnElements("img")
	p.AllowAttrs("alt").OnElements("img")
	p.AllowRelativeURLs(true)
	p.AllowStyles("color", "background-color", "font-weight", "font-style", "font-size", "text-align", "text-decoration", "padding", "margin", "border").Globally()
	return p
}

// ownPicture is where the pictures of messages are.
var ownPicture = regexp.MustCompile(`^/api/v1/uploads/[0-9]+/content\?inline=true$`)

// embeddedPicture is a reference to a part of the same mail (RFC 2392).
var embeddedPicture = regexp.MustCompile(`(?i)cid:[^"'\s>)]+`)

// showMail is a mail's HTML, for a frame of its own.
func (p *pages) showMail(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("message"), 10, 64)
	if err != nil {
		p.fail(w, r, notFound("message.not_found"))
		return
	}
	html, err := p.mailHTML(r, access.From(r.Context()).Tenant, id)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", mailPolicy)
	h.Set("X-Frame-Options", "SAMEORIGIN")
	_, _ = io.WriteString(w, html)
}

func (p *pages) mailHTML(r *http.Request, tenant events.TenantID, message int64) (string, error) {
	m, err := p.Desk.Store.Message(r.Context(), tenant, message)
	if err != nil {
		return "", err
	}
	body := mailBody(m.Attachments)
	if body == nil {
		return "", notFound("message.no_html")
	}
	f, err := p.Desk.OpenUpload(r.Context(), tenant, body.Upload, false)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxMail))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return cleanMail(string(data), m.Attachments), nil
}

// mailBody is the stored HTML of a mail, nil when there is none.
func mailBody(files []inbox.File) *inbox.File {
	for i := range files {
		if files[i].Role == events.HTMLBody && files[i].Upload > 0 {
			return &files[i]
		}
	}
	return nil
}

// cleanMail makes a mail's HTML harmless, with the pictures that came with it.
func cleanMail(html string, files []inbox.File) string {
	pictures := make(map[string]string, len(files))
	for i := range files {
		if f := &files[i]; f.ContentID != "" && f.Upload > 0 {
			pictures[strings.ToLower(f.ContentID)] = "/api/v1/uploads/" + strconv.FormatInt(f.Upload, 10) + "/content?inline=true"
		}
	}
	html = embeddedPicture.ReplaceAllStringFunc(html, func(ref string) string {
		return pictures[strings.ToLower(ref[len("cid:"):])]
	})
	return mailRules().Sanitize(html)
}
