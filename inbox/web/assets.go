package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
)

//go:embed static
var static embed.FS

// assetsPath is where scripts, styles and icons are, followed by a hash of all
// of them: what a browser keeps is never out of date.
const assetsPath = "/static/"

// assets serves the embedded files, compressed once.
type assets struct {
	base  string // "/static/<hash>/"
	files map[string]asset
}

type asset struct {
	kind          string
	plain, zipped []byte
}

func loadAssets() (*assets, error) {
	a := &assets{files: make(map[string]asset)}
	sum := sha256.New()
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := static.ReadFile(name)
		if err != nil {
			return err
		}
		name = strings.TrimPrefix(name, "static/")
		_, _ = fmt.Fprintf(sum, "%s %d\n%s", name, len(data), data)
		var zipped bytes.Buffer
		zip, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := zip.Write(data); err != nil {
			return err
		}
		if err := zip.Close(); err != nil {
			return err
		}
		a.files[name] = asset{kind: mime.TypeByExtension(path.Ext(name)), plain: data, zipped: zipped.Bytes()}
		return nil
	})
	a.base = assetsPath + hex.EncodeToString(sum.Sum(nil)[:8]) + "/"
	return a, err
}

// modules are the scripts that the first one imports, and those that they import.
func (a *assets) modules() (paths []string) {
	for name := range a.files {
		if strings.HasSuffix(name, ".js") && name != "parley.js" && name != "template.js" {
			paths = append(paths, a.base+name)
		}
	}
	slices.Sort(paths)
	return paths
}

// ServeHTTP hands out a file. One of another build is still found, for pages
// that were open during an upgrade.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, assetsPath), "/")
	f, ok := a.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Vary", "Accept-Encoding")
	if strings.HasPrefix(r.URL.Path, a.base) {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	body := f.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.zipped
	}
	_, _ = w.Write(body)
}
