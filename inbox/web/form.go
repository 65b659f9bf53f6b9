package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"parley/inbox"
)

// form is something to fill in; the template of the same name shows any. Words in
// it that are called Label, Help or Submit are ids of texts.
type form struct {
	Action, Submit string
	// Danger says that it takes something away.
	Danger bool
	Fields []field
	Hidden []pair
	// Error is what is wrong with all of it, in words.
	Error string
}

// field is one thing to fill in.
type field struct {
	Name, Label, Help string
	// Kind is an input's type, or textarea, select, checkbox, or checks for several
	// of a list.
	Kind string
	// Value is what stands there; Values are those of checks.
	Value    string
	Values   []string
	Options  []pair
	Required bool
	// Max is how many characters it takes, 0 for any number.
	Max int
	// Error is what is wrong with it, in words.
	Error string
	// Auto is its autocomplete.
	Auto string
}

// pair is a value and what it is called, in words.
type pair struct{ Value, Words string }

// Has reports whether an option is one of the chosen.
func (f field) Has(v string) bool { return slices.Contains(f.Values, v) }

// Secret says that what was typed is not shown again.
func (f field) Secret() bool { return f.Kind == "password" }

// typed puts what somebody typed into the fields.
func (f *form) typed(v url.Values) {
	for i := range f.Fields {
		at := &f.Fields[i]
		if values, there := v[at.Name]; there && at.Kind != "checks" {
			at.Value = values[0]
		}
		if at.Kind == "checkbox" {
			at.Value = v.Get(at.Name)
		}
		at.Values = v[at.Name]
	}
}

// blame puts words beside a field, or above all of them where there is no such
// field.
func (f *form) blame(name, words string) {
	for i := range f.Fields {
		if f.Fields[i].Name == name {
			f.Fields[i].Error = words
			return
		}
	}
	f.Error = words
}

// refuse shows what is wrong where it belongs: beside the first field one of
// whose words the error says. What the desk says is written for everybody who
// asks, and names things, not fields of a page.
func (p *pages) refuse(r *http.Request, f *form, err error, fields ...pair) {
	f.typed(r.PostForm)
	words := p.words(r, err)
	var e *inbox.Error
	if errors.As(err, &e) {
		said := strings.ToLower(p.looks.choose(r).text(e.Message))
		for _, b := range fields {
			if strings.Contains(said, b.Words) {
				f.blame(b.Value, words)
				return
			}
		}
	}
	f.Error = words
}

// lacks finds what must be filled in and is not; it then says so beside it.
func (p *pages) lacks(r *http.Request, f *form) bool {
	f.typed(r.PostForm)
	lacking := false
	for i := range f.Fields {
		if at := &f.Fields[i]; at.Required && strings.TrimSpace(at.Value) == "" && at.Kind != "checks" {
			at.Error, lacking = p.looks.choose(r).text("form.required"), true
		}
	}
	return lacking
}

// readForm reads a form without files; it answers itself where that fails.
func (p *pages) readForm(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		p.fail(w, r, &inbox.Error{Code: inbox.Invalid, Message: "form.broken", Err: err})
		return false
	}
	return true
}
