package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/transports/sandbox"
)

// call makes a form request and yields the answer's status and body.
func call(t testing.TB, tg http.Handler, method string, form url.Values) (int, string) {
	t.Helper()
	return callToken(t, tg, sandbox.DefaultTelegramToken, method, form)
}

func callToken(t testing.TB, tg http.Handler, token, method string, form url.Values) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/bot"+token+"/"+method, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	tg.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func newTelegram(t testing.TB, opts sandbox.TelegramOptions) *sandbox.Telegram {
	t.Helper()
	opts.WebhookRetry = time.Millisecond
	tg, err := sandbox.NewTelegram(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tg.Close(); err != nil {
			t.Error(err)
		}
	})
	return tg
}

func say(t testing.TB, who sandbox.Person, text string) int64 {
	t.Helper()
	id, err := who.Say(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func fixedClock() time.Time { return time.Unix(1785000000, 0) }

// TestAnswers holds the stand-in to the exact answers of the Bot API.
func TestAnswers(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{Now: fixedClock})
	anna := tg.AddPerson("anna", sandbox.PersonOptions{ID: 190000001})
	say(t, anna, "hello") // message 1
	gone := tg.AddPerson("gone", sandbox.PersonOptions{ID: 190000002})
	say(t, gone, "bye")
	if err := gone.Block(); err != nil {
		t.Fatal(err)
	}
	moved := tg.AddPerson("moved", sandbox.PersonOptions{ID: 190000003})
	say(t, moved, "moving")
	moved.MigrateTo(190000004)
	const bot = `{"id":7000000001,"is_bot":true,"first_name":"Sandbox","username":"sandbox_bot"}`
	to := func(chat string, more ...string) url.Values {
		form := url.Values{"chat_id": {chat}}
		for i := 0; i < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		return form
	}
	for _, test := range []struct {
		name, token, method string
		form                url.Values
		code                int
		want                string
	}{
		{"getMe", "", "getMe", nil, 200, `{"ok":true,"result":` + bot + `}`},
		{"method's case", "", "GETME", nil, 200, `{"ok":true,"result":` + bot + `}`},
		{"wrong token", "7000000001:wrong", "getMe", nil, 401, `{"ok":false,"error_code":401,"description":"Unauthorized"}`},
		{"no token", "x", "getMe", nil, 404, `{"ok":false,"error_code":404,"description":"Not Found"}`},
		{"unknown method", "", "getYou", nil, 404, `{"ok":false,"error_code":404,"description":"Not Found: method not found"}`},
		{"no chat", "", "sendMessage", url.Values{"text": {"x"}}, 400, `{"ok":false,"error_code":400,"description":"Bad Request: chat_id is empty"}`},
		{"stranger", "", "sendMessage", to("5", "text", "x"), 400, `{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}`},
		{"empty", "", "sendMessage", to("190000001", "text", " \n"), 400, `{"ok":false,"error_code":400,"description":"Bad Request: message text is empty"}`},
		{"too long", "", "sendMessage", to("190000001", "text", strings.Repeat("😀", 2048)+"x"), 400, `{"ok":false,"error_code":400,"description":"Bad Request: message is too long"}`},
		{"blocked", "", "sendMessage", to("190000002", "text", "x"), 403, `{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}`},
		{"migrated", "", "sendMessage", to("190000003", "text", "x"), 400, `{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":190000004}}`},
		{"reply to nothing", "", "sendMessage", to("190000001", "text", "x", "reply_parameters", `{"message_id":99}`), 400, `{"ok":false,"error_code":400,"description":"Bad Request: message to be replied not found"}`},
		{
			"text", "", "sendMessage", to("190000001", "text", "hi"), 200,
			`{"ok":true,"result":{"message_id":4,"from":` + bot + `,"chat":{"id":190000001,"first_name":"Anna","type":"private"},"date":1785000000,"text":"hi"}}`,
		},
		{"longest", "", "sendMessage", to("190000001", "text", strings.Repeat("😀", 2048)), 200, `"message_id":5,`},
		{"reply", "", "sendMessage", to("190000001", "text", "re", "reply_parameters", `{"message_id":1}`), 200, `"reply_to_message":{"message_id":1,"from":{"id":190000001,`},
		{"reply without", "", "sendMessage", to("190000001", "text", "re", "reply_parameters", `{"message_id":99,"allow_sending_without_reply":true}`), 200, `"text":"re"}}`},
		{"no photo", "", "sendPhoto", to("190000001"), 400, `{"ok":false,"error_code":400,"description":"Bad Request: there is no photo in the request"}`},
		{"caption too long", "", "sendPhoto", to("190000001", "caption", strings.Repeat("x", 1025)), 400, `{"ok":false,"error_code":400,"description":"Bad Request: message caption is too long"}`},
		{"edit", "", "editMessageText", to("190000001", "message_id", "4", "text", "hi!"), 200, `"edit_date":1785000000,"text":"hi!"}}`},
		{"edit the same", "", "editMessageText", to("190000001", "message_id", "4", "text", "hi!"), 400, `Bad Request: message is not modified`},
		{"edit hers", "", "editMessageText", to("190000001", "message_id", "1", "text", "x"), 400, `Bad Request: message can't be edited`},
		{"react", "", "setMessageReaction", to("190000001", "message_id", "1", "reaction", `[{"type":"emoji","emoji":"👍"}]`), 200, `{"ok":true,"result":true}`},
		{"delete", "", "deleteMessage", to("190000001", "message_id", "4"), 200, `{"ok":true,"result":true}`},
		{"delete again", "", "deleteMessage", to("190000001", "message_id", "4"), 400, `Bad Request: message to delete not found`},
		{"typing", "", "sendChatAction", to("190000001", "action", "typing"), 200, `{"ok":true,"result":true}`},
		{"old button", "", "answerCallbackQuery", url.Values{"callback_query_id": {"1"}}, 400, `Bad Request: query is too old and response timeout expired or query ID is invalid`},
		{"webhook URL", "", "setWebhook", url.Values{"url": {"nonsense"}}, 400, `{"ok":false,"error_code":400,"description":"Bad Request: bad webhook: An HTTPS URL must be provided for webhook"}`},
		{"webhook secret", "", "setWebhook", url.Values{"url": {"https://x.example/"}, "secret_token": {"a b"}}, 400, `Bad Request: secret token contains unallowed characters`},
		{"no webhook to delete", "", "deleteWebhook", nil, 200, `{"ok":true,"result":true,"description":"Webhook is already deleted"}`},
		{"webhook info", "", "getWebhookInfo", nil, 200, `{"ok":true,"result":{"url":"","has_custom_certificate":false,"pending_update_count":4}}`},
		{"file id", "", "getFile", url.Values{"file_id": {"x"}}, 400, `Bad Request: invalid file_id`},
	} {
		token := test.token
		if token == "" {
			token = sandbox.DefaultTelegramToken
		}
		code, body := callToken(t, tg, token, test.method, test.form)
		if code != test.code || !strings.Contains(body, test.want) {
			t.Errorf("%s: %d %s, want %d %s", test.name, code, body, test.code, test.want)
		}
	}
}

func TestUploads(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{})
	anna := tg.Person("anna")
	say(t, anna, "hello")
	upload := func(method, field string, size int) (int, string) {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		part, err := form.CreateFormFile(field, "f.bin")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if err := form.WriteField("chat_id", strconv.FormatInt(anna.ID(), 10)); err != nil {
			t.Fatal(err)
		}
		if err := form.Close(); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/bot"+sandbox.DefaultTelegramToken+"/"+method, &body)
		r.Header.Set("Content-Type", form.FormDataContentType())
		w := httptest.NewRecorder()
		tg.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for _, test := range []struct {
		method, field string
		size, code    int
		want          string
	}{
		{"sendPhoto", "photo", 1000, 200, `"photo":[{`},
		{"sendDocument", "document", 1000, 200, `"file_name":"f.bin"`},
		{"sendVoice", "voice", 5, 200, `"voice":{`},
		{"sendPhoto", "document", 5, 400, "there is no photo in the request"},
		{"sendDocument", "document", 0, 400, "file must be non-empty"},
		{"sendPhoto", "photo", 10<<20 + 1, 400, "is too big for a photo"},
		{"sendDocument", "document", 50<<20 + 1, 413, "Request Entity Too Large"},
	} {
		if code, body := upload(test.method, test.field, test.size); code != test.code || !strings.Contains(body, test.want) {
			t.Errorf("%s of %d: %d %s, want %d %s", test.method, test.size, code, body, test.code, test.want)
		}
	}
	// What the bot sent can be fetched again by its file_id.
	_, body := upload("sendDocument", "document", 7)
	var sent struct {
		Result struct {
			Document struct {
				FileID string `json:"file_id"`
			} `json:"document"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(body), &sent); err != nil {
		t.Fatal(err)
	}
	_, body = call(t, tg, "getFile", url.Values{"file_id": {sent.Result.Document.FileID}})
	var found struct {
		Result struct {
			Path string `json:"file_path"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(body), &found); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	tg.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/file/bot"+sandbox.DefaultTelegramToken+"/"+found.Result.Path, nil))
	if w.Code != 200 || w.Body.Len() != 7 {
		t.Errorf("downloaded %d, %d bytes", w.Code, w.Body.Len())
	}
}

func updateIDs(t *testing.T, body string) []int64 {
	t.Helper()
	var answer struct {
		Result []struct {
			ID int64 `json:"update_id"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err, body)
	}
	ids := []int64{}
	for _, u := range answer.Result {
		ids = append(ids, u.ID)
	}
	return ids
}

func TestGetUpdates(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{FirstUpdateID: 100})
	anna := tg.Person("anna")
	for i := range 5 {
		say(t, anna, strconv.Itoa(i))
	}
	for _, test := range []struct {
		form url.Values
		want []int64
	}{
		{nil, []int64{100, 101, 102, 103, 104}},
		{url.Values{"limit": {"2"}}, []int64{100, 101}},
		{url.Values{"offset": {"102"}, "limit": {"2"}}, []int64{102, 103}},
		{url.Values{"offset": {"1"}}, []int64{102, 103, 104}},      // confirmed stays confirmed
		{url.Values{"offset": {"-1"}}, []int64{104}},               // the newest
		{url.Values{"offset": {"999999"}}, []int64{102, 103, 104}}, // from before the ids jumped
		{url.Values{"offset": {"105"}}, []int64{}},
	} {
		if _, body := call(t, tg, "getUpdates", test.form); !slices.Equal(updateIDs(t, body), test.want) {
			t.Errorf("%v gave %v, want %v", test.form, updateIDs(t, body), test.want)
		}
	}
	// Reactions come only to those who ask.
	react := func() {
		t.Helper()
		if err := anna.React(1, "👍"); err != nil {
			t.Fatal(err)
		}
	}
	react()
	call(t, tg, "getUpdates", url.Values{"offset": {"105"}, "allowed_updates": {`["message_reaction"]`}})
	react()
	say(t, anna, "not asked for")
	if _, body := call(t, tg, "getUpdates", nil); !strings.Contains(body, `"new_reaction":[{"type":"emoji","emoji":"👍"}]`) || len(updateIDs(t, body)) != 1 {
		t.Errorf("got %s", body)
	}
}

func TestLongPollAndConflicts(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{})
	anna := tg.Person("anna")
	poll := func() chan string {
		out := make(chan string, 1)
		go func() {
			_, body := call(t, tg, "getUpdates", url.Values{"timeout": {"50"}})
			out <- body
		}()
		return out
	}
	// Which of two polls came first is not ours to say, but one must yield.
	one, two := poll(), poll()
	var other chan string
	select {
	case body := <-one:
		if !strings.Contains(body, "Conflict: terminated by other getUpdates request") {
			t.Errorf("got %s", body)
		}
		other = two
	case body := <-two:
		if !strings.Contains(body, "Conflict: terminated by other getUpdates request") {
			t.Errorf("got %s", body)
		}
		other = one
	}
	say(t, anna, "hello")
	if body := <-other; !strings.Contains(body, `"text":"hello"`) {
		t.Errorf("got %s", body)
	}
	hook := httptest.NewServer(http.NotFoundHandler())
	defer hook.Close()
	call(t, tg, "setWebhook", url.Values{"url": {hook.URL}})
	if code, body := call(t, tg, "getUpdates", nil); code != 409 || !strings.Contains(body, "can't use getUpdates method while webhook is active") {
		t.Errorf("%d %s", code, body)
	}
}

func TestRates(t *testing.T) {
	now := fixedClock()
	tg := newTelegram(t, sandbox.TelegramOptions{Now: func() time.Time { return now }, Rates: sandbox.TelegramRates{PerBot: 3, PerChat: 1, Burst: 2}})
	if _, err := tg.Person("anna").Post(sandbox.Post{Kind: "photo", File: &sandbox.File{Content: []byte("JPEG")}}); err != nil {
		t.Fatal(err)
	}
	const photo = "sandbox-file-1"
	var to []string
	for _, name := range []string{"anna", "bob", "cleo"} {
		who := tg.Person(name)
		say(t, who, "hello")
		to = append(to, strconv.FormatInt(who.ID(), 10))
	}
	send := func(chat string, want int) {
		t.Helper()
		code, body := call(t, tg, "sendMessage", url.Values{"chat_id": {chat}, "text": {"x"}})
		if code != want {
			t.Errorf("%d %s, want %d", code, body, want)
		}
		if code == 429 && !strings.Contains(body, `"description":"Too Many Requests: retry after 1","parameters":{"retry_after":1}`) {
			t.Errorf("got %s", body)
		}
	}
	send(to[0], 200)
	send(to[0], 200) // the burst
	send(to[0], 429) // the chat's
	send(to[1], 200)
	send(to[2], 429) // the bot's
	now = now.Add(time.Second)
	send(to[0], 200)
	send(to[0], 429)
	// An album counts as its messages.
	now = now.Add(time.Hour)
	if code, body := call(t, tg, "sendMediaGroup", url.Values{
		"chat_id": {to[1]}, "media": {`[{"type":"photo","media":"` + photo + `"},{"type":"photo","media":"` + photo + `"}]`},
	}); code != 200 {
		t.Fatal(body)
	}
	send(to[1], 429)
	send(to[2], 200)
	send(to[2], 429)
}

// TestFaultsRepeat: the same seed strikes the same sends, whatever goes on
// between them.
func TestFaultsRepeat(t *testing.T) {
	run := func(seed uint64, order []string) map[string][]string {
		tg := newTelegram(t, sandbox.TelegramOptions{Seed: seed, OpenChats: true, Faults: sandbox.TelegramFaults{TooMany: 0.2, Refuse400: 0.2, ServerErrorAfter: 0.2}})
		out := map[string][]string{}
		for _, chat := range order {
			code, _ := call(t, tg, "sendMessage", url.Values{"chat_id": {chat}, "text": {"x"}})
			out[chat] = append(out[chat], strconv.Itoa(code))
		}
		return out
	}
	var inTurn, apart []string
	for range 30 {
		inTurn = append(inTurn, "5", "6")
	}
	apart = append(slices.Repeat([]string{"6"}, 30), slices.Repeat([]string{"5"}, 30)...)
	one, two, other := run(1, inTurn), run(1, apart), run(2, apart)
	if fmt.Sprint(one) != fmt.Sprint(two) {
		t.Errorf("%v\n%v", one, two)
	}
	if fmt.Sprint(one) == fmt.Sprint(other) {
		t.Error("another seed is no other")
	}
	for _, code := range []string{"200", "429", "400", "500"} {
		if !slices.Contains(one["5"], code) {
			t.Errorf("no %s in %v", code, one["5"])
		}
	}
}

func TestLogFileResumes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "telegram.log")
	run := func() []sandbox.TelegramEntry {
		tg, err := sandbox.NewTelegram(sandbox.TelegramOptions{LogPath: path, OpenChats: true})
		if err != nil {
			t.Fatal(err)
		}
		say(t, tg.Person("anna"), "hello")
		call(t, tg, "sendMessage", url.Values{"chat_id": {"5"}, "text": {"x"}})
		entries := tg.Log(0)
		if err := tg.Close(); err != nil {
			t.Fatal(err)
		}
		return entries
	}
	run()
	// A crash in the middle of a line.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"seq":3,"ti`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	second := run()
	if len(second) != 2 || second[0].Seq != 3 || second[0].UpdateID != 2 || second[0].MessageID != 3 || second[1].MessageID != 4 {
		t.Errorf("entries %+v", second)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(string(content)), "\n"); len(lines) != 5 {
		t.Errorf("log:\n%s", content)
	}
}

func TestSamePersonEveryRun(t *testing.T) {
	one, two := newTelegram(t, sandbox.TelegramOptions{}), newTelegram(t, sandbox.TelegramOptions{})
	if a, b := one.Person("anna").ID(), two.Person(" Anna").ID(); a != b {
		t.Errorf("%d and %d", a, b)
	}
}

// TestSeveralBots keep their chats and updates apart.
func TestSeveralBots(t *testing.T) {
	const first, second = "7000000001:first", "7000000002:second"
	tg := newTelegram(t, sandbox.TelegramOptions{Bots: []sandbox.TelegramBot{{Token: first, Username: "a"}, {Token: second, Username: "b"}}})
	anna := tg.Person("anna")
	say(t, anna, "to the first")
	withSecond, err := anna.With(second)
	if err != nil {
		t.Fatal(err)
	}
	say(t, withSecond, "to the second")
	for token, want := range map[string]string{first: "to the first", second: "to the second"} {
		if _, body := callToken(t, tg, token, "getUpdates", nil); len(updateIDs(t, body)) != 1 || !strings.Contains(body, want) {
			t.Errorf("%s: %s", token, body)
		}
	}
}

// TestAwaitEnds with its context.
func TestAwaitEnds(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tg.Await(ctx, func(sandbox.TelegramEntry) bool { return false }); err == nil {
		t.Error("found nothing, and said so by no error")
	}
}

// TestBusinessWindow: a business account's bot may write for 24 hours after the
// client did.
func TestBusinessWindow(t *testing.T) {
	now := fixedClock()
	tg := newTelegram(t, sandbox.TelegramOptions{Now: func() time.Time { return now }})
	anna := tg.Person("anna")
	shop, err := tg.Person("olga").ConnectBusiness(true)
	if err != nil {
		t.Fatal(err)
	}
	to := url.Values{"chat_id": {strconv.FormatInt(anna.ID(), 10)}, "business_connection_id": {shop.ID()}, "text": {"hi"}}
	send := func(want int, words string) {
		t.Helper()
		if code, body := call(t, tg, "sendMessage", to); code != want || !strings.Contains(body, words) {
			t.Errorf("%d %s, want %d %s", code, body, want, words)
		}
	}
	send(400, "BUSINESS_PEER_INVALID") // nobody there yet
	say(t, anna.At(shop), "hello")
	send(200, `"from":{"id":`+strconv.FormatInt(tg.Person("olga").ID(), 10))
	now = now.Add(24*time.Hour + time.Second)
	if _, err := shop.Say(anna, "are you still there?"); err != nil { // the owner's own does not count
		t.Fatal(err)
	}
	send(400, "BUSINESS_PEER_USAGE_MISSING")
	say(t, anna.At(shop), "yes")
	send(200, `"sender_business_bot":{"id":7000000001`)
	if _, body := call(t, tg, "getBusinessConnection", url.Values{"business_connection_id": {shop.ID()}}); !strings.Contains(body, `"is_enabled":true,"can_reply":true`) {
		t.Errorf("connection %s", body)
	}
}
