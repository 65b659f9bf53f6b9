package inbox

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"parley/events"
)

// MessageTemplate is a text that agents use again, with variables.
type MessageTemplate struct {
	ID int64 `json:"id"`
	// Name is for people, unique within the tenant whatever its case; empty for
	// what another program wrote.
	Name string `json:"name"`
	// Text has variables like {{first_name|there}}; see [ParseTemplate].
	Text string `json:"text"`
	// Variables are those of Text and of Approved, in the order of the text.
	Variables []TemplateVariable `json:"variables" nullable:"false"`
	// Approved are the providers' templates that say the same, for when free text
	// is not taken.
	Approved []ApprovedTemplate `json:"approved" nullable:"false"`
	// Version rises with each change.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// ApprovedTemplate is a template that a provider has approved.
type ApprovedTemplate struct {
	// Channel it was approved for; empty for all channels that take templates.
	Channel events.ChannelID `json:"channel,omitempty" doc:"Id of the channel it was approved for; all that take templates when absent."`
	// ID is the provider's (Twilio's ContentSid).
	ID string `json:"id" minLength:"1" maxLength:"256" doc:"The provider's id of the template, such as Twilio's ContentSid."`
	// Variables are the provider's, by its name for them; values are texts with
	// our variables.
	Variables map[string]string `json:"variables,omitempty" doc:"The provider's variables by its name for them (1, 2, …); values such as {{first_name|there}}."`
}

// TemplateVariable is a variable of a template.
type TemplateVariable struct {
	Name string `json:"name"`
	// From says who fills it in: client, agent, business; asked when whoever
	// writes has to.
	From string `json:"from" enum:"client,agent,business,asked"`
	// Optional is true where the text says what stands there otherwise.
	Optional bool `json:"optional"`
}

// The variables that are filled in from what is known.
var clientVariables = []string{"first_name", "last_name", "middle_name", "name", "phone", "email"}

// from says who fills a variable in.
func from(name string) string {
	switch {
	case slices.Contains(clientVariables, name):
		return "client"
	case name == "agent_name" || name == "agent_first_name" || name == "agent_email":
		return "agent"
	case name == "business":
		return "business"
	}
	return "asked"
}

// maxVariableName keeps names readable.
const maxVariableName = 64

// TemplateText is a parsed text.
type TemplateText []templatePiece

// templatePiece is either literal text or a variable.
type templatePiece struct {
	literal  string
	variable string
	// fallback is what stands there without a value, where there is one.
	fallback    string
	hasFallback bool
}

// ParseTemplate reads a text with variables: {{name}}, or {{name|fallback}} with
// what stands there when there is no value, which may be nothing. Names are
// a-z, 0-9 and _. A backslash takes the meaning from \ { } and |; before
// anything else it is itself. Its error is for whoever wrote the text.
func ParseTemplate(text string) (TemplateText, error) {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, &Error{Code: Invalid, Message: "The template is not valid UTF-8 text.", Hint: "Write text."}
	}
	var pieces TemplateText
	var literal strings.Builder
	for rest := text; rest != ""; {
		switch {
		case escaped(rest):
			literal.WriteByte(rest[1])
			rest = rest[2:]
		case strings.HasPrefix(rest, "{{"):
			piece, after, ok := parseVariable(rest[2:])
			if !ok {
				return nil, badVariable(text[len(text)-len(rest):])
			}
			if literal.Len() > 0 {
				pieces = append(pieces, templatePiece{literal: literal.String()})
				literal.Reset()
			}
			pieces = append(pieces, piece)
			rest = after
		default:
			_, size := utf8.DecodeRuneInString(rest)
			literal.WriteString(rest[:size])
			rest = rest[size:]
		}
	}
	if literal.Len() > 0 {
		pieces = append(pieces, templatePiece{literal: literal.String()})
	}
	return pieces, nil
}

// escaped reports whether text begins with a sign whose meaning is taken.
func escaped(text string) bool {
	return len(text) > 1 && text[0] == '\\' && strings.IndexByte(`\{}|`, text[1]) >= 0
}

// parseVariable reads what follows {{.
func parseVariable(text string) (p templatePiece, rest string, ok bool) {
	end := strings.IndexFunc(text, func(r rune) bool { return r == '|' || r == '}' })
	if end < 0 {
		return p, "", false
	}
	p.variable = strings.TrimSpace(text[:end])
	if !validVariable(p.variable) {
		return p, "", false
	}
	if text[end] == '}' {
		rest, ok = strings.CutPrefix(text[end:], "}}")
		return p, rest, ok
	}
	p.hasFallback = true
	var fallback strings.Builder
	for rest = text[end+1:]; rest != ""; {
		switch {
		case escaped(rest):
			fallback.WriteByte(rest[1])
			rest = rest[2:]
		case strings.HasPrefix(rest, "}}"):
			p.fallback = fallback.String()
			return p, rest[2:], true
		case strings.HasPrefix(rest, "{{"): // the closing braces were forgotten
			return p, "", false
		default:
			_, size := utf8.DecodeRuneInString(rest)
			fallback.WriteString(rest[:size])
			rest = rest[size:]
		}
	}
	return p, "", false
}

func validVariable(name string) bool {
	return name != "" && len(name) <= maxVariableName && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
	})
}

func badVariable(at string) error {
	if r := []rune(at); len(r) > 30 {
		at = string(r[:30]) + "…"
	}
	return &Error{
		Code: Invalid, Message: fmt.Sprintf("What begins at %q is no variable.", at),
		Hint: `Write {{first_name}} or {{first_name|there}}, with a-z, 0-9 and _ in the name; \{{ for the braces themselves.`,
	}
}

// Variables lists the text's variables, each once, in its order. One that has a
// fallback in one place and none in another is not optional.
func (t TemplateText) Variables() []TemplateVariable {
	var all []TemplateVariable
	for _, p := range t {
		if p.variable == "" {
			continue
		}
		i := slices.IndexFunc(all, func(v TemplateVariable) bool { return v.Name == p.variable })
		if i < 0 {
			all = append(all, TemplateVariable{Name: p.variable, From: from(p.variable), Optional: p.hasFallback})
		} else if !p.hasFallback {
			all[i].Optional = false
		}
	}
	return all
}

// Render writes the text with the values. A value of blanks only is none.
// Missing names the variables that have neither value nor fallback; they stand as
// they were written.
func (t TemplateText) Render(values map[string]string) (text string, missing []string) {
	var b strings.Builder
	for _, p := range t {
		value := values[p.variable]
		switch {
		case p.variable == "":
			b.WriteString(p.literal)
		case strings.TrimSpace(value) != "":
			b.WriteString(value)
		case p.hasFallback:
			b.WriteString(p.fallback)
		default:
			b.WriteString("{{" + p.variable + "}}")
			if !slices.Contains(missing, p.variable) {
				missing = append(missing, p.variable)
			}
		}
	}
	return b.String(), missing
}

// Parse reads the template's texts and fills in Variables.
func (m *MessageTemplate) Parse() (ParsedTemplate, error) {
	p := ParsedTemplate{id: m.ID, name: m.Name, approved: m.Approved}
	var err error
	if p.text, err = ParseTemplate(m.Text); err != nil {
		return p, err
	}
	all := p.text
	for _, a := range m.Approved {
		texts := make(map[string]TemplateText, len(a.Variables))
		for _, name := range slices.Sorted(maps.Keys(a.Variables)) {
			if texts[name], err = ParseTemplate(a.Variables[name]); err != nil {
				return p, err
			}
			all = slices.Concat(all, texts[name])
		}
		p.variables = append(p.variables, texts)
	}
	if m.Variables = all.Variables(); m.Variables == nil {
		m.Variables = []TemplateVariable{}
	}
	if m.Approved == nil {
		m.Approved = []ApprovedTemplate{}
	}
	return p, nil
}

// ParsedTemplate is a template ready to be filled in.
type ParsedTemplate struct {
	id        int64
	name      string
	text      TemplateText
	approved  []ApprovedTemplate
	variables []map[string]TemplateText
}

// FilledTemplate is a template with its variables filled in.
type FilledTemplate struct {
	Text string `json:"text"`
	// Approved are the provider's templates to send instead by channel; that of ""
	// is for every other one.
	Approved map[events.ChannelID]*Template `json:"-"`
	// Missing are the variables without a value, in the text or in a provider's
	// template.
	Missing []string `json:"missing" nullable:"false"`
}

// Fill writes the template with the values.
func (p ParsedTemplate) Fill(values map[string]string) FilledTemplate {
	f := FilledTemplate{Approved: map[events.ChannelID]*Template{}, Missing: []string{}}
	text, missing := p.text.Render(values)
	f.Text, f.Missing = text, append(f.Missing, missing...)
	for i, a := range p.approved {
		t := &Template{ID: a.ID, Variables: make(map[string]string, len(a.Variables))}
		for name, text := range p.variables[i] {
			var missing []string
			t.Variables[name], missing = text.Render(values)
			for _, m := range missing {
				if !slices.Contains(f.Missing, m) {
					f.Missing = append(f.Missing, m)
				}
			}
		}
		f.Approved[a.Channel] = t
	}
	slices.Sort(f.Missing)
	return f
}

// Refusal is why the template cannot be sent like this, nil when it can.
func (p ParsedTemplate) Refusal(f FilledTemplate) error {
	if len(f.Missing) == 0 {
		return nil
	}
	return &Error{
		Code: Invalid, Message: fmt.Sprintf("The template %q has no value for %s.", p.name, strings.Join(f.Missing, ", ")),
		Hint:   "Give them with the reply, fill in the client's card, or write a fallback into the template: {{" + f.Missing[0] + "|…}}.",
		Detail: MissingVariables{Missing: f.Missing},
	}
}

// MissingVariables is the detail of a template that was refused for what it lacks.
type MissingVariables struct {
	Missing []string `json:"missing"`
}

// ClientValues are the variables that a client fills in. A first name that is
// only the number or address under which an unnamed client is kept is none.
func ClientValues(c Client, middle string) map[string]string {
	first := strings.TrimSpace(c.FirstName)
	if !strings.ContainsFunc(first, unicode.IsLetter) || strings.EqualFold(first, c.Email) || strings.Contains(first, "@") {
		first = ""
	}
	last := strings.TrimSpace(c.LastName)
	return map[string]string{
		"first_name": first, "last_name": last, "middle_name": strings.TrimSpace(middle),
		"name": strings.TrimSpace(first + " " + last), "phone": c.Phone, "email": c.Email,
	}
}

// AgentValues are those of whoever writes, and of the business they write for.
func AgentValues(name, email, business string) map[string]string {
	first, _, _ := strings.Cut(strings.TrimSpace(name), " ")
	return map[string]string{"agent_name": strings.TrimSpace(name), "agent_first_name": first, "agent_email": email, "business": business}
}

// TextSize is how long a text is on a channel.
type TextSize struct {
	// Units is its length in Unit: characters, utf16, bytes, or the GSM-7 or UCS-2
	// units of SMS.
	Units int    `json:"units"`
	Unit  string `json:"unit"`
	// Messages is in how many it travels: segments of SMS, or messages of the
	// provider.
	Messages int `json:"messages"`
	// Left is how many units the last one still takes.
	Left int `json:"left"`
}
