package telegram_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/events"
	"parley/transports/telegram"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// parseAll takes a payload in as a webhook would.
func parseAll(t testing.TB, bot *telegram.Bot, body []byte) []events.Inbound {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/hook", nil)
	r.Header.Set("X-Telegram-Bot-Api-Secret-Token", webhookSecret)
	callback, err := bot.ParseWebhook(r, body)
	if err != nil {
		t.Fatal(err)
	}
	if len(callback.Events) == 0 {
		t.Fatal("no event of an update")
	}
	return callback.Events
}

// parse is parseAll of a payload with one event.
func parse(t testing.TB, bot *telegram.Bot, body []byte) events.Inbound {
	t.Helper()
	evs := parseAll(t, bot, body)
	if len(evs) != 1 {
		t.Fatalf("%d events of one update", len(evs))
	}
	return evs[0]
}

// TestUpdates reads payloads of the shapes that the Bot API documents, and of
// shapes it should never send, and compares with what they were normalised to.
func TestUpdates(t *testing.T) {
	files, err := filepath.Glob("testdata/updates/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	quiet := newBot(t, http.DefaultClient, nil)
	groups := newBot(t, http.DefaultClient, map[string]string{"groups": "on"})
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := must(os.ReadFile(file))
			var golden bytes.Buffer
			show := func(ev events.Inbound) {
				// The raw payload is the input, so that it is checked and not shown.
				checkRaw(t, body, ev.Raw)
				ev.Raw = nil
				enc := json.NewEncoder(&golden)
				enc.SetIndent("", "  ")
				enc.SetEscapeHTML(false)
				if err := enc.Encode(ev); err != nil {
					t.Fatal(err)
				}
			}
			evs := parseAll(t, quiet, body)
			again := must(quiet.Reparse(evs[0].Raw))
			if len(again) != len(evs) {
				t.Errorf("%d events of one payload, parsed again: %d", len(evs), len(again))
			}
			for _, ev := range evs {
				show(ev)
			}
			if withGroups := parseAll(t, groups, body)[0]; strings.HasPrefix(name, "group") || strings.HasPrefix(name, "channel") {
				golden.WriteString("with groups on:\n")
				show(withGroups)
			}
			path := strings.TrimSuffix(file, ".json") + ".golden"
			if *update {
				if err := os.WriteFile(path, golden.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if want := must(os.ReadFile(path)); !bytes.Equal(golden.Bytes(), want) {
				t.Errorf("got:\n%s\nwant:\n%s", golden.Bytes(), want)
			}
		})
	}
}

// checkRaw wants a payload kept verbatim, as itself or as a JSON string.
func checkRaw(t *testing.T, body []byte, raw json.RawMessage) {
	t.Helper()
	if bytes.Equal(body, raw) {
		return
	}
	var verbatim string
	if err := json.Unmarshal(raw, &verbatim); err != nil || verbatim != strings.ToValidUTF8(string(body), "\uFFFD") {
		t.Errorf("raw is %s, want the payload", raw)
	}
}

// FuzzParseUpdate wants that nothing of proven origin panics, gets lost, or
// cannot be stored.
func FuzzParseUpdate(f *testing.F) {
	files, err := filepath.Glob("testdata/updates/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		f.Add(must(os.ReadFile(file)))
	}
	bot := newBot(f, http.DefaultClient, nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, ev := range parseAll(t, bot, body) {
			checkStorable(t, ev)
		}
	})
}

// checkStorable wants an event that says what it is, survives the way through
// the bus, and holds nothing that the database refuses.
func checkStorable(t *testing.T, ev events.Inbound) {
	t.Helper()
	if ev.Kind == "" || (ev.Kind == events.Message || ev.Kind == events.Edit) != (ev.Content != nil) {
		t.Fatalf("kind %q with content %v", ev.Kind, ev.Content)
	}
	if ev.Kind == events.Ignored && ev.Reason == "" {
		t.Fatal("ignored without a reason")
	}
	if !json.Valid(ev.Raw) {
		t.Fatalf("raw is no JSON: %q", ev.Raw)
	}
	stored, err := json.Marshal(ev)
	if err != nil {
		t.Fatalf("the event has no JSON form: %v", err)
	}
	var back events.Inbound
	if err := json.Unmarshal(stored, &back); err != nil {
		t.Fatalf("the event's JSON form cannot be read: %v", err)
	}
	ev.Raw, back.Raw = nil, nil
	shown := must(json.Marshal(ev))
	if again := must(json.Marshal(back)); !bytes.Equal(again, shown) {
		t.Fatalf("came back as %s, was %s", again, shown)
	}
	if bytes.Contains(shown, []byte(`\u0000`)) {
		t.Fatal("a NUL byte was kept")
	}
	if c := ev.Content; c != nil {
		if c.Type == "" || c.Plain() == "" {
			t.Fatalf("content of type %q in words: %q", c.Type, c.Plain())
		}
		for _, e := range c.Entities {
			if n := utf16Units(c.Text); e.Offset < 0 || e.Length <= 0 || e.Offset+e.Length > n {
				t.Fatalf("entity %+v of a text of %d", e, n)
			}
		}
	}
}

func utf16Units(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return n
}

// TestDeepPayload is stored although it nests as deeply as encoding/json reads.
func TestDeepPayload(t *testing.T) {
	const depth = 9990
	body := []byte(`{"update_id":1,"x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`)
	ev := parse(t, newBot(t, http.DefaultClient, nil), body)
	checkRaw(t, body, ev.Raw)
	var back events.Inbound
	if err := json.Unmarshal(must(json.Marshal(ev)), &back); err != nil {
		t.Fatal(err)
	}
}

func TestReparseRefusesWhatWasNeverStored(t *testing.T) {
	bot := newBot(t, http.DefaultClient, nil)
	for _, raw := range []string{"", "{", "\x00"} {
		if evs, err := bot.Reparse(json.RawMessage(raw)); err == nil {
			t.Errorf("%q gave %v", raw, evs)
		}
	}
}

func BenchmarkParseText(b *testing.B) {
	bot := newBot(b, http.DefaultClient, nil)
	body := must(os.ReadFile("testdata/updates/text.json"))
	r := httptest.NewRequest(http.MethodPost, "/hook", nil)
	r.Header.Set("X-Telegram-Bot-Api-Secret-Token", webhookSecret)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bot.ParseWebhook(r, body); err != nil {
			b.Fatal(err)
		}
	}
}

// TestRedeliveredUnderAnotherUpdateID: update ids start over anywhere after a
// quiet week, so that the same thing under another id has the same key, and
// other things have others. Only what names no message is known by its update.
func TestRedeliveredUnderAnotherUpdateID(t *testing.T) {
	files, err := filepath.Glob("testdata/updates/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	bot := newBot(t, http.DefaultClient, map[string]string{"groups": "on"})
	compared := 0
	for _, file := range files {
		if strings.Contains(file, "garbage") {
			continue
		}
		body := must(os.ReadFile(file))
		again := bytes.Replace(body, []byte(`"update_id":8700`), []byte(`"update_id":1200`), 1)
		one, two := parseAll(t, bot, body), parseAll(t, bot, again)
		for i := range one {
			if one[i].ProviderEvent == two[i].ProviderEvent && one[i].ProviderEvent != "" {
				t.Errorf("%s: update %s twice", file, one[i].ProviderEvent)
			}
			if !one[i].Key.Valid() || strings.HasPrefix(one[i].Key.Message, "update:") {
				continue
			}
			compared++
			if one[i].Key != two[i].Key || one[i].Kind != two[i].Kind {
				t.Errorf("%s: %+v and %+v", file, one[i].Key, two[i].Key)
			}
		}
	}
	if compared < 50 {
		t.Errorf("only %d were compared", compared)
	}
}
