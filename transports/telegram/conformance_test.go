package telegram_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"testing"

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
	"parley/transports/transporttest"
)

func TestConformance(t *testing.T) {
	const header = "X-Telegram-Bot-Api-Secret-Token"
	transporttest.Run(t, transporttest.Harness{
		Transport: events.Telegram,
		New: func(t *testing.T, client *http.Client) transports.Transport {
			return newBot(t, client, nil)
		},
		Secrets:  []string{sandbox.DefaultTelegramToken, strings.Split(sandbox.DefaultTelegramToken, ":")[1], webhookSecret, "opaque-path"},
		Provider: http.HandlerFunc(acceptAll),
		To:       "190000001",
		Webhook: func([]byte) *http.Request {
			r := httptest.NewRequest(http.MethodPost, "/hooks/opaque-path", nil)
			r.Header.Set(header, webhookSecret)
			return r
		},
		Forgeries: map[string]func(*http.Request){
			"no secret":    transporttest.WithoutHeader(header),
			"empty secret": transporttest.WithHeader(header, ""),
			"wrong secret": transporttest.WithHeader(header, webhookSecret+"x"),
		},
		Message: func(n int, text string) []byte {
			return written(n, `{"id":190000001,"is_bot":false,"first_name":"Anna"}`, 190000001, text)
		},
		Polled:   polled,
		Recorded: transporttest.RecordedFiles(t, transporttest.JSON, "testdata/updates/*.json"),
		Persons: map[string][][]byte{
			"anna": {
				written(1, `{"id":190000001,"is_bot":false,"first_name":"Anna","username":"anna"}`, 190000001, "hi"),
				written(2, `{"id":190000001,"is_bot":false,"first_name":"Anna Maria","last_name":"Lee","username":"annamaria","language_code":"de"}`, 190000001, "hi"),
				[]byte(`{"update_id":870000003,"edited_message":{"message_id":1,"from":{"id":190000001,"is_bot":false,"first_name":"Anna"},"chat":{"id":190000001,"type":"private"},"date":1785000000,"edit_date":1785000009,"text":"hello"}}`),
				[]byte(`{"update_id":870000004,"my_chat_member":{"chat":{"id":190000001,"type":"private"},"from":{"id":190000001,"is_bot":false,"first_name":"Anna"},"date":1785000000,"new_chat_member":{"status":"kicked"}}}`),
			},
			"bob, who has Anna's old username": {
				written(1, `{"id":190000002,"is_bot":false,"first_name":"Anna","username":"anna"}`, 190000002, "hi"),
			},
		},
		StandIn: standInRules(),
	})
}

// written is an update about a message.
func written(n int, from string, chat int64, text string) []byte {
	return fmt.Appendf(nil, `{"update_id":%d,"message":{"message_id":%d,"from":%s,"chat":{"id":%d,"type":"private"},"date":1785000000,"text":%q}}`,
		870000000+n, n, from, chat, text)
}

// acceptAll answers each method as the Bot API does.
func acceptAll(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	switch message := strings.TrimSuffix(strings.TrimPrefix(accepted, `{"ok":true,"result":`), "}"); path.Base(r.URL.Path) {
	case "sendMediaGroup":
		_, _ = io.WriteString(w, `{"ok":true,"result":[`+message+`,`+strings.Replace(message, "77", "78", 1)+`]}`)
	case "setMessageReaction", "sendChatAction":
		_, _ = io.WriteString(w, `{"ok":true,"result":true}`)
	default:
		_, _ = io.WriteString(w, accepted)
	}
}

// polled is a bot for whom updates wait, of which getUpdates hands out three at
// once.
func polled(t *testing.T, bodies [][]byte) transports.Transport {
	return newBot(t, &http.Client{Transport: handed(bodies)}, nil)
}

// handed are updates that wait: one of ids that do not say otherwise is found by
// its place.
type handed [][]byte

func (h handed) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	if path.Base(r.URL.Path) != "getUpdates" {
		_, _ = io.WriteString(w, `{"ok":true,"result":true}`)
		return w.Result(), nil
	}
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	offset, _ := strconv.ParseInt(r.Form.Get("offset"), 10, 64)
	var page []string
	for i, body := range h {
		if id := int64(870000001 + i); id >= offset && len(page) < 3 {
			page = append(page, string(body))
		}
	}
	if len(page) == 0 { // a long poll, of news that never come
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	_, _ = io.WriteString(w, `{"ok":true,"result":[`+strings.Join(page, ",")+`]}`)
	return w.Result(), nil
}

// standInRules are what the Bot API does with what is spoiled.
func standInRules() *transporttest.StandIn {
	const api, refused = "https://core.telegram.org/bots/api", http.StatusBadRequest
	fields := map[string]transporttest.Spoiled{
		"path": {
			Dropped: http.StatusNotFound, Emptied: http.StatusNotFound, Nonsense: http.StatusNotFound, Huge: http.StatusNotFound,
			Source: api + "#authorizing-your-bot",
		},
		"chat_id":          {Dropped: refused, Emptied: refused, Nonsense: refused, Huge: refused, Source: api + "#sendmessage"},
		"text":             {Dropped: refused, Emptied: refused, Huge: refused, Source: api + "#sendmessage"},
		"caption":          {Huge: refused, Source: api + "#sendphoto"},
		"reply_parameters": {Emptied: transporttest.Untried, Nonsense: refused, Huge: refused, Source: api + "#replyparameters"},
	}
	fields["media"] = transporttest.Spoiled{Dropped: refused, Emptied: refused, Nonsense: refused, Huge: refused, Source: api + "#sendmediagroup"}
	for _, name := range []string{"photo", "video", "animation", "audio", "voice", "video_note", "document", "file0", "file1"} {
		fields[name] = transporttest.Spoiled{
			Dropped: refused, Emptied: refused, Nonsense: transporttest.Untried, Huge: transporttest.Untried,
			Source: api + "#sending-files",
		}
	}
	return &transporttest.StandIn{
		New: func(t *testing.T) http.Handler {
			tg, err := sandbox.NewTelegram(sandbox.TelegramOptions{OpenChats: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := tg.Close(); err != nil {
					t.Error(err)
				}
			})
			return tg
		},
		Fields: fields,
	}
}
