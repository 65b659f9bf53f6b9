package twilio_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/transports"
)

// one is a message of the list.
type one struct {
	sid, direction, from, body, media, service string
	// after is when it was made, from the send on.
	after time.Duration
}

func TestSettle(t *testing.T) {
	const number = "+15005550006"
	ours := one{"SM1", "outbound-api", number, "hi", "0", "", time.Second}
	later := ours
	later.sid, later.after = "SM2", 30*time.Second
	for _, test := range []struct {
		name string
		sent transports.Outbound
		ago  time.Duration
		list []one
		// skew is how far Twilio's clock is ahead.
		skew time.Duration
		want string // the SID, "none" for proof of the opposite, empty for neither
	}{
		{"there", text(anna, "hi", "r"), time.Minute, []one{ours}, 0, "SM1"},
		{"there, by a fast clock", text(anna, "hi", "r"), time.Minute, []one{ours}, 20 * time.Minute, "SM1"},
		{"there, by a slow clock", text(anna, "hi", "r"), time.Minute, []one{ours}, -20 * time.Minute, "SM1"},
		{"nothing there", text(anna, "hi", "r"), 5 * time.Minute, nil, 0, "none"},
		{"nothing there yet", text(anna, "hi", "r"), time.Minute, nil, 0, ""},
		{"older ones only", text(anna, "hi", "r"), 5 * time.Minute, []one{{"SM0", "outbound-api", number, "hi", "0", "", -time.Minute}}, 0, "none"},
		{"later ones only", text(anna, "hi", "r"), 30 * time.Minute, []one{{"SM0", "outbound-api", number, "hi", "0", "", 20 * time.Minute}}, 0, "none"},
		{"what she wrote only", text(anna, "hi", "r"), 5 * time.Minute, []one{{"SM0", "inbound", anna, "hi", "0", "", time.Second}}, 0, "none"},
		{"nothing there, by a clock far off", text(anna, "hi", "r"), 5 * time.Minute, nil, 2 * time.Hour, ""},
		{"there, by a clock far off", text(anna, "hi", "r"), 5 * time.Minute, []one{ours}, -2 * time.Hour, ""},
		{"twice the same", text(anna, "hi", "r"), 5 * time.Minute, []one{later, ours}, 0, ""},
		{"another text", text(anna, "ho", "r"), 5 * time.Minute, []one{ours}, 0, ""},
		{"just before", text(anna, "hi", "r"), 5 * time.Minute, []one{{"SM0", "outbound-api", number, "hi", "0", "", -6 * time.Second}}, 0, ""},
		{"from another number", text(anna, "hi", "r"), 5 * time.Minute, []one{{"SM0", "outbound-api", "+15005550001", "hi", "0", "", time.Second}}, 0, ""},
		{"a file more", text(anna, "hi", "r"), 5 * time.Minute, []one{{"SM0", "outbound-api", number, "hi", "1", "", time.Second}}, 0, ""},
		{
			"files",
			transports.Outbound{To: anna, Part: transports.Part{Text: "hi", Attachment: image(1), Album: []transports.File{*image(1)}}},
			5 * time.Minute,
			[]one{{"MM1", "outbound-api", number, "hi", "2", "", time.Second}},
			0, "MM1",
		},
		{"a template, perhaps", transports.Outbound{To: anna, Template: &transports.Template{ID: templateID}}, 5 * time.Minute, []one{ours}, 0, ""},
		{"no template", transports.Outbound{To: anna, Template: &transports.Template{ID: templateID}}, 5 * time.Minute, nil, 0, "none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := time.Now().Add(-test.ago)
			var list []string
			for _, m := range test.list {
				list = append(list, fmt.Sprintf(`{"sid":%q,"direction":%q,"from":%q,"to":%q,"body":%q,"num_media":%q,"messaging_service_sid":null,"status":"sent","date_created":%q,"date_sent":null}`,
					m.sid, m.direction, m.from, anna, m.body, m.media, at.Add(m.after).Add(test.skew).UTC().Format(time.RFC1123Z)))
			}
			api := &fakeAPI{answers: []fakeAnswer{{
				status: 200, body: `{"messages":[` + strings.Join(list, ",") + `],"next_page_uri":null}`,
				header: http.Header{"Date": {time.Now().Add(test.skew).UTC().Format(http.TimeFormat)}},
			}}}
			receipt, err := newNumber(t, api.client(), events.SMS).Settle(t.Context(), test.sent, at)
			checkRedacted(t, err)
			switch test.want {
			case "":
				if err == nil || errors.Is(err, transports.ErrNotFound) {
					t.Errorf("%+v, %v: that is no proof", receipt, err)
				}
			case "none":
				if !errors.Is(err, transports.ErrNotFound) {
					t.Errorf("%+v, %v", receipt, err)
				}
			default:
				if err != nil || receipt.ProviderID != test.want || receipt.Chat != anna || receipt.AcceptedAt.IsZero() {
					t.Errorf("%+v, %v", receipt, err)
				}
			}
			if got := api.took()[0]; !strings.HasPrefix(got, "GET https://api.twilio.com/2010-04-01/Accounts/"+accountSID+"/Messages.json?PageSize=100&To=%2B4915112345678\n") {
				t.Errorf("asked for %s", got)
			}
		})
	}
}

// TestPagesStayHome follows pages, but takes nothing of their addresses but the
// query: the credentials go where they went before.
func TestPagesStayHome(t *testing.T) {
	date := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
	api := &fakeAPI{answers: []fakeAnswer{
		{status: 200, header: date, body: `{"messages":[],"next_page_uri":"https://evil.example/2010-04-01/x?Page=1&PageToken=PASM1"}`},
		{status: 200, body: `{"messages":[],"next_page_uri":null}`},
	}}
	if _, err := newNumber(t, api.client(), events.SMS).Settle(t.Context(), text(anna, "hi", "r"), time.Now().Add(-time.Hour)); !errors.Is(err, transports.ErrNotFound) {
		t.Error(err)
	}
	if got := api.took(); len(got) != 2 || !strings.HasPrefix(got[1], "GET https://api.twilio.com/2010-04-01/Accounts/"+accountSID+"/Messages.json?Page=1&PageToken=PASM1\n") {
		t.Errorf("asked for %q", got)
	}
}

// TestNoProofWithoutAClock takes a list of no known time for nothing.
func TestNoProofWithoutAClock(t *testing.T) {
	api := &fakeAPI{answers: []fakeAnswer{{status: 200, body: `{"messages":[],"next_page_uri":null}`}}}
	_, err := newNumber(t, api.client(), events.SMS).Settle(t.Context(), text(anna, "hi", "r"), time.Now().Add(-time.Hour))
	if err == nil || errors.Is(err, transports.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
