package twilio_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
	"parley/transports/twilio"
)

const (
	accountSID = sandbox.DefaultTwilioAccount
	authToken  = sandbox.DefaultTwilioToken
	nextToken  = "ffffffffffffffffffffffffffff5a4d"
	serviceSID = "MG0000000000000000000000000000aaaa"
	publicURL  = "https://parley.example"
	hookPath   = "opaque-path"
	hookURL    = publicURL + transports.WebhookPrefix + hookPath
	anna       = "+4915112345678"
)

// secrets that no error may hold, plain or as they travel.
var secrets = []string{
	authToken, nextToken, hookPath,
	base64.StdEncoding.EncodeToString([]byte(accountSID + ":" + authToken)),
	base64.StdEncoding.EncodeToString([]byte(accountSID + ":" + nextToken)),
}

// account is one that every setting of which can be changed before it is built.
func account(client *http.Client, network events.Transport) transports.Account {
	from := sandbox.DefaultTwilioNumber
	if network == events.WhatsApp {
		from = sandbox.DefaultTwilioWhatsApp
	}
	return transports.Account{
		Channel: events.Channel{
			Transport: network, WebhookPath: hookPath, Country: "DE",
			Settings: map[string]string{"account_sid": accountSID, "from": from},
		},
		Secrets:    map[string]string{"auth_token": authToken},
		HTTPClient: client,
		PublicURL:  publicURL,
	}
}

func build(t testing.TB, a transports.Account) *twilio.Number {
	t.Helper()
	made, err := twilio.New(a)
	if err != nil {
		t.Fatal(err)
	}
	return made.(*twilio.Number)
}

func newNumber(t testing.TB, client *http.Client, network events.Transport) *twilio.Number {
	t.Helper()
	return build(t, account(client, network))
}

// offline is for what does no I/O.
func offline(t testing.TB, network events.Transport) *twilio.Number {
	t.Helper()
	return newNumber(t, (&fakeAPI{}).client(), network)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func jsonOf(v any) string { return string(must(json.Marshal(v))) }

// signed is a webhook with a body, signed as Twilio does: forms by their
// parameters, anything else by its digest in the URL.
func signed(token, query string, body []byte) *http.Request {
	form, err := url.ParseQuery(string(body))
	if err != nil || bytes.HasPrefix(body, []byte("[")) || bytes.HasPrefix(body, []byte("{")) {
		sum := sha256.Sum256(body)
		if query != "" {
			query += "&"
		}
		query += "bodySHA256=" + hex.EncodeToString(sum[:])
		form = nil
	}
	called := hookURL
	if query != "" {
		called += "?" + query
	}
	r := httptest.NewRequest(http.MethodPost, called, nil)
	r.Host = "internal:8080" // proxies rewrite it
	r.Header.Set("X-Twilio-Signature", sandbox.SignTwilio(token, called, form))
	return r
}

// standIn starts a stand-in with an inbox in front of it, and an adapter that
// speaks to it over HTTP.
func standIn(t *testing.T, opts sandbox.TwilioOptions, network events.Transport, change func(*transports.Account)) (*sandbox.Twilio, *twilio.Number, *inbox) {
	t.Helper()
	if opts.WebhookRetry == 0 {
		opts.WebhookRetry = time.Millisecond
	}
	tw, err := sandbox.NewTwilio(opts)
	if err != nil {
		t.Fatal(err)
	}
	api, err := tw.Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	in := &inbox{got: make(chan events.Inbound, 1000)}
	server := httptest.NewServer(in)
	t.Cleanup(func() {
		client.CloseIdleConnections()
		if err := tw.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	a := account(client, network)
	a.PublicURL = server.URL
	a.Channel.Settings["api_url"] = api
	if change != nil {
		change(&a)
	}
	number := build(t, a)
	in.number, in.base = number, server.URL
	return tw, number, in
}

// inbox collects what a webhook takes in.
type inbox struct {
	number *twilio.Number
	base   string
	got    chan events.Inbound
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	callback, err := in.number.ParseWebhook(r, body)
	if err != nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	for _, ev := range callback.Events {
		in.got <- ev
	}
}

func (in *inbox) next(t *testing.T) events.Inbound {
	t.Helper()
	select {
	case ev := <-in.got:
		return ev
	case <-time.After(20 * time.Second): // far above what any takes
		t.Fatal("no event came")
	}
	return events.Inbound{}
}

// newFiles serves files.
func newFiles(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}
