package inbox_test

import (
	"slices"
	"strings"
	"testing"

	"parley/inbox"
)

func TestTemplateText(t *testing.T) {
	t.Parallel()
	values := map[string]string{"first_name": "Ada", "empty": " ", "sly": "{{first_name}} \\{"}
	for _, tt := range []struct {
		text, want string
		missing    []string
	}{
		{text: "Hello {{first_name}}!", want: "Hello Ada!"},
		{text: "Hello {{ first_name }}!", want: "Hello Ada!"},
		{text: "Hello {{nick|there}}!", want: "Hello there!"},
		{text: "Hello {{empty|there}}!", want: "Hello there!"},
		{text: "Hello{{nick|}}!", want: "Hello!"},
		{text: "{{nick}} and {{nick}} and {{order}}", want: "{{nick}} and {{nick}} and {{order}}", missing: []string{"nick", "order"}},
		{text: `\{{first_name}}`, want: "{{first_name}}"},
		{text: `{{nick|a \} \| \\ b}}`, want: `a } | \ b`},
		{text: `C:\new \x`, want: `C:\new \x`},
		{text: "a { b } }} c", want: "a { b } }} c"},
		{text: "{{sly}}", want: "{{first_name}} \\{"}, // what a client is called is no template
		{text: "Ünïcödé 👋 {{nick|täglich 👋}}", want: "Ünïcödé 👋 täglich 👋"},
		{text: "", want: ""},
	} {
		parsed, err := inbox.ParseTemplate(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		got, missing := parsed.Render(values)
		if got != tt.want || !slices.Equal(missing, tt.missing) {
			t.Errorf("%s becomes %q without %v, want %q without %v", tt.text, got, missing, tt.want, tt.missing)
		}
	}
	for _, bad := range []string{"{{", "{{first_name", "{{first_name}", "{{first name}}", "{{First}}", "{{}}", "{{a|b", "{{a|b {{c}}", "{{a\\}}", "\xff", "\x00", "{{" + strings.Repeat("a", 65) + "}}"} {
		if _, err := inbox.ParseTemplate(bad); inbox.CodeOf(err) != inbox.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestTemplateVariables(t *testing.T) {
	t.Parallel()
	m := inbox.MessageTemplate{
		Name: "Shipped", Text: "Hi {{first_name|there}}, {{order}} left. {{agent_first_name}}, {{business}}. {{order|?}}",
		Approved: []inbox.ApprovedTemplate{{ID: "HX1", Variables: map[string]string{"1": "{{first_name|there}}", "2": "{{order}} of {{day}}"}}},
	}
	p, err := m.Parse()
	if err != nil {
		t.Fatal(err)
	}
	want := []inbox.TemplateVariable{
		{Name: "first_name", From: "client", Optional: true},
		{Name: "order", From: "asked"},
		{Name: "agent_first_name", From: "agent"},
		{Name: "business", From: "business"},
		{Name: "day", From: "asked"},
	}
	if !slices.Equal(m.Variables, want) {
		t.Errorf("variables are %+v", m.Variables)
	}
	f := p.Fill(map[string]string{"order": "17", "agent_first_name": "Ben", "business": "Acme"})
	if !slices.Equal(f.Missing, []string{"day"}) {
		t.Errorf("missing are %v", f.Missing)
	}
	if err := p.Refusal(f); inbox.CodeOf(err) != inbox.Invalid || !strings.Contains(err.Error(), "day") {
		t.Errorf("it is refused with %v", err)
	}
	f = p.Fill(map[string]string{"order": "17", "agent_first_name": "Ben", "business": "Acme", "day": "Monday"})
	if f.Text != "Hi there, 17 left. Ben, Acme. 17" || f.Approved[""].ID != "HX1" || f.Approved[""].Variables["2"] != "17 of Monday" || p.Refusal(f) != nil {
		t.Errorf("filled: %+v", f)
	}
}

func TestClientValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		client inbox.Client
		first  string
	}{
		{inbox.Client{FirstName: "Ada", LastName: "L"}, "Ada"},
		{inbox.Client{FirstName: "+4915112345678"}, ""},
		{inbox.Client{FirstName: "ada@example.com", Email: "ada@example.com"}, ""},
		{inbox.Client{FirstName: "李"}, "李"},
	} {
		if got := inbox.ClientValues(tt.client, "")["first_name"]; got != tt.first {
			t.Errorf("%s is called %q", tt.client.FirstName, got)
		}
	}
}

// Whatever somebody writes: it is refused, or rendered in full, and a rendering
// without variables is the text itself.
func FuzzParseTemplate(f *testing.F) {
	for _, seed := range []string{"Hello {{first_name|there}}!", `\{{x}} \\ {{a|\}}}`, "{{a}}{{b|}}", "{{a|b{{c}}", "{ {{x }} }"} {
		f.Add(seed, "value")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		parsed, err := inbox.ParseTemplate(text)
		if err != nil {
			if inbox.CodeOf(err) != inbox.Invalid {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		variables := parsed.Variables()
		values := map[string]string{}
		for _, v := range variables {
			values[v.Name] = value
		}
		got, missing := parsed.Render(values)
		if strings.TrimSpace(value) != "" && len(missing) != 0 {
			t.Fatalf("%q lacks %v", text, missing)
		}
		if len(variables) == 0 && !strings.ContainsRune(text, '\\') && got != text {
			t.Fatalf("%q became %q", text, got)
		}
		if _, none := parsed.Render(nil); len(none) > len(variables) {
			t.Fatalf("%q lacks more than it has: %v", text, none)
		}
	})
}
