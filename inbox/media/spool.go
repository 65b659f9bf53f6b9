package media

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"strings"
	"time"

	"github.com/gabriel-vasile/mimetype"
)

// errTooLarge is a file beyond the limit.
var errTooLarge = errors.New("the file is too large")

// errStalled is a source that stopped without ending.
var errStalled = errors.New("no bytes came for too long")

// spooled is a file on its way: its bytes are in a temporary file without a name,
// gone with the process.
type spooled struct {
	*os.File
	size   int64
	sha256 [sha256.Size]byte
	mime   string
}

// spool reads r to its end, at most limit bytes. It fails with errTooLarge, and
// with errStalled when nothing comes for as long as stall, after cancelling ctx's
// child, on which r depends.
func spool(ctx context.Context, dir string, r io.Reader, limit int64) (_ *spooled, err error) {
	f, err := temporary(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	hash := sha256.New()
	s := &spooled{File: f}
	s.size, err = io.Copy(io.MultiWriter(f, hash), io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if s.size > limit {
		return nil, errTooLarge
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	hash.Sum(s.sha256[:0])
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	kind, err := mimetype.DetectReader(f)
	if err != nil {
		return nil, err
	}
	s.mime = kind.String()
	_, err = f.Seek(0, io.SeekStart)
	return s, err
}

// temporary is a file without a name: nothing is left behind, whatever happens.
func temporary(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "parley-file-*")
	if err != nil {
		return nil, fmt.Errorf("temporary file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("temporary file: %w", err)
	}
	return f, nil
}

// patient cancels its source's context when that yields nothing for too long.
type patient struct {
	r      io.Reader
	timer  *time.Timer
	stall  time.Duration
	reason func() error
}

// newPatient watches r, whose reads end once cancel was called.
func newPatient(ctx context.Context, r io.Reader, stall time.Duration, cancel context.CancelCauseFunc) *patient {
	return &patient{
		r: r, stall: stall, timer: time.AfterFunc(stall, func() { cancel(errStalled) }),
		reason: func() error { return context.Cause(ctx) },
	}
}

func (p *patient) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if n > 0 {
		p.timer.Reset(p.stall)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		if cause := p.reason(); errors.Is(cause, errStalled) {
			err = cause
		}
	}
	return n, err
}

func (p *patient) stop() { p.timer.Stop() }

// typeOf is a file's media type: what its bytes say, and where they say little
// what was declared, if that promises nothing that the bytes would have shown.
func typeOf(sniffed, declared string) string {
	plain, _, _ := mime.ParseMediaType(sniffed)
	declared, params, err := mime.ParseMediaType(declared)
	if err != nil || declared == plain {
		return sniffed
	}
	major, _, _ := strings.Cut(declared, "/")
	switch plain {
	case "application/octet-stream":
		if major != "image" && major != "text" && major != "multipart" && major != "message" {
			return declared
		}
	case "text/plain":
		// Active types show in their first bytes.
		if major == "text" && declared != "text/html" && declared != "text/xml" {
			if charset, ok := params["charset"]; ok {
				return mime.FormatMediaType(declared, map[string]string{"charset": charset})
			}
			return declared
		}
	case "application/zip", "application/x-ole-storage", "application/ogg", "audio/ogg", "video/mp4":
		if major == "application" || major == "audio" {
			return declared
		}
	}
	return sniffed
}
