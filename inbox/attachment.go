package inbox

import (
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"parley/events"
)

// FileState is how far the bytes of a file are.
type FileState string

// The states of a file.
const (
	FilePending FileState = "pending" // still to be fetched from the provider
	FileStored  FileState = "stored"
	FileFailed  FileState = "failed" // given up; it can be fetched again
)

// File is a file of a message.
type File struct {
	// Position counts from 0 within the message.
	Position int                `json:"position"`
	Kind     events.ContentType `json:"kind"`
	Name     string             `json:"name,omitempty"`
	// MIME is what the bytes are once they are stored; until then what the provider
	// says.
	MIME string `json:"mime,omitempty"`
	// Size is in bytes, 0 when not known yet.
	Size   int64 `json:"size,omitempty"`
	Width  int   `json:"width,omitempty"`
	Height int   `json:"height,omitempty"`
	// Duration is in seconds.
	Duration int `json:"duration,omitempty"`
	// Role is empty for a file that the sender attached.
	Role      events.AttachmentRole `json:"role,omitempty"`
	ContentID string                `json:"content_id,omitempty"`
	State     FileState             `json:"state"`
	// Code and Words tell why the last try to fetch it failed.
	Code  string `json:"code,omitempty"`
	Words string `json:"words,omitempty"`
	// Upload is where its bytes are, 0 until they are stored.
	Upload int64 `json:"upload,omitempty"`
	// Thumbnail says that there is a small picture of it.
	Thumbnail bool `json:"thumbnail,omitempty"`
}

// Upload is a stored file: core_uploads.
type Upload struct {
	ID   int64  `json:"id"`
	Name string `json:"name,omitempty"`
	// MIME is what the bytes are, sniffed.
	MIME      string    `json:"mime"`
	Size      int64     `json:"size"`
	Width     int       `json:"width,omitempty"`
	Height    int       `json:"height,omitempty"`
	Thumbnail bool      `json:"thumbnail,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	// BlobKey and ThumbnailKey name the bytes in the blob store.
	BlobKey      string `json:"-"`
	ThumbnailKey string `json:"-"`
}

// KindOfFile is what a file of that media type is shown and sent as. Only what
// every network takes as a picture is one.
func KindOfFile(mime string) events.ContentType {
	mime, _, _ = strings.Cut(mime, ";")
	switch mime = strings.TrimSpace(mime); mime {
	case "image/jpeg", "image/png", "image/webp":
		return events.Photo
	case "image/gif":
		return events.Animation
	case "video/mp4", "video/quicktime", "video/3gpp":
		return events.Video
	case "audio/ogg", "application/ogg":
		return events.Audio
	}
	if strings.HasPrefix(mime, "audio/") {
		return events.Audio
	}
	return events.Document
}

// maxFileName is the longest name of a file in bytes.
const maxFileName = 200

// CleanFileName makes a name that somebody else chose safe to show and to save
// under: no folders, nothing invisible, and no tricks with the direction of
// writing that hide its extension. It may be empty.
func CleanFileName(name string) string {
	name = strings.ReplaceAll(strings.ToValidUTF8(name, "\uFFFD"), `\`, "/")
	if name = path.Base(name); name == "." || name == ".." || name == "/" {
		return ""
	}
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r) && r != '\u200d':
			return -1
		case strings.ContainsRune(`<>:"|?*`, r):
			return '_'
		}
		return r
	}, name)
	name = strings.Trim(name, " .")
	if len(name) <= maxFileName {
		return name
	}
	ext := path.Ext(name)
	if len(ext) > 20 {
		ext = ""
	}
	cut := maxFileName - len(ext)
	for !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut] + ext
}
