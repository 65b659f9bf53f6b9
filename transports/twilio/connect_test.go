package twilio_test

import (
	"strings"
	"testing"

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
)

func TestConnectElsewhere(t *testing.T) {
	opts := func() sandbox.TwilioOptions {
		return sandbox.TwilioOptions{
			Senders: []sandbox.TwilioSender{
				{Address: "+15005550001"},
				{Address: "+15005550006"},
				{Address: "72975"},
				{Address: "Shop"},
				{Address: "whatsapp:+15005550008"},
				{Address: "whatsapp:+15005550007"},
				{Address: "whatsapp:+14155238886", Unlisted: true},
			},
			Services: map[string]sandbox.TwilioService{serviceSID: {Name: "Shop", Senders: []string{"+15005550001"}}},
		}
	}
	for _, test := range []struct {
		name    string
		network events.Transport
		from    string
		service string
		manual  bool
		// want is empty where nothing is set, and words are of an error.
		want  bool
		words string
	}{
		{"a number", events.SMS, "+15005550006", "", false, true, ""},
		{"a short code", events.SMS, "72975", "", false, true, ""},
		{"a name", events.SMS, "Shop", "", false, false, ""},
		{"a service", events.SMS, "", serviceSID, false, true, ""},
		{"a WhatsApp sender of the second page", events.WhatsApp, "+15005550007", "", false, true, ""},
		{"the WhatsApp sandbox", events.WhatsApp, "+14155238886", "", false, false, "manual"},
		{"the WhatsApp sandbox, by hand", events.WhatsApp, "+14155238886", "", true, false, ""},
		{"somebody else's number", events.SMS, "+15005550999", "", false, false, `"from"`},
		{"no service", events.SMS, "", "MG" + strings.Repeat("1", 32), false, false, "no such sender"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, number, in := standIn(t, opts(), test.network, func(a *transports.Account) {
				settings := a.Channel.Settings
				settings["from"], settings["messaging_service_sid"] = test.from, test.service
				if test.manual {
					settings["webhook"] = "manual"
				}
			})
			for range 2 {
				err := number.Connect(t.Context(), in.url(t))
				if (err == nil) != (test.words == "") || (err != nil && !strings.Contains(err.Error(), test.words)) {
					t.Errorf("Connect: %v", err)
				}
			}
			report, err := number.Check(t.Context())
			if err != nil || (report.WebhookURL == in.url(t)) != test.want {
				t.Errorf("Check: %+v, %v", report, err)
			}
		})
	}
	t.Run("leaves alone what points elsewhere", func(t *testing.T) {
		tw, number, _ := standIn(t, sandbox.TwilioOptions{Senders: []sandbox.TwilioSender{{Address: "+15005550006", Webhook: "https://else.example/"}}}, events.SMS, nil)
		_ = tw
		if err := number.Connect(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if report := must(number.Check(t.Context())); report.WebhookURL != "https://else.example/" {
			t.Errorf("report %+v", report)
		}
	})
}

func TestRotation(t *testing.T) {
	for _, valid := range []string{authToken, nextToken} {
		tw, number, in := standIn(t, sandbox.TwilioOptions{Account: accountSID, Token: valid}, events.SMS, func(a *transports.Account) {
			a.Secrets["auth_token_next"] = nextToken
		})
		if err := number.Connect(t.Context(), in.url(t)); err != nil {
			t.Fatal(err)
		}
		must(tw.Person("anna").Post(sandbox.TwilioPost{Files: []sandbox.File{{Content: []byte("x")}}}))
		ev := in.next(t)
		media, err := number.OpenMedia(t.Context(), ev.Content.Attachments[0].Ref)
		if err != nil {
			t.Fatal(err)
		}
		_ = media.Close()
		if _, err := number.Send(t.Context(), text(ev.Person.Address, "hi", "")); err != nil {
			t.Error(err)
		}
		if n := len(logged(tw, sandbox.LogSent)); n != 1 {
			t.Errorf("%d were sent", n)
		}
	}
}
