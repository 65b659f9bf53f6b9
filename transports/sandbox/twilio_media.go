package sandbox

import (
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// twilioMedia is a file of an inbound message.
type twilioMedia struct {
	File
	sid, message string
	made         time.Time
	// late is how many fetches are still answered 404.
	late int
}

// store keeps a file; mu is held.
func (t *Twilio) store(f File, message string) *twilioMedia {
	if f.MIME == "" {
		f.MIME = mime.TypeByExtension(path.Ext(f.Name))
	}
	if f.MIME == "" {
		f.MIME = "application/octet-stream"
	}
	m := &twilioMedia{File: f, sid: newSID("ME"), message: message, made: t.opts.Now(), late: t.faults.Load().MediaLate}
	t.media[m.sid] = m
	return m
}

func (t *Twilio) serveMediaList(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.bySID[r.PathValue("message")]
	if m == nil {
		notHere(r).write(w)
		return
	}
	list := []map[string]any{}
	for _, sid := range m.media {
		list = append(list, t.mediaResource(t.media[sid]))
	}
	writeTwilio(w, http.StatusOK, map[string]any{"media_list": list, "page": 0, "page_size": 50, "next_page_uri": nil, "uri": r.URL.RequestURI()})
}

func (t *Twilio) mediaResource(m *twilioMedia) map[string]any {
	at := m.made.UTC().Format(time.RFC1123Z)
	return map[string]any{
		"sid": m.sid, "account_sid": t.opts.Account, "parent_sid": m.message, "content_type": m.MIME, "date_created": at, "date_updated": at,
		"uri": "/2010-04-01/Accounts/" + t.opts.Account + "/Messages/" + m.message + "/Media/" + m.sid + ".json",
	}
}

// serveMedia redirects to the file, as Twilio does to its storage.
func (t *Twilio) serveMedia(w http.ResponseWriter, r *http.Request) {
	sid, resource := strings.CutSuffix(r.PathValue("media"), ".json")
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.media[sid]
	switch {
	case m == nil || m.message != r.PathValue("message"):
		notHere(r).write(w)
	case resource:
		writeTwilio(w, http.StatusOK, t.mediaResource(m))
	case m.late > 0:
		m.late--
		notHere(r).write(w)
	default:
		w.Header().Set("Location", t.base+"/media/"+m.sid)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

func (t *Twilio) serveFile(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	m := t.media[r.PathValue("media")]
	t.mu.Unlock()
	// The storage would take credentials for a query of its own.
	if m == nil || r.Header.Get("Authorization") != "" {
		http.Error(w, "<Error><Code>AccessDenied</Code></Error>", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", m.MIME)
	if m.Name != "" {
		w.Header().Set("Content-Disposition", mime.FormatMediaType("inline", map[string]string{"filename": m.Name}))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(m.Content)))
	_, _ = w.Write(m.Content)
}
