package media

import (
	"mime"
	"net/http"
	"strings"

	"parley/inbox"
)

// Serve answers a request with a file, ranges and conditions included (RFC 9110,
// sections 13 and 14). Whatever the file is, a browser neither runs anything in
// it nor guesses its type; it is saved rather than shown unless inline asks
// otherwise and its kind is harmless.
func Serve(w http.ResponseWriter, r *http.Request, f *File, inline bool) {
	h := w.Header()
	kind, shown := servedType(f.MIME)
	h.Set("Content-Type", kind)
	disposition := "attachment"
	if inline && shown {
		disposition = "inline"
	}
	h.Set("Content-Disposition", contentDisposition(disposition, f.Name, f.MIME))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	// An upload never changes. Shared caches have no business with it.
	h.Set("Cache-Control", "private, max-age=86400, immutable")
	h.Set("ETag", `"`+strings.ReplaceAll(f.BlobKey[strings.LastIndexByte(f.BlobKey, '/')+1:], `"`, "")+`-`+disposition[:1]+kindTag(kind)+`"`)
	http.ServeContent(w, r, "", f.CreatedAt, f)
}

// kindTag keeps a small picture's tag apart from its file's.
func kindTag(kind string) string {
	_, minor, _ := strings.Cut(kind, "/")
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, minor)
}

// servedType is the media type that a file is handed out as, and whether it may
// be shown within a page.
func servedType(stored string) (kind string, shown bool) {
	plain, params, err := mime.ParseMediaType(stored)
	if err != nil {
		return "application/octet-stream", false
	}
	switch plain {
	case "image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp", "image/avif",
		"application/pdf",
		"audio/mpeg", "audio/ogg", "audio/mp4", "audio/x-m4a", "audio/aac", "audio/wav", "audio/x-wav", "audio/webm", "audio/flac", "audio/amr",
		"video/mp4", "video/webm", "video/ogg", "video/quicktime", "video/3gpp":
		return plain, true
	case "text/plain":
		charset := params["charset"]
		if charset == "" {
			charset = "utf-8"
		}
		return mime.FormatMediaType("text/plain", map[string]string{"charset": charset}), true
	case "text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml", "text/javascript", "application/javascript":
		// Nothing that a browser would run, however it is asked to.
		return "application/octet-stream", false
	}
	return plain, false
}

// contentDisposition names the file in both forms of RFC 6266.
func contentDisposition(disposition, name, kind string) string {
	name = inbox.CleanFileName(name)
	if name == "" {
		name = "file"
		plain, _, _ := mime.ParseMediaType(kind)
		if ext, err := mime.ExtensionsByType(plain); err == nil && len(ext) > 0 {
			name += ext[len(ext)-1]
		}
	}
	return mime.FormatMediaType(disposition, map[string]string{"filename": name})
}
