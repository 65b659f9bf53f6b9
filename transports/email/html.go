package email

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// htmlText is what an HTML mail says, in plain text: blocks are lines,
// blockquotes begin with >, links say where they lead. It is read token by
// token, so that no nesting is too deep. (html2text libraries keep no quotes,
// and those that make Markdown escape what people wrote.)
func htmlText(source string) string {
	w := textWriter{}
	z := html.NewTokenizer(strings.NewReader(source))
	z.SetMaxBuf(maxSource)
	for {
		switch z.Next() {
		case html.ErrorToken:
			return w.finish()
		case html.TextToken:
			if w.skip == "" {
				w.text(string(z.Text()))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			w.start(t)
		case html.EndTagToken:
			w.end(z.Token())
		default: // comments and doctypes say nothing
		}
	}
}

// textWriter lays out text.
type textWriter struct {
	out strings.Builder
	// line is the open line, without its quote marks.
	line  strings.Builder
	blank int // line feeds in a row at the end of out
	quote int
	pre   int
	space bool // white space waits
	// skip is the element whose content is left out, deep how often it is open.
	skip  string
	deep  int
	links []link
}

type link struct {
	url  string
	from int // length of the line when it began
}

// unseen elements have content that is no text.
var unseen = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Title: true, atom.Template: true, atom.Noscript: true,
	atom.Object: true, atom.Select: true, atom.Svg: true, atom.Math: true,
}

// void elements have no end tag (https://html.spec.whatwg.org/#void-elements).
var void = map[atom.Atom]bool{
	atom.Area: true, atom.Base: true, atom.Br: true, atom.Col: true, atom.Embed: true, atom.Hr: true, atom.Img: true,
	atom.Input: true, atom.Link: true, atom.Meta: true, atom.Source: true, atom.Track: true, atom.Wbr: true,
}

func attribute(t html.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hidden(t html.Token) bool {
	style := strings.ToLower(strings.Join(strings.Fields(attribute(t, "style")), ""))
	return strings.Contains(style, "display:none") || strings.Contains(style, "mso-hide:all")
}

func (w *textWriter) start(t html.Token) {
	if w.skip != "" {
		if t.Data == w.skip && t.Type == html.StartTagToken {
			w.deep++
		}
		return
	}
	if !void[t.DataAtom] && t.Type == html.StartTagToken && (unseen[t.DataAtom] || hidden(t)) {
		w.skip, w.deep = t.Data, 1
		return
	}
	switch t.DataAtom {
	case atom.Br:
		w.newline()
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Ul, atom.Ol, atom.Table:
		w.paragraph()
	case atom.Div, atom.Tr, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Dt, atom.Dd, atom.Center, atom.Form, atom.Address:
		w.block()
	case atom.Li:
		w.block()
		w.word("- ")
	case atom.Td, atom.Th:
		w.space = true
	case atom.Hr:
		w.block()
		w.word("---")
		w.block()
	case atom.Pre:
		w.block()
		w.pre++
	case atom.Blockquote:
		w.paragraph()
		if w.quote < 50 {
			w.quote++
		}
	case atom.A:
		if len(w.links) < 20 {
			w.links = append(w.links, link{attribute(t, "href"), w.line.Len()})
		}
	case atom.Img:
		if alt := oneLine(attribute(t, "alt")); alt != "" {
			w.text(" [" + alt + "] ")
		}
	default: // within a line
	}
}

func (w *textWriter) end(t html.Token) {
	if w.skip != "" {
		if t.Data == w.skip {
			if w.deep--; w.deep == 0 {
				w.skip = ""
			}
		}
		return
	}
	switch t.DataAtom {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Ul, atom.Ol, atom.Table:
		w.paragraph()
	case atom.Div, atom.Tr, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Li, atom.Dt, atom.Dd, atom.Center, atom.Form, atom.Address:
		w.block()
	case atom.Pre:
		w.block()
		w.pre = max(0, w.pre-1)
	case atom.Blockquote:
		w.paragraph()
		w.quote = max(0, w.quote-1)
	case atom.A:
		w.closeLink()
	default:
	}
}

// closeLink says where a link leads, unless its text does.
func (w *textWriter) closeLink() {
	if len(w.links) == 0 {
		return
	}
	l := w.links[len(w.links)-1]
	w.links = w.links[:len(w.links)-1]
	url := strings.TrimSpace(l.url)
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") || len(url) > 500 {
		return
	}
	said := w.line.String()
	if l.from > len(said) {
		l.from = 0 // a line ended within the link
	}
	if said = strings.TrimSpace(said[l.from:]); said == "" || strings.Contains(said, strings.TrimSuffix(bareURL(url), "/")) {
		return
	}
	w.word(" (" + url + ")")
}

func bareURL(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	return strings.TrimPrefix(rest, "www.")
}

func (w *textWriter) text(s string) {
	if w.pre > 0 {
		for i, line := range strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n") {
			if i > 0 {
				w.newline()
			}
			w.word(line)
		}
		return
	}
	for len(s) > 0 {
		i := strings.IndexAny(s, " \t\r\n")
		if i == 0 {
			w.space = true
			s = s[1:]
			continue
		}
		if i < 0 {
			i = len(s)
		}
		w.word(s[:i])
		s = s[i:]
	}
}

// word writes to the open line, after the white space that waits.
func (w *textWriter) word(s string) {
	if s == "" {
		return
	}
	if w.space && w.line.Len() > 0 {
		w.line.WriteByte(' ')
	}
	w.space = false
	w.line.WriteString(s)
}

// newline ends the open line, empty or not.
func (w *textWriter) newline() {
	line := strings.TrimRight(strings.ReplaceAll(w.line.String(), "\u00A0", " "), " ")
	w.line.Reset()
	w.space = false
	if line == "" {
		if w.blank >= 2 || w.out.Len() == 0 {
			return
		}
		w.blank++
		w.out.WriteString(strings.Repeat(">", w.quote))
		w.out.WriteByte('\n')
		return
	}
	if w.quote > 0 {
		w.out.WriteString(strings.Repeat(">", w.quote))
		w.out.WriteByte(' ')
	}
	w.out.WriteString(line)
	w.out.WriteByte('\n')
	w.blank = 1
}

// block ends the open line if there is one.
func (w *textWriter) block() {
	if strings.TrimSpace(w.line.String()) != "" {
		w.newline()
	} else {
		w.line.Reset()
		w.space = false
	}
}

// paragraph leaves a blank line.
func (w *textWriter) paragraph() {
	w.block()
	if w.blank < 2 && w.out.Len() > 0 {
		w.newline()
	}
}

func (w *textWriter) finish() string {
	w.block()
	// The last paragraph's blank line, within a quote.
	return strings.TrimSpace(strings.TrimRight(clean(w.out.String()), "> \n"))
}
