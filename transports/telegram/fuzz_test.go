package telegram_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
	"parley/transports/telegram"
)

// FuzzReparse reads what may be in a stored payload: it is refused, or becomes
// events that can be stored.
func FuzzReparse(f *testing.F) {
	for _, raw := range []string{`{"update_id":1,"message":{}}`, `"{\"update_id\":1}"`, `"<html>"`, `null`, `[]`, ``, "\x00", `"\ud800"`} {
		f.Add([]byte(raw))
	}
	bot := newBot(f, http.DefaultClient, nil)
	f.Fuzz(func(t *testing.T, raw []byte) {
		evs, err := bot.Reparse(raw)
		if err != nil {
			return
		}
		if len(evs) == 0 {
			t.Fatal("no event of a stored payload")
		}
		for _, ev := range evs {
			checkStorable(t, ev)
		}
	})
}

// FuzzAnswer lets the API answer anything to anything: a send is accepted with a
// name, or fails with an outcome and words; nothing else panics or shows a
// secret.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		accepted, acceptedAlbum, done, "", "<html>", `{"ok":true,"result":[]}`, `{"ok":true,"result":{"file_path":"/etc/passwd"}}`,
		`{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 5","parameters":{"retry_after":5}}`,
		`{"ok":false,"error_code":400,"description":"x","parameters":{"migrate_to_chat_id":-5}}`,
		`{"ok":false,"error_code":400,"description":"` + sandbox.DefaultTelegramToken + `"}`,
		`{"ok":true,"result":{"url":"x","pending_update_count":3,"last_error_date":99999999999999}}`,
	} {
		f.Add(200, body)
		f.Add(400, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		bot := func() *telegram.Bot {
			return newBot(t, (&fakeAPI{answers: []fakeAnswer{{status: status, body: body}, {status: status, body: body}}}).client(), nil)
		}
		ctx := t.Context()
		for _, part := range []transports.Part{
			{Text: "hi"},
			{Attachment: file(events.Photo, "a.jpg", "JPEG")},
			{Attachment: file(events.Photo, "a.jpg", "JPEG"), Album: []transports.File{*file(events.Photo, "b.jpg", "JPEG")}},
		} {
			receipt, err := bot().Send(ctx, transports.Outbound{To: "5", Part: part})
			checkSendError(t, err)
			if err == nil && (receipt.ProviderID == "" || receipt.Chat == "" || len(receipt.Album) != len(part.Album)) {
				t.Fatalf("accepted as %+v", receipt)
			}
		}
		checkSendError(t, bot().Edit(ctx, transports.Change{To: "5", ProviderID: "7", Text: "x"}))
		checkSendError(t, bot().React(ctx, "5", "7", []string{"👍"}))
		checkSendError(t, bot().Typing(ctx, "5"))
		report, err := bot().Check(ctx)
		checkRedacted(t, err)
		if _, unstorable := json.Marshal(report); unstorable != nil {
			t.Fatal(unstorable)
		}
		checkRedacted(t, errors.New(report.LastError))
		media, err := bot().OpenMedia(ctx, "f")
		if checkRedacted(t, err); err == nil {
			_ = media.Close()
		}
	})
}

func checkSendError(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	checkRedacted(t, err)
	var e *transports.SendError
	if !errors.As(err, &e) || e.Words == "" {
		t.Fatalf("%v is no failure in words", err)
	}
	if e.Outcome == transports.Unknown && (e.Credentials || e.Unreachable || e.NewAddress != "") {
		t.Fatalf("%+v is certain of something", e)
	}
}

// FuzzFilePath opens no file outside of where files are, wherever an answer
// points: over HTTP it stays below the bot's folder.
func FuzzFilePath(f *testing.F) {
	for _, path := range []string{"photos/a.jpg", "../x", "/etc/passwd", "/srv/files/a", "//x", "https://evil.example/", "a?b", "a/%2e%2e/b", "\x00"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		encoded, err := json.Marshal(path)
		if err != nil {
			return
		}
		answer := fakeAnswer{status: 200, body: `{"ok":true,"result":{"file_path":` + string(encoded) + `}}`}
		for _, settings := range []map[string]string{nil, {"files_dir": t.TempDir(), "server_files_dir": "/srv/files"}} {
			api := &fakeAPI{answers: []fakeAnswer{answer, {status: 200, body: "content"}}}
			media, err := newBot(t, api.client(), settings).OpenMedia(t.Context(), "f")
			checkRedacted(t, err)
			if err == nil {
				_ = media.Close()
				if settings != nil && strings.HasPrefix(path, "/") {
					t.Fatalf("%q was opened in an empty folder", path)
				}
			}
			for _, request := range api.took()[1:] {
				rest, ok := strings.CutPrefix(request, "GET https://api.telegram.org/file/bot<token>/")
				if !ok || strings.Contains(rest, "..") && strings.Contains("/"+rest+"/", "/../") {
					t.Fatalf("%q asked %q", path, request)
				}
			}
		}
	})
}

// FuzzOutEntities sends marks of any place and type: what leaves lies within the
// text and is of a type that Telegram takes.
func FuzzOutEntities(f *testing.F) {
	f.Add("hello 😀", "bold", "", 0, 5)
	f.Add("hello", "text_link", "https://x.example/", 1, 99)
	f.Add("hello", "text_mention", "tg://user?id=5", -1, 2)
	f.Add("hello", "custom_emoji", "tg://emoji?id=5", 1<<62, 1<<62)
	f.Fuzz(func(t *testing.T, text, kind, url string, offset, length int) {
		api := &fakeAPI{answers: []fakeAnswer{{status: 200, body: accepted}}}
		part := transports.Part{Text: text, Entities: []events.Entity{{Type: kind, URL: url, Offset: offset, Length: length}}}
		if _, err := newBot(t, api.client(), nil).Send(t.Context(), transports.Outbound{To: "5", Part: part}); err != nil {
			t.Fatal(err)
		}
		_, list, ok := strings.Cut(api.took()[0], "\nentities=")
		if !ok {
			return
		}
		list, _, _ = strings.Cut(list, "\ntext=")
		var sent []struct {
			Type           string
			Offset, Length int
		}
		if err := json.Unmarshal([]byte(list), &sent); err != nil || len(sent) != 1 {
			t.Fatalf("%s: %v", list, err)
		}
		if e := sent[0]; e.Offset < 0 || e.Length <= 0 || e.Offset+e.Length > utf16Units(text) || e.Type != kind {
			t.Fatalf("%+v of %q", e, text)
		}
	})
}
