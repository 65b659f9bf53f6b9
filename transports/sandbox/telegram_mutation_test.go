package sandbox_test

import (
	"bytes"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"parley/transports/sandbox"
)

// recordedRequest is a request that an adapter makes, with its uploads by field.
type recordedRequest struct {
	method string
	form   url.Values
	files  map[string]string
}

// scene is a stand-in in a known state: Anna (190000001) wrote message 1 in topic
// 17, the bot answered with the text 2 and the photo 3, and Olga's account is
// connected as sandbox-…_1, to which Anna wrote its message 1.
func scene(t *testing.T) (*sandbox.Telegram, string) {
	t.Helper()
	tg := newTelegram(t, sandbox.TelegramOptions{Now: fixedClock})
	anna := tg.AddPerson("anna", sandbox.PersonOptions{ID: 190000001})
	if _, err := anna.Post(sandbox.Post{Text: "hello", Topic: 17}); err != nil {
		t.Fatal(err)
	}
	for _, r := range []recordedRequest{
		{"sendMessage", url.Values{"chat_id": {"190000001"}, "text": {"hi"}}, nil},
		{"sendPhoto", url.Values{"chat_id": {"190000001"}, "caption": {"look"}}, map[string]string{"photo": "JPEG"}},
	} {
		if code, body := r.send(t, tg); code != 200 {
			t.Fatal(body)
		}
	}
	shop, err := tg.AddPerson("olga", sandbox.PersonOptions{ID: 180000009}).ConnectBusiness(true)
	if err != nil {
		t.Fatal(err)
	}
	say(t, anna.At(shop), "hello, shop")
	return tg, shop.ID()
}

func (r recordedRequest) send(t *testing.T, tg http.Handler) (int, string) {
	t.Helper()
	var body bytes.Buffer
	kind := "application/x-www-form-urlencoded"
	if len(r.files) == 0 {
		body.WriteString(r.form.Encode())
	} else {
		form := multipart.NewWriter(&body)
		for name, values := range r.form {
			if err := form.WriteField(name, values[0]); err != nil {
				t.Fatal(err)
			}
		}
		for name, content := range r.files {
			part, err := form.CreateFormFile(name, name+".bin")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := part.Write([]byte(content)); err != nil {
				t.Fatal(err)
			}
		}
		if err := form.Close(); err != nil {
			t.Fatal(err)
		}
		kind = form.FormDataContentType()
	}
	req := httptest.NewRequest(http.MethodPost, "/bot"+sandbox.DefaultTelegramToken+"/"+r.method, &body)
	req.Header.Set("Content-Type", kind)
	w := httptest.NewRecorder()
	tg.ServeHTTP(w, req)
	return w.Code, w.Body.String()
}

// How the answer to a mutated request compares with the answer to the recorded
// one, where it is no refusal with some words.
const (
	same    = "same"    // Telegram does not look at it
	differs = "differs" // it shows in the answer
	missing = "\x00"    // as a value: the field is left out
)

// mutations are, by field, values and what Telegram does with them: the words of
// its refusal, or that the answer differs. They are the Bot API server's own
// (https://github.com/tdlib/telegram-bot-api).
func mutations() map[string]map[string]string {
	long := strings.Repeat("x", 5000)
	chat := map[string]string{
		missing: "chat_id is empty", "": "chat_id is empty", "5": "chat not found", "anna": "chat not found", "-1001234567890": "chat not found",
		"190000001x": same, // read up to the first character that is no digit
	}
	entity := func(fields string) string { return `[{"type":"bold","offset":0,"length":2` + fields + `}]` }
	entities := map[string]string{
		missing: differs, "": differs, "nonsense": differs, "{}": differs, "[]": differs, // what is no array is nothing
		"[5]": "can't parse MessageEntity: expected an Object", "[{}]": `can't parse MessageEntity: can't find field "offset"`,
		`[{"type":"bold","offset":0}]`:                    `can't parse MessageEntity: can't find field "length"`,
		`[{"type":"bold","offset":"x","length":2}]`:       `can't parse MessageEntity: field "offset" must be of type Number`,
		`[{"type":"hologram","offset":0,"length":2}]`:     "can't parse MessageEntity: unsupported type specified",
		`[{"offset":0,"length":2}]`:                       `can't parse MessageEntity: can't find field "type"`,
		`[{"type":"text_link","offset":0,"length":2}]`:    `can't parse MessageEntity: can't find field "url"`,
		`[{"type":"text_mention","offset":0,"length":2}]`: `can't parse MessageEntity: can't find field "user"`,
		`[{"type":"custom_emoji","offset":0,"length":2}]`: `can't parse MessageEntity: can't find field "custom_emoji_id"`,
		`[{"type":"italic","offset":0,"length":2}]`:       differs,
		`[{"type":"bold","offset":1,"length":1}]`:         differs,
		`[{"type":"bold","offset":90,"length":2}]`:        differs, // beyond the text, and left out
		`[{"type":"mention","offset":0,"length":2}]`:      differs, // found by itself, not taken
		entity(`,"x":1`): same,
		`[{"type":"text_link","offset":0,"length":2,"url":"t.me/x"}]`: differs,
		`[{"type":"bold","offset":"0","length":"2"}]`:                 same, // numbers may be in quotes
		`[{"type":"bold","offset":0,"length":2},{"type":"bold"}]`:     `can't parse MessageEntity: can't find field "offset"`,
	}
	return map[string]map[string]string{
		"sendMessage chat_id": chat,
		"sendMessage text": {
			missing: "message text is empty", " \n": "message text is empty", long: "message is too long", "another": differs,
			strings.Repeat("x", 1<<15+1): "text is too long", "hi there \n": same, // white space around it goes
		},
		"sendMessage entities": entities,
		"sendMessage reply_parameters": {
			missing: differs, "": differs, "nonsense": "can't parse reply parameters JSON object", "[]": "object expected as reply parameters",
			"{}": differs, `{"message_id":99}`: "message to be replied not found", `{"message_id":"x"}`: `field "message_id" must be of type Number`,
			`{"allow_sending_without_reply":true}`: `can't find field "message_id"`, `{"message_id":1,"allow_sending_without_reply":5}`: `must be of type Boolean`,
			`{"message_id":99,"allow_sending_without_reply":true}`: differs, `{"message_id":2}`: differs, `{"message_id":"1"}`: same,
		},
		"sendMessage message_thread_id": {missing: differs, "18": "message thread not found", "x": differs, "0": differs},
		"sendMessage to a business account chat_id": {
			missing: "chat identifier is empty", "anna": "chat identifier must be a valid Integer", "5": "BUSINESS_PEER_INVALID",
		},
		"sendMessage to a business account text":                   {missing: "message text is empty", "another": differs},
		"sendMessage to a business account business_connection_id": {missing: differs, "": differs, "nobody": "business connection not found"},
		"sendPhoto chat_id": chat,
		"sendPhoto caption": {missing: differs, "": differs, strings.Repeat("x", 1025): "message caption is too long", "another": differs},
		"sendPhoto caption_entities": {
			missing: differs, `[{"type":"hologram","offset":0,"length":2}]`: "unsupported type specified", `[{"type":"code","offset":0,"length":2}]`: differs,
		},
		"sendPhoto photo":        {missing: "there is no photo in the request", "": "file must be non-empty", "another": same /* of the same size */, "longer than it was": differs},
		"sendMediaGroup chat_id": chat,
		"sendMediaGroup media": {
			missing: `parameter "media" is required`, "nonsense": "can't parse media JSON object", "{}": "expected an Array of InputMedia",
			"[]": "there are no messages to send", "[5]": "can't parse InputMedia: expected an Object",
			`[{"media":"attach://file0"}]`:                    `can't find field "type"`,
			`[{"type":"photo"}]`:                              "can't parse InputMedia: media not found",
			`[{"type":"photo","media":"attach://file9"}]`:     "can't parse InputMedia: media not found",
			`[{"type":"photo","media":"AgAC"}]`:               "wrong file identifier/HTTP URL specified",
			`[{"type":"voice","media":"attach://file0"}]`:     `type "voice" is unsupported`,
			`[{"type":"animation","media":"attach://file0"}]`: `type "animation" can't be used in sendMediaGroup`,
			`[{"type":"photo","media":"attach://file0"},{"type":"document","media":"attach://file1"}]`:                       "document can't be mixed with other media types",
			`[{"type":"audio","media":"attach://file0"},{"type":"photo","media":"attach://file1"}]`:                          "audio can't be mixed with other media types",
			"[" + strings.Repeat(`{"type":"photo","media":"attach://file0"},`, 10) + `{"type":"photo","media":"x"}]`:         "too many messages to send as an album",
			`[{"type":"photo","media":"attach://file0"}]`:                                                                    differs,
			`[{"type":"photo","media":"attach://file0","caption":"` + long + `"},{"type":"photo","media":"attach://file1"}]`: "message caption is too long",
		},
		"sendMediaGroup file0":       {missing: "media not found", "": "file must be non-empty", "longer than it was": differs},
		"sendMediaGroup file1":       {missing: "media not found", "": "file must be non-empty", "longer than it was": differs},
		"editMessageText chat_id":    chat,
		"editMessageText message_id": {missing: "message to edit not found", "99": "message to edit not found", "x": "message to edit not found", "1": "message can't be edited", "3": "there is no text in the message to edit"},
		"editMessageText text":       {missing: "message text is empty", long: "message is too long", "hi": differs /* marked up now */, "another": differs},
		"editMessageText entities":   {missing: differs, "[5]": "can't parse MessageEntity", `[{"type":"code","offset":0,"length":2}]`: differs},
		"editMessageCaption chat_id": chat,
		"editMessageCaption message_id": {
			missing: "message to edit not found", "2": "there is no caption in the message to edit", "1": "message can't be edited",
		},
		"editMessageCaption caption":    {missing: differs, "look": "message is not modified", strings.Repeat("x", 1025): "message caption is too long", "another": differs},
		"setMessageReaction chat_id":    chat,
		"setMessageReaction message_id": {missing: "message to react not found", "99": "message to react not found", "2": same /* the answer is true */},
		"setMessageReaction reaction": {
			missing: same, "": same, "[]": same, // taken back
			"nonsense": "can't parse reaction types JSON object", "{}": "expected an Array of ReactionType", "[5]": "expected an Object",
			`[{"emoji":"👍"}]`: `can't find field "type"`, `[{"type":"emoji"}]`: `can't find field "emoji"`, `[{"type":"paid"}]`: "invalid reaction type specified",
			`[{"type":"emoji","emoji":"🥨"}]`: "REACTION_INVALID", `[{"type":"emoji","emoji":"❤️"}]`: "REACTION_INVALID",
			`[{"type":"custom_emoji","custom_emoji_id":"5"}]`:             "REACTION_INVALID",
			`[{"type":"emoji","emoji":"👍"},{"type":"emoji","emoji":"👎"}]`: "REACTIONS_TOO_MANY",
		},
		"sendChatAction chat_id":                chat,
		"sendChatAction action":                 {missing: "wrong parameter action in request", "dancing": "wrong parameter action in request", "TYPING": same},
		"getFile file_id":                       {missing: "file_id not specified", "x": "invalid file_id"},
		"setWebhook url":                        {"nonsense": "bad webhook", missing: differs},
		"setWebhook secret_token":               {"a b": "secret token contains unallowed characters", missing: same /* shows on deliveries */},
		"setWebhook allowed_updates":            {"nonsense": "can't parse allowed_updates JSON object", missing: same /* as before */},
		"setWebhook max_connections":            {"500": "max_connections must be 1 to 100", missing: same /* 40 */},
		"answerCallbackQuery callback_query_id": {missing: "query is too old", "5": "query is too old"},
	}
}

// TestMutatedRequests changes each field of each request that the adapter makes,
// in the ways that tell Telegram from a server that takes anything.
func TestMutatedRequests(t *testing.T) {
	tg, connection := scene(t)
	const to = "190000001"
	bold := `[{"type":"bold","offset":0,"length":2}]`
	if err := tg.Person("anna").Press(2, "x"); err != nil {
		t.Fatal(err)
	}
	requests := map[string]recordedRequest{
		"sendMessage": {"sendMessage", url.Values{
			"chat_id": {to}, "text": {"hi there"}, "entities": {bold}, "reply_parameters": {`{"message_id":1}`}, "message_thread_id": {"17"},
		}, nil},
		"sendMessage to a business account": {"sendMessage", url.Values{"chat_id": {to}, "text": {"hi"}, "business_connection_id": {connection}}, nil},
		"sendPhoto":                         {"sendPhoto", url.Values{"chat_id": {to}, "caption": {"look"}, "caption_entities": {bold}}, map[string]string{"photo": "a photo"}},
		"sendMediaGroup": {"sendMediaGroup", url.Values{
			"chat_id": {to}, "media": {`[{"type":"photo","media":"attach://file0","caption":"two"},{"type":"photo","media":"attach://file1"}]`},
		}, map[string]string{"file0": "a photo", "file1": "a photo"}},
		"editMessageText":     {"editMessageText", url.Values{"chat_id": {to}, "message_id": {"2"}, "text": {"hi!"}, "entities": {bold}}, nil},
		"editMessageCaption":  {"editMessageCaption", url.Values{"chat_id": {to}, "message_id": {"3"}, "caption": {"look!"}}, nil},
		"setMessageReaction":  {"setMessageReaction", url.Values{"chat_id": {to}, "message_id": {"1"}, "reaction": {`[{"type":"emoji","emoji":"👍"}]`}}, nil},
		"sendChatAction":      {"sendChatAction", url.Values{"chat_id": {to}, "action": {"typing"}}, nil},
		"getFile":             {"getFile", url.Values{"file_id": {"sandbox-file-1"}}, nil},
		"setWebhook":          {"setWebhook", url.Values{"url": {"https://x.invalid/"}, "secret_token": {"s"}, "allowed_updates": {`["message"]`}, "max_connections": {"40"}}, nil},
		"answerCallbackQuery": {"answerCallbackQuery", url.Values{"callback_query_id": {"1"}}, nil},
	}
	rules := mutations()
	tried := 0
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		t.Run(name, func(t *testing.T) {
			r := requests[name]
			tg, _ := scene(t)
			code, want := r.send(t, tg)
			if code != 200 && name != "answerCallbackQuery" { // its ids are made by presses
				t.Fatalf("%d %s", code, want)
			}
			for _, field := range slices.Concat(slices.Collect(maps.Keys(r.form)), slices.Collect(maps.Keys(r.files))) {
				values := rules[name+" "+field]
				if len(values) == 0 {
					t.Errorf("no mutations of %s", field)
				}
				for value, effect := range values {
					tried++
					m := recordedRequest{r.method, maps.Clone(r.form), maps.Clone(r.files)}
					_, isFile := r.files[field]
					switch {
					case value == missing && isFile:
						delete(m.files, field)
					case value == missing:
						m.form.Del(field)
					case isFile:
						m.files[field] = value
					default:
						m.form.Set(field, value)
					}
					tg, _ := scene(t)
					code, got := m.send(t, tg)
					if words := judge(code, got, want, effect); words != "" {
						t.Errorf("%s = %.80q: %s", field, value, words)
					}
				}
			}
		})
	}
	for name := range rules {
		method, field, _ := strings.Cut(name, " ")
		if i := strings.LastIndexByte(name, ' '); i >= 0 {
			method, field = name[:i], name[i+1:]
		}
		r, ok := requests[method]
		if _, isFile := r.files[field]; !ok || (!isFile && !r.form.Has(field)) {
			t.Errorf("%q is in no request", name)
		}
	}
	t.Logf("%d mutated requests", tried)
}

// judge says what is wrong with an answer to a mutated request.
func judge(code int, got, want, effect string) string {
	switch effect {
	case same:
		if got != want {
			return fmt.Sprintf("answered %s, want the same as ever: %s", got, want)
		}
	case differs:
		if code != 200 || got == want {
			return fmt.Sprintf("answered %d %s, want another answer", code, got)
		}
	default:
		if code < 400 || !strings.Contains(strings.ReplaceAll(got, `\"`, `"`), effect) {
			return fmt.Sprintf("answered %d %s, want %q", code, got, effect)
		}
	}
	return ""
}
