package telegram_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/transports"
)

const accepted = `{"ok":true,"result":{"message_id":77,"from":{"id":1,"is_bot":true,"first_name":"B"},"chat":{"id":190000001,"type":"private"},"date":1785000000,"text":"x"}}`

func file(kind events.ContentType, name, content string) *transports.File {
	return &transports.File{
		Kind: kind, Name: name, Size: int64(len(content)),
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
	}
}

func TestSendRequests(t *testing.T) {
	for _, test := range []struct {
		name string
		part transports.Outbound
		want string
	}{
		{
			"text",
			transports.Outbound{To: "190000001", Part: transports.Part{Text: "hello <b> & 😀\nbye"}},
			"POST https://api.telegram.org/bot<token>/sendMessage\nchat_id=190000001\ntext=hello <b> & 😀\nbye",
		},
		{
			"reply",
			transports.Outbound{To: "190000001", Part: transports.Part{Text: "yes"}, ReplyTo: "412"},
			"POST https://api.telegram.org/bot<token>/sendMessage\nchat_id=190000001\n" +
				`reply_parameters={"message_id":412,"allow_sending_without_reply":true}` + "\ntext=yes",
		},
		{
			"reply to a pressed button",
			transports.Outbound{To: "190000001", Part: transports.Part{Text: "yes"}, ReplyTo: "callback:12"},
			"POST https://api.telegram.org/bot<token>/sendMessage\nchat_id=190000001\ntext=yes",
		},
		{
			"group",
			transports.Outbound{To: "-1001234567890", Part: transports.Part{Text: "hi"}},
			"POST https://api.telegram.org/bot<token>/sendMessage\nchat_id=-1001234567890\ntext=hi",
		},
		{
			"topic",
			transports.Outbound{To: "-1001234567890", Part: transports.Part{Text: "hi"}, Topic: "17"},
			"POST https://api.telegram.org/bot<token>/sendMessage\nchat_id=-1001234567890\nmessage_thread_id=17\ntext=hi",
		},
		{
			"topic of a channel's direct messages",
			transports.Outbound{To: "-1001234567890", Part: transports.Part{Text: "hi"}, Topic: "direct:190000001"},
			"POST https://api.telegram.org/bot<token>/sendMessage\nchat_id=-1001234567890\ndirect_messages_topic_id=190000001\ntext=hi",
		},
		{
			"no topic",
			transports.Outbound{To: "1", Part: transports.Part{Text: "hi"}, Topic: "General"},
			"POST https://api.telegram.org/bot<token>/sendMessage\nchat_id=1\ntext=hi",
		},
		{
			"entities",
			transports.Outbound{To: "1", Part: transports.Part{Text: "😀 bold link Anna 👍 x", Entities: []events.Entity{
				{Type: "bold", Offset: 3, Length: 4},
				{Type: "text_link", Offset: 8, Length: 4, URL: "https://x.example/?a=1&b=<2>"},
				{Type: "text_mention", Offset: 13, Length: 4, URL: "tg://user?id=190000001"},
				{Type: "custom_emoji", Offset: 18, Length: 2, URL: "tg://emoji?id=5368324170671202286"},
				{Type: "mention", Offset: 13, Length: 4},
				{Type: "text_link", Offset: 8, Length: 4},
				{Type: "hologram", Offset: 0, Length: 2},
				{Type: "bold", Offset: 20, Length: 9},
				{Type: "bold", Offset: -1, Length: 2},
				{Type: "text_mention", Offset: 0, Length: 1, URL: "x"},
			}}},
			"POST https://api.telegram.org/bot<token>/sendMessage\nchat_id=1\n" +
				`entities=[{"type":"bold","offset":3,"length":4},{"type":"text_link","offset":8,"length":4,"url":"https://x.example/?a=1\u0026b=\u003c2\u003e"},` +
				`{"type":"text_mention","offset":13,"length":4,"user":{"id":190000001}},{"type":"custom_emoji","offset":18,"length":2,"custom_emoji_id":"5368324170671202286"}]` +
				"\ntext=😀 bold link Anna 👍 x",
		},
		{
			"in the name of a business account",
			transports.Outbound{To: "business:ZgGp_-:190000001", Part: transports.Part{Text: "hi"}, ReplyTo: "12"},
			"POST https://api.telegram.org/bot<token>/sendMessage\nbusiness_connection_id=ZgGp_-\nchat_id=190000001\n" +
				`reply_parameters={"message_id":12,"allow_sending_without_reply":true}` + "\ntext=hi",
		},
		{
			"photo",
			transports.Outbound{To: "1", Part: transports.Part{Text: "look", Entities: []events.Entity{{Type: "italic", Length: 4}}, Attachment: file(events.Photo, "a.jpg", "JPEG")}, ReplyTo: "3"},
			"POST https://api.telegram.org/bot<token>/sendPhoto\ncaption=look\n" + `caption_entities=[{"type":"italic","offset":0,"length":4}]` + "\nchat_id=1\nphoto file a.jpg=JPEG\n" +
				`reply_parameters={"message_id":3,"allow_sending_without_reply":true}`,
		},
		{
			"document",
			transports.Outbound{To: "1", Part: transports.Part{Attachment: file(events.Document, "a\r\n\"b\"\x00.pdf", "PDF")}},
			"POST https://api.telegram.org/bot<token>/sendDocument\nchat_id=1\ndocument file a__\"b\"_.pdf=PDF",
		},
		{
			"nameless voice",
			transports.Outbound{To: "1", Part: transports.Part{Attachment: file(events.Voice, "", "OGG")}},
			"POST https://api.telegram.org/bot<token>/sendVoice\nchat_id=1\nvoice file voice=OGG",
		},
		{
			"video",
			transports.Outbound{To: "1", Part: transports.Part{Attachment: file(events.Video, "v.mp4", "MP4")}},
			"POST https://api.telegram.org/bot<token>/sendVideo\nchat_id=1\nvideo file v.mp4=MP4",
		},
		{
			"audio",
			transports.Outbound{To: "1", Part: transports.Part{Attachment: file(events.Audio, "a.mp3", "MP3")}},
			"POST https://api.telegram.org/bot<token>/sendAudio\naudio file a.mp3=MP3\nchat_id=1",
		},
		{
			"animation",
			transports.Outbound{To: "1", Part: transports.Part{Attachment: file(events.Animation, "g.gif", "GIF")}},
			"POST https://api.telegram.org/bot<token>/sendAnimation\nanimation file g.gif=GIF\nchat_id=1",
		},
		{
			"video note",
			transports.Outbound{To: "1", Part: transports.Part{Attachment: file(events.VideoNote, "n.mp4", "MP4")}},
			"POST https://api.telegram.org/bot<token>/sendVideoNote\nchat_id=1\nvideo_note file n.mp4=MP4",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := &fakeAPI{answers: []fakeAnswer{{status: 200, body: accepted}}}
			receipt, err := newBot(t, api.client(), nil).Send(t.Context(), test.part)
			if err != nil {
				t.Fatal(err)
			}
			chat := "190000001"
			if strings.HasPrefix(test.part.To, "business:") {
				chat = test.part.To
			}
			if want := (transports.Receipt{ProviderID: "77", Chat: chat, AcceptedAt: time.Unix(1785000000, 0).UTC()}); !reflect.DeepEqual(receipt, want) {
				t.Errorf("receipt %+v, want %+v", receipt, want)
			}
			if got := api.took(); len(got) != 1 || got[0] != test.want {
				t.Errorf("sent:\n%s\nwant:\n%s", strings.Join(got, "\n--\n"), test.want)
			}
		})
	}
}

func TestSendFailures(t *testing.T) {
	refused := func(code int, words, parameters string) fakeAnswer {
		body := `{"ok":false,"error_code":` + itoa(code) + `,"description":"` + words + `"`
		if parameters != "" {
			body += `,"parameters":` + parameters
		}
		return fakeAnswer{status: code, body: body + "}"}
	}
	html := func(code int) fakeAnswer {
		return fakeAnswer{status: code, body: "<html>proxy</html>", header: http.Header{"Content-Type": {"text/html"}}}
	}
	type want = transports.SendError
	for _, test := range []struct {
		name   string
		answer fakeAnswer
		want   want
	}{
		{"throttled", refused(429, "Too Many Requests: retry after 7", `{"retry_after":7}`), want{Outcome: transports.Retry, Code: "429", RetryAfter: 7 * time.Second, Throttled: transports.AccountThrottled, Words: "Telegram asks to slow down"}},
		{"throttled, no hint", refused(429, "Too Many Requests", ""), want{Outcome: transports.Retry, Code: "429", Throttled: transports.AccountThrottled, Words: "Telegram asks to slow down"}},
		{"migrated", refused(400, "Bad Request: group chat was upgraded to a supergroup chat", `{"migrate_to_chat_id":-1009876543210}`), want{Outcome: transports.Retry, Code: "400", NewAddress: "-1009876543210", Words: "the group became a supergroup and is written to there"}},
		{"chat not found", refused(400, "Bad Request: chat not found", ""), want{Outcome: transports.Rejected, Code: "400", Words: "Telegram knows no such chat: the client never wrote to this bot, or it is another bot than before"}},
		{"too long", refused(400, "Bad Request: message is too long", ""), want{Outcome: transports.Rejected, Code: "400", Words: "the text is longer than Telegram takes"}},
		{"token revoked", refused(401, "Unauthorized", ""), want{Outcome: transports.Retry, Code: "401", Credentials: true, Words: "Telegram refused the bot's token"}},
		{"no such token", refused(404, "Not Found", ""), want{Outcome: transports.Retry, Code: "404", Credentials: true, Words: "Telegram refused the bot's token"}},
		{"old server", refused(404, "Not Found: method not found", ""), want{Outcome: transports.Rejected, Code: "404", Words: "the Bot API server does not know how to send this; it may be too old"}},
		{"blocked", refused(403, "Forbidden: bot was blocked by the user", ""), want{Outcome: transports.Rejected, Code: "403", Unreachable: true, Words: "the client has blocked the bot"}},
		{"deactivated", refused(403, "Forbidden: user is deactivated", ""), want{Outcome: transports.Rejected, Code: "403", Unreachable: true, Words: "the client's Telegram account no longer exists"}},
		{"business account gone", refused(400, "Bad Request: business connection not found", ""), want{Outcome: transports.Rejected, Code: "400", Words: "the business account is no longer connected to the bot: connect it again in Telegram's business settings"}},
		{"business, a day later", refused(400, "Bad Request: BUSINESS_PEER_USAGE_MISSING", ""), want{Outcome: transports.Rejected, Code: "400", Words: "a business account's bot may answer only for 24 hours after the client's last message: answer from the phone, or wait"}},
		{"topic gone", refused(400, "Bad Request: message thread not found", ""), want{Outcome: transports.Rejected, Code: "400", Words: "the topic no longer exists: answer outside of it"}},
		{"conflict", refused(409, "Conflict", ""), want{Outcome: transports.Retry, Code: "409", Words: "Telegram refused: Conflict"}},
		{"too large", refused(413, "Request Entity Too Large", ""), want{Outcome: transports.Rejected, Code: "413", Words: "the file is too large for Telegram"}},
		{"too large for the proxy", html(413), want{Outcome: transports.Rejected, Code: "413", Words: "the file is too large for Telegram"}},
		{"proxy's login", html(407), want{Outcome: transports.Retry, Code: "407", Words: "something in front of the Bot API refused the request: Proxy Authentication Required"}},
		{"proxy's 401", html(401), want{Outcome: transports.Retry, Code: "401", Words: "something in front of the Bot API refused the request: Unauthorized"}},
		{"redirected", fakeAnswer{status: 307, header: http.Header{"Location": {"https://evil.example/"}}}, want{Outcome: transports.Retry, Code: "307", Words: "something in front of the Bot API refused the request: Temporary Redirect"}},
		{"internal error", refused(500, "Internal Server Error", ""), want{Code: "500", Words: "Telegram had an internal error: the message may have arrived"}},
		{"bad gateway", html(502), want{Code: "502", Words: "Telegram had an internal error: the message may have arrived"}},
		{"answer is a page", html(200), want{Words: "Telegram did not answer: the message may have arrived"}},
		{"answer is empty", fakeAnswer{status: 200}, want{Words: "Telegram did not answer: the message may have arrived"}},
		{"answer of another shape", fakeAnswer{status: 200, body: `[]`}, want{Words: "Telegram did not answer: the message may have arrived"}},
		{"neither ok nor error", fakeAnswer{status: 200, body: `{}`}, want{Code: "200", Words: "Telegram had an internal error: the message may have arrived"}},
		{"accepted as nothing", fakeAnswer{status: 200, body: `{"ok":true,"result":true}`}, want{Words: "Telegram accepted the message but did not say as which"}},
		{"accepted without id", fakeAnswer{status: 200, body: `{"ok":true,"result":{"chat":{"id":1}}}`}, want{Words: "Telegram accepted the message but did not say as which"}},
		{"reset after the request", fakeAnswer{err: &net.OpError{Op: "read", Err: errors.New("connection reset")}}, want{Words: "Telegram did not answer: the message may have arrived"}},
		{"reset before the request", fakeAnswer{unread: true, err: &net.OpError{Op: "dial", Err: errors.New("connection refused")}}, want{Outcome: transports.Retry, Words: "Telegram could not be reached"}},
		{"words with the token", refused(400, "Bad Request: /bot7000000001:SANDBOX-xxxxxxxxxxxxxxxxxxxxxxxxxxx/ "+webhookSecret, ""), want{Outcome: transports.Rejected, Code: "400", Words: "Telegram refused: /bot[redacted]/ [redacted]"}},
		{"network error with the token", fakeAnswer{unread: true, err: errors.New("proxy: POST https://api.telegram.org/bot7000000001%3ASANDBOX-xxxxxxxxxxxxxxxxxxxxxxxxxxx/x failed")}, want{Outcome: transports.Retry, Words: "Telegram could not be reached"}},
	} {
		for kind, part := range map[string]transports.Part{
			"text": {Text: "hi"}, "upload": {Text: "hi", Attachment: file(events.Document, "a.pdf", "PDF")},
			"album": {Text: "hi", Attachment: file(events.Photo, "a.jpg", "JPEG"), Album: []transports.File{*file(events.Video, "b.mp4", "MP4")}},
		} {
			name := test.name + ", " + kind
			t.Run(name, func(t *testing.T) {
				api := &fakeAPI{answers: []fakeAnswer{test.answer}}
				_, err := newBot(t, api.client(), nil).Send(t.Context(), transports.Outbound{To: "190000001", Part: part})
				var got *transports.SendError
				if !errors.As(err, &got) {
					t.Fatalf("%v is no *SendError", err)
				}
				checkRedacted(t, err)
				short := *got
				short.Err = nil
				if short != test.want {
					t.Errorf("got %+v\nwant %+v", short, test.want)
				}
			})
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

func TestSendRefusedBeforeTheNetwork(t *testing.T) {
	bot := newBot(t, (&fakeAPI{}).client(), nil)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	broken := &transports.File{Kind: events.Photo, Open: func(context.Context) (io.ReadCloser, error) { return nil, errors.New("blob is gone") }}
	for _, test := range []struct {
		name string
		ctx  context.Context
		part transports.Outbound
		want transports.Outcome
	}{
		{"cancelled", cancelled, transports.Outbound{To: "1", Part: transports.Part{Text: "hi"}}, transports.Retry},
		{"no address", t.Context(), transports.Outbound{Part: transports.Part{Text: "hi"}}, transports.Rejected},
		{"not a chat id", t.Context(), transports.Outbound{To: "@anna", Part: transports.Part{Text: "hi"}}, transports.Rejected},
		{"kind", t.Context(), transports.Outbound{To: "1", Part: transports.Part{Attachment: file(events.Sticker, "s", "x")}}, transports.Rejected},
		{"photo over 10 MB", t.Context(), transports.Outbound{To: "1", Part: transports.Part{Attachment: &transports.File{Kind: events.Photo, Size: 10<<20 + 1}}}, transports.Rejected},
		{"file over 50 MB", t.Context(), transports.Outbound{To: "1", Part: transports.Part{Attachment: &transports.File{Kind: events.Document, Size: 50<<20 + 1}}}, transports.Rejected},
		{"business address", t.Context(), transports.Outbound{To: "business:190000001", Part: transports.Part{Text: "hi"}}, transports.Rejected},
		{"album of kinds apart", t.Context(), transports.Outbound{To: "1", Part: transports.Part{Attachment: file(events.Photo, "a", "x"), Album: []transports.File{*file(events.Document, "b", "x")}}}, transports.Rejected},
		{"album of voices", t.Context(), transports.Outbound{To: "1", Part: transports.Part{Attachment: file(events.Voice, "a", "x"), Album: []transports.File{*file(events.Voice, "b", "x")}}}, transports.Rejected},
		{"album of eleven", t.Context(), transports.Outbound{To: "1", Part: transports.Part{Attachment: file(events.Photo, "a", "x"), Album: slices.Repeat([]transports.File{*file(events.Photo, "b", "x")}, 10)}}, transports.Rejected},
		{"album without its first", t.Context(), transports.Outbound{To: "1", Part: transports.Part{Album: []transports.File{*file(events.Photo, "b", "x")}}}, transports.Rejected},
		{"album with one over 10 MB", t.Context(), transports.Outbound{To: "1", Part: transports.Part{Attachment: file(events.Photo, "a", "x"), Album: []transports.File{{Kind: events.Photo, Size: 10<<20 + 1}}}}, transports.Rejected},
		{"album with one that cannot be opened", t.Context(), transports.Outbound{To: "1", Part: transports.Part{Attachment: file(events.Photo, "a", "x"), Album: []transports.File{*broken}}}, transports.Retry},
		{"file cannot be opened", t.Context(), transports.Outbound{To: "1", Part: transports.Part{Attachment: broken}}, transports.Retry},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := bot.Send(test.ctx, test.part)
			var got *transports.SendError
			if !errors.As(err, &got) || got.Outcome != test.want || got.Words == "" {
				t.Errorf("got %v, want %v", err, test.want)
			}
			checkRedacted(t, err)
		})
	}
}

func BenchmarkSend(b *testing.B) {
	bot := newBot(b, &http.Client{Transport: instant{}}, nil)
	part := transports.Outbound{To: "190000001", Part: transports.Part{Text: strings.Repeat("hello ", 20)}, ReplyTo: "412"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bot.Send(b.Context(), part); err != nil {
			b.Fatal(err)
		}
	}
}

// instant is a network that costs nothing.
type instant struct{}

func (instant) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 200, ContentLength: int64(len(accepted)), Body: io.NopCloser(strings.NewReader(accepted)), Request: r}, nil
}
