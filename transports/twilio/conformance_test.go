package twilio_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
	"parley/transports/transporttest"
)

func TestConformance(t *testing.T) {
	for network, prefix := range map[events.Transport]string{events.SMS: "", events.WhatsApp: "whatsapp:"} {
		t.Run(string(network), func(t *testing.T) { conform(t, network, prefix) })
	}
}

func conform(t *testing.T, network events.Transport, prefix string) {
	const header = "X-Twilio-Signature"
	from := func(address, text string, n int) []byte {
		sid := "SM" + strconv.Itoa(n)
		form := url.Values{
			"MessageSid": {sid}, "SmsMessageSid": {sid}, "AccountSid": {accountSID}, "From": {address}, "To": {prefix + "+15005550006"},
			"Body": {text}, "NumMedia": {"0"}, "SmsStatus": {"received"}, "ApiVersion": {"2010-04-01"},
		}
		return []byte(form.Encode())
	}
	persons := map[string][][]byte{
		"anna":        {from(prefix+anna, "hi", 1), from(prefix+"+4915112345678", "hi", 2)},
		"a neighbour": {from(prefix+"+4915112345679", "hi", 3)},
		"a Brazilian": {from(prefix+"+5511987654321", "oi", 4), from(prefix+"+551187654321", "oi", 5)},
		"a landline":  {from(prefix+"+551132654321", "oi", 6)},
		"a Mexican":   {from(prefix+"+525512345678", "hola", 7), from(prefix+"+5215512345678", "hola", 8)},
	}
	if network == events.SMS {
		persons["anna"] = append(persons["anna"], from("015112345678", "hi", 9), from("+49 151 12345678", "hi", 10))
		persons["a bank"] = [][]byte{from("MyBank", "code", 11), from("MYBANK", "code", 12)}
		persons["a short code"] = [][]byte{from("12345", "code", 13)}
		persons["another"] = [][]byte{from("12345678", "code", 14)}
	}
	transporttest.Run(t, transporttest.Harness{
		Transport: network,
		New: func(t *testing.T, client *http.Client) transports.Transport {
			a := account(client, network)
			a.Secrets["auth_token_next"] = nextToken
			return build(t, a)
		},
		Secrets: secrets,
		Provider: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusCreated)
			_ = json.NewEncoder(w).Encode(map[string]any{
				"sid": "SM00000000000000000000000000000001", "status": "queued", "date_created": "Mon, 02 Nov 2026 15:04:05 +0000", "error_code": nil,
			})
		}),
		To:      anna,
		Webhook: func(body []byte) *http.Request { return signed(authToken, "", body) },
		Forgeries: map[string]func(*http.Request){
			"no signature":      transporttest.WithoutHeader(header),
			"empty signature":   transporttest.WithHeader(header, ""),
			"made-up signature": transporttest.WithHeader(header, "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
			"another query":     func(r *http.Request) { r.URL.RawQuery += "&x=1" },
			"two signatures":    func(r *http.Request) { r.Header.Add(header, r.Header.Get(header)) },
		},
		Message:  func(n int, text string) []byte { return from(prefix+anna, text, n) },
		Recorded: transporttest.RecordedFiles(t, transporttest.Form, "testdata/webhooks/*.form"),
		Persons:  persons,
		StandIn: &transporttest.StandIn{
			New: func(t *testing.T) http.Handler {
				tw, err := sandbox.NewTwilio(sandbox.TwilioOptions{OpenWindow: true})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := tw.Close(); err != nil {
						t.Error(err)
					}
				})
				return tw
			},
			Fields: spoiled(network),
		},
	})
}

// spoiled is what Twilio answers to a message with one field spoiled.
func spoiled(network events.Transport) map[string]transporttest.Spoiled {
	const (
		messages = "https://www.twilio.com/docs/messaging/api/message-resource"
		codes    = "https://www.twilio.com/docs/api/errors/"
	)
	all := map[string]transporttest.Spoiled{
		"header Authorization": {Dropped: 401, Emptied: 401, Nonsense: 401, Huge: 401, Source: codes + "20003"},
		"To":                   {Dropped: 400, Emptied: 400, Nonsense: 400, Huge: 400, Source: codes + "21211"},
		"From":                 {Dropped: 400, Emptied: 400, Nonsense: 400, Huge: 400, Source: codes + "21603"},
		"StatusCallback":       {Nonsense: 400, Huge: 400, Source: codes + "21609"},
		"Body":                 {Huge: 400, Source: codes + "21617"},
		"text/Body":            {Dropped: 400, Emptied: 400, Huge: 400, Source: codes + "21602"},
		// An empty address is no address; without one the text goes alone.
		"MediaUrl": {Emptied: 400, Nonsense: 400, Huge: 400, Source: codes + "21620"},
	}
	alone := transporttest.Spoiled{Dropped: 400, Emptied: 400, Nonsense: 400, Huge: 400, Source: messages}
	if network == events.WhatsApp {
		// These have no caption.
		for _, kind := range []string{"audio", "document", "voice"} {
			all[kind+"/MediaUrl"] = alone
		}
		return all
	}
	all["album/MediaUrl"] = alone
	return all
}
