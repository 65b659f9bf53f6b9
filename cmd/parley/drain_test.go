package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/events"
	"parley/inbox/desk"
	"parley/store"
	"parley/transports/sandbox"
)

// TestDrain stops a server under load: readiness goes red while requests are still
// served, each request is answered or refused, and exactly what was answered "received"
// is stored.
func TestDrain(t *testing.T) {
	t.Parallel()
	twilio, err := sandbox.NewTwilio(sandbox.TwilioOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at, err := twilio.Start(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = twilio.Close() })
	dir := dataFolder(t)
	p := start(t, Config{DataDir: dir, PublicURL: "http://inbox.example", DrainDelay: time.Second})
	tenant, err := p.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	ch, err := p.Desk.ChannelAdd(t.Context(), twilioChannel(tenant.ID, at))
	if err != nil {
		t.Fatal(err)
	}
	// The gateway knows a channel a moment after it was made.
	hook := "/webhook/" + ch.WebhookPath
	post := poster(p.Listen, "http://inbox.example"+hook, hook)
	for n := 0; ; n++ {
		if code, err := post(t.Context(), "SMffffffffffffffffffffffffffffffff", "first"); err == nil && code < 300 {
			break
		}
		if n > 600 {
			t.Fatal("the webhook is not served")
		}
		time.Sleep(50 * time.Millisecond)
	}
	stream := follow(t, dir)

	var accepted, refused, unreached, afterRed atomic.Int64
	var red atomic.Bool
	var mu sync.Mutex
	fates := map[string]string{}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var senders sync.WaitGroup
	for w := range 16 {
		senders.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				text := fmt.Sprintf("load %d %d", w, n)
				wasRed := red.Load()
				code, err := post(ctx, fmt.Sprintf("SM%032d", w*1_000_000+n), text)
				fate := "refused"
				switch {
				case err != nil:
					fate = "unreached"
					unreached.Add(1)
				case code < 300:
					fate = "accepted"
					accepted.Add(1)
					if wasRed {
						afterRed.Add(1)
					}
				case code == http.StatusServiceUnavailable:
					refused.Add(1)
				default:
					t.Errorf("%s is answered %d", text, code)
				}
				mu.Lock()
				fates[text] = fate
				mu.Unlock()
				if err != nil {
					return // nobody listens any more
				}
			}
		})
	}
	for accepted.Load() < 200 {
		time.Sleep(10 * time.Millisecond)
	}
	p.stop()
	// Red first, and served still.
	for !red.Load() {
		res, err := http.Get("http://" + p.Listen + "/readyz")
		if err != nil {
			t.Fatal("it stopped listening before it was not ready: ", err)
		}
		_ = res.Body.Close()
		red.Store(res.StatusCode == http.StatusServiceUnavailable)
	}
	senders.Wait()
	p.Stop(t)
	if last := <-stream; !strings.HasPrefix(last, "retry: ") {
		t.Errorf("the stream ended with %q", last)
	}
	t.Logf("%d accepted, of them %d after readiness was red; %d refused, %d unreached", accepted.Load(), afterRed.Load(), refused.Load(), unreached.Load())
	if afterRed.Load() == 0 {
		t.Error("nothing was served after readiness was red")
	}

	p = start(t, Config{DataDir: dir, PublicURL: "http://inbox.example"})
	if err := await(t.Context(), dir, fact("received", "first")); err != nil {
		t.Fatal(err)
	}
	for {
		out, err := parleyFails(t, dir, "audit", "--json")
		if err == nil && !strings.Contains(out, `"waiting": 1`) {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("the audit is not clean: ", out)
		}
	}
	stored := map[string]int{}
	for before := int64(0); ; {
		page, _, err := p.Desk.Store.Messages(t.Context(), tenant.ID, 1, store.MessagePage{Before: before, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page {
			stored[m.Text]++
			if before == 0 || m.Seq < before {
				before = m.Seq
			}
		}
		if len(page) == 0 || before == 1 {
			break
		}
	}
	for text, fate := range fates {
		switch n := stored[text]; {
		case fate == "accepted" && n != 1:
			t.Errorf("%s was accepted and is stored %d times", text, n)
		case fate == "unreached" && n != 0:
			t.Errorf("%s reached nobody and is stored", text)
		}
	}
}

// twilioChannel is the stand-in's number, called at a webhook that only the test calls.
func twilioChannel(tenant events.TenantID, at string) desk.NewChannel {
	return desk.NewChannel{
		Tenant: tenant, Transport: events.SMS, Name: "SMS", Mode: events.Webhook, Country: "DE",
		Settings: map[string]string{"account_sid": sandbox.DefaultTwilioAccount, "from": sandbox.DefaultTwilioNumber, "api_url": at, "webhook": "manual"},
		Secrets:  map[string]string{"auth_token": sandbox.DefaultTwilioToken},
	}
}

// poster posts messages as Twilio does: signed for one URL, sent to listen.
func poster(listen, signedFor, path string) func(ctx context.Context, sid, text string) (code int, err error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	return func(ctx context.Context, sid, text string) (int, error) {
		form := url.Values{
			"MessageSid": {sid}, "AccountSid": {sandbox.DefaultTwilioAccount}, "From": {"+4915112345678"}, "To": {sandbox.DefaultTwilioNumber},
			"Body": {text}, "NumMedia": {"0"},
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+listen+path, strings.NewReader(form.Encode()))
		if err != nil {
			return 0, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("X-Twilio-Signature", sandbox.SignTwilio(sandbox.DefaultTwilioToken, signedFor, form))
		res, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		return res.StatusCode, err
	}
}

// follow reads the stream of facts until it ends, and hands out its last line.
func follow(t *testing.T, dir string) <-chan string {
	t.Helper()
	c, err := (&app{dataDir: dir}).connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.open(t.Context(), http.MethodGet, "/stream", nil, nil) //nolint:bodyclose // closed when it ends
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 1)
	go func() {
		defer res.Body.Close()
		last := ""
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if lines.Text() != "" {
				last = lines.Text()
			}
		}
		ended <- last
	}()
	return ended
}
