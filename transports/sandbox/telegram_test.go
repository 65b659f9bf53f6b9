package sandbox_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
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
