package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/inbox/desk"
	"parley/store"
	"parley/transports/sandbox"
)

// example is a piece of shell in the documentation, and the answer shown for it.
type example struct {
	// before names what has to have happened meanwhile, empty for nothing.
	before string
	shell  string
	// kind is json or text.
	kind, answer string
}

var (
	fence  = regexp.MustCompile("(?ms)^(?:<!-- before: (\\w+) -->\n)?```(\\w+)\n(.*?)^```$")
	colons = regexp.MustCompile(`^[^:{]*:?`)
)

// examplesOf are a page's examples: each piece of shell with the answer behind it.
func examplesOf(t *testing.T, page string) (list []example) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		switch {
		case m[2] == "sh":
			list = append(list, example{before: m[1], shell: m[3]})
		case len(list) == 0 || list[len(list)-1].kind != "":
			t.Fatalf("an answer without its example: %s", m[3])
		default:
			last := &list[len(list)-1]
			last.kind, last.answer = m[2], m[3]
		}
	}
	return list
}

// TestExamplesOfTheAPI runs every example of docs/api.md, in one shell, and compares
// the answers' shapes with those that are shown.
func TestExamplesOfTheAPI(t *testing.T) {
	t.Parallel()
	list := examplesOf(t, filepath.Join("..", "..", "docs", "api.md"))
	if len(list) < 15 {
		t.Fatalf("the page has %d examples", len(list))
	}
	posts := make(chan *http.Request, 10)
	bodies := make(chan []byte, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body) // checked by its signature
			posts <- r
			bodies <- body
			return
		}
		select { // the shell asks for what was posted
		case p := <-posts:
			_, _ = fmt.Fprintf(w, "ID='%s' TIMESTAMP='%s' SIGNATURE='%s'\nprintf %%s '%s' | base64 -d >body.json\n",
				p.Header.Get("Webhook-Id"), p.Header.Get("Webhook-Timestamp"), p.Header.Get("Webhook-Signature"), base64.StdEncoding.EncodeToString(<-bodies))
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(receiver.Close)
	p := startForExamples(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lamp.png"), aPicture(t, 40, 30), 0o600); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{
		"":       "",
		"posted": `source <(curl -sS --max-time 30 "$HOOK")`,
		"indexed": `until [ "$(curl -sS -H "$AUTH" "$PARLEY/search/messages?q=lamp" | jq '.items | length')" -ge 1 ] &&
			[ "$(curl -sS -H "$AUTH" "$PARLEY/search/clients?q=anna" | jq '.items | length')" -ge 1 ]; do sleep 0.1; done`,
	}
	var script strings.Builder
	script.WriteString("set -euo pipefail\n")
	for i, e := range list {
		hook, known := before[e.before]
		if !known {
			t.Fatalf("this test does not know what %q is", e.before)
		}
		fmt.Fprintf(&script, "%s\n{\n%s} >%d.out\n", hook, e.shell, i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	bash := exec.CommandContext(ctx, "bash", "-s")
	bash.Dir, bash.Stdin = dir, strings.NewReader(script.String())
	bash.Env = append(os.Environ(), "PARLEY="+p.Pages, "HOOK="+receiver.URL, "EMAIL=ann@example.com", "PASSWORD=correct horse battery")
	said, err := bash.CombinedOutput()
	for i, e := range list {
		out, missing := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%d.out", i)))
		if missing != nil {
			break
		}
		if err != nil {
			t.Logf("%s\n%s", e.shell, out)
			continue
		}
		e.compare(t, string(out))
	}
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
}

// compare holds an answer against the one that is shown.
func (e *example) compare(t *testing.T, out string) {
	t.Helper()
	switch e.kind {
	case "":
	case "json":
		var want, got any
		if err := json.Unmarshal([]byte(e.answer), &want); err != nil {
			t.Fatalf("what is shown is no JSON: %v: %s", err, e.answer)
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Errorf("%s\nanswers %q: %v", e.shell, out, err)
			return
		}
		if why := differs("", want, got); why != "" {
			t.Errorf("%s\nanswers %s\nbut %s", e.shell, out, why)
		}
	case "text":
		rest := out
		for line := range strings.Lines(strings.TrimSpace(e.answer)) {
			begin := strings.TrimSpace(colons.FindString(line))
			_, behind, found := strings.Cut(rest, begin)
			if !found {
				t.Errorf("%s\nanswers %s\nwithout %q", e.shell, out, begin)
				return
			}
			rest = behind
		}
	default:
		t.Errorf("an answer is %s", e.kind)
	}
}

// differs says where an answer lacks something that is shown, or has it in another
// type; of a problem, the status and code are compared, too.
func differs(at string, want, got any) string {
	switch want := want.(type) {
	case map[string]any:
		have, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %T", at, got)
		}
		for name, w := range want {
			g, ok := have[name]
			if !ok {
				return at + "." + name + " is missing"
			}
			if why := differs(at+"."+name, w, g); why != "" {
				return why
			}
			if _, problem := want["title"]; problem && (name == "status" || name == "code") && w != g {
				return fmt.Sprintf("%s.%s is %v", at, name, g)
			}
		}
	case []any:
		have, ok := got.([]any)
		if !ok || len(have) < min(len(want), 1) {
			return fmt.Sprintf("%s is %v", at, got)
		}
		if len(want) > 0 {
			return differs(at+"[0]", want[0], have[0])
		}
	default:
		if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) {
			return fmt.Sprintf("%s is %T, not %T", at, got, want)
		}
	}
	return ""
}

// startForExamples starts the program with an owner who can log in, a channel, and a
// client who has written.
func startForExamples(t *testing.T) *program {
	t.Helper()
	twilio, err := sandbox.NewTwilio(sandbox.TwilioOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at, err := twilio.Start(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = twilio.Close() })
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	dir := dataFolder(t)
	var told notice
	p := start(t, Config{DataDir: dir, Listen: listen, PublicURL: "http://" + listen, APIListen: "127.0.0.1:0", PrivateWebhooks: true, Notice: &told})
	annJoins(t, &told)
	tenant, err := p.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Desk.ChannelAdd(t.Context(), desk.NewChannel{
		Tenant: tenant.ID, Transport: events.SMS, Name: "SMS", Mode: events.Webhook, Country: "DE",
		Settings: map[string]string{"account_sid": sandbox.DefaultTwilioAccount, "from": sandbox.DefaultTwilioNumber, "api_url": at},
		Secrets:  map[string]string{"auth_token": sandbox.DefaultTwilioToken},
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := twilio.Await(ctx, func(e sandbox.TwilioEntry) bool {
		return e.What == sandbox.LogCalled && e.Sender == sandbox.DefaultTwilioNumber
	}); err != nil {
		t.Fatal("nobody told the stand-in where to deliver: ", err)
	}
	if _, err := twilio.Person("anna").Say("Where is my lamp?"); err != nil {
		t.Fatal(err)
	}
	awaitFacts(t, dir, 1, "message", "received", 1)
	card, err := p.Desk.Store.Client(t.Context(), tenant.ID, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Desk.Store.ChangeClient(t.Context(), tenant.ID, inbox.Actor{Kind: inbox.Operator}, 1, card.Version, store.ClientChange{FirstName: new("Anna")}); err != nil {
		t.Fatal(err)
	}
	return p
}

// annJoins follows the link of the first start: she is the owner then.
func annJoins(t *testing.T, told *notice) {
	t.Helper()
	_, link, _ := strings.Cut(told.String(), "\n  http://")
	base, invitation, _ := strings.Cut(strings.TrimSpace(link), "/invite#")
	joining := `{"invitation":"` + invitation + `","name":"Ann","email":"ann@example.com","password":"correct horse battery"}`
	res, err := http.Post("http://"+base+"/api/v1/invitations/accept", "application/json", strings.NewReader(joining))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("the owner joins: %s", res.Status)
	}
}
