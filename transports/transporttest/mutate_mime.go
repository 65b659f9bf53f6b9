package transporttest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// mime damages one header field of a mail or one of its parts, or a line of what
// follows.
func (d *dice) mime(body []byte) ([]byte, string) {
	lines := strings.SplitAfter(string(body), "\n")
	at := d.IntN(len(lines))
	if d.IntN(3) > 0 { // mostly headers: that is where meaning is
		var headers []int
		for i, line := range lines {
			if name, _, ok := strings.Cut(line, ":"); ok && name != "" && !strings.ContainsAny(name, " \t") {
				headers = append(headers, i)
			}
		}
		if len(headers) > 0 {
			return d.header(lines, pick(d, headers))
		}
	}
	line := lines[at]
	var damage string
	switch d.IntN(9) {
	case 0:
		lines, damage = slices.Delete(lines, at, at+1), "dropped"
	case 1:
		lines, damage = slices.Insert(lines, at, line), "twice"
	case 2:
		lines[at], damage = strings.TrimRight(line, "\r\n"), "joined to the next"
	case 3:
		lines[at], damage = strings.ReplaceAll(line, "\r\n", pick(d, []string{"\n", "\r", "\r\r\n", "\n\r"})), "ended in another way"
	case 4:
		lines[at], damage = strings.Repeat("x", d.huge())+"\r\n", "huge"
	case 5:
		lines, damage = lines[:at], "the last that came"
	case 6:
		lines[at], damage = "=\r\n=3\r\n=ZZ\r\n!!!!\r\n", "encoded wrongly"
	case 7:
		boundary := d.boundary(body)
		lines, damage = slices.Insert(lines, at, strings.Repeat("--"+boundary+"\r\n", pick(d, []int{1, 2, 500}))), "after more boundaries"
	default:
		spoiled, how := d.text(strings.TrimRight(line, "\r\n"))
		lines[at], damage = spoiled+"\r\n", how
	}
	return []byte(strings.Join(lines, "")), fmt.Sprintf("line %d %s", at, damage)
}

func (d *dice) header(lines []string, at int) ([]byte, string) {
	name, value, _ := strings.Cut(lines[at], ":")
	value = strings.TrimRight(value, "\r\n")
	var damage string
	switch d.IntN(9) {
	case 0:
		lines, damage = slices.Delete(lines, at, at+1), "dropped"
	case 1:
		lines, damage = slices.Insert(lines, at, lines[at]), "twice"
	case 2:
		lines, damage = slices.Insert(lines, at, name+": <other@example.org>\r\n"), "twice, with two values"
	case 3:
		lines[at] = pick(d, []string{strings.ToUpper(name), name + " ", "", "\x00", "\xFF", strings.Repeat("N", 2_000)}) + ":" + value + "\r\n"
		damage = "renamed"
	case 4:
		lines[at] = name + ": " + pick(d, []string{
			"=?utf-8?B?!!!!?=", "=?x-unknown?Q?=FF?=", "=?utf-8?Q?a", "=?utf-8?Q?=00?=", "=?iso-8859-1?Q?=E9?= =?utf-8?B?/w==?=",
			"multipart/mixed", `multipart/mixed; boundary=""`, "text/plain; charset=utf-7", "message/rfc822", "image/png; name*0*=utf-8''%",
			"base64", "x-uuencode", "<", "<>", "@", `"`, "Mon, 99 Foo 99999 99:99:99 +9999", "1", "",
		}) + "\r\n"
		damage = "of another type"
	case 5:
		lines[at] = name + ":" + strings.Join(strings.Split(value, " "), "\r\n ") + "\r\n \r\n"
		damage = "folded at each word"
	case 6:
		// A mail of many megabytes shows nothing more.
		lines[at] = strings.Repeat(cutAt(strings.TrimRight(lines[at], "\r\n"), 1<<10)+"\r\n", 1_500)
		damage = "1500 times"
	default:
		spoiled, how := d.text(value)
		lines[at], damage = name+":"+spoiled+"\r\n", how
	}
	return []byte(strings.Join(lines, "")), strings.TrimSpace(cutAt(name, 40)) + " " + damage
}

// boundary is one of a mail's own boundaries.
func (d *dice) boundary(body []byte) string {
	_, after, ok := bytes.Cut(body, []byte("boundary="))
	if !ok {
		return "none"
	}
	found := strings.FieldsFunc(cutAt(string(after), 80), func(r rune) bool { return strings.ContainsRune("\"\r\n; ", r) })
	if len(found) == 0 {
		return "none"
	}
	return found[0]
}
