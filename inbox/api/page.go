package api

import (
	"bytes"
	"embed"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed page/api.html page/page.css
var pageFiles embed.FS

// pagePolicy lets the page load its own style sheet and nothing else; nothing in it
// runs.
const pagePolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// servePage serves the description for people at /api/, made once when somebody
// first asks: it needs no script and nothing from elsewhere. Like the description
// for programs it has nothing of a tenant, and is for everybody.
func servePage(mux *http.ServeMux, doc *huma.OpenAPI, url string) {
	if url == "" {
		url = "http://127.0.0.1:8081" // where it usually is
	}
	made := sync.OnceValues(func() ([]byte, error) { return renderPage(doc, url) })
	mux.HandleFunc("GET /api/{$}", func(w http.ResponseWriter, r *http.Request) {
		page, err := made()
		if err != nil {
			writeProblem(w, problem(http.StatusInternalServerError, "The page could not be made.", "Read /api/openapi.json instead."))
			return
		}
		w.Header().Set("Content-Security-Policy", pagePolicy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
	mux.HandleFunc("GET /api", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/api/", http.StatusMovedPermanently)
	})
	mux.HandleFunc("GET /api/page.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, pageFiles, "page/page.css")
	})
}

// pageGroup are the operations below one path.
type pageGroup struct {
	Name       string
	Operations []pageOperation
}

type pageOperation struct {
	ID, Method, Path, Summary, Description string
	// Who says who may.
	Who          string
	Parameters   []pageField
	Body, Answer *pageBody
	Example      string
}

type pageBody struct {
	Status, Type string
	Fields       []pageField
}

type pageField struct {
	Name, In, Type, Doc string
	Required            bool
}

func renderPage(doc *huma.OpenAPI, url string) ([]byte, error) {
	t, err := template.ParseFS(pageFiles, "page/api.html")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, struct {
		Version string
		Groups  []pageGroup
	}{doc.Info.Version, pageGroups(doc, url)})
	return out.Bytes(), err
}

func pageGroups(doc *huma.OpenAPI, url string) (groups []pageGroup) {
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		name, _, _ := strings.Cut(strings.TrimPrefix(path, "/api/v1/"), "/")
		if len(groups) == 0 || groups[len(groups)-1].Name != name {
			groups = append(groups, pageGroup{Name: name})
		}
		g, item := &groups[len(groups)-1], doc.Paths[path]
		for _, op := range []*huma.Operation{item.Options, item.Head, item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op != nil {
				g.Operations = append(g.Operations, describe(doc.Components.Schemas, op, url))
			}
		}
	}
	return groups
}

func describe(schemas huma.Registry, op *huma.Operation, url string) pageOperation {
	p := pageOperation{ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, Description: op.Description, Who: who(op)}
	for _, param := range op.Parameters {
		doc := param.Description
		if doc == "" && param.Schema != nil {
			doc = param.Schema.Description
		}
		p.Parameters = append(p.Parameters, pageField{Name: param.Name, In: param.In, Required: param.Required, Type: typeOf(schemas, param.Schema), Doc: doc})
	}
	if op.RequestBody != nil {
		p.Body = bodyOf(schemas, op.RequestBody.Content)
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		if strings.HasPrefix(status, "2") {
			p.Answer = bodyOf(schemas, op.Responses[status].Content)
			if p.Answer == nil {
				p.Answer = &pageBody{}
			}
			p.Answer.Status = status
			break
		}
	}
	p.Example = example(schemas, op, url)
	return p
}

func who(op *huma.Operation) string {
	rule := ruleOf(op).Rule
	switch {
	case rule.Operator:
		return "For the operator, on the server's machine."
	case rule.Public:
		return "For everybody."
	case rule.Scope == "":
		return "For people who logged in, with the role " + string(rule.Role) + " or more."
	}
	return "With the role " + string(rule.Role) + " or more; for tokens with the scope " + string(rule.Scope) + "."
}

func bodyOf(schemas huma.Registry, content map[string]*huma.MediaType) *pageBody {
	kinds := slices.Sorted(maps.Keys(content))
	if len(kinds) == 0 {
		return nil
	}
	b := &pageBody{Type: kinds[0]}
	if s := content[kinds[0]].Schema; s != nil {
		b.Fields = fieldsOf(schemas, s, "", 0)
	}
	return b
}
