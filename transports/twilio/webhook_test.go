package twilio_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
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

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
	"parley/transports/twilio"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// parse takes a payload in as a webhook would.
func parse(t testing.TB, number *twilio.Number, query string, body []byte) []events.Inbound {
	t.Helper()
	callback, err := number.ParseWebhook(signed(authToken, query, body), body)
	if err != nil {
		t.Fatal(err)
	}
	return callback.Events
}

// TestWebhooks reads payloads of the shapes that Twilio documents, and of shapes it
// should never send, and compares with what they were normalised to.
func TestWebhooks(t *testing.T) {
	files, err := filepath.Glob("testdata/webhooks/*.form")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".form")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			network := events.SMS
			if strings.Contains(name, "whatsapp") {
				network = events.WhatsApp
			}
			number := offline(t, network)
			body := must(os.ReadFile(file))
			query := ""
			if strings.HasPrefix(name, "status") {
				query = "parley_ref=ref-1"
			}
			evs := parse(t, number, query, body)
			var golden bytes.Buffer
			for _, ev := range evs {
				// The raw payload is the input, so that it is checked and not shown.
				if !strings.Contains(plain(t, ev.Raw), string(body)) {
					t.Errorf("raw is %s, want the payload", ev.Raw)
				}
				again := must(number.Reparse(ev.Raw))
				if jsonOf(again) != jsonOf(evs) {
					t.Errorf("parsed again:\n%s\nwas:\n%s", jsonOf(again), jsonOf(evs))
				}
				ev.Raw = nil
				enc := json.NewEncoder(&golden)
				enc.SetIndent("", "  ")
				enc.SetEscapeHTML(false)
				if err := enc.Encode(ev); err != nil {
					t.Fatal(err)
				}
			}
			path := strings.TrimSuffix(file, ".form") + ".golden"
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

// plain is a raw payload without its quotes.
func plain(t testing.TB, raw json.RawMessage) string {
	t.Helper()
	var s string
	var callback struct {
		Form *string `json:"form"`
	}
	switch {
	case json.Unmarshal(raw, &s) == nil:
		return s
	case json.Unmarshal(raw, &callback) == nil && callback.Form != nil:
		return *callback.Form
	}
	return string(raw)
}

func TestForgedWebhook(t *testing.T) {
	body := []byte("MessageSid=SM1&From=%2B4915112345678&Body=hi&NumMedia=0")
	form := must(url.ParseQuery(string(body)))
	sign := func(called string) string { return sandbox.SignTwilio(authToken, called, form) }
	genuine := sign(hookURL)
	withoutURL := account(&http.Client{}, events.SMS)
	withoutURL.PublicURL = ""
	for name, test := range map[string]struct {
		target    string
		signature []string
		body      []byte
	}{
		"no signature":              {hookURL, nil, body},
		"an empty one":              {hookURL, []string{""}, body},
		"another's":                 {hookURL, []string{sandbox.SignTwilio(nextToken, hookURL, form)}, body},
		"of another body":           {hookURL, []string{genuine}, []byte("MessageSid=SM1&From=%2B4915112345678&Body=ho&NumMedia=0")},
		"of a parameter less":       {hookURL, []string{genuine}, append(bytes.Clone(body), "&OptOutType=STOP"...)},
		"of what the proxy says":    {hookURL, []string{sign("http://internal:8080" + transports.WebhookPrefix + hookPath)}, body},
		"with a query more":         {hookURL + "?parley_ref=1", []string{genuine}, body},
		"with another query":        {hookURL + "?parley_ref=2", []string{sign(hookURL + "?parley_ref=1")}, body},
		"two of them":               {hookURL, []string{genuine, genuine}, body},
		"in another case":           {hookURL, []string{strings.ToUpper(genuine)}, body},
		"with the port of another":  {hookURL, []string{sign("https://parley.example:8443" + transports.WebhookPrefix + hookPath)}, body},
		"cut":                       {hookURL, []string{genuine[:10]}, body},
		"a digest of another body":  {hookURL + "?bodySHA256=00", []string{sandbox.SignTwilio(authToken, hookURL+"?bodySHA256=00", nil)}, []byte("{}")},
		"a body that is no form":    {hookURL, []string{genuine}, []byte("a;b=%zz")},
		"of an account without URL": {hookURL, []string{genuine}, body},
	} {
		number := offline(t, events.SMS)
		if name == "of an account without URL" {
			number = build(t, withoutURL)
		}
		r := httptest.NewRequest(http.MethodPost, test.target, nil)
		r.Header["X-Twilio-Signature"] = test.signature
		if got, err := number.ParseWebhook(r, test.body); !errors.Is(err, transports.ErrForged) || got.Events != nil {
			t.Errorf("%s: %v, %v; want ErrForged", name, got, err)
		}
	}
}

// TestSignatureDuringRotation takes either token, with unknown parameters, a port
// in the public URL or none, and our own query.
func TestSignatureDuringRotation(t *testing.T) {
	body := []byte("MessageSid=SM1&From=%2B4915112345678&Body=hi&NumMedia=0&SomethingNew=1")
	form := must(url.ParseQuery(string(body)))
	for _, public := range []string{"https://parley.example", "https://parley.example:8443", "http://127.0.0.1:8080/base"} {
		a := account((&fakeAPI{}).client(), events.SMS)
		a.PublicURL = public
		a.Secrets["auth_token_next"] = nextToken
		number := build(t, a)
		for _, token := range []string{authToken, nextToken} {
			for _, query := range []string{"", "?parley_ref=a%20b", "?x=1&parley_ref=2"} {
				called := public + transports.WebhookPrefix + hookPath + query
				r := httptest.NewRequest(http.MethodPost, called, nil)
				r.Host = "10.0.0.1"
				r.Header.Set("X-Twilio-Signature", sandbox.SignTwilio(token, called, form))
				got, err := number.ParseWebhook(r, body)
				if err != nil || len(got.Events) != 1 || got.Events[0].Content.Text != "hi" {
					t.Errorf("%s: %+v, %v", called, got, err)
				}
			}
		}
	}
}

// TestOnePersonWhateverTheSpelling joins the ways in which providers write one
// number, across SMS and WhatsApp.
func TestOnePersonWhateverTheSpelling(t *testing.T) {
	sms, whatsApp := offline(t, events.SMS), offline(t, events.WhatsApp)
	from := func(number *twilio.Number, address string) events.Inbound {
		t.Helper()
		body := url.Values{"MessageSid": {"SM1"}, "From": {address}, "Body": {"hi"}, "NumMedia": {"0"}}.Encode()
		return parse(t, number, "", []byte(body))[0]
	}
	for _, same := range [][]events.Inbound{
		{from(sms, anna), from(sms, "015112345678"), from(sms, "+49 151 12345678"), from(whatsApp, "whatsapp:"+anna)},
		{from(sms, "+5511987654321"), from(whatsApp, "whatsapp:+551187654321"), from(whatsApp, "whatsapp:+5511987654321")},
		{from(sms, "+525512345678"), from(whatsApp, "whatsapp:+5215512345678")},
		{from(sms, "MyBank"), from(sms, "MYBANK"), from(sms, " MyBank ")},
	} {
		for _, ev := range same {
			if ev.Person.Identity != same[0].Person.Identity || ev.Key != same[0].Key || !ev.Person.Identity.Valid() {
				t.Errorf("%+v %+v is not %+v %+v", ev.Person, ev.Key, same[0].Person, same[0].Key)
			}
		}
	}
	all := map[events.Identity]string{}
	for _, address := range []string{anna, "+4915112345679", "72975", "12345678", "MyBank", "MyBank2"} {
		who := from(sms, address).Person.Identity
		if other, taken := all[who]; taken || !who.Valid() {
			t.Errorf("%s and %s are both %+v", address, other, who)
		}
		all[who] = address
	}
	// What is answered is what the network wrote, not what it means.
	if to := from(whatsApp, "whatsapp:+551187654321").Person.Address; to != "+551187654321" {
		t.Errorf("an answer goes to %s", to)
	}
}

// TestSignatureIsQuick takes as long for many parameters as for one long one: it is
// checked before anything proves who asks.
func TestSignatureIsQuick(t *testing.T) {
	number := offline(t, events.SMS)
	var body bytes.Buffer
	for i := range 200_000 {
		body.WriteString("&p" + strconv.Itoa(i) + "=x")
	}
	r := signed(authToken, "", body.Bytes())
	began := time.Now()
	if _, err := number.ParseWebhook(r, body.Bytes()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestKeywords(t *testing.T) {
	for _, test := range []struct {
		network events.Transport
		text    string
		blocked *bool
	}{
		{events.SMS, "STOP", ptr(true)},
		{events.SMS, " stopall\n", ptr(true)},
		{events.SMS, "Unsubscribe", ptr(true)},
		{events.SMS, "cancel", ptr(true)},
		{events.SMS, "END", ptr(true)},
		{events.SMS, "quit", ptr(true)},
		{events.SMS, "start", ptr(false)},
		{events.SMS, "Yes", ptr(false)},
		{events.SMS, "UNSTOP", ptr(false)},
		{events.SMS, "stop it", nil},
		{events.SMS, "yes please", nil},
		{events.SMS, "HELP", nil},
		{events.WhatsApp, "STOP", nil},
	} {
		from := anna
		if test.network == events.WhatsApp {
			from = "whatsapp:" + anna
		}
		body := url.Values{"MessageSid": {"SM1"}, "From": {from}, "Body": {test.text}, "NumMedia": {"0"}}.Encode()
		evs := parse(t, offline(t, test.network), "", []byte(body))
		if evs[0].Kind != events.Message || evs[0].Content.Text != test.text {
			t.Errorf("%q: the message is %+v", test.text, evs[0])
		}
		if (len(evs) == 2) != (test.blocked != nil) {
			t.Errorf("%q: %d events", test.text, len(evs))
			continue
		}
		if test.blocked != nil && (evs[1].Kind != events.Reachability || evs[1].Blocked != *test.blocked ||
			evs[1].Reason == "" || evs[1].Person.Identity != evs[0].Person.Identity || evs[1].ProviderEvent == "") {
			t.Errorf("%q: %+v", test.text, evs[1])
		}
	}
}

func ptr[T any](v T) *T { return &v }

// FuzzParseWebhook wants that nothing of proven origin panics, gets lost, or cannot
// be stored, and that what was stored reads as it did.
func FuzzParseWebhook(f *testing.F) {
	files, err := filepath.Glob("testdata/webhooks/*.form")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		f.Add(must(os.ReadFile(file)), "", true)
	}
	f.Add([]byte("MessageSid=SM1&MessageStatus=sent"), "ref", false)
	sms, whatsApp := offline(f, events.SMS), offline(f, events.WhatsApp)
	f.Fuzz(func(t *testing.T, body []byte, ref string, text bool) {
		number := whatsApp
		if text {
			number = sms
		}
		query := ""
		if ref != "" {
			query = url.Values{"parley_ref": {ref}}.Encode()
		}
		evs := parse(t, number, query, body)
		if len(evs) == 0 {
			t.Fatal("nothing came of it")
		}
		for _, ev := range evs {
			checkEvent(t, ev)
		}
		again, err := number.Reparse(evs[0].Raw)
		if err != nil || len(again) != len(evs) {
			t.Fatalf("parsed again: %d events and %v, was %d", len(again), err, len(evs))
		}
		if !slices.Contains([]byte(body), 0xFF) && json.Valid(evs[0].Raw) && utf8Body(body) && jsonOf(again) != jsonOf(evs) {
			t.Fatalf("parsed again:\n%s\nwas:\n%s", jsonOf(again), jsonOf(evs))
		}
	})
}

func utf8Body(body []byte) bool { return strings.ToValidUTF8(string(body), "") == string(body) }

// FuzzReparse wants that no stored payload, however spoiled, panics or yields
// something that cannot be stored.
func FuzzReparse(f *testing.F) {
	f.Add([]byte(`{"message":{"sid":"SM1","direction":"inbound","from":"+4915112345678","to":"+15005550006","body":"hi","num_media":"1","date_sent":"Mon, 02 Jan 2006 15:04:05 +0000"},"media":[{"sid":"ME1","uri":"/2010-04-01/x.json","content_type":"image/png"}]}`))
	f.Add([]byte(`{"parley_ref":"r","form":"MessageSid=SM1&MessageStatus=failed&ErrorCode=30003&To=%2B4915112345678"}`))
	f.Add([]byte(`"MessageSid=SM1&From=%2B4915112345678&Body=hi"`))
	f.Add([]byte(`{"message":{"sid":"SM1","direction":"outbound-api","status":"failed","error_code":21610,"to":"+4915112345678"}}`))
	number := offline(f, events.SMS)
	f.Fuzz(func(t *testing.T, raw []byte) {
		evs, err := number.Reparse(raw)
		if err != nil {
			if len(evs) > 0 {
				t.Fatalf("%d events and %v", len(evs), err)
			}
			return
		}
		if len(evs) == 0 {
			t.Fatal("neither an event nor an error")
		}
		for _, ev := range evs {
			checkEvent(t, ev)
		}
	})
}

// checkEvent wants an event that can be stored.
func checkEvent(t *testing.T, ev events.Inbound) {
	t.Helper()
	switch ev.Kind {
	case events.Message:
		if ev.Content == nil {
			t.Fatal("a message without content")
		}
	case events.StatusChanged:
		if ev.Status == nil {
			t.Fatal("a status without one")
		}
	case events.Reachability:
		if !ev.Person.Identity.Valid() {
			t.Fatal("nobody can be reached")
		}
	case events.Ignored:
		if ev.Reason == "" {
			t.Fatal("ignored without a reason")
		}
	default:
		t.Fatalf("kind %q", ev.Kind)
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
	if one, two := jsonOf(ev), jsonOf(back); one != two {
		t.Fatalf("came back as %s, was %s", two, one)
	}
	if strings.Contains(strings.ReplaceAll(jsonOf(ev), `\\`, ""), `\u0000`) {
		t.Fatal("a NUL byte was kept")
	}
}

func TestReparseRefusesWhatWasNeverStored(t *testing.T) {
	number := offline(t, events.SMS)
	for _, raw := range []string{"", "{", "\x00", "MessageSid=SM1"} {
		if evs, err := number.Reparse(json.RawMessage(raw)); err == nil {
			t.Errorf("%q gave %v", raw, evs)
		}
	}
}

func BenchmarkParseText(b *testing.B) {
	number := offline(b, events.SMS)
	body := must(os.ReadFile("testdata/webhooks/sms_text.form"))
	r := signed(authToken, "", body)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := number.ParseWebhook(r, body); err != nil {
			b.Fatal(err)
		}
	}
}
