package telegram_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
	"parley/transports/telegram"
)

func newHook(t *testing.T, in *inbox) string {
	t.Helper()
	hook := httptest.NewServer(in)
	t.Cleanup(hook.Close)
	return hook.URL + "/hooks/opaque-path"
}

func TestNewSaysWhatToSet(t *testing.T) {
	good := func() transports.Account {
		return transports.Account{
			Channel:    events.Channel{Settings: map[string]string{}},
			Secrets:    map[string]string{"token": sandbox.DefaultTelegramToken, "webhook_secret": webhookSecret},
			HTTPClient: &http.Client{},
		}
	}
	for _, test := range []struct {
		name   string
		change func(*transports.Account)
		want   string // in the error; empty for none
	}{
		{"as is", func(*transports.Account) {}, ""},
		{"no webhook secret", func(a *transports.Account) { delete(a.Secrets, "webhook_secret") }, ""},
		{"own server", func(a *transports.Account) { a.Channel.Settings["api_url"] = "http://127.0.0.1:8081/tg/" }, ""},
		{"no client", func(a *transports.Account) { a.HTTPClient = nil }, "HTTP client"},
		{"no token", func(a *transports.Account) { a.Secrets = nil }, `"token"`},
		{"token of another kind", func(a *transports.Account) { a.Secrets["token"] = "12:a/../b" }, `"token"`},
		{"secret with spaces", func(a *transports.Account) { a.Secrets["webhook_secret"] = "a b" }, `"webhook_secret"`},
		{"secret too long", func(a *transports.Account) { a.Secrets["webhook_secret"] = strings.Repeat("a", 257) }, `"webhook_secret"`},
		{"api_url", func(a *transports.Account) { a.Channel.Settings["api_url"] = "ftp://x" }, `"api_url"`},
		{"api_url with the token", func(a *transports.Account) {
			a.Channel.Settings["api_url"] = "https://api.telegram.org/bot" + sandbox.DefaultTelegramToken + "?x=1"
		}, `"api_url"`},
		{"api_url with a password", func(a *transports.Account) { a.Channel.Settings["api_url"] = "https://u:p@x" }, `"api_url"`},
		{"groups", func(a *transports.Account) { a.Channel.Settings["groups"] = "maybe" }, `"groups"`},
		{"rate", func(a *transports.Account) { a.Channel.Settings["rate"] = "fast" }, `"rate"`},
		{"person_rate", func(a *transports.Account) { a.Channel.Settings["person_rate"] = "-1" }, `"person_rate"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			account := good()
			test.change(&account)
			_, err := telegram.New(account)
			checkRedacted(t, err)
			if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestRates(t *testing.T) {
	for _, test := range []struct {
		settings     map[string]string
		rate, person transports.Rate
	}{
		{nil, transports.Rate{Messages: 30, Per: time.Second, Burst: 30}, transports.Rate{Messages: 1, Per: time.Second, Burst: 3}},
		{map[string]string{"rate": "0", "person_rate": "0"}, transports.Rate{}, transports.Rate{}},
		{map[string]string{"rate": "1000", "person_rate": "20"}, transports.Rate{Messages: 1000, Per: time.Second, Burst: 1000}, transports.Rate{Messages: 20, Per: time.Second, Burst: 20}},
	} {
		caps := newBot(t, http.DefaultClient, test.settings).Capabilities()
		if caps.Rate != test.rate || caps.PersonRate != test.person {
			t.Errorf("%v gave %+v and %+v", test.settings, caps.Rate, caps.PersonRate)
		}
	}
}

func TestConnectAndCheck(t *testing.T) {
	ok := fakeAnswer{status: 200, body: `{"ok":true,"result":true}`}
	api := &fakeAPI{answers: []fakeAnswer{
		ok, ok,
		{status: 200, body: `{"ok":true,"result":{"id":1,"is_bot":true,"first_name":"Shop","username":"shop_bot"}}`},
		{status: 200, body: `{"ok":true,"result":{"url":"https://parley.example/hooks/opaque-path","pending_update_count":4,"last_error_date":1785000000,"last_error_message":"Wrong response from the webhook https://parley.example/hooks/opaque-path: 502"}}`},
	}}
	bot := newBot(t, api.client(), map[string]string{"api_url": "https://tg.example/api/"})
	for _, url := range []string{"https://parley.example/hooks/opaque-path", ""} {
		if err := bot.Connect(t.Context(), url); err != nil {
			t.Fatal(err)
		}
	}
	report := must(bot.Check(t.Context()))
	want := transports.Report{
		Account: "@shop_bot", WebhookURL: "https://parley.example/hooks/opaque-path", Pending: 4,
		LastError:   "Wrong response from the webhook https://parley.example/hooks/[redacted]: 502",
		LastErrorAt: time.Unix(1785000000, 0).UTC(),
	}
	if report != want {
		t.Errorf("report %+v", report)
	}
	requests := strings.Join([]string{
		"POST https://tg.example/api/bot<token>/setWebhook\n" +
			`allowed_updates=["message","edited_message","business_connection","business_message","edited_business_message","deleted_business_messages","message_reaction","callback_query","my_chat_member"]` +
			"\nmax_connections=40\nsecret_token=" + webhookSecret + "\nurl=https://parley.example/hooks/opaque-path",
		"POST https://tg.example/api/bot<token>/deleteWebhook\ndrop_pending_updates=false",
		"POST https://tg.example/api/bot<token>/getMe",
		"POST https://tg.example/api/bot<token>/getWebhookInfo",
	}, "\n--\n")
	if got := strings.Join(api.took(), "\n--\n"); got != requests {
		t.Errorf("requests:\n%s\nwant:\n%s", got, requests)
	}
}

func TestConnectFailures(t *testing.T) {
	for _, body := range []string{
		`{"ok":false,"error_code":401,"description":"Unauthorized"}`,
		`{"ok":false,"error_code":404,"description":"Not Found"}`,
	} {
		api := &fakeAPI{answers: []fakeAnswer{{status: 401, body: body}, {status: 401, body: body}}}
		bot := newBot(t, api.client(), nil)
		_, checked := bot.Check(t.Context())
		for _, err := range []error{bot.Connect(t.Context(), "https://x.example/opaque-path"), checked} {
			if checkRedacted(t, err); !errors.Is(err, transports.ErrCredentials) {
				t.Errorf("got %v, want ErrCredentials", err)
			}
		}
	}
	made, err := telegram.New(transports.Account{
		Secrets: map[string]string{"token": sandbox.DefaultTelegramToken}, HTTPClient: (&fakeAPI{}).client(),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = made.(*telegram.Bot).Connect(t.Context(), "https://x.example/hook")
	if err == nil || !strings.Contains(err.Error(), "webhook_secret") {
		t.Errorf("got %v, want to be told to set the secret", err)
	}
}

func TestForgedWebhook(t *testing.T) {
	body := []byte(`{"update_id":1,"message":{"message_id":1,"from":{"id":5},"chat":{"id":5,"type":"private"},"date":1,"text":"hi"}}`)
	made, err := telegram.New(transports.Account{
		Secrets: map[string]string{"token": sandbox.DefaultTelegramToken}, HTTPClient: &http.Client{},
	})
	if err != nil {
		t.Fatal(err)
	}
	open := made.(*telegram.Bot)
	bot := newBot(t, http.DefaultClient, nil)
	for name, header := range map[string][]string{
		"none": nil, "empty": {""}, "wrong": {"wrong"}, "prefix": {webhookSecret[:5]}, "longer": {webhookSecret + "x"},
		"case": {strings.ToUpper(webhookSecret)}, "second": {"wrong", webhookSecret},
	} {
		r := httptest.NewRequest(http.MethodPost, "/hook", nil)
		r.Header["X-Telegram-Bot-Api-Secret-Token"] = header
		for _, b := range []*telegram.Bot{bot, open} {
			if got, err := b.ParseWebhook(r, body); !errors.Is(err, transports.ErrForged) || got.Events != nil {
				t.Errorf("%s: %v, %v; want ErrForged", name, got, err)
			}
		}
	}
}

func TestOpenMedia(t *testing.T) {
	tg, bot := standIn(t, sandbox.TelegramOptions{})
	anna := tg.Person("anna")
	in := &inbox{bot: bot, got: make(chan events.Inbound, 10)}
	defer in.poll(t, "")()
	send := func(f sandbox.File) events.Attachment {
		t.Helper()
		must(anna.Post(sandbox.Post{Kind: "document", File: &f}))
		return in.next(t).Content.Attachments[0]
	}
	small := send(sandbox.File{Name: "a b.pdf", Content: []byte("PDF content")})
	media, err := bot.OpenMedia(t.Context(), small.Ref)
	if err != nil {
		t.Fatal(err)
	}
	content := must(io.ReadAll(media))
	if err := media.Close(); err != nil || string(content) != "PDF content" || media.Size != 11 || media.MIME != "" || !strings.HasSuffix(media.Name, ".pdf") {
		t.Errorf("%q %+v %v", content, media, err)
	}
	huge := send(sandbox.File{Name: "film.mkv", Size: 2 << 30})
	if _, err := bot.OpenMedia(t.Context(), huge.Ref); !errors.Is(err, transports.ErrMediaTooLarge) {
		t.Errorf("got %v, want ErrMediaTooLarge", err)
	}
	if huge.Name != "film.mkv" || huge.Size != 2<<30 {
		t.Errorf("attachment %s", jsonOf(huge))
	}
	if _, err := bot.OpenMedia(t.Context(), "made-up"); !errors.Is(err, transports.ErrMediaGone) {
		t.Errorf("got %v, want ErrMediaGone", err)
	}
}

// TestOpenMediaStaysHome answers getFile with paths that lead elsewhere.
func TestOpenMediaStaysHome(t *testing.T) {
	for _, path := range []string{
		"", ".", "..", "../x", "a/../../../x", "/etc/passwd", "//evil.example/x", "https://evil.example/x", `..\x`, "a?x=1", "a#b", "a//b", "a/%2e%2e/b", "./a",
		"//etc/passwd", "/../etc/passwd",
	} {
		api := &fakeAPI{answers: []fakeAnswer{{status: 200, body: `{"ok":true,"result":{"file_path":` + jsonOf(path) + `}}`}}}
		_, err := newBot(t, api.client(), nil).OpenMedia(t.Context(), "f")
		checkRedacted(t, err)
		if err == nil || len(api.took()) != 1 {
			t.Errorf("%q: %v, requests %q", path, err, api.took())
		}
	}
}

func TestOpenMediaFailures(t *testing.T) {
	path := fakeAnswer{status: 200, body: `{"ok":true,"result":{"file_path":"photos/file_1.jpg"}}`}
	for _, test := range []struct {
		name    string
		answers []fakeAnswer
		want    error // nil for any that is worth another try
	}{
		{"size in getFile", []fakeAnswer{{status: 200, body: `{"ok":true,"result":{"file_path":"a","file_size":20971521}}`}}, transports.ErrMediaTooLarge},
		{"size in the download", []fakeAnswer{path, {status: 200, body: strings.Repeat("x", 20<<20+1)}}, transports.ErrMediaTooLarge},
		{"invalid", []fakeAnswer{{status: 400, body: `{"ok":false,"error_code":400,"description":"Bad Request: invalid file_id"}`}}, transports.ErrMediaGone},
		{"unavailable for now", []fakeAnswer{{status: 400, body: `{"ok":false,"error_code":400,"description":"Bad Request: wrong file_id or the file is temporarily unavailable"}`}}, nil},
		{"token", []fakeAnswer{{status: 401, body: `{"ok":false,"error_code":401,"description":"Unauthorized"}`}}, transports.ErrCredentials},
		{"redirect", []fakeAnswer{path, {status: 302, header: http.Header{"Location": {"https://evil.example/"}}}}, nil},
		{"gone from the server", []fakeAnswer{path, {status: 404}}, nil},
		{"network", []fakeAnswer{path, {err: errors.New("at /bot" + sandbox.DefaultTelegramToken)}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := &fakeAPI{answers: test.answers}
			media, err := newBot(t, api.client(), nil).OpenMedia(t.Context(), "f")
			if err == nil {
				_ = media.Close()
			}
			checkRedacted(t, err)
			final := errors.Is(err, transports.ErrMediaTooLarge) || errors.Is(err, transports.ErrMediaGone)
			switch {
			case err == nil, test.want != nil && !errors.Is(err, test.want), test.want == nil && final:
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	// A body that is longer than it said.
	api := &fakeAPI{answers: []fakeAnswer{path, {status: 200, body: "x"}}}
	api.answers[1].header = http.Header{"Content-Type": {"image/jpeg"}}
	media, err := newBot(t, api.client(), nil).OpenMedia(t.Context(), "f")
	if err != nil || media.MIME != "image/jpeg" || media.Name != "file_1.jpg" {
		t.Fatalf("%+v, %v", media, err)
	}
	if got := api.took()[1]; got != "GET https://api.telegram.org/file/bot<token>/photos/file_1.jpg" {
		t.Errorf("downloaded from %s", got)
	}
	_ = media.Close()
}
