package transporttest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/transports"
	"parley/transports/transporttest"
)

// defects are the promises that a fake can break, and a check that must notice.
func defects() map[defect]string {
	return map[defect]string{
		"shares its limits":                          "capabilities",
		"declares no edits":                          "capabilities",
		"declares too much text":                     "capabilities",
		"declares what the provider cannot":          "capabilities",
		"declares a rate without a time":             "capabilities",
		"declares captions of a text it cannot send": "split",
		"plays no role":                              "capabilities",
		"nobody documented it":                       "capabilities",
		"documented by nobody":                       "capabilities",

		"believes forgeries":       "webhook/forged",
		"numbers messages itself":  "webhook/redelivery_has_the_same_key",
		"loses garbage":            "webhook/nothing_gets_lost",
		"fails on garbage":         "webhook/nothing_gets_lost",
		"keeps NUL bytes":          "webhook/nothing_gets_lost",
		"ignores without a reason": "webhook/nothing_gets_lost",
		"cannot read again":        "webhook/reads_its_own_payloads_again",
		"goes by names":            "persons",
		"takes all for one":        "persons",

		"knows no new fields":     "recorded/webhook",
		"keeps no payload":        "recorded/replay",
		"understands nothing":     "recorded/poll",
		"makes up a kind":         "recorded/poll",
		"changes the body":        "mutants/webhook",
		"panics on null":          "mutants/replay",
		"loses replays":           "mutants/replay",
		"tells secrets in events": "secrets/events",

		"polls in reverse":         "poll/in_order",
		"skips a message":          "poll/in_order",
		"goes on after a refusal":  "poll/in_order",
		"says nothing of failures": "cancel/Poll",

		"sends everything twice":   "send/text/accepted_by_one_request",
		"keeps no receipt":         "send/photo/accepted_by_one_request",
		"is sure of nothing":       "send/text/unreachable_is_certain",
		"sends what was cancelled": "send/album/cancelled_before_is_certain",
		"sends blindly again":      "send/reply/lost_after_is_uncertain",
		"is sure of everything":    "send/text/timeout_after_is_uncertain",
		"fails without words":      "send/text/unreachable_is_certain",
		"fails in another way":     "send/text/lost_after_is_uncertain",
		"cannot be stopped":        "cancel/Send_text",

		"repeats what the provider says":  "secrets/refused",
		"tells secrets in what it wraps":  "secrets/unreachable",
		"tells secrets in words":          "secrets/lost",
		"takes silence for proof":         "secrets/unauthorised",
		"hides that it failed":            "secrets/internal_error",
		"logs the token":                  "",
		"its stand-in lets everybody in":  "stand-in/text",
		"its stand-in takes everything":   "stand-in/photo",
		"its stand-in refuses everything": "stand-in/album",
		"its stand-in forgot a field":     "stand-in/reply",
		"its harness has no forgeries":    "harness",
		"its harness gives a stale lack":  "harness",
	}
}

// harness is a fake as its own engineer would hand it to the suite.
func harness(t *testing.T, d defect) transporttest.Harness {
	message := func(n int, who, name, text string) []byte {
		return fmt.Appendf(nil, `{"id":"m%d","from":{"id":%q,"name":%q},"text":%q}`, n, who, name, text)
	}
	h := transporttest.Harness{
		Transport: "fake",
		New: func(_ *testing.T, client *http.Client) transports.Transport {
			f := newFake(client, d)
			if d == "plays no role" {
				return struct {
					transports.Webhook
					transports.Transport
				}{f, f}
			}
			return f
		},
		Documented: fakeFacts(),
		Secrets:    []string{fakeToken, fakeSecret},
		Provider:   fakeProvider(d),
		To:         "anna",
		Webhook: func(body []byte) *http.Request {
			r := httptest.NewRequest(http.MethodPost, "/hook", nil)
			r.Header.Set("Signature", fakeSignature(body))
			return r
		},
		Forgeries: map[string]func(*http.Request){
			"unsigned":     transporttest.WithoutHeader("Signature"),
			"signed wrong": transporttest.WithHeader("Signature", fakeSignature([]byte("other"))),
		},
		Message: func(n int, text string) []byte { return message(n, "anna", "Anna", text) },
		Polled: func(_ *testing.T, bodies [][]byte) transports.Transport {
			return newFake(&http.Client{Transport: waiting(bodies)}, d)
		},
		Recorded: []transporttest.Payload{
			{Name: "hello", Body: message(1, "anna", "Anna", "hello")},
			{Name: "null", Body: []byte(`{"id":"m2","from":{"id":"anna"},"text":null}`)},
			{Name: "nobody", Body: []byte(`{"id":"m3","text":"from nobody"}`)},
		},
		Persons: map[string][][]byte{
			"anna": {message(1, "anna", "Anna", "hi"), message(2, "anna", "Anna Lee", "hi")},
			"bob":  {message(1, "bob", "Anna", "hi")},
		},
		StandIn: fakeStandIn(d),
	}
	switch d {
	case "its harness has no forgeries":
		h.Forgeries = nil
	case "its harness gives a stale lack":
		h.Lacks = map[string]string{"Persons": "there are some"}
	case "nobody documented it":
		h.Documented = nil
	case "documented by nobody":
		h.Documented[0].Source = ""
	}
	return h
}

func fakeFacts() []transporttest.Fact {
	const page = "https://fake.example/docs"
	var facts []transporttest.Fact
	for _, field := range []string{"MaxText", "MaxCaption", "Attachments.photo", "MaxFetch", "ReplyWindow", "Replies", "Edits", "Reactions", "Typing", "Album", "Reconcile"} {
		facts = append(facts, transporttest.Fact{Field: field, Source: page})
	}
	facts[0].Most = 100
	for _, field := range []string{"TextUnit", "Segments", "Captionless", "Templates", "Mail", "AlbumBytes", "AlbumKinds", "FetchesMedia", "OptOut", "DeliveryReceipts", "ReadReceipts", "HarmlessResend", "Rate", "PersonRate"} {
		facts = append(facts, transporttest.Fact{Field: field, Has: transporttest.Absent, Source: "the fake has none"})
	}
	return facts
}

// fakeProvider takes what has an address and something to say, from whom it
// knows.
func fakeProvider(d defect) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+fakeToken && d != "its stand-in lets everybody in" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var m struct{ To, Text, Photo string }
		bad := json.NewDecoder(r.Body).Decode(&m) != nil || m.To != "anna" || len(m.Text) > 100 ||
			(m.Text == "" && !strings.HasPrefix(m.Photo, "https://"))
		if (bad && d != "its stand-in takes everything") || d == "its stand-in refuses everything" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"id":"m77"}`)
	})
}

func fakeStandIn(d defect) *transporttest.StandIn {
	const refused, page = http.StatusBadRequest, "https://fake.example/docs"
	fields := map[string]transporttest.Spoiled{
		"header Authorization": {Dropped: 401, Emptied: 401, Nonsense: 401, Huge: 401, Source: page},
		"to":                   {Dropped: refused, Emptied: refused, Nonsense: refused, Huge: refused, Source: page},
		"text":                 {Dropped: refused, Emptied: refused, Huge: refused, Source: page},
		"photo":                {Dropped: refused, Emptied: refused, Nonsense: refused, Huge: refused, Source: page},
	}
	if d == "its stand-in forgot a field" {
		delete(fields, "text")
	}
	return &transporttest.StandIn{New: func(*testing.T) http.Handler { return fakeProvider(d) }, Fields: fields}
}

// waiting hands out payloads two at a time.
type waiting [][]byte

func (w waiting) RoundTrip(r *http.Request) (*http.Response, error) {
	after, err := strconv.Atoi(r.URL.Query().Get("after"))
	if err != nil {
		return nil, err
	}
	after = min(after, len(w))
	var page []string
	for _, body := range w[after:min(after+2, len(w))] {
		page = append(page, string(body))
	}
	if len(page) == 0 { // the provider has news, one day
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	answer := httptest.NewRecorder()
	_, _ = io.WriteString(answer, `{"messages":[`+strings.Join(page, ",")+`]}`)
	return answer.Result(), nil
}

// runsDefects says that this process is the one whose tests are meant to fail.
const runsDefects = "PARLEY_RUN_DEFECTS"

// TestConformance runs the suite on a fake that breaks nothing.
func TestConformance(t *testing.T) { transporttest.Run(t, harness(t, "")) }

// TestDefects runs the suite on every fake that breaks a promise, for
// [TestEveryCheckCanFail], and on none otherwise.
func TestDefects(t *testing.T) {
	if os.Getenv(runsDefects) == "" {
		return
	}
	for _, d := range slices.Sorted(maps.Keys(defects())) {
		t.Run(string(d), func(t *testing.T) { transporttest.Run(t, harness(t, d)) })
	}
}

// TestEveryCheckCanFail runs the suite in a process of its own, on fakes that
// each break one promise. Each must be noticed where it should be, and each check
// of the suite must have noticed something.
func TestEveryCheckCanFail(t *testing.T) {
	if os.Getenv(runsDefects) != "" {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^(TestConformance|TestDefects)$", "-test.v")
	cmd.Env = append(os.Environ(), runsDefects+"=1", "PARLEY_MUTANTS=60")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatal("broken adapters pass")
	}
	passed, failed := results(string(out))
	checks := leaves(passed, "TestConformance/")
	if len(checks) < 40 || !passed["TestConformance"] {
		t.Fatalf("the sound adapter passed %d checks: %s", len(checks), tail(string(out)))
	}
	noticed := map[string]bool{}
	for d, check := range defects() {
		name := "TestDefects/" + strings.ReplaceAll(string(d), " ", "_")
		if want := strings.TrimSuffix(name+"/"+check, "/"); !failed[want] {
			t.Errorf("an adapter that %s is not noticed by %q", d, check)
		}
		for one := range failed {
			if inner, ok := strings.CutPrefix(one, name+"/"); ok {
				noticed[inner] = true
			}
		}
	}
	for _, check := range checks {
		if !noticed[check] {
			t.Errorf("no broken adapter fails %q: it may not be able to fail", check)
		}
	}
}

// results are the names of tests that passed and failed, from go test's own
// words.
func results(out string) (passed, failed map[string]bool) {
	passed, failed = map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "---" {
			continue
		}
		switch fields[1] {
		case "PASS:":
			passed[fields[2]] = true
		case "FAIL:":
			failed[fields[2]] = true
		}
	}
	return passed, failed
}

// leaves are the names below a prefix that have none below themselves, without
// it.
func leaves(names map[string]bool, prefix string) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		inner, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		if n := len(all); n > 0 && strings.HasPrefix(inner, all[n-1]+"/") {
			all = all[:n-1]
		}
		all = append(all, inner)
	}
	return all
}

func tail(s string) string { return s[max(0, len(s)-3000):] }
