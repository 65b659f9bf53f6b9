package transporttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// recorded is a request that an adapter made, taken apart so that one field of it
// can be spoiled.
type recorded struct {
	method, url string
	header      http.Header
	kind        string // the body's media type
	parts       []recordedPart
}

type recordedPart struct {
	name, value string
	isFile      bool
	file        string // the file's name
}

func record(r *http.Request) (*recorded, error) {
	out := &recorded{method: r.Method, url: r.URL.String(), header: r.Header.Clone()}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	kind, attrs, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && len(body) > 0 {
		return nil, fmt.Errorf("content type of a request: %w", err)
	}
	out.kind = kind
	switch kind {
	case "application/x-www-form-urlencoded":
		for _, p := range parseForm(body) {
			name, err1 := url.QueryUnescape(p.name)
			value, err2 := url.QueryUnescape(p.value)
			if err := errors.Join(err1, err2); err != nil {
				return nil, err
			}
			out.parts = append(out.parts, recordedPart{name: name, value: value})
		}
	case "multipart/form-data":
		return out, out.multipart(multipart.NewReader(bytes.NewReader(body), attrs["boundary"]))
	case "application/json":
		root, ok := parseJSON(body)
		if !ok || root.kind != '{' {
			return nil, fmt.Errorf("a JSON body that is no object: %.80q", body)
		}
		for _, it := range root.items {
			out.parts = append(out.parts, recordedPart{name: it.name, value: string(it.value.bytes())})
		}
	case "":
	default:
		return nil, fmt.Errorf("the suite cannot take a %s apart", kind)
	}
	return out, nil
}

func (r *recorded) multipart(in *multipart.Reader) error {
	for {
		part, err := in.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return err
		}
		r.parts = append(r.parts, recordedPart{
			name: part.FormName(), value: string(value), isFile: part.FileName() != "", file: part.FileName(),
		})
	}
}

// fields are the names of what can be spoiled.
func (r *recorded) fields(secrets []string) []string {
	var all []string
	for _, secret := range secrets {
		if strings.Contains(r.url, secret) {
			all = append(all, "path")
			break
		}
	}
	if r.header.Get("Authorization") != "" {
		all = append(all, "header Authorization")
	}
	for _, p := range r.parts {
		if !slices.Contains(all, p.name) {
			all = append(all, p.name)
		}
	}
	return all
}

// spoiled is a copy with one field spoiled.
func (r *recorded) spoiled(field, how string, secrets []string) *recorded {
	c := *r
	c.header = r.header.Clone()
	to := map[string]string{"dropped": "", "emptied": "", "nonsense": "nonsense", "huge": strings.Repeat("x", hugeBytes)}[how]
	switch field {
	case "path":
		for _, secret := range secrets {
			c.url = strings.ReplaceAll(c.url, secret, to)
		}
		return &c
	case "header Authorization":
		c.header.Set("Authorization", to)
		if how == "dropped" {
			c.header.Del("Authorization")
		}
		return &c
	}
	c.parts = nil
	for _, p := range r.parts {
		if p.name == field {
			if how == "dropped" {
				continue
			}
			p.value = to
			if c.kind == "application/json" {
				p.value = string(quoteJSON(to))
			}
		}
		c.parts = append(c.parts, p)
	}
	return &c
}

// request writes it for a server.
func (r *recorded) request() *http.Request {
	var body bytes.Buffer
	header := r.header.Clone()
	switch r.kind {
	case "application/x-www-form-urlencoded":
		var all []pair
		for _, p := range r.parts {
			all = append(all, pair{url.QueryEscape(p.name), url.QueryEscape(p.value)})
		}
		body.Write(formBytes(all))
	case "multipart/form-data":
		w := multipart.NewWriter(&body)
		for _, p := range r.parts {
			var into io.Writer
			var err error
			if p.isFile {
				into, err = w.CreateFormFile(p.name, p.file)
			} else {
				into, err = w.CreateFormField(p.name)
			}
			if err == nil {
				_, _ = io.WriteString(into, p.value) // into memory
			}
		}
		_ = w.Close()
		header.Set("Content-Type", w.FormDataContentType())
	case "application/json":
		root := &tree{kind: '{'}
		for _, p := range r.parts {
			root.items = append(root.items, item{p.name, &tree{raw: []byte(p.value)}})
		}
		body.Write(root.bytes())
	}
	out := httptest.NewRequestWithContext(context.Background(), r.method, r.url, &body)
	out.Header = header
	return out
}

// answer is the status that a stand-in gives. Providers that always answer 200
// and say the code within are read too.
func (r *recorded) answer(t *testing.T, standIn http.Handler) int {
	t.Helper()
	w := httptest.NewRecorder()
	standIn.ServeHTTP(w, r.request())
	var within struct {
		Code int `json:"error_code"`
	}
	if json.Unmarshal(w.Body.Bytes(), &within) == nil && within.Code != 0 {
		return within.Code
	}
	return w.Code
}
