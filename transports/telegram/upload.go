package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	tgbotapi "github.com/go-telegram-bot-api/telegram-bot-api/v5"

	"parley/events"
	"parley/transports"
)

// uploadOne sends a part with one file.
func (b *Bot) uploadOne(ctx context.Context, params tgbotapi.Params, part transports.Part) (json.RawMessage, bool, error) {
	method, field, ok := sendingMethod(part.Attachment.Kind)
	if !ok {
		return nil, false, rejected(fmt.Sprintf("Telegram cannot be sent a %s", part.Attachment.Kind))
	}
	if part.Text != "" {
		params["caption"] = part.Text
		addEntities(params, "caption_entities", part.Text, part.Entities)
	}
	return b.upload(ctx, method, params, []string{field}, []*transports.File{part.Attachment})
}

// outMedia is an InputMedia (https://core.telegram.org/bots/api#inputmedia).
type outMedia struct {
	Type     string      `json:"type"`
	Media    string      `json:"media"`
	Caption  string      `json:"caption,omitempty"`
	Entities []outEntity `json:"caption_entities,omitempty"`
}

// uploadAlbum sends a part with several files. Clients show the caption of the
// first below all of them, as long as no other has one.
func (b *Bot) uploadAlbum(ctx context.Context, params tgbotapi.Params, part transports.Part) (json.RawMessage, bool, error) {
	files := make([]*transports.File, 0, 1+len(part.Album))
	files = append(files, part.Attachment)
	for i := range part.Album {
		files = append(files, &part.Album[i])
	}
	if len(files) > maxAlbum {
		return nil, false, rejected(fmt.Sprintf("an album has at most %d files, this one %d", maxAlbum, len(files)))
	}
	if !groupable(files) {
		return nil, false, rejected("Telegram does not take these kinds of files in one album")
	}
	media, fields := make([]outMedia, len(files)), make([]string, len(files))
	for i, f := range files {
		fields[i] = "file" + strconv.Itoa(i)
		media[i] = outMedia{Type: string(f.Kind), Media: "attach://" + fields[i]}
	}
	media[0].Caption, media[0].Entities = part.Text, outEntities(part.Text, part.Entities)
	encoded, err := json.Marshal(media)
	if err != nil {
		return nil, false, rejected("the album's caption cannot be sent")
	}
	params["media"] = string(encoded)
	return b.upload(ctx, "sendMediaGroup", params, fields, files)
}

// groupable reports whether files may share an album.
func groupable(files []*transports.File) bool {
	return slices.ContainsFunc(albumKinds(), func(kinds []events.ContentType) bool {
		return !slices.ContainsFunc(files, func(f *transports.File) bool { return !slices.Contains(kinds, f.Kind) })
	})
}

// upload makes a request with files. Nothing is asked of the network before all
// of them are open.
func (b *Bot) upload(ctx context.Context, method string, params tgbotapi.Params, fields []string, files []*transports.File) (json.RawMessage, bool, error) {
	for _, f := range files {
		if limit := b.caps.Attachments[f.Kind]; f.Size > limit {
			return nil, false, rejected(fmt.Sprintf("the file has %d bytes; Telegram takes a %s of up to %d", f.Size, f.Kind, limit))
		}
	}
	sources := make([]*uploadSource, 0, len(files))
	defer func() {
		for _, s := range sources {
			s.stop()
		}
	}()
	request := make([]tgbotapi.RequestFile, len(files))
	for i, f := range files {
		content, err := f.Open(ctx)
		if err != nil {
			return nil, false, &transports.SendError{Outcome: transports.Retry, Words: "the file could not be opened", Err: b.redact.Error(method, err)}
		}
		sources = append(sources, &uploadSource{content: content})
		request[i] = tgbotapi.RequestFile{Name: fields[i], Data: tgbotapi.FileReader{Name: uploadName(f), Reader: sources[i]}}
	}
	result, left, err := b.call(ctx, method, params, request...)
	// A server may act on the closing boundary, which follows the last file's end,
	// without waiting for the end of the request.
	ended, _ := sources[len(sources)-1].state()
	left = left || ended
	if err != nil && !left {
		for _, s := range sources {
			if _, broken := s.state(); broken != nil {
				return nil, false, &transports.SendError{Outcome: transports.Retry, Words: "the file could not be read", Err: b.redact.Error(method, broken)}
			}
		}
	}
	return result, left, err
}

// uploadName is the file's name on the wire; the API wants one.
func uploadName(file *transports.File) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F || r == '/' || r == '\\' {
			return '_'
		}
		return r
	}, file.Name)
	if name == "" {
		return string(file.Kind)
	}
	return name
}

// uploadSource is a file that the SDK reads in a goroutine of its own, which may
// still be at it when the call is over.
type uploadSource struct {
	mu      sync.Mutex
	content io.ReadCloser
	stopped bool
	ended   bool
	failed  error
}

// Read implements [io.Reader].
func (s *uploadSource) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return 0, io.ErrClosedPipe
	}
	n, err := s.content.Read(p)
	if errors.Is(err, io.EOF) {
		s.ended = true
	} else if err != nil {
		s.failed = err
	}
	return n, err
}

// stop closes the file once nobody reads it, after which nobody can.
func (s *uploadSource) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	_ = s.content.Close()
}

func (s *uploadSource) state() (ended bool, failed error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended, s.failed
}
