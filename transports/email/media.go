package email

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

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
		return open(content, "mail.eml", "message/rfc822"), nil
	}
	h, body, _ := readHeader(content)
	// What was found before an error is there.
	t, _ := takeApart(h, body)
	for _, p := range t.parts {
		if p.path != ref {
			continue
		}
		data, name, kind := p.decode(-1), p.name, p.kind
		if p.kind == "text/html" && p.isText() {
			text, _ := decodeCharset(charsetOf(p), data)
			data, name, kind = []byte(text), "mail.html", "text/html; charset=utf-8"
		} else if name == "" {
			name = nameFor(p)
		}
		return open(data, name, kind), nil
	}
	return transports.Media{}, fmt.Errorf("email: the mail has no part %q: %w", ref, transports.ErrMediaGone)
}

func open(data []byte, name, kind string) transports.Media {
	return transports.Media{ReadCloser: io.NopCloser(bytes.NewReader(data)), Name: name, MIME: kind, Size: int64(len(data))}
}
