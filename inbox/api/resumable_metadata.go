package api

import (
	"encoding/base64"
	"errors"
	"mime"
	"strings"
)

// maxMetadata bounds the header Upload-Metadata, in bytes.
const maxMetadata = 4096

// parseMetadata reads the header Upload-Metadata: pairs of a key and a value in
// base64, separated by commas; a value may be left out
// (https://tus.io/protocols/resumable-upload#upload-metadata).
func parseMetadata(header string) (map[string]string, error) {
	pairs := map[string]string{}
	if len(header) > maxMetadata {
		return nil, errors.New("Upload-Metadata is longer than 4096 bytes")
	}
	if strings.TrimSpace(header) == "" {
		return pairs, nil
	}
	for pair := range strings.SplitSeq(header, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), " ")
		if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, errors.New("Upload-Metadata has a key that is empty or not plain ASCII")
		}
		if _, twice := pairs[key]; twice {
			return nil, errors.New("Upload-Metadata has the same key twice")
		}
		text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
		if err != nil {
			return nil, errors.New("Upload-Metadata has a value that is not base64")
		}
		pairs[key] = string(text)
	}
	return pairs, nil
}

// fileOf is the name and the media type that metadata declare, under the words
// that clients use; no type when it is none.
func fileOf(pairs map[string]string) (name, kind string) {
	for _, key := range []string{"filename", "name"} {
		if name == "" {
			name = pairs[key]
		}
	}
	for _, key := range []string{"filetype", "type"} {
		if plain, params, err := mime.ParseMediaType(pairs[key]); err == nil && kind == "" && strings.Contains(plain, "/") && len(pairs[key]) <= 255 {
			kind = mime.FormatMediaType(plain, params)
		}
	}
	return name, strings.ToValidUTF8(kind, "")
}
