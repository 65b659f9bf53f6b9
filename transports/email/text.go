package email

import (
	"strings"
)

// maxShown is how much of a mail's text is shown, in bytes: what fits an event
// beside the rest. Raw has it all.
const maxShown = 64 << 10

// maxSource is how much of a text or HTML part is read to make it.
const maxSource = 1 << 20

// plainText is a text/plain part as it is shown.
func (g *guesses) plainText(p *part) (text, note string) {
	text, note = g.decode(p.params["charset"], p.decode(maxSource))
	text = clean(text)
	if strings.EqualFold(p.params["format"], "flowed") {
		text = unflow(text, strings.EqualFold(p.params["delsp"], "yes"))
	}
	return strings.TrimSpace(text), note
}

// unflow joins the lines of format=flowed (RFC 3676, section 4.1) to paragraphs.
func unflow(text string, delSp bool) string {
	var (
		out  strings.Builder
		open bool // the last line flows on
		last int  // its quote depth
	)
	for i, line := range strings.Split(text, "\n") {
		depth := 0
		for depth < len(line) && line[depth] == '>' {
			depth++
		}
		content := strings.TrimPrefix(line[depth:], " ") // space-stuffing
		signature := content == "-- "
		if open && (depth != last || signature) {
			open = false // improperly flowed
		}
		if !open {
			if i > 0 {
				out.WriteByte('\n')
			}
			if depth > 0 {
				out.WriteString(strings.Repeat(">", depth))
				if content != "" {
					out.WriteByte(' ')
				}
			}
		}
		open, last = strings.HasSuffix(content, " ") && !signature, depth
		if open && delSp {
			content = content[:len(content)-1]
		}
		out.WriteString(content)
	}
	return out.String()
}
