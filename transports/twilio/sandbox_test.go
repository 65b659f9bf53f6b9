package twilio_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
)

// text is a part that says something.
func text(to, words, ref string) transports.Outbound {
	return transports.Outbound{To: to, Part: transports.Part{Text: words}, Ref: ref}
}

// status waits for one of a message.
func status(t *testing.T, in *inbox, want events.StatusName) events.Inbound {
	t.Helper()
	for {
		ev := in.next(t)
		if ev.Kind == events.StatusChanged && ev.Status.Name == want {
			return ev
		}
	}
}

// logged yields what the stand-in's log has of a kind.
func logged(tw *sandbox.Twilio, what string) (out []sandbox.TwilioEntry) {
	for _, e := range tw.Log(0) {
		if e.What == what {
			out = append(out, e)
		}
	}
	return out
}

func outcome(t *testing.T, err error) transports.SendError {
	t.Helper()
	checkRedacted(t, err)
	e, ok := err.(*transports.SendError) //nolint:errorlint // it is promised to be one
	if !ok {
		t.Fatalf("%T %v is no *SendError", err, err)
	}
	return *e
}

func TestConversation(t *testing.T) {
	for _, network := range []events.Transport{events.SMS, events.WhatsApp} {
		t.Run(string(network), func(t *testing.T) {
			tw, number, in := standIn(t, sandbox.TwilioOptions{}, network, nil)
			if report := must(number.Check(t.Context())); report.WebhookURL != "" {
				t.Fatalf("connected before anybody did: %+v", report)
			}
			if err := number.Connect(t.Context(), in.url(t)); err != nil {
				t.Fatal(err)
			}
			report := must(number.Check(t.Context()))
			if report.WebhookURL != in.url(t) || !strings.Contains(report.Account, "+1500555000") || report.Pending != -1 {
				t.Errorf("report %+v", report)
			}
			who := tw.Person("anna")
			if network == events.WhatsApp {
				who = must(who.WhatsApp())
			}
			sid := must(who.Say("Do you ship to Norway? 🇳🇴"))
			ev := in.next(t)
			if ev.Kind != events.Message || ev.Content.Text != "Do you ship to Norway? 🇳🇴" || ev.Key.Message != sid ||
				ev.Person.Identity != (events.Identity{Kind: events.Phone, Value: who.Number()}) || ev.Person.Address != who.Number() {
				t.Fatalf("got %s", jsonOf(ev))
			}
			if network == events.WhatsApp && ev.Person.FirstName != "Anna" {
				t.Errorf("she is called %q", ev.Person.FirstName)
			}
			receipt, err := number.Send(t.Context(), text(ev.Person.Address, "Yes we do.", "ref-1"))
			if err != nil {
				t.Fatal(err)
			}
			if receipt.Chat != ev.Key.Chat || receipt.ProviderID == "" || time.Since(receipt.AcceptedAt) > time.Minute {
				t.Errorf("receipt %+v", receipt)
			}
			for _, want := range []events.StatusName{events.Sent, events.Delivered} {
				ev := in.next(t)
				if ev.Kind != events.StatusChanged || ev.Status.Name != want || ev.Status.Ref != "ref-1" ||
					ev.Key != (events.MessageKey{Chat: receipt.Chat, Message: receipt.ProviderID}) {
					t.Errorf("got %s, want %s", jsonOf(ev), want)
				}
			}
			phone := who.Phone()
			if len(phone) != 2 || phone[1].Text != "Yes we do." || !phone[1].FromBusiness || phone[1].SID != receipt.ProviderID {
				t.Errorf("she sees %+v", phone)
			}
			if network == events.WhatsApp {
				if err := who.Read(); err != nil {
					t.Fatal(err)
				}
				if ev := in.next(t); ev.Status == nil || ev.Status.Name != events.Read || ev.Status.Ref != "ref-1" {
					t.Errorf("got %s, want read", jsonOf(ev))
				}
			}
			if err := number.Connect(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			if url := must(number.Check(t.Context())).WebhookURL; url != "" {
				t.Errorf("still delivered to %s", url)
			}
		})
	}
}

// url is where the inbox is reached.
func (in *inbox) url(t *testing.T) string {
	t.Helper()
	return in.base + transports.WebhookPrefix + hookPath
}

func TestWhatPeopleSendOnWhatsApp(t *testing.T) {
	tw, number, in := standIn(t, sandbox.TwilioOptions{}, events.WhatsApp, nil)
	if err := number.Connect(t.Context(), in.url(t)); err != nil {
		t.Fatal(err)
	}
	who := must(tw.Person("anna").WhatsApp())
	must(who.Say("hello"))
	in.next(t)
	receipt, err := number.Send(t.Context(), text(who.Number(), "hi", ""))
	if err != nil {
		t.Fatal(err)
	}
	status(t, in, events.Delivered)
	for name, test := range map[string]struct {
		post  sandbox.TwilioPost
		check func(*events.Content) bool
	}{
		"a place":  {sandbox.TwilioPost{Location: &[2]float64{59.9, 10.7}}, func(c *events.Content) bool { return c.Type == events.Place && c.Location.Latitude == 59.9 }},
		"a button": {sandbox.TwilioPost{Button: &[2]string{"Yes", "yes:1"}}, func(c *events.Content) bool { return c.Type == events.Button && c.Pressed.Payload == "yes:1" }},
		"an answer": {sandbox.TwilioPost{Text: "ok", ReplyTo: receipt.ProviderID}, func(c *events.Content) bool {
			return *c.ReplyTo == events.MessageKey{Chat: receipt.Chat, Message: receipt.ProviderID}
		}},
		"a forward":   {sandbox.TwilioPost{Text: "see", Forwarded: true}, func(c *events.Content) bool { return c.Forward != nil }},
		"a voice":     {sandbox.TwilioPost{Files: []sandbox.File{{MIME: "audio/ogg", Content: []byte("OggS")}}}, func(c *events.Content) bool { return c.Type == events.Voice }},
		"an OptOut":   {sandbox.TwilioPost{Text: "basta", OptOutType: "STOP"}, func(c *events.Content) bool { return c.Text == "basta" }},
		"a new field": {sandbox.TwilioPost{Text: "x", Extra: map[string][]string{"NotKnownYet": {"1"}}}, func(c *events.Content) bool { return c.Text == "x" }},
	} {
		must(who.Post(test.post))
		ev := in.next(t)
		if ev.Kind != events.Message || !test.check(ev.Content) {
			t.Errorf("%s: %s", name, jsonOf(ev))
		}
		if test.post.OptOutType != "" {
			if ev := in.next(t); ev.Kind != events.Reachability || !ev.Blocked {
				t.Errorf("%s: %s", name, jsonOf(ev))
			}
		}
	}
}

func TestWhatsAppWindow(t *testing.T) {
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	tw, number, in := standIn(t, sandbox.TwilioOptions{Now: func() time.Time { return now }}, events.WhatsApp, nil)
	who := must(tw.Person("anna").WhatsApp())
	send := func(part transports.Outbound) {
		t.Helper()
		if _, err := number.Send(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	send(text(who.Number(), "hi", "r1"))
	if ev := status(t, in, events.Failed); ev.Status.Code != "63016" || !strings.Contains(ev.Status.Words, "24 hours") || ev.Status.Ref != "r1" {
		t.Errorf("got %s", jsonOf(ev))
	}
	send(transports.Outbound{To: who.Number(), Ref: "r2", Template: &transports.Template{ID: "HX" + strings.Repeat("0", 32), Variables: map[string]string{"1": "Anna"}}})
	if ev := status(t, in, events.Delivered); ev.Status.Ref != "r2" {
		t.Errorf("got %s", jsonOf(ev))
	}
	if e := logged(tw, sandbox.LogSent)[1]; e.Template == "" || !strings.Contains(e.Text, `{"1":"Anna"}`) {
		t.Errorf("sent %+v", e)
	}
	must(who.Say("hello"))
	send(text(who.Number(), "hi again", "r3"))
	if ev := status(t, in, events.Delivered); ev.Status.Ref != "r3" {
		t.Errorf("got %s", jsonOf(ev))
	}
	who.Change(func(o *sandbox.TwilioPersonOptions) { o.Blocked = true })
	send(text(who.Number(), "are you there?", "r4"))
	if ev := status(t, in, events.Failed); ev.Status.Code != "63014" {
		t.Errorf("got %s", jsonOf(ev))
	}
	if w := number.Capabilities().ReplyWindow; w != 24*time.Hour {
		t.Errorf("the window is %v", w)
	}
}

// TestCallbackBeforeTheAnswer has our reference in it, whatever comes first, twice
// or backwards.
func TestCallbackBeforeTheAnswer(t *testing.T) {
	tw, number, in := standIn(t, sandbox.TwilioOptions{Faults: sandbox.TwilioFaults{Early: true, StatusCopies: 2}}, events.SMS, nil)
	receipt, err := number.Send(t.Context(), text(tw.Person("anna").Number(), "hi", "ref-9"))
	if err != nil {
		t.Fatal(err)
	}
	select {
	case ev := <-in.got: // before Send returned
		if ev.Status.Ref != "ref-9" || ev.Key.Message != receipt.ProviderID || ev.Status.Name != events.Sent {
			t.Errorf("got %s", jsonOf(ev))
		}
	default:
		t.Error("no callback came before the answer")
	}
	one := in.next(t)
	two, three := in.next(t), in.next(t)
	if one.ProviderEvent == two.ProviderEvent || two.ProviderEvent != three.ProviderEvent || two.Status.Name != events.Delivered {
		t.Errorf("got %s, %s and %s", jsonOf(one), jsonOf(two), jsonOf(three))
	}
	tw.SetFaults(sandbox.TwilioFaults{OutOfOrder: true})
	if _, err := number.Send(t.Context(), text(tw.Person("anna").Number(), "hi", "ref-10")); err != nil {
		t.Fatal(err)
	}
	if one, two := in.next(t), in.next(t); one.Status.Name != events.Delivered || two.Status.Name != events.Sent {
		t.Errorf("got %s and %s", jsonOf(one), jsonOf(two))
	}
}

// TestFaults holds outcomes against what the stand-in really accepted, and settles
// what was unclear.
func TestFaults(t *testing.T) {
	tw, number, _ := standIn(t, sandbox.TwilioOptions{}, events.SMS, nil)
	to := tw.Person("anna").Number()
	for i, test := range []struct {
		fault    string
		want     transports.Outcome
		accepted bool
	}{
		{"too_many", transports.Retry, false},
		{"server_error", transports.Unknown, false},
		{"hang_before", transports.Unknown, false},
		{"reset_before", transports.Unknown, false},
		{"refuse_400", transports.Rejected, false},
		{"server_error_after", transports.Unknown, true},
		{"hang_after", transports.Unknown, true},
		{"reset_after", transports.Unknown, true},
		{"cut_after", transports.Unknown, true},
		{"half_close_after", transports.Unknown, true},
	} {
		tw.SetFaults(sandbox.TwilioFaults{Next: []string{test.fault}, RetryAfter: 7})
		before := len(logged(tw, sandbox.LogSent))
		ctx, cancel := context.WithCancel(t.Context())
		if strings.HasPrefix(test.fault, "hang") {
			// It gives up once the stand-in has what there is to have.
			go func() {
				_, _ = tw.Await(ctx, func(e sandbox.TwilioEntry) bool { return e.Fault == test.fault })
				cancel()
			}()
		}
		part := text(to, "message "+string(rune('a'+i)), "r")
		at := time.Now()
		_, err := number.Send(ctx, part)
		cancel()
		e := outcome(t, err)
		if e.Outcome != test.want || (len(logged(tw, sandbox.LogSent)) > before) != test.accepted {
			t.Errorf("%s: %+v", test.fault, e)
		}
		if test.fault == "too_many" && (e.RetryAfter != 7*time.Second || e.Throttled != transports.AccountThrottled) {
			t.Errorf("%+v", e)
		}
		if test.fault == "refuse_400" && (e.Code != "99999" || !strings.Contains(e.Words, "told to refuse")) {
			t.Errorf("an unknown code is not shown: %+v", e)
		}
		if !test.accepted {
			continue
		}
		receipt, err := number.Settle(t.Context(), part, at)
		if sent := logged(tw, sandbox.LogSent); err != nil || receipt.ProviderID != sent[len(sent)-1].SID || receipt.Chat != to {
			t.Errorf("%s: settled as %+v, %v", test.fault, receipt, err)
		}
	}
}

// TestMediaIsFetchedByTwilio sends a file, which the provider asks for twice.
func TestMediaIsFetchedByTwilio(t *testing.T) {
	tw, number, in := standIn(t, sandbox.TwilioOptions{FetchMedia: true}, events.SMS, nil)
	asked := make(chan string, 10)
	files := newFiles(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method
		if strings.HasSuffix(r.URL.Path, "/gone") {
			w.WriteHeader(http.StatusGone)
			return
		}
		w.Header().Set("Content-Type", "image/png")
	})
	file := &transports.File{Kind: events.Photo, Size: 3, URL: files + "/a.png"}
	part := transports.Outbound{To: tw.Person("anna").Number(), Ref: "r", Part: transports.Part{Text: "look", Attachment: file, Album: []transports.File{*file}}}
	if _, err := number.Send(t.Context(), part); err != nil {
		t.Fatal(err)
	}
	status(t, in, events.Delivered)
	if got := []string{<-asked, <-asked, <-asked, <-asked}; !slices.Equal(got, []string{"HEAD", "GET", "HEAD", "GET"}) {
		t.Errorf("asked %v", got)
	}
	if e := logged(tw, sandbox.LogSent)[0]; e.Files != 2 || e.Text != "look" {
		t.Errorf("sent %+v", e)
	}
	part.Attachment = &transports.File{Kind: events.Photo, Size: 3, URL: files + "/gone"}
	if _, err := number.Send(t.Context(), part); err != nil {
		t.Fatal(err)
	}
	status(t, in, events.Failed)
}
