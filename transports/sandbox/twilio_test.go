package sandbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/transports/sandbox"
)

const twilioAccount = "/2010-04-01/Accounts/" + sandbox.DefaultTwilioAccount

func newTwilio(t testing.TB, opts sandbox.TwilioOptions) *sandbox.Twilio {
	t.Helper()
	opts.WebhookRetry = time.Millisecond
	tw, err := sandbox.NewTwilio(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tw.Close(); err != nil {
			t.Error(err)
		}
	})
	return tw
}

// ask makes a request with the account's credentials.
func ask(t testing.TB, tw http.Handler, method, path string, form url.Values) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(sandbox.DefaultTwilioAccount, sandbox.DefaultTwilioToken)
	w := httptest.NewRecorder()
	tw.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// fields makes a form of names and values in turn.
func fields(pairs ...string) url.Values {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return form
}

// TestTwilioAnswers holds the stand-in to what Twilio refuses, in its words.
func TestTwilioAnswers(t *testing.T) {
	const (
		from     = sandbox.DefaultTwilioNumber
		whatsApp = sandbox.DefaultTwilioWhatsApp
		service  = "MG0000000000000000000000000000aaaa"
	)
	tw := newTwilio(t, sandbox.TwilioOptions{
		Now: fixedClock, NoPermission: []string{"+850"},
		Services: map[string]sandbox.TwilioService{service: {Name: "Shop", Senders: []string{whatsApp}}},
	})
	tw.AddPerson("landline", sandbox.TwilioPersonOptions{Number: "+493012345678", Landline: true})
	quitter := tw.AddPerson("quitter", sandbox.TwilioPersonOptions{Number: "+4915112340001"})
	if _, err := quitter.Say("Stop"); err != nil {
		t.Fatal(err)
	}
	messages := twilioAccount + "/Messages.json"
	for _, test := range []struct {
		name string
		form url.Values
		code int
		want string
	}{
		{"text", fields("To", "+4915112345678", "From", from, "Body", "hi"), 201, `"body":"hi","date_created":"Sat, 25 Jul 2026 17:20:00 +0000","date_sent":null`},
		{"longest", fields("To", "+4915112345678", "From", from, "Body", strings.Repeat("x", 1600)), 201, `"status":"queued"`},
		{"file only", fields("To", "+4915112345678", "From", from, "MediaUrl", "https://x.example/a"), 201, `"num_media":"1"`},
		{"by a service", fields("To", "whatsapp:+4915112345678", "MessagingServiceSid", service, "Body", "hi"), 201, `"status":"accepted"`},
		{"no To", fields("From", from, "Body", "hi"), 400, `{"code":21604,"message":"A 'To' phone number is required.","more_info":"https://www.twilio.com/docs/errors/21604","status":400}`},
		{"bad To", fields("To", "anna", "From", from, "Body", "hi"), 400, `"code":21211`},
		{"no From", fields("To", "+4915112345678", "Body", "hi"), 400, `"code":21603`},
		{"bad From", fields("To", "+4915112345678", "From", "a,b", "Body", "hi"), 400, `"code":21212`},
		{"somebody else's From", fields("To", "+4915112345678", "From", "+15005550009", "Body", "hi"), 400, `"code":21606`},
		{"another network's From", fields("To", "whatsapp:+4915112345678", "From", from, "Body", "hi"), 400, `"code":21910`},
		{"no such WhatsApp sender", fields("To", "whatsapp:+4915112345678", "From", "whatsapp:+15005550009", "Body", "hi"), 400, `"code":63007`},
		{"no such service", fields("To", "+4915112345678", "MessagingServiceSid", "MG1", "Body", "hi"), 400, `"code":21705`},
		{"a service without such senders", fields("To", "+4915112345678", "MessagingServiceSid", service, "Body", "hi"), 400, `"code":21703`},
		{"nothing", fields("To", "+4915112345678", "From", from), 400, `"code":21602`},
		{"too long", fields("To", "+4915112345678", "From", from, "Body", strings.Repeat("x", 1601)), 400, `"code":21617`},
		{"bad MediaUrl", fields("To", "+4915112345678", "From", from, "MediaUrl", "a.png"), 400, `"code":21620`},
		{"two files on WhatsApp", fields("To", "whatsapp:+4915112345678", "From", whatsApp, "MediaUrl", "https://x.example/a", "MediaUrl", "https://x.example/b"), 400, `"code":21623`},
		{"bad StatusCallback", fields("To", "+4915112345678", "From", from, "Body", "hi", "StatusCallback", "nowhere"), 400, `"code":21609`},
		{"bad ContentSid", fields("To", "whatsapp:+4915112345678", "From", whatsApp, "ContentSid", "HX1"), 400, `"code":21655`},
		{"bad ContentVariables", fields("To", "whatsapp:+4915112345678", "From", whatsApp, "ContentSid", "HX00000000000000000000000000000001", "ContentVariables", "[1]"), 400, `"code":21656`},
		{"no permission", fields("To", "+8505551234567", "From", from, "Body", "hi"), 400, `"code":21408`},
		{"landline", fields("To", "+493012345678", "From", from, "Body", "hi"), 400, `"code":21614`},
		{"opted out", fields("To", quitter.Number(), "From", from, "Body", "hi"), 400, `{"code":21610,"message":"Attempt to send to unsubscribed recipient"`},
	} {
		if code, body := ask(t, tw, http.MethodPost, messages, test.form); code != test.code || !strings.Contains(body, test.want) {
			t.Errorf("%s: %d %s, want %d %s", test.name, code, body, test.code, test.want)
		}
	}
	for _, test := range []struct {
		method, path, user, token string
		code                      int
		want                      string
	}{
		{"GET", twilioAccount + ".json", sandbox.DefaultTwilioAccount, sandbox.DefaultTwilioToken, 200, `"status":"active"`},
		{"GET", twilioAccount + "/Balance.json", sandbox.DefaultTwilioAccount, sandbox.DefaultTwilioToken, 200, `"balance"`},
		{"GET", twilioAccount + ".json", sandbox.DefaultTwilioAccount, "wrong", 401, `{"code":20003,"message":"Authenticate"`},
		{"GET", twilioAccount + ".json", "", "", 401, `"code":20003`},
		{"POST", messages, sandbox.DefaultTwilioAccount, "wrong", 401, `"code":20003`},
		{"GET", "/2010-04-01/Accounts/AC1/Messages.json", sandbox.DefaultTwilioAccount, sandbox.DefaultTwilioToken, 404, `"code":20404`},
		{"GET", twilioAccount + "/Messages/SM1.json", sandbox.DefaultTwilioAccount, sandbox.DefaultTwilioToken, 404, `"code":20404`},
		{"GET", twilioAccount + "/Messages/SM1/Media.json", sandbox.DefaultTwilioAccount, sandbox.DefaultTwilioToken, 404, `"code":20404`},
		{"GET", twilioAccount + "/Messages/SM1/Media/ME1", sandbox.DefaultTwilioAccount, sandbox.DefaultTwilioToken, 404, `"code":20404`},
		{"GET", "/v1/Services/MG1", sandbox.DefaultTwilioAccount, sandbox.DefaultTwilioToken, 404, `"code":20404`},
		{"GET", messages + "?DateSent=yesterday", sandbox.DefaultTwilioAccount, sandbox.DefaultTwilioToken, 400, `is not a date`},
		{"GET", "/nonsense", sandbox.DefaultTwilioAccount, sandbox.DefaultTwilioToken, 404, `"code":20404`},
	} {
		r := httptest.NewRequest(test.method, test.path, nil)
		if test.user != "" {
			r.SetBasicAuth(test.user, test.token)
		}
		w := httptest.NewRecorder()
		tw.ServeHTTP(w, r)
		if w.Code != test.code || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s %s as %s: %d %s", test.method, test.path, test.user, w.Code, w.Body)
		}
	}
}

// TestTwilioPages goes through the list in pages of which new messages move
// nothing.
func TestTwilioPages(t *testing.T) {
	tw := newTwilio(t, sandbox.TwilioOptions{Now: fixedClock})
	anna := tw.Person("anna")
	var want []string
	for n := range 7 {
		sid, err := anna.Say(fmt.Sprint(n))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, sid)
	}
	slices.Reverse(want)
	var got []string
	next := twilioAccount + "/Messages.json?PageSize=3&DateSent=2026-07-25&To=" + url.QueryEscape(sandbox.DefaultTwilioNumber)
	for pages := 1; next != ""; pages++ {
		code, body := ask(t, tw, http.MethodGet, next, nil)
		var page struct {
			Messages []struct {
				SID string `json:"sid"`
			} `json:"messages"`
			Next string `json:"next_page_uri"`
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil || code != 200 {
			t.Fatal(code, err)
		}
		for _, m := range page.Messages {
			got = append(got, m.SID)
		}
		next = page.Next
		if _, err := anna.Say("in between"); err != nil || pages > 5 {
			t.Fatal(err, pages)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for query, n := range map[string]int{"DateSent=2026-07-24": 0, "DateSent%3E=2026-07-25": 10, "DateSent%3C=2026-07-24": 0, "From=%2B1": 0, "": 10} {
		_, body := ask(t, tw, http.MethodGet, twilioAccount+"/Messages.json?"+query, nil)
		if got := strings.Count(body, `"sid":`); got != n {
			t.Errorf("%q: %d messages", query, got)
		}
	}
}

// TestTwilioWebhooks are signed, tried again once, in parallel, and lost or doubled
// when told to.
func TestTwilioWebhooks(t *testing.T) {
	tw := newTwilio(t, sandbox.TwilioOptions{})
	var (
		mu      sync.Mutex
		bodies  []string
		refuse  atomic.Bool
		arrived = make(chan struct{}, 100)
		hook    *httptest.Server
	)
	hook = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, err := url.ParseQuery(string(body))
		signature := sandbox.SignTwilio(sandbox.DefaultTwilioToken, hook.URL+r.URL.RequestURI(), form)
		if err != nil || r.Header.Get("X-Twilio-Signature") != signature || r.Header.Get("I-Twilio-Idempotency-Token") == "" {
			t.Errorf("%v, headers %v", err, r.Header)
		}
		if refuse.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
		mu.Lock()
		bodies = append(bodies, string(body))
		mu.Unlock()
		arrived <- struct{}{}
	}))
	defer hook.Close()
	_, body := ask(t, tw, http.MethodGet, twilioAccount+"/IncomingPhoneNumbers.json?PhoneNumber="+url.QueryEscape(sandbox.DefaultTwilioNumber), nil)
	_, sid, _ := strings.Cut(body, `"sid":"`)
	sid, _, _ = strings.Cut(sid, `"`)
	if code, body := ask(t, tw, http.MethodPost, twilioAccount+"/IncomingPhoneNumbers/"+sid+".json", fields("SmsUrl", hook.URL+"/in?x=1")); code != 200 {
		t.Fatal(body)
	}
	say := func(n int) {
		t.Helper()
		if _, err := tw.Person("anna").Say("hello"); err != nil {
			t.Fatal(err)
		}
		for range n {
			<-arrived
		}
	}
	say(1)
	refuse.Store(true)
	say(2) // once more, and no more
	refuse.Store(false)
	tw.SetFaults(sandbox.TwilioFaults{Copies: 3})
	say(3)
	tw.SetFaults(sandbox.TwilioFaults{Redeliver: 1, JitterMS: 2})
	say(2)
	tw.SetFaults(sandbox.TwilioFaults{DropInbound: 1})
	say(0)
	mu.Lock()
	defer mu.Unlock()
	if len(bodies) != 8 || bodies[1] != bodies[2] || bodies[3] != bodies[5] || bodies[6] != bodies[7] || bodies[0] == bodies[1] {
		t.Errorf("%d webhooks: %q", len(bodies), bodies)
	}
}

func TestTwilioControl(t *testing.T) {
	tw := newTwilio(t, sandbox.TwilioOptions{})
	for _, test := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"POST", "/sandbox/twilio/say", `{"from":"anna","text":"hello"}`, 200, `{"sid":"SM`},
		{"POST", "/sandbox/twilio/say", `{"from":"Anna","text":"again","network":"whatsapp"}`, 200, `{"sid":"SM`},
		{"POST", "/sandbox/twilio/say", `{"text":"hello"}`, 400, `{"error":"sandbox: say who"}`},
		{"POST", "/sandbox/twilio/say", `{"from":"anna"}`, 400, `{"error":"sandbox: nothing to say"}`},
		{"POST", "/sandbox/twilio/say", `{"from":"anna","text":"x","network":"pigeon"}`, 400, `the network is`},
		{"POST", "/sandbox/twilio/say", `{"from":"anna","text":"x","sender":"+1"}`, 400, `has no sender`},
		{"POST", "/sandbox/twilio/say", `{"from":"anna","text":"x","network":"whatsapp","reply_to":"SM1"}`, 400, `no such message`},
		{"POST", "/sandbox/twilio/say", `nonsense`, 400, `error`},
		{"POST", "/sandbox/twilio/file", `{"from":"anna","name":"a.jpg","content":"SlBFRw==","text":"look"}`, 200, `{"sid":"MM`},
		{"POST", "/sandbox/twilio/location", `{"from":"anna","latitude":52.5,"longitude":13.4,"network":"whatsapp"}`, 200, `{"sid"`},
		{"POST", "/sandbox/twilio/location", `{"from":"anna","latitude":52.5,"longitude":13.4}`, 400, `SMS has text and files only`},
		{"POST", "/sandbox/twilio/press", `{"from":"anna","text":"Yes","data":"1","network":"whatsapp"}`, 200, `{"sid"`},
		{"POST", "/sandbox/twilio/read", `{"from":"anna","network":"whatsapp"}`, 200, `{"ok":true}`},
		{"POST", "/sandbox/twilio/read", `{"from":"anna"}`, 400, `what was read`},
		{"POST", "/sandbox/twilio/block", `{"from":"anna"}`, 200, `{"ok":true}`},
		{"POST", "/sandbox/twilio/dance", `{"from":"anna"}`, 404, ``},
		{"GET", "/sandbox/twilio/phone?who=anna", ``, 200, `"text":"look","files":["a.jpg"]`},
		{"GET", "/sandbox/twilio/phone?who=anna&network=whatsapp", ``, 200, `"text":"again"`},
		{"GET", "/sandbox/people", ``, 200, `[{"name":"anna","number":"+49`},
		{"POST", "/sandbox/faults", `{"hang_after":0.5,"next":["too_many"]}`, 200, `{"hang_after":0.5,"next":["too_many"]}`},
		{"GET", "/sandbox/faults", ``, 200, `{"hang_after":0.5,"next":["too_many"]}`},
		{"POST", "/sandbox/faults", `{"hang_afterwards":0.5}`, 400, `unknown field`},
		{"POST", "/sandbox/faults", `{"next":["nonsense"]}`, 400, `no fault is called`},
		{"POST", "/sandbox/faults", `{"hang_after":0.5,"too_many":0.6}`, 400, `the shares sum to 1.1`},
		{"POST", "/sandbox/faults", `{"drop_status":2}`, 400, `not between 0 and 1`},
		{"GET", "/sandbox/log?after=1", ``, 200, `{"seq":2,`},
	} {
		r := httptest.NewRequest(test.method, "http://127.0.0.1"+test.path, strings.NewReader(test.body))
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		tw.ServeHTTP(w, r)
		if w.Code != test.code || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s %s %s: %d %s, want %d %s", test.method, test.path, test.body, w.Code, w.Body, test.code, test.want)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/sandbox/people", nil)
	r.RemoteAddr = "192.0.2.1:1"
	w := httptest.NewRecorder()
	if tw.ServeHTTP(w, r); w.Code != http.StatusNotFound {
		t.Errorf("another machine got %d", w.Code)
	}
}

// TestTwilioRates answers 429 beyond the rate.
func TestTwilioRates(t *testing.T) {
	tw := newTwilio(t, sandbox.TwilioOptions{Now: fixedClock, Rate: 2})
	send := func() int {
		code, _ := ask(t, tw, http.MethodPost, twilioAccount+"/Messages.json", fields("To", "+4915112345678", "From", sandbox.DefaultTwilioNumber, "Body", "hi"))
		return code
	}
	if got := []int{send(), send(), send()}; !slices.Equal(got, []int{201, 201, 429}) {
		t.Errorf("got %v", got)
	}
}

// TestTwilioLog is written as it grows.
func TestTwilioLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "twilio.jsonl")
	tw := newTwilio(t, sandbox.TwilioOptions{LogPath: path})
	sid, err := tw.Person("anna").Say("hello")
	if err != nil {
		t.Fatal(err)
	}
	var e sandbox.TwilioEntry
	line, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(line), "\n")
	if err := json.Unmarshal([]byte(first), &e); err != nil || e.Seq != 1 || e.What != sandbox.LogWrote || e.SID != sid || e.Text != "hello" {
		t.Errorf("%q: %+v, %v", line, e, err)
	}
	if _, err := sandbox.NewTwilio(sandbox.TwilioOptions{LogPath: t.TempDir()}); err == nil {
		t.Error("a folder was taken for a log")
	}
}
