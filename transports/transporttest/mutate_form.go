package transporttest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// pair is one parameter of a form, as it is escaped.
type pair struct{ name, value string }

func parseForm(body []byte) []pair {
	if len(body) == 0 {
		return nil
	}
	var all []pair
	for _, one := range strings.Split(string(body), "&") {
		name, value, _ := strings.Cut(one, "=")
		all = append(all, pair{name, value})
	}
	return all
}

func formBytes(all []pair) []byte {
	parts := make([]string, len(all))
	for i, p := range all {
		parts[i] = p.name + "=" + p.value
	}
	return []byte(strings.Join(parts, "&"))
}

// form damages one parameter of a form.
func (d *dice) form(body []byte) ([]byte, string) {
	all := parseForm(body)
	if len(all) == 0 {
		return d.bytes(body)
	}
	at := d.IntN(len(all))
	p := &all[at]
	name := p.name
	var damage string
	switch d.IntN(9) {
	case 0:
		all, damage = slices.Delete(all, at, at+1), "dropped"
	case 1:
		all, damage = slices.Insert(all, at, *p), "twice"
	case 2:
		all, damage = slices.Insert(all, at+d.IntN(2), pair{name, "other"}), "twice, with two values"
	case 3:
		p.name, damage = pick(d, []string{strings.ToUpper(name), strings.ToLower(name), name + "0", "", "%00", "%FF", name + "[]"}), "renamed"
	case 4:
		other := pick(d, all)
		p.value, damage = other.value, "replaced by "+other.name
	case 5:
		p.value, damage = pick(d, []string{"%", "%zz", "%u0041", "a;b=c", "\x00", "\xFF", "%ED%A0%80", "+", "%2B"}), "escaped wrongly"
	case 6:
		if len(p.value) > 1<<10 {
			p.value = p.value[:1<<10] // a body of many megabytes shows nothing more
		}
		for i := range 1_500 {
			all = append(all, pair{fmt.Sprintf("%s%d", name, i), p.value})
		}
		damage = "with 1500 like it"
	default:
		plain, err := url.QueryUnescape(p.value)
		if err != nil {
			plain = p.value
		}
		plain, damage = d.text(plain)
		p.value = url.QueryEscape(plain)
	}
	return formBytes(all), name + " " + damage
}
