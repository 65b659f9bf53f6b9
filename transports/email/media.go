package email

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"parley/transports"
)

// rawRef is the Ref of a mail as a whole; a part's is its path.
const rawRef = "raw"

// OpenRawMedia implements [transports.RawMediaOpener].
func (m *Mailbox) OpenRawMedia(raw json.RawMessage, ref string) (media transports.Media, err error) {
	_, content, err := unkeep(raw)
	if err != nil {
		return transports.Media{}, err
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("email: reading the mail failed unexpectedly (%T): %w", v, transports.ErrMediaGone)
		}
	}()
	if ref == rawRef {
		return open(bytes.NewReader(content), int64(len(content)), "mail.eml", "message/rfc822"), nil
	}
	h, body, _ := readHeader(content)
	// What was found before an error is there.
	t, _ := takeApart(h, body)
	for _, p := range t.parts {
		if p.path != ref {
			continue
		}
		if p.kind == "text/html" && p.isText() {
			text, _ := decodeCharset(charsetOf(p), p.decode(len(p.encoded)))
			return open(strings.NewReader(text), int64(len(text)), "mail.html", "text/html; charset=utf-8"), nil
		}
		name := p.name
		if name == "" {
			name = nameFor(p)
		}
		return open(p.open(), p.size(), name, p.kind), nil
	}
	return transports.Media{}, fmt.Errorf("email: the mail has no part %q: %w", ref, transports.ErrMediaGone)
}

func open(r io.Reader, size int64, name, kind string) transports.Media {
	return transports.Media{ReadCloser: io.NopCloser(r), Name: name, MIME: kind, Size: size}
}
