package twilio_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
)

const (
	messageSID = "MM00000000000000000000000000000001"
	mediaRef   = "https://api.twilio.com/2010-04-01/Accounts/" + accountSID + "/Messages/" + messageSID + "/Media/ME00000000000000000000000000000001"
)

func TestOpenMedia(t *testing.T) {
	tw, number, in := standIn(t, sandbox.TwilioOptions{Faults: sandbox.TwilioFaults{MediaLate: 2}}, events.SMS, nil)
	if err := number.Connect(t.Context(), in.url(t)); err != nil {
		t.Fatal(err)
	}
	must(tw.Person("anna").Post(sandbox.TwilioPost{Files: []sandbox.File{{Name: "a b.pdf", Content: []byte("PDF content")}}}))
	file := in.next(t).Content.Attachments[0]
	for range 2 {
		// Not there yet is worth another try.
		if _, err := number.OpenMedia(t.Context(), file.Ref); err == nil || errors.Is(err, transports.ErrMediaGone) || errors.Is(err, transports.ErrCredentials) {
			t.Errorf("got %v", err)
		}
	}
	media, err := number.OpenMedia(t.Context(), file.Ref)
	if err != nil {
		t.Fatal(err)
	}
	content := must(io.ReadAll(media))
	if err := media.Close(); err != nil || string(content) != "PDF content" || media.Size != 11 || media.MIME != "application/pdf" || media.Name != "a b.pdf" {
		t.Errorf("%q %+v %v", content, media, err)
	}
}

// TestOpenMediaAsksTwilioOnly is tried with addresses that no webhook should have,
// signed as they may be.
func TestOpenMediaAsksTwilioOnly(t *testing.T) {
	for _, ref := range []string{
		"", "/etc/passwd", "..", "https://evil.example/", "https://evil.example" + strings.TrimPrefix(mediaRef, "https://api.twilio.com"),
		strings.Replace(mediaRef, "https:", "http:", 1), strings.Replace(mediaRef, "api.twilio.com", "api.twilio.com.evil.example", 1),
		strings.Replace(mediaRef, "api.twilio.com", "api.twilio.com@evil.example", 1), strings.Replace(mediaRef, "api.twilio.com", "user:pass@api.twilio.com", 1),
		strings.Replace(mediaRef, "api.twilio.com", "api.twilio.com:8443", 1), strings.Replace(mediaRef, "api.twilio.com", "evil.twilio.com", 1),
		mediaRef + "/../../Balance.json", mediaRef + "?x=1", mediaRef + "#x", mediaRef + "%2f..", strings.Replace(mediaRef, "/Media/", "/Balance/", 1),
		"https://api.twilio.com/2010-04-01/Accounts/" + accountSID + "/Balance.json", "https://api.twilio.com/x/" + strings.TrimPrefix(mediaRef, "https://api.twilio.com/"),
		"http://169.254.169.254/latest/meta-data", "SM1/Media/ME1",
	} {
		api := &fakeAPI{}
		if _, err := newNumber(t, api.client(), events.SMS).OpenMedia(t.Context(), ref); err == nil || len(api.took()) > 0 {
			t.Errorf("%q: %v, requests %q", ref, err, api.took())
		} else {
			checkRedacted(t, err)
		}
	}
	for _, host := range []string{"api.twilio.com", "api.dublin.ie1.twilio.com"} {
		api := &fakeAPI{answers: []fakeAnswer{{status: 200, body: "x", header: http.Header{"Content-Type": {"image/png"}}}}}
		media, err := newNumber(t, api.client(), events.SMS).OpenMedia(t.Context(), strings.Replace(mediaRef, "api.twilio.com", host, 1))
		if err != nil || media.MIME != "image/png" || !strings.Contains(api.took()[0], "\nas "+accountSID) {
			t.Errorf("%s: %+v, %v", host, media, err)
			continue
		}
		_ = media.Close()
	}
}

func TestOpenMediaRedirects(t *testing.T) {
	to := func(location string) fakeAnswer {
		return fakeAnswer{status: 307, header: http.Header{"Location": {location}}}
	}
	ok := fakeAnswer{status: 200, body: "x"}
	for _, test := range []struct {
		name    string
		answers []fakeAnswer
		want    bool
	}{
		{"the CDN", []fakeAnswer{to("https://mms.twiliocdn.com/AC1/x?Expires=1"), ok}, true},
		{"the CDN, twice", []fakeAnswer{to("https://media.twiliocdn.com/AC1/x"), to("/other"), ok}, true},
		{"the bucket", []fakeAnswer{to("https://s3-external-1.amazonaws.com/media.twiliocdn.com/AC1/x"), ok}, true},
		{"another bucket", []fakeAnswer{to("https://s3-external-1.amazonaws.com/evil/AC1/x")}, false},
		{"out of the bucket", []fakeAnswer{to("https://s3-external-1.amazonaws.com/media.twiliocdn.com/../evil/x")}, false},
		{"elsewhere", []fakeAnswer{to("https://evil.example/x")}, false},
		{"a name like it", []fakeAnswer{to("https://eviltwiliocdn.com/x")}, false},
		{"without TLS", []fakeAnswer{to("http://mms.twiliocdn.com/x")}, false},
		{"inside", []fakeAnswer{to("http://127.0.0.1/x")}, false},
		{"with a user", []fakeAnswer{to("https://a:b@mms.twiliocdn.com/x")}, false},
		{"from the CDN elsewhere", []fakeAnswer{to("https://mms.twiliocdn.com/x"), to("https://evil.example/x")}, false},
		{"nowhere", []fakeAnswer{to("")}, false},
		{"for ever", []fakeAnswer{to("https://mms.twiliocdn.com/1"), to("https://mms.twiliocdn.com/2"), to("https://mms.twiliocdn.com/3"), to("https://mms.twiliocdn.com/4")}, false},
	} {
		api := &fakeAPI{answers: test.answers}
		media, err := newNumber(t, api.client(), events.SMS).OpenMedia(t.Context(), mediaRef)
		checkRedacted(t, err)
		if (err == nil) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
		if err == nil {
			_ = media.Close()
		}
		for i, request := range api.took() {
			if strings.Contains(request, "without credentials") != (i > 0) || strings.Contains(request, "evil") {
				t.Errorf("%s: request %d is %s", test.name, i, request)
			}
		}
	}
}

func TestOpenMediaFailures(t *testing.T) {
	redirect := fakeAnswer{status: 307, header: http.Header{"Location": {"https://mms.twiliocdn.com/x"}}}
	throttled := fakeAnswer{status: 429, body: `{"code":20429,"message":"Too Many Requests"}`, header: http.Header{"Retry-After": {"3"}}}
	for _, test := range []struct {
		name    string
		answers []fakeAnswer
		want    error // nil for any that is worth another try
	}{
		{"not there yet", []fakeAnswer{{status: 404, body: `{"code":20404,"message":"not found"}`}}, nil},
		{"gone", []fakeAnswer{{status: 410}}, transports.ErrMediaGone},
		{"credentials", []fakeAnswer{{status: 401, body: `{"code":20003,"message":"Authenticate"}`}}, transports.ErrCredentials},
		{"the storage refuses", []fakeAnswer{redirect, {status: 403, body: "<Error>"}}, nil},
		{"the storage refuses with 401", []fakeAnswer{redirect, {status: 401, body: "<Error>"}}, nil},
		{"too large, as it says", []fakeAnswer{redirect, {status: 200, body: strings.Repeat("x", 16<<20+1)}}, transports.ErrMediaTooLarge},
		{"throttled", []fakeAnswer{throttled}, nil},
		{"internal error", []fakeAnswer{{status: 500}}, nil},
		{"network", []fakeAnswer{{err: errors.New("as " + authToken)}}, nil},
	} {
		api := &fakeAPI{answers: test.answers}
		media, err := newNumber(t, api.client(), events.SMS).OpenMedia(t.Context(), mediaRef)
		if err == nil {
			_ = media.Close()
		}
		checkRedacted(t, err)
		final := errors.Is(err, transports.ErrMediaTooLarge) || errors.Is(err, transports.ErrMediaGone) || errors.Is(err, transports.ErrCredentials)
		switch {
		case err == nil, test.want != nil && !errors.Is(err, test.want), test.want == nil && final:
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
		var wait *transports.RetryAfterError
		if test.name == "throttled" && (!errors.As(err, &wait) || wait.After != 3*time.Second) {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
}
