package sandbox

import (
	"fmt"
	"mime"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// maxDownload is the largest file that getFile hands out
// (https://core.telegram.org/bots/api#getfile).
const maxDownload = 20 << 20

// File is something to attach to a message.
type File struct {
	Name    string
	MIME    string
	Content []byte
	// Size is Content's length, unless a larger file is only pretended.
	Size int64
	// Width and Height in pixels, Duration in seconds, where they apply.
	Width, Height, Duration int
}

type telegramFiles struct {
	mu   sync.RWMutex
	byID map[string]*storedFile
	last int64
}

type storedFile struct {
	wire wireFile
	File
}

// store keeps a file and yields it as the Bot API shows it.
func (s *telegramFiles) store(f File, kind string) wireFile {
	if f.Size < int64(len(f.Content)) {
		f.Size = int64(len(f.Content))
	}
	if f.MIME == "" {
		f.MIME = mime.TypeByExtension(path.Ext(f.Name))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	n := strconv.FormatInt(s.last, 10)
	stored := &storedFile{File: f, wire: wireFile{
		FileID: "sandbox-file-" + n, FileUniqueID: "unique-" + n, FileSize: f.Size,
		Width: f.Width, Height: f.Height, Duration: f.Duration,
		FilePath: fmt.Sprintf("%ss/file_%s%s", kind, n, path.Ext(f.Name)),
	}}
	s.byID[stored.wire.FileID] = stored
	return shownAs(kind, stored)
}

// shownAs is a file as a message of that kind shows it.
func shownAs(kind string, f *storedFile) wireFile {
	shown := f.wire
	shown.FilePath = ""
	switch kind {
	case "photo":
	case "video_note":
		shown.Length, shown.Width, shown.Height = f.Width, 0, 0
	default:
		shown.FileName, shown.MIMEType = f.Name, f.MIME
	}
	return shown
}

// attach sets the field of a kind of file.
func (m *wireMessage) attach(kind string, f wireFile) {
	switch kind {
	case "photo":
		// Telegram makes smaller sizes; the largest comes last.
		small := f
		small.FileID, small.FileUniqueID = f.FileID+"-s", f.FileUniqueID+"-s"
		small.Width, small.Height, small.FileSize = f.Width/4, f.Height/4, f.FileSize/16
		m.Photo = []wireFile{small, f}
	case "document":
		m.Document = &f
	case "voice":
		m.Voice = &f
	case "video":
		m.Video = &f
	case "audio":
		m.Audio = &f
	case "animation":
		m.Animation, m.Document = &f, &f
	case "video_note":
		m.VideoNote = &f
	case "sticker":
		m.Sticker = &f
	}
}

// again attaches a file that the stand-in has, by its id.
func (s *telegramFiles) again(m *wireMessage, kind, id string) *refusal {
	s.mu.RLock()
	f := s.byID[strings.TrimSuffix(id, "-s")]
	s.mu.RUnlock()
	if f == nil {
		return badRequest("wrong file identifier/HTTP URL specified")
	}
	m.attach(kind, shownAs(kind, f))
	return nil
}

func (b *telegramBot) getFile(id string) (any, *refusal) {
	if id == "" {
		return nil, badRequest("file_id not specified")
	}
	b.t.files.mu.RLock()
	defer b.t.files.mu.RUnlock()
	f := b.t.files.byID[strings.TrimSuffix(id, "-s")]
	if f == nil {
		return nil, badRequest("invalid file_id")
	}
	if dir := b.t.opts.LocalFiles; dir != "" {
		return localFile(f, filepath.Join(dir, b.token))
	}
	if f.Size > maxDownload {
		return nil, badRequest("file is too big")
	}
	return f.wire, nil
}

// localFile writes a file where a server with --local keeps the bot's, and
// answers with its absolute path
// (https://core.telegram.org/bots/api#using-a-local-bot-api-server).
func localFile(f *storedFile, dir string) (any, *refusal) {
	shown := f.wire
	shown.FilePath = filepath.Join(dir, filepath.FromSlash(f.wire.FilePath))
	err := os.MkdirAll(filepath.Dir(shown.FilePath), 0o700)
	if err == nil {
		err = os.WriteFile(shown.FilePath, f.Content, 0o600)
	}
	if err != nil {
		return nil, &refusal{Code: http.StatusInternalServerError, Words: "Internal Server Error: " + err.Error()}
	}
	return shown, nil
}

func (t *Telegram) serveFile(w http.ResponseWriter, r *http.Request, token, name string) {
	if t.bots[token] == nil {
		answer(w, nil, "", &refusal{Code: http.StatusUnauthorized, Words: "Unauthorized"})
		return
	}
	t.files.mu.RLock()
	var found *storedFile
	for _, f := range t.files.byID {
		if f.wire.FilePath == name {
			found = f
		}
	}
	t.files.mu.RUnlock()
	if found == nil || t.opts.LocalFiles != "" { // such a server hands out none
		answer(w, nil, "", &refusal{Code: http.StatusNotFound, Words: "Not Found"})
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(found.Content)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(found.Content)
	}
}
