package sandbox

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// albumKind is the kind of a send that makes several messages.
const albumKind = "album"

// maxAlbum is how many files an album has at most
// (https://core.telegram.org/bots/api#sendmediagroup).
const maxAlbum = 10

// inputMedia is one file of an album (https://core.telegram.org/bots/api#inputmedia).
type inputMedia struct {
	Type      string          `json:"type"`
	Media     string          `json:"media"`
	Caption   string          `json:"caption"`
	ParseMode string          `json:"parse_mode"`
	Entities  json.RawMessage `json:"caption_entities"`
}

// album reads what sendMediaGroup is given.
func (b *telegramBot) album(p params) ([]draft, *refusal) {
	list := p.get("media")
	if list == "" {
		return nil, badRequest(`parameter "media" is required`)
	}
	var any json.RawMessage
	if json.Unmarshal([]byte(list), &any) != nil {
		return nil, badRequest("can't parse media JSON object")
	}
	var media []json.RawMessage
	if json.Unmarshal(any, &media) != nil {
		return nil, badRequest("expected an Array of InputMedia")
	}
	if len(media) == 0 {
		return nil, badRequest("there are no messages to send")
	}
	if len(media) > maxAlbum {
		return nil, badRequest("too many messages to send as an album")
	}
	group := ""
	if len(media) > 1 {
		group = strconv.FormatInt(b.t.groups.Add(1)+13_000_000_000, 10)
	}
	drafts := make([]draft, 0, len(media))
	for _, raw := range media {
		d, refused := b.albumPart(raw, p)
		if refused != nil {
			return nil, refused
		}
		d.message.GroupID = group
		drafts = append(drafts, d)
	}
	for _, d := range drafts {
		if d.kind != drafts[0].kind && (alone(d.kind) || alone(drafts[0].kind)) {
			kind := d.kind
			if alone(drafts[0].kind) {
				kind = drafts[0].kind
			}
			return nil, badRequest(kind + " can't be mixed with other media types")
		}
	}
	return drafts, nil
}

// alone reports whether files of a kind go into albums with their like only.
func alone(kind string) bool { return kind == "document" || kind == "audio" }

func (b *telegramBot) albumPart(raw json.RawMessage, p params) (draft, *refusal) {
	unparsed := func(words string) (draft, *refusal) { return draft{}, badRequest("can't parse InputMedia: " + words) }
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || fields == nil {
		return unparsed("expected an Object")
	}
	var in inputMedia
	if err := json.Unmarshal(raw, &in); err != nil {
		return unparsed(err.Error())
	}
	if in.Type == "" {
		return unparsed(`can't find field "type"`)
	}
	m := &wireMessage{}
	var refused *refusal
	if m.Caption, m.CaptionEntities, refused = b.readCaption(in.Caption, in.ParseMode, string(in.Entities)); refused != nil {
		return draft{}, refused
	}
	limit := int64(maxUploadSize)
	switch in.Type {
	case "photo":
		limit = 10 << 20
	case "video", "audio", "document":
	case "animation":
		return unparsed(fmt.Sprintf("type %q can't be used in sendMediaGroup", in.Type))
	default:
		return unparsed(fmt.Sprintf("type %q is unsupported", in.Type))
	}
	name, uploaded := strings.CutPrefix(in.Media, "attach://")
	if !uploaded && in.Media != "" {
		return draft{in.Type, m}, b.t.files.again(m, in.Type, in.Media)
	}
	f, ok := p.files[name]
	if !ok {
		return unparsed("media not found")
	}
	return draft{in.Type, m}, b.t.attachUpload(m, in.Type, f, limit)
}
