package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// pageDepth is how deep fields within fields are shown.
const pageDepth = 3

func resolved(schemas huma.Registry, s *huma.Schema) *huma.Schema {
	for s != nil && s.Ref != "" {
		s = schemas.SchemaFromRef(s.Ref)
	}
	return s
}

// fieldsOf lists a schema's fields, those within others as outer.inner, and those of
// lists as outer[].inner.
func fieldsOf(schemas huma.Registry, s *huma.Schema, prefix string, depth int) (fields []pageField) {
	s = resolved(schemas, s)
	if s == nil || depth >= pageDepth {
		return nil
	}
	if s.Type == "array" {
		return fieldsOf(schemas, s.Items, prefix+"[].", depth)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if name == "$schema" {
			continue
		}
		field := s.Properties[name]
		doc := field.Description
		inner, path := resolved(schemas, field), prefix+name
		if doc == "" && inner != nil {
			doc = inner.Description
		}
		fields = append(fields, pageField{Name: path, Required: slices.Contains(s.Required, name), Type: typeOf(schemas, field), Doc: doc})
		if inner != nil && inner.Type == "array" {
			inner, path = resolved(schemas, inner.Items), path+"[]"
		}
		if inner != nil && inner.Type == "object" {
			fields = append(fields, fieldsOf(schemas, inner, path+".", depth+1)...)
		}
	}
	return fields
}

// typeOf says what a value looks like, with its limits.
func typeOf(schemas huma.Registry, s *huma.Schema) string {
	s = resolved(schemas, s)
	if s == nil {
		return ""
	}
	if len(s.Enum) > 0 {
		words := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			words[i] = fmt.Sprint(v)
		}
		return strings.Join(words, " | ")
	}
	var notes []string
	note := func(given bool, format string, args ...any) {
		if given {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	kind := s.Type
	switch {
	case s.Type == "array":
		kind = "list of " + typeOf(schemas, s.Items)
	case s.Type == "object" && s.AdditionalProperties != nil && s.AdditionalProperties != false:
		kind = "object of any names"
	case s.Format != "" && s.Format != "int64" && s.Format != "int32":
		kind = s.Format
	case s.Type == "":
		kind = "anything"
	}
	if s.Minimum != nil {
		note(true, "from %v", *s.Minimum)
	}
	if s.Maximum != nil {
		note(true, "to %v", *s.Maximum)
	}
	if s.MaxLength != nil {
		note(true, "at most %d characters", *s.MaxLength)
	}
	if s.MaxItems != nil {
		note(true, "at most %d", *s.MaxItems)
	}
	note(s.Default != nil, "%v unless given", s.Default)
	if len(notes) > 0 {
		kind += ", " + strings.Join(notes, ", ")
	}
	return kind
}

// sample is a value that looks like the schema: what it must have, and what it may
// where nothing must be.
func sample(schemas huma.Registry, s *huma.Schema, depth int) any {
	s = resolved(schemas, s)
	switch {
	case s == nil || depth > pageDepth:
		return map[string]any{}
	case len(s.Examples) > 0:
		return s.Examples[0]
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Default != nil:
		return s.Default
	}
	switch s.Type {
	case "object":
		out := map[string]any{}
		for name, field := range s.Properties {
			if name != "$schema" && (len(s.Required) == 0 && depth == 0 || slices.Contains(s.Required, name)) {
				out[name] = sample(schemas, field, depth+1)
			}
		}
		return out
	case "array":
		return []any{sample(schemas, s.Items, depth+1)}
	case "integer", "number":
		if s.Minimum != nil {
			return max(*s.Minimum, 1)
		}
		return 1
	case "boolean":
		return true
	}
	switch s.Format {
	case "email":
		return "ann@example.com"
	case "date-time":
		return "2030-01-01T09:00:00Z"
	}
	if s.MinLength != nil && *s.MinLength > 1 {
		return strings.Repeat("A", *s.MinLength)
	}
	return "…"
}

// example is a request to copy and paste.
func example(schemas huma.Registry, op *huma.Operation, url string) string {
	rule := ruleOf(op).Rule
	lines := []string{"curl"}
	add := func(format string, args ...any) { lines = append(lines, "  "+fmt.Sprintf(format, args...)) }
	switch {
	case rule.Operator:
		lines[0] += " --unix-socket \"$PARLEY_SOCKET\""
		url = "http://parley"
	case rule.Public:
	case rule.Scope == "":
		lines[0] += " -b cookies.txt"
	default:
		lines[0] += " -H \"Authorization: Bearer $PARLEY_TOKEN\""
	}
	if op.Method != http.MethodGet {
		add("-X %s", op.Method)
	}
	path, query := op.Path, ""
	for _, p := range op.Parameters {
		switch {
		case p.Name == "Idempotency-Key":
			add("-H 'Idempotency-Key: 7f3c'")
		case p.Name == "If-Match":
			add("-H 'If-Match: \"1\"'")
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", strings.ToUpper(p.Name))
			if p.Schema != nil && p.Schema.Type == "integer" {
				path = strings.ReplaceAll(path, strings.ToUpper(p.Name), "1")
			}
		case p.In == "query" && p.Required:
			query += fmt.Sprintf("&%s=%v", p.Name, sample(schemas, p.Schema, 1))
		}
	}
	if query != "" {
		path += "?" + query[1:]
	}
	if op.RequestBody != nil {
		if json, kind := sampleBody(schemas, op.RequestBody.Content); json != "" {
			add("-H 'Content-Type: %s'", kind)
			add("-d '%s'", json)
		} else {
			add("-H 'Content-Type: %s'", kind)
			add("--data-binary @FILE")
		}
	}
	add("'%s%s'", url, path)
	return strings.Join(lines, " \\\n")
}

// sampleBody is empty for what is no JSON.
func sampleBody(schemas huma.Registry, content map[string]*huma.MediaType) (text, kind string) {
	kinds := slices.Sorted(maps.Keys(content))
	if len(kinds) == 0 {
		return "", "application/octet-stream"
	}
	if kind = kinds[0]; kind != "application/json" || content[kind].Schema == nil {
		return "", kind
	}
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(sample(schemas, content[kind].Schema, 0)); err != nil {
		return "", kind
	}
	return strings.ReplaceAll(strings.TrimSpace(out.String()), "'", `'\''`), kind
}
