package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	tgbotapi "github.com/go-telegram-bot-api/telegram-bot-api/v5"

	"parley/transports"
)

// OpenMedia implements [transports.MediaOpener] by getFile and a download
// (https://core.telegram.org/bots/api#getfile). The ref is a file_id. Bytes come
// from the API's own address or, with a server that runs with --local, from
// below the setting "files_dir"; never more than Capabilities.MaxFetch.
func (b *Bot) OpenMedia(ctx context.Context, ref string) (transports.Media, error) {
	result, _, err := b.call(ctx, "getFile", tgbotapi.Params{"file_id": ref})
	if err != nil {
		return transports.Media{}, mediaError(err)
	}
	var f struct {
		Path string `json:"file_path"`
		Size int64  `json:"file_size"`
	}
	if err := json.Unmarshal(result, &f); err != nil {
		return transports.Media{}, b.redact.Error("getFile", fmt.Errorf("read the answer: %w", err))
	}
	if f.Size > b.caps.MaxFetch {
		return transports.Media{}, fmt.Errorf("telegram getFile: %d bytes: %w", f.Size, transports.ErrMediaTooLarge)
	}
	if strings.HasPrefix(f.Path, "/") {
		media, err := b.files.open(f.Path, b.caps.MaxFetch)
		if err != nil {
			return transports.Media{}, b.redact.Error("getFile", err)
		}
		return media, nil
	}
	from, err := b.fileURL(f.Path)
	if err != nil {
		return transports.Media{}, err
	}
	return b.download(ctx, from)
}

// mediaError tells final failures. The Bot API has one code for all of them, so
// that its words decide; unknown words are worth another try.
func mediaError(err error) error {
	var refused *apiError
	if errors.As(err, &refused) && refused.Code == http.StatusBadRequest {
		words := strings.ToLower(refused.Words)
		switch {
		case strings.Contains(words, "file is too big"):
			return fmt.Errorf("%w: %w", transports.ErrMediaTooLarge, err)
		case strings.Contains(words, "temporarily unavailable"):
			return err
		case strings.Contains(words, "invalid file_id"), strings.Contains(words, "invalid file id"),
			strings.Contains(words, "wrong file_id"), strings.Contains(words, "wrong remote file"),
			strings.Contains(words, "wrong file identifier"):
			return fmt.Errorf("%w: %w", transports.ErrMediaGone, err)
		}
	}
	return refusal(err)
}

// fileURL is where a file is. A path is taken only if it stays below the bot's
// folder, so that an answer cannot point the request anywhere else.
func (b *Bot) fileURL(file string) (*url.URL, error) {
	if file == "" || file == "." || path.Clean(file) != file || strings.HasPrefix(file, "..") || strings.ContainsAny(file, "\\:?#%") {
		return nil, errors.New("telegram getFile: the answer's path is not one of a file")
	}
	return b.base.JoinPath("file", "bot"+b.token, file), nil
}

func (b *Bot) download(ctx context.Context, from *url.URL) (transports.Media, error) {
	const op = "download"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), nil)
	if err != nil {
		return transports.Media{}, b.redact.Error(op, err)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return transports.Media{}, b.redact.Error(op, err)
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return transports.Media{}, refusal(&apiError{
			Method: op, Code: resp.StatusCode, Words: http.StatusText(resp.StatusCode), Foreign: true,
		})
	}
	if resp.ContentLength > b.caps.MaxFetch {
		_ = resp.Body.Close()
		return transports.Media{}, fmt.Errorf("telegram download: %d bytes: %w", resp.ContentLength, transports.ErrMediaTooLarge)
	}
	media := transports.Media{
		ReadCloser: transports.LimitBody(resp.Body, b.caps.MaxFetch, b.redact, op),
		Name:       path.Base(from.Path),
		MIME:       resp.Header.Get("Content-Type"),
		Size:       resp.ContentLength,
	}
	if media.MIME == "application/octet-stream" { // says nothing
		media.MIME = ""
	}
	return media, nil
}
