package twilio_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/transports"
	"parley/transports/twilio"
)

const (
	accepted   = `{"sid":"SM00000000000000000000000000000001","status":"queued","date_created":"Mon, 02 Nov 2026 15:04:05 +0000","to":"+4915112345678","error_code":null,"num_media":"0"}`
	createURL  = "POST https://api.twilio.com/2010-04-01/Accounts/" + accountSID + "/Messages.json\nas " + accountSID
	imageURL   = "https://parley.example/media/unguessable"
	templateID = "HX00000000000000000000000000000001"
)

func image(size int64) *transports.File {
	return &transports.File{Kind: events.Photo, Name: "a.png", MIME: "image/png", Size: size, URL: imageURL}
}

func TestSendRequests(t *testing.T) {
	for _, test := range []struct {
		name    string
		network events.Transport
		change  func(*transports.Account)
		part    transports.Outbound
		want    []string // fields
	}{
		{
			"text", events.SMS, nil, text(anna, "Grüße & more", "ref-1"),
			[]string{"Body=Grüße & more", "From=+15005550006", "StatusCallback=" + hookURL + "?parley_ref=ref-1", "To=" + anna},
		},
		{
			"from a service", events.SMS,
			func(a *transports.Account) {
				a.Channel.Settings["from"], a.Channel.Settings["messaging_service_sid"] = "", serviceSID
			},
			text(anna, "hi", ""),
			[]string{"Body=hi", "MessagingServiceSid=" + serviceSID, "StatusCallback=" + hookURL, "To=" + anna},
		},
		{
			"without a public URL", events.SMS, func(a *transports.Account) { a.PublicURL = "" }, text(anna, "hi", "ref-1"),
			[]string{"Body=hi", "From=+15005550006", "To=" + anna},
		},
		{
			"to a short code", events.SMS, nil, text("72975", "hi", "a b"),
			[]string{"Body=hi", "From=+15005550006", "StatusCallback=" + hookURL + "?parley_ref=a+b", "To=72975"},
		},
		{
			"files", events.SMS, nil,
			transports.Outbound{To: anna, Part: transports.Part{Text: "look", Attachment: image(5<<20 - 3), Album: []transports.File{*image(1), *image(2)}}},
			[]string{"Body=look", "From=+15005550006", "MediaUrl=" + imageURL + "," + imageURL + "," + imageURL, "StatusCallback=" + hookURL, "To=" + anna},
		},
		{
			"on WhatsApp", events.WhatsApp, nil, text(anna, "hi", "ref-1"),
			[]string{"Body=hi", "From=whatsapp:+15005550007", "StatusCallback=" + hookURL + "?parley_ref=ref-1", "To=whatsapp:" + anna},
		},
		{
			"to a hidden number", events.WhatsApp, nil, text("US.13491208655302741918", "hi", ""),
			[]string{"Body=hi", "From=whatsapp:+15005550007", "StatusCallback=" + hookURL, "To=whatsapp:US.13491208655302741918"},
		},
		{
			"a template", events.WhatsApp, nil,
			transports.Outbound{To: anna, Template: &transports.Template{ID: templateID, Variables: map[string]string{"2": "b", "1": "a"}}},
			[]string{`ContentSid=` + templateID, `ContentVariables={"1":"a","2":"b"}`, "From=whatsapp:+15005550007", "StatusCallback=" + hookURL, "To=whatsapp:" + anna},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := &fakeAPI{answers: []fakeAnswer{{status: 201, body: accepted}}}
			a := account(api.client(), test.network)
			if test.change != nil {
				test.change(&a)
			}
			receipt, err := build(t, a).Send(t.Context(), test.part)
			if err != nil {
				t.Fatal(err)
			}
			if receipt.ProviderID != "SM00000000000000000000000000000001" || receipt.Chat == "" || !receipt.AcceptedAt.Equal(time.Date(2026, 11, 2, 15, 4, 5, 0, time.UTC)) {
				t.Errorf("receipt %+v", receipt)
			}
			slices.Sort(test.want)
			if got, want := strings.Join(api.took(), "\n--\n"), createURL+"\n"+strings.Join(test.want, "\n"); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// TestWhatIsNotSent is refused before anything leaves.
func TestWhatIsNotSent(t *testing.T) {
	local := func(a *transports.Account) { a.Channel.Settings["from"] = "+4915550006000" }
	for _, test := range []struct {
		name    string
		network events.Transport
		change  func(*transports.Account)
		part    transports.Outbound
		words   string
	}{
		{"to a name", events.SMS, nil, text("MyBank", "hi", ""), "no phone number"},
		{"to nobody", events.SMS, nil, text("", "hi", ""), "no phone number"},
		{"to a short code on WhatsApp", events.WhatsApp, nil, text("72975", "hi", ""), "no phone number"},
		{"nothing", events.SMS, nil, text(anna, " \n", ""), "empty"},
		{"too much", events.SMS, nil, text(anna, strings.Repeat("😀", 801), ""), "1600"},
		{"a file where there is no MMS", events.SMS, local, transports.Outbound{To: anna, Part: transports.Part{Attachment: image(1)}}, "text only"},
		{"a file too large", events.SMS, nil, transports.Outbound{To: anna, Part: transports.Part{Attachment: image(5<<20 + 1)}}, "bytes"},
		{"a file without address", events.SMS, nil, transports.Outbound{To: anna, Part: transports.Part{Attachment: &transports.File{Kind: events.Photo}}}, "public URL"},
		{"files too large together", events.SMS, nil, transports.Outbound{To: anna, Part: transports.Part{Attachment: image(5 << 20), Album: []transports.File{*image(1)}}}, "5242881 bytes together"},
		{"two files on WhatsApp", events.WhatsApp, nil, transports.Outbound{To: anna, Part: transports.Part{Attachment: image(1), Album: []transports.File{*image(1)}}}, "2 files"},
		{"a template of no id", events.WhatsApp, nil, transports.Outbound{To: anna, Template: &transports.Template{}}, "no id"},
	} {
		api := &fakeAPI{}
		a := account(api.client(), test.network)
		if test.change != nil {
			test.change(&a)
		}
		_, err := build(t, a).Send(t.Context(), test.part)
		if e := outcome(t, err); e.Outcome != transports.Rejected || !strings.Contains(e.Words, test.words) || len(api.took()) > 0 {
			t.Errorf("%s: %+v", test.name, e)
		}
	}
}

func TestSendFailures(t *testing.T) {
	refused := func(status, code int, words string) fakeAnswer {
		return fakeAnswer{status: status, body: `{"code":` + strconv.Itoa(code) + `,"message":"` + words + `","more_info":"https://www.twilio.com/docs/errors/1","status":` + strconv.Itoa(status) + `}`}
	}
	throttled := refused(429, 20429, "Too Many Requests")
	throttled.header = http.Header{"Retry-After": {"30"}}
	for _, test := range []struct {
		name   string
		answer fakeAnswer
		want   transports.SendError
	}{
		{"20003", refused(401, 20003, "Authenticate"), transports.SendError{Outcome: transports.Retry, Code: "20003", Credentials: true}},
		{"a 401 of a proxy", fakeAnswer{status: 401, body: "<html>"}, transports.SendError{Outcome: transports.Retry, Code: "401", Credentials: true}},
		{"20005", refused(403, 20005, "Account not active"), transports.SendError{Outcome: transports.Retry, Code: "20005", Credentials: true}},
		{"20404", refused(404, 20404, "not found"), transports.SendError{Outcome: transports.Retry, Code: "20404", Credentials: true}},
		{"20429", throttled, transports.SendError{Outcome: transports.Retry, Code: "20429", RetryAfter: 30 * time.Second, Throttled: transports.AccountThrottled}},
		{"429 without a code", fakeAnswer{status: 429}, transports.SendError{Outcome: transports.Retry, Code: "429", Throttled: transports.AccountThrottled}},
		{"30001", refused(400, 30001, "Queue overflow"), transports.SendError{Outcome: transports.Retry, Code: "30001", Throttled: transports.AccountThrottled}},
		{"63018", refused(400, 63018, "Rate limit"), transports.SendError{Outcome: transports.Retry, Code: "63018", Throttled: transports.PersonThrottled}},
		{"21211", refused(400, 21211, "Invalid To"), transports.SendError{Outcome: transports.Rejected, Code: "21211", Unreachable: true}},
		{"21408", refused(400, 21408, "Permission"), transports.SendError{Outcome: transports.Rejected, Code: "21408"}},
		{"21610", refused(400, 21610, "unsubscribed"), transports.SendError{Outcome: transports.Rejected, Code: "21610", Unreachable: true, OptedOut: true}},
		{"21614", refused(400, 21614, "not mobile"), transports.SendError{Outcome: transports.Rejected, Code: "21614", Unreachable: true}},
		{"21617", refused(400, 21617, "too long"), transports.SendError{Outcome: transports.Rejected, Code: "21617"}},
		{"30005", refused(400, 30005, "unknown"), transports.SendError{Outcome: transports.Rejected, Code: "30005", Unreachable: true}},
		{"30006", refused(400, 30006, "landline"), transports.SendError{Outcome: transports.Rejected, Code: "30006", Unreachable: true}},
		{"63016", refused(400, 63016, "window"), transports.SendError{Outcome: transports.Rejected, Code: "63016"}},
		{"a code nobody knows", refused(400, 98765, "Something new"), transports.SendError{Outcome: transports.Rejected, Code: "98765", Words: "Something new"}},
		{"500", refused(500, 20500, "Internal"), transports.SendError{Outcome: transports.Unknown, Code: "20500"}},
		{"503", fakeAnswer{status: 503, body: "<html>"}, transports.SendError{Outcome: transports.Unknown, Code: "503"}},
		{"408", fakeAnswer{status: 408}, transports.SendError{Outcome: transports.Unknown, Code: "408"}},
		{"a proxy's page", fakeAnswer{status: 403, body: "<html>"}, transports.SendError{Outcome: transports.Retry, Code: "403"}},
		{"a redirect", fakeAnswer{status: 307, header: http.Header{"Location": {"https://evil.example/"}}}, transports.SendError{Outcome: transports.Retry, Code: "307"}},
		{"a success of something else", fakeAnswer{status: 200, body: "<html>"}, transports.SendError{Outcome: transports.Unknown, Words: "did not say as which"}},
		{"a success without sid", fakeAnswer{status: 201, body: "{}"}, transports.SendError{Outcome: transports.Unknown, Words: "did not say as which"}},
		{"the network, before", fakeAnswer{err: errors.New("no route to " + hookURL), unread: true}, transports.SendError{Outcome: transports.Retry}},
		{"the network, after", fakeAnswer{err: errors.New("reset, of " + authToken)}, transports.SendError{Outcome: transports.Unknown}},
		{"words with secrets", refused(400, 21609, "The StatusCallback URL "+hookURL+" is no URL, says "+authToken), transports.SendError{Outcome: transports.Rejected, Code: "21609"}},
		{"unknown words with secrets", refused(400, 98765, hookURL+" "+authToken), transports.SendError{Outcome: transports.Rejected, Code: "98765", Words: "[redacted]"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := &fakeAPI{answers: []fakeAnswer{test.answer}}
			_, err := newNumber(t, api.client(), events.SMS).Send(t.Context(), text(anna, "hi", "r"))
			e := outcome(t, err)
			for _, secret := range secrets {
				if strings.Contains(e.Words, secret) {
					t.Errorf("a secret is in %q", e.Words)
				}
			}
			if e.Words == "" || !strings.Contains(e.Words, test.want.Words) {
				t.Errorf("words %q", e.Words)
			}
			e.Words, test.want.Words = "", ""
			e.Err = nil
			if e != test.want {
				t.Errorf("got %+v, want %+v", e, test.want)
			}
		})
	}
}

// TestErrorTable holds the table to its own rules.
func TestErrorTable(t *testing.T) {
	source := string(must(os.ReadFile("errortable.go")))
	codes := regexp.MustCompile(`(?m)^\t\t(\d{5}):`).FindAllStringSubmatch(source, -1)
	if len(codes) < 80 {
		t.Fatalf("%d codes", len(codes))
	}
	for _, code := range codes {
		api := &fakeAPI{answers: []fakeAnswer{{status: 400, body: `{"code":` + code[1] + `,"message":"from Twilio","status":400}`}}}
		_, err := newNumber(t, api.client(), events.SMS).Send(t.Context(), text(anna, "hi", "r"))
		e := outcome(t, err)
		if e.Outcome == transports.Unknown || e.Code != code[1] || strings.Contains(e.Words, "from Twilio") || e.Words == "" {
			t.Errorf("%s: %+v", code[1], e)
		}
		if e.Credentials && e.Outcome != transports.Retry || e.Unreachable && e.Outcome != transports.Rejected {
			t.Errorf("%s: %+v contradicts itself", code[1], e)
		}
	}
}

// TestCertainlyNotSent is when nothing can have been accepted.
func TestCertainlyNotSent(t *testing.T) {
	listener := must((&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"))
	closed := "http://" + listener.Addr().String()
	_ = listener.Close()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	a := account(client, events.SMS)
	a.Channel.Settings["api_url"] = closed
	_, err := build(t, a).Send(t.Context(), text(anna, "hi", "r"))
	if e := outcome(t, err); e.Outcome != transports.Retry {
		t.Errorf("refused connection: %+v", e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = build(t, a).Send(ctx, text(anna, "hi", "r"))
	if e := outcome(t, err); e.Outcome != transports.Retry || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %+v", e)
	}
}

func TestNewSaysWhatToSet(t *testing.T) {
	set := func(name, value string) func(*transports.Account) {
		return func(a *transports.Account) { a.Channel.Settings[name] = value }
	}
	for _, test := range []struct {
		name   string
		change func(*transports.Account)
		want   string // in the error; empty for none
	}{
		{"as is", func(*transports.Account) {}, ""},
		{"a service too", set("messaging_service_sid", serviceSID), ""},
		{"own server", set("api_url", "http://127.0.0.1:8081/twilio/"), ""},
		{"a name", set("from", "My Shop"), ""},
		{"a short code", set("from", "72975"), ""},
		{"no client", func(a *transports.Account) { a.HTTPClient = nil }, "HTTP client"},
		{"another network", func(a *transports.Account) { a.Channel.Transport = events.Telegram }, "transport"},
		{"no token", func(a *transports.Account) { a.Secrets = nil }, `"auth_token"`},
		{"only the next token", func(a *transports.Account) { a.Secrets = map[string]string{"auth_token_next": nextToken} }, `"auth_token"`},
		{"a token of another kind", func(a *transports.Account) { a.Secrets["auth_token"] = "a b c d e f g h i j" }, `"auth_token"`},
		{"an odd next token", func(a *transports.Account) { a.Secrets["auth_token_next"] = "x" }, `"auth_token_next"`},
		{"no account", set("account_sid", ""), `"account_sid"`},
		{"an odd account", set("account_sid", "AC/../x"), `"account_sid"`},
		{"nothing to send from", set("from", ""), `"from"`},
		{"an odd sender", set("from", "+49 (0) 151"), `"from"`},
		{"an odd service", set("messaging_service_sid", "MG1"), `"messaging_service_sid"`},
		{"a short code on WhatsApp", func(a *transports.Account) {
			a.Channel.Transport = events.WhatsApp
			a.Channel.Settings["from"] = "72975"
		}, `"from"`},
		{"api_url", set("api_url", "ftp://x"), `"api_url"`},
		{"api_url with a password", set("api_url", "https://"+accountSID+":"+authToken+"@api.twilio.com"), `"api_url"`},
		{"webhook", set("webhook", "maybe"), `"webhook"`},
		{"mms", set("mms", "maybe"), `"mms"`},
		{"rate", set("rate", "-1"), `"rate"`},
	} {
		a := account(&http.Client{}, events.SMS)
		test.change(&a)
		_, err := twilio.New(a)
		checkRedacted(t, err)
		if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

func TestCapabilities(t *testing.T) {
	caps := func(network events.Transport, settings map[string]string, public string) transports.Capabilities {
		a := account(&http.Client{}, network)
		a.PublicURL = public
		for name, value := range settings {
			a.Channel.Settings[name] = value
		}
		return build(t, a).Capabilities()
	}
	if c := caps(events.SMS, map[string]string{"from": "+4915550006000"}, publicURL); len(c.Attachments) > 0 || c.MaxCaption > 0 || c.FetchesMedia || c.ReplyWindow != transports.NoReplyWindow {
		t.Errorf("a German number has %+v", c)
	}
	if c := caps(events.SMS, map[string]string{"from": "+4915550006000", "mms": "on"}, publicURL); c.Attachments[events.Photo] != 5<<20 || c.Album != 10 || c.AlbumBytes != 5<<20 || !c.FetchesMedia {
		t.Errorf("with mms on %+v", c)
	}
	if c := caps(events.SMS, map[string]string{"mms": "off", "rate": "3"}, ""); len(c.Attachments) > 0 || c.DeliveryReceipts || c.Rate.Messages != 3 {
		t.Errorf("without public URL %+v", c)
	}
	if c := caps(events.WhatsApp, map[string]string{"rate": "0"}, publicURL); !c.Templates || !c.ReadReceipts || c.Album != 0 || c.Rate != (transports.Rate{}) || c.OptOut {
		t.Errorf("WhatsApp %+v", c)
	}
}
