package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parley/events"
	"parley/inbox/dispatcher"
	"parley/store/outboundtest"
	"parley/transports"
)

// fails makes a script that answers a text with an error, once per mention.
func fails(by map[string][]error) func(context.Context, transports.Outbound) error {
	var mu sync.Mutex
	return func(_ context.Context, part transports.Outbound) error {
		mu.Lock()
		defer mu.Unlock()
		list := by[part.Text]
		if len(list) == 0 {
			return nil
		}
		by[part.Text] = list[1:]
		return list[0]
	}
}

func TestWhatIsRejectedLetsTheLaneGoOn(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 2)
	bad := w.QueueTexts(ch.ID, "p1", "bad", "good")
	gone := w.QueueTexts(ch.ID, "p2", "blocked by them", "never tried")
	p := newProvider()
	p.script = fails(map[string][]error{
		"bad":             {&transports.SendError{Outcome: transports.Rejected, Code: "400", Words: "The text is not allowed."}},
		"blocked by them": {&transports.SendError{Outcome: transports.Rejected, Code: "403", Words: "They blocked the bot.", Unreachable: true}},
	})
	dispatch(w, p)
	w.Until("all have ended", func() bool { return w.States()["failed"] == 3 && w.State(bad[1]) == "sent" })
	if got := p.accepted(); !reflect.DeepEqual(got, []string{"p1: good"}) {
		t.Errorf("accepted %q", got)
	}
	var code, words, why string
	w.Row("SELECT code, words FROM parley_deliveries WHERE id = $1", []any{bad[0]}, &code, &words)
	if code != "400" || words != "The text is not allowed." {
		t.Errorf("it failed for %q: %q", code, words)
	}
	w.Row("SELECT code FROM parley_deliveries WHERE id = $1", []any{gone[1]}, &code)
	w.Row("SELECT unreachable_why FROM crm_chat_members WHERE address = 'p2'", nil, &why)
	if code != "unreachable" || why != "They blocked the bot." {
		t.Errorf("the next failed for %q, the person is unreachable for %q", code, why)
	}
	facts := w.Strings("SELECT noun || '.' || verb FROM parley_facts, generate_series(1, coalesce(cardinality(chat_ids), 1)) ORDER BY 1")
	want := []string{"member.unreachable", "message.failed", "message.failed", "message.failed", "message.sent"}
	if !reflect.DeepEqual(facts, want) {
		t.Errorf("facts %q, want %q", facts, want)
	}
}

// One delivery that breaks something must not take others along.
func TestPoisonFailsAlone(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 20)
	w.Queue(ch.ID, "hello", outboundtest.Addresses("p", 20, 1)...)
	unreadable := w.QueueTexts(ch.ID, "p1", "unreadable")[0]
	empty := w.QueueTexts(ch.ID, "p2", "empty")[0]
	panics := w.QueueTexts(ch.ID, "p3", "panics")[0]
	vague := w.QueueTexts(ch.ID, "p4", "vague")[0]
	w.QueueTexts(ch.ID, "p1", "behind it")
	w.Exec(`UPDATE crm_chat_messages SET content = '{"type": "text", "text": {"not": "a text"}}' WHERE message = 'unreadable'`)
	w.Exec(`UPDATE crm_chat_messages SET content = '{"type": "text", "text": " \n "}' WHERE message = 'empty'`)
	p := newProvider()
	p.script = func(_ context.Context, part transports.Outbound) error {
		switch part.Text {
		case "panics":
			panic("a bug")
		case "vague":
			return errors.New("no SendError at all")
		}
		return nil
	}
	dispatch(w, p)
	w.Until("all have ended", func() bool {
		s := w.States()
		return s["sent"] == 21 && s["failed"] == 2 && s["uncertain"] == 2
	})
	for id, want := range map[int64]string{unreadable: "failed", empty: "failed", panics: "uncertain", vague: "uncertain"} {
		if got := w.State(id); got != want {
			t.Errorf("delivery %d is %s, want %s", id, got, want)
		}
	}
}

// The database may refuse a value that nobody thought of. Then whose it is is
// found, and the others go on.
func TestWhatTheDatabaseRefusesIsFound(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 30)
	list := w.Queue(ch.ID, "hello", outboundtest.Addresses("p", 30, 2)...)
	w.Alter(fmt.Sprintf(`
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'data_exception'; END $$;
		CREATE TRIGGER claim BEFORE INSERT ON parley_attempts FOR EACH ROW WHEN (NEW.delivery_id = %d) EXECUTE FUNCTION refuse();
		CREATE TRIGGER settle BEFORE UPDATE ON parley_attempts FOR EACH ROW WHEN (NEW.provider_id = 'm7') EXECUTE FUNCTION refuse();`,
		list[20]))
	p := newProvider()
	dispatch(w, p)
	w.Until("all have ended", func() bool { return w.States()["sent"]+w.States()["failed"] == 60 })
	if w.State(list[20]) != "failed" || w.States()["sent"] != 59 || p.count() != 59 {
		t.Errorf("%v, the refused one is %s, %d accepted", w.States(), w.State(list[20]), p.count())
	}
}

func TestRulesAreCheckedAgainAtTheClaim(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 5)
	queued := w.Queue(ch.ID, "hello", outboundtest.Addresses("p", 5, 1)...)
	w.Exec("UPDATE crm_clients SET blocked_at = now() WHERE first_name = 'p1'")
	w.Exec("UPDATE crm_chat_members SET unreachable_at = now(), unreachable_why = 'They opted out.' WHERE address = 'p2'")
	w.Exec("UPDATE crm_chat_messages m SET sent_at = now() - interval '25 h' FROM crm_chat_members p WHERE p.id = m.sender_id AND p.address = 'p3' AND direction = 'in'")
	if err := w.DB.CancelDelivery(t.Context(), w.Tenant, queued[3]); err != nil {
		t.Fatal(err)
	}
	p := newProvider()
	p.caps.ReplyWindow = 24 * time.Hour
	dispatch(w, p)
	w.Until("all have ended", func() bool { return w.States()["queued"] == 0 && w.States()["sending"] == 0 })
	got := w.Strings("SELECT state || ' ' || coalesce(code, '') FROM parley_deliveries ORDER BY id")
	want := []string{"failed blocked", "failed unreachable", "failed window_closed", "cancelled ", "sent "}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("they ended as %q, want %q", got, want)
	}
	if !reflect.DeepEqual(p.accepted(), []string{"p5: hello p5"}) {
		t.Errorf("accepted %q", p.accepted())
	}
	var attempts int
	w.Row("SELECT count(*) FROM parley_attempts", nil, &attempts)
	if attempts != 1 {
		t.Errorf("%d attempts, want 1", attempts)
	}
}

func TestOnlyUnsentPartsAreTriedAgain(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 1)
	id := w.QueueTexts(ch.ID, "p1", "one two three four")[0]
	w.QueueTexts(ch.ID, "p1", "next")

	// Four parts, of which the second cannot be sent for now.
	p := newProvider()
	p.caps.MaxText = 5
	var tries atomic.Int32
	p.script = func(_ context.Context, part transports.Outbound) error {
		if part.Text == "two" {
			tries.Add(1)
			return &transports.SendError{Outcome: transports.Retry, Words: "Later."}
		}
		return nil
	}
	r := dispatch(w, p)
	w.Until("the second part was tried", func() bool { return tries.Load() > 1 })
	r.end()
	if got := p.acceptedBy("p1"); !reflect.DeepEqual(got, []string{"one"}) {
		t.Fatalf("accepted %q", got)
	}

	// The account may send longer texts now: the split stays what it was.
	p.caps.MaxText = 4096
	p.script = nil
	dispatch(w, p)
	w.Until("all is sent", func() bool { return w.States()["sent"] == 2 })
	want := []string{"one", "two", "three", "four", "next"}
	if got := p.acceptedBy("p1"); !reflect.DeepEqual(got, want) {
		t.Errorf("accepted %q, want %q", got, want)
	}
	parts := w.Strings("SELECT part || ' ' || provider_id FROM parley_attempts WHERE delivery_id = $1 AND outcome = 'sent' ORDER BY part", id)
	if want := []string{"0 m1", "1 m2", "2 m3", "3 m4"}; !reflect.DeepEqual(parts, want) {
		t.Errorf("parts %q, want %q", parts, want)
	}
	var sent, all int
	w.Row("SELECT parts_sent, parts FROM parley_deliveries WHERE id = $1", []any{id}, &sent, &all)
	if sent != 4 || all != 4 {
		t.Errorf("%d of %d parts sent", sent, all)
	}
}

func TestUncertainIsNotSentAgainUnlessHarmless(t *testing.T) {
	t.Parallel()
	for _, harmless := range []bool{false, true} {
		t.Run(fmt.Sprint(harmless), func(t *testing.T) {
			t.Parallel()
			w := outboundtest.New(t)
			ch := w.Channel(events.Telegram)
			w.People(ch.ID, "p", 2)
			id := w.QueueTexts(ch.ID, "p1", "lost")[0]
			p := newProvider()
			p.caps.HarmlessResend = harmless
			p.script = fails(map[string][]error{"lost": {&transports.SendError{Outcome: transports.Unknown, Words: "The line went dead."}}})
			dispatch(w, p)
			if harmless {
				w.Until("it is sent", func() bool { return w.State(id) == "sent" })
				return
			}
			w.Until("it is uncertain", func() bool { return w.State(id) == "uncertain" })
			w.Queue(ch.ID, "hello", "p2")
			w.Until("another is sent", func() bool { return w.States()["sent"] == 1 })
			if p.count() != 1 {
				t.Errorf("accepted %q", p.accepted())
			}
			// Until a person says so.
			if err := w.DB.ResendUncertain(t.Context(), w.Tenant, id); err != nil {
				t.Fatal(err)
			}
			w.Until("it is sent", func() bool { return w.State(id) == "sent" })
		})
	}
}

func TestANewAddressIsUsedAtOnce(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 1)
	w.QueueTexts(ch.ID, "p1", "first", "second")
	p := newProvider()
	p.script = func(_ context.Context, part transports.Outbound) error {
		if part.To == "p1" {
			return &transports.SendError{Outcome: transports.Retry, Words: "It moved.", NewAddress: "p1-new"}
		}
		return nil
	}
	dispatch(w, p)
	w.Until("all are sent", func() bool { return w.States()["sent"] == 2 })
	if got := p.accepted(); !reflect.DeepEqual(got, []string{"p1-new: first", "p1-new: second"}) {
		t.Errorf("accepted %q", got)
	}
}

// health notes what a dispatcher says about its channels.
type health struct {
	mu   sync.Mutex
	said []string
}

func (h *health) note(_ events.Channel, state events.HealthState, words string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.said = append(h.said, strings.TrimSpace(fmt.Sprint(state, " ", words)))
}

func (h *health) last() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.said) == 0 {
		return ""
	}
	return h.said[len(h.said)-1]
}

func TestRefusedCredentialsStopAChannelUntilItIsChanged(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	fine := w.Channel(events.SMS)
	w.People(ch.ID, "p", 30)
	w.People(fine.ID, "q", 1)
	var h health
	build := func(a transports.Account) (transports.Transport, error) {
		p := newProvider()
		if a.Channel.ID == ch.ID && a.Channel.Version == 1 {
			p.script = func(context.Context, transports.Outbound) error {
				return &transports.SendError{Outcome: transports.Retry, Credentials: true, Words: "The token was revoked."}
			}
		}
		return p, nil
	}
	w.Queue(ch.ID, "hello", outboundtest.Addresses("p", 30, 1)...)
	dispatch(w, newProvider(), func(o *dispatcher.Options) {
		o.OnHealth, o.ProbeEvery, o.Concurrency = h.note, time.Hour, 4
		o.Factories = map[events.Transport]transports.Factory{events.Telegram: build, events.SMS: build}
	})
	w.Until("it needs attention", func() bool { return h.last() == "needs_attention The token was revoked." })
	// Others go on, and nothing of this channel is lost or tried over and over.
	w.Queue(fine.ID, "hello", "q1")
	w.Until("the other channel sends", func() bool { return w.States()["sent"] == 1 })
	var attempts int
	w.Row("SELECT count(*) FROM parley_attempts WHERE channel_id = $1", []any{string(ch.ID)}, &attempts)
	if attempts > 4 {
		t.Errorf("%d attempts with refused credentials", attempts)
	}
	if _, err := w.DB.RotateChannel(t.Context(), w.Tenant, ch.ID, []byte("new"), ""); err != nil {
		t.Fatal(err)
	}
	w.Until("all are sent", func() bool { return w.States()["sent"] == 31 })
	if h.last() != "connected" {
		t.Errorf("it is %q", h.last())
	}
}

func TestAReplyLeavesWithoutPolling(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 1)
	p := newProvider()
	dispatch(w, p, func(o *dispatcher.Options) { o.PollEvery = time.Hour })
	for i := range 20 {
		w.Queue(ch.ID, "hello", "p1")
		w.Until("it is sent", func() bool { return w.States()["sent"] == i+1 })
	}
}

func TestAPausedChannelDoesNotSend(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	other := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 1)
	w.People(other.ID, "q", 1)
	if _, err := w.DB.PauseChannel(t.Context(), w.Tenant, ch.ID, true); err != nil {
		t.Fatal(err)
	}
	id := w.Queue(ch.ID, "hello", "p1")[0]
	dispatch(w, newProvider())
	w.Queue(other.ID, "hello", "q1")
	w.Until("the other is sent", func() bool { return w.States()["sent"] == 1 })
	if w.State(id) != "queued" {
		t.Errorf("it is %s", w.State(id))
	}
	if _, err := w.DB.PauseChannel(t.Context(), w.Tenant, ch.ID, false); err != nil {
		t.Fatal(err)
	}
	w.Until("it is sent", func() bool { return w.State(id) == "sent" })
}

// A throttled account sends nothing to anybody before the time its provider
// named.
func TestAThrottledAccountPauses(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 5)
	w.Queue(ch.ID, "hello", outboundtest.Addresses("p", 5, 1)...)
	const pause = 200 * time.Millisecond
	var mu sync.Mutex
	var throttled time.Time
	p := newProvider()
	p.script = func(context.Context, transports.Outbound) error {
		mu.Lock()
		defer mu.Unlock()
		if throttled.IsZero() {
			throttled = time.Now()
			return &transports.SendError{
				Outcome: transports.Retry, Words: "Too many requests.", RetryAfter: pause, Throttled: transports.AccountThrottled,
			}
		}
		if early := pause - time.Since(throttled); early > 0 {
			t.Errorf("sent %s too early", early)
		}
		return nil
	}
	dispatch(w, p, func(o *dispatcher.Options) { o.Concurrency = 1 })
	w.Until("all are sent", func() bool { return w.States()["sent"] == 5 })
}

// A throttled person holds nobody else back.
func TestAThrottledPersonWaitsAlone(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 2)
	waiting := w.QueueTexts(ch.ID, "p1", "throttled", "behind")
	p := newProvider()
	p.script = fails(map[string][]error{
		"throttled": {&transports.SendError{Outcome: transports.Retry, Words: "Too many.", RetryAfter: time.Hour}},
	})
	dispatch(w, p)
	w.Until("it waits", func() bool {
		var attempts int
		w.Row("SELECT count(*) FROM parley_attempts WHERE delivery_id = $1 AND outcome = 'retry'", []any{waiting[0]}, &attempts)
		return attempts == 1
	})
	w.Queue(ch.ID, "hello", "p2", "p2", "p2")
	w.Until("the other got theirs", func() bool { return w.States()["sent"] == 3 })
	if w.State(waiting[0]) != "queued" || w.State(waiting[1]) != "queued" {
		t.Errorf("they are %s and %s", w.State(waiting[0]), w.State(waiting[1]))
	}
}

// That sending again is refused does not prove that the first attempt did not
// arrive.
func TestARefusalAfterAnUncertainAttemptIsNoFailure(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.Telegram)
	w.People(ch.ID, "p", 3)
	lost := &transports.SendError{Outcome: transports.Unknown, Words: "The connection was lost after DATA."}
	refused := &transports.SendError{Outcome: transports.Rejected, Code: "550", Words: "The mailbox is full."}
	again := &transports.SendError{Outcome: transports.Retry, Words: "Later.", RetryAfter: time.Hour}
	p := newProvider()
	p.caps.HarmlessResend = true
	p.script = fails(map[string][]error{"refused": {lost, refused}, "sent": {lost}, "blocked": {lost, again}, "at once": {refused}})
	list := w.QueueTexts(ch.ID, "p1", "refused", "sent")
	atOnce := w.QueueTexts(ch.ID, "p2", "at once")[0]
	waiting := w.QueueTexts(ch.ID, "p3", "blocked")[0]
	dispatch(w, p)
	w.Until("all have ended", func() bool {
		var waits bool
		w.Row("SELECT attempts = 2 AND state = 'queued' FROM parley_deliveries WHERE id = $1", []any{waiting}, &waits)
		return waits && w.State(list[1]) == "sent" && w.State(atOnce) == "failed"
	})
	// The lane went on, and the first is still not known.
	var state, code, words string
	w.Row("SELECT state, code, words FROM parley_deliveries WHERE id = $1", []any{list[0]}, &state, &code, &words)
	if state != "uncertain" || code != "550" || !strings.HasSuffix(words, "refused: The mailbox is full.") {
		t.Errorf("it is %s for %q: %q", state, code, words)
	}
	// Cancelling takes nothing back that may have left.
	if err := w.DB.CancelDelivery(t.Context(), w.Tenant, waiting); err != nil || w.State(waiting) != "uncertain" {
		t.Errorf("cancelled: %v, it is %s", err, w.State(waiting))
	}
	// Nor does a rule that forbids another attempt.
	w.Exec("UPDATE crm_clients SET blocked_at = now()")
	if err := w.DB.ResendUncertain(t.Context(), w.Tenant, waiting); err != nil {
		t.Fatal(err)
	}
	w.Until("it is refused", func() bool { return w.State(waiting) == "uncertain" })
	w.Row("SELECT code FROM parley_deliveries WHERE id = $1", []any{waiting}, &code)
	if code != "blocked" {
		t.Errorf("it is uncertain for %q", code)
	}
}

// Who opted out is noted as such; other refusals are no wish of theirs.
func TestARefusalForOptingOutIsNoted(t *testing.T) {
	t.Parallel()
	w := outboundtest.New(t)
	ch := w.Channel(events.SMS)
	w.People(ch.ID, "p", 2)
	p := newProvider()
	p.script = fails(map[string][]error{
		"out":     {&transports.SendError{Outcome: transports.Rejected, Words: "They opted out.", Unreachable: true, OptedOut: true}},
		"blocked": {&transports.SendError{Outcome: transports.Rejected, Words: "They blocked us.", Unreachable: true}},
	})
	w.QueueTexts(ch.ID, "p1", "out")
	w.QueueTexts(ch.ID, "p2", "blocked")
	dispatch(w, p)
	w.Until("both failed", func() bool { return w.States()["failed"] == 2 })
	got := w.Strings("SELECT address || ' ' || opted_out FROM crm_chat_members WHERE unreachable_at IS NOT NULL ORDER BY 1")
	if !reflect.DeepEqual(got, []string{"p1 true", "p2 false"}) {
		t.Errorf("got %q", got)
	}
}
