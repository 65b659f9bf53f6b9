package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/inbox/api"
	"parley/store"
	"parley/store/storetest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestOpenAPIIsWhatItWas(t *testing.T) {
	spec, err := json.MarshalIndent(api.Describe(http.NewServeMux(), api.Options{Version: "1.2.3"}), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	spec = append(spec, '\n')
	file := filepath.Join("testdata", "openapi.json")
	if *update {
		if err := os.WriteFile(file, spec, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(spec, golden) {
		t.Error("the API's description differs from testdata/openapi.json; if that is meant, run: go test ./inbox/api -update")
	}
}

func TestChatsMessagesAndReply(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says(1, "hello")
	w.says(2, "hi there")

	var chats api.List[inbox.Chat]
	w.do("GET", "/api/v1/chats?limit=1", "", 200, &chats)
	if len(chats.Items) != 1 || chats.Items[0].ID != 2 || chats.Next == "" {
		t.Fatalf("chats are %+v", chats)
	}
	w.do("GET", "/api/v1/chats?limit=1&cursor="+chats.Next, "", 200, &chats)
	if len(chats.Items) != 1 || chats.Items[0].ID != 1 {
		t.Fatalf("then %+v", chats)
	}
	var chat inbox.Chat
	w.do("GET", "/api/v1/chats/1", "", 200, &chat)
	if chat.Client.FirstName != "Client 1" || len(chat.Routes) != 1 || chat.Unread != 1 {
		t.Errorf("chat is %+v", chat)
	}

	var first, again inbox.Message
	body := `{"text":"How can I help?","seen":1}`
	w.do("POST", "/api/v1/chats/1/messages", body, 201, &first, "Idempotency-Key", "k1")
	w.do("POST", "/api/v1/chats/1/messages", body, 201, &again, "Idempotency-Key", "k1")
	if first.ID == 0 || again.ID != first.ID || first.Delivery == nil {
		t.Errorf("replies are %+v and %+v", first, again)
	}
	var page api.Messages
	w.do("GET", "/api/v1/chats/1/messages?after=1", "", 200, &page)
	if len(page.Items) != 1 || page.Items[0].Text != "How can I help?" || page.More {
		t.Errorf("page is %+v", page)
	}
	var read struct{ Messages int64 }
	w.do("POST", "/api/v1/chats/2/read", `{"seq":1}`, 200, &read)
	if read.Messages != 1 {
		t.Errorf("marked %d", read.Messages)
	}
}

func TestStaleReplySaysWhatWasMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says(1, "one")
	w.says(1, "two")
	var p struct {
		api.Problem
		Data store.Missed `json:"data"`
	}
	w.do("POST", "/api/v1/chats/1/messages", `{"text":"to one","seen":1}`, 409, &p)
	if p.Code != inbox.Stale || p.Data.LastSeq != 2 || len(p.Data.Messages) != 1 || p.Data.Messages[0].Text != "two" {
		t.Errorf("problem is %+v", p)
	}
	w.do("POST", "/api/v1/chats/1/messages", `{"text":"to one","seen":1,"force":true}`, 201, nil)
}

func TestProblems(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says(1, "hello")
	var preview store.ReplayPreview
	w.do("GET", "/api/v1/quarantine/1/preview", "", 200, &preview)
	if len(preview.Events) != 1 || !preview.Events[0].NewClient {
		t.Errorf("preview is %+v", preview)
	}
	w.replays = func(int64) (store.BatchResult, error) { return store.BatchResult{}, errTest }
	for _, tt := range []struct {
		method, path, body string
		status             int
		code               inbox.Code
		says               string
	}{
		{"GET", "/api/v1/nothing", "", 404, inbox.NotFound, "/api/v1/nothing"},
		{"GET", "/api/v1/chats/99", "", 404, inbox.NotFound, "no chat 99"},
		{"GET", "/api/v1/chats/x", "", 422, inbox.Invalid, "path.chat"},
		{"GET", "/api/v1/chats?limit=5000", "", 422, inbox.Invalid, "query.limit"},
		{"GET", "/api/v1/chats?colour=red", "", 422, inbox.Invalid, "colour"},
		{"GET", "/api/v1/chats?cursor=xx", "", 422, inbox.Invalid, "cursor"},
		{"GET", "/api/v1/chats/1/messages?before=1&after=1", "", 422, inbox.Invalid, "Only one"},
		{"POST", "/api/v1/chats/1/messages", `{"text":"hi"}`, 422, inbox.Invalid, "seen"},
		{"POST", "/api/v1/chats/1/messages", `{"text":`, 400, inbox.Invalid, ""},
		{"POST", "/api/v1/chats/1/messages", `{"text":"hi","seen":1,"channel":"Nope"}`, 404, inbox.NotFound, "Nope"},
		{"POST", "/api/v1/channels", `{"transport":"telegram","name":"X","secrets":{"token":"wrong"}}`, 422, inbox.Invalid, "refused"},
		{"POST", "/api/v1/channels", `{"transport":"telegram","name":"Support","secrets":{"token":"t"}}`, 409, inbox.Conflict, "Support"},
		{"GET", "/api/v1/stream?after=yesterday", "", 422, inbox.Invalid, "yesterday"},
		{"GET", "/api/v1/quarantine/7", "", 404, inbox.NotFound, "7"},
		{"POST", "/api/v1/quarantine/7/replay", "", 500, api.Internal, "inside Parley"},
	} {
		var p api.Problem
		w.do(tt.method, tt.path, tt.body, tt.status, &p)
		if p.Code != tt.code || p.Status != tt.status || p.Title == "" || p.Type != "about:blank" || !strings.Contains(p.Detail, tt.says) {
			t.Errorf("%s %s: %+v", tt.method, tt.path, p)
		}
		if strings.Contains(p.Detail, errTest.Error()) {
			t.Errorf("an internal error shows: %s", p.Detail)
		}
		t.Logf("%s %s: %s %s", tt.method, tt.path, p.Detail, p.Hint)
	}

	w.exec("UPDATE crm_clients SET blocked_at = now()")
	var p api.Problem
	w.do("POST", "/api/v1/chats/1/messages", `{"text":"hi","seen":1}`, 409, &p)
	if p.Code != inbox.Refused {
		t.Errorf("problem is %+v", p)
	}

	if _, err := w.db.CreateTenant(t.Context(), "Other"); err != nil {
		t.Fatal(err)
	}
	w.do("GET", "/api/v1/chats", "", 422, &p)
	if !strings.Contains(p.Hint, "Acme") || !strings.Contains(p.Hint, "Other") {
		t.Errorf("problem is %+v", p)
	}
	var chats api.List[inbox.Chat]
	w.do("GET", "/api/v1/chats", "", 200, &chats, "Parley-Tenant", "Other")
	if chats.Items == nil || len(chats.Items) != 0 {
		t.Errorf("the other tenant sees %+v", chats)
	}
	w.do("GET", "/api/v1/chats", "", 404, &p, "Parley-Tenant", "Nobody")
}

func (w *world) exec(sql string) {
	w.t.Helper()
	storetest.Exec(w.t, w.url, sql)
}

func TestChannelsShowNoSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.bus.PutHealth(t.Context(), events.ChannelHealth{Channel: w.channel.ID, State: events.Connected, Since: time.Now()}); err != nil {
		t.Fatal(err)
	}
	var raw json.RawMessage
	w.do("GET", "/api/v1/channels", "", 200, &raw)
	for _, secret := range []string{w.channel.WebhookPath, "token", "sealed", "webhook_path"} {
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("%q is in %s", secret, raw)
		}
	}
	var list api.List[api.Channel]
	if err := json.Unmarshal(raw, &list); err != nil || len(list.Items) != 1 || list.Items[0].State != events.Connected {
		t.Errorf("channels are %s", raw)
	}
	var ch api.Channel
	w.do("POST", "/api/v1/channels", `{"transport":"telegram","name":"Sales","secrets":{"token":"sales"}}`, 201, &ch)
	if ch.Account != "@sales" {
		t.Errorf("channel is %+v", ch)
	}
	w.do("POST", "/api/v1/channels/Sales/pause", "", 200, &ch)
	if !ch.Paused {
		t.Errorf("channel is %+v", ch)
	}
	w.do("POST", "/api/v1/channels/Sales/resume", "", 200, &ch)
	var check api.ChannelCheck
	w.do("POST", "/api/v1/channels/Sales/check", "", 200, &check)
	if check.Report == nil || check.Report.Account != "@sales" || len(check.Words) == 0 {
		t.Errorf("check is %+v", check)
	}
}

func TestOperatorsViews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var status api.Status
	w.do("GET", "/api/v1/status", "", 200, &status)
	if status.Version != "1.2.3" || !status.Ready {
		t.Errorf("status is %+v", status)
	}
	var tenants api.List[store.Tenant]
	w.do("GET", "/api/v1/tenants", "", 200, &tenants)
	if len(tenants.Items) != 1 || tenants.Items[0].Name != "Acme" {
		t.Errorf("tenants are %+v", tenants)
	}
	w.audit = api.Audit{Clean: true, Partitions: []api.AuditPartition{{Partition: 3}}, Findings: []string{}}
	var audit api.Audit
	w.do("POST", "/api/v1/audit", "", 200, &audit)
	if !audit.Clean || audit.Partitions[0].Partition != 3 {
		t.Errorf("audit is %+v", audit)
	}

	w.exec(`INSERT INTO parley_quarantine (stream_partition, stream_seq, event, reason) VALUES (0, 1, '{"a":1}', 'JSON'), (0, 2, '\xff00', 'not JSON')`)
	var list api.List[store.QuarantinedEvent]
	w.do("GET", "/api/v1/quarantine", "", 200, &list)
	if len(list.Items) != 2 {
		t.Fatalf("quarantine is %+v", list)
	}
	slices.SortFunc(list.Items, func(a, b store.QuarantinedEvent) int { return int(a.Seq - b.Seq) })
	var one api.QuarantineRecord
	w.do("GET", "/api/v1/quarantine/"+itoa(list.Items[0].ID), "", 200, &one)
	if string(one.Event) != `{"a":1}` || one.Text != "" {
		t.Errorf("record is %+v", one)
	}
	one = api.QuarantineRecord{}
	w.do("GET", "/api/v1/quarantine/"+itoa(list.Items[1].ID), "", 200, &one)
	if one.Event != nil || one.Text == "" {
		t.Errorf("record is %+v", one)
	}
	w.replays = func(int64) (store.BatchResult, error) {
		return store.BatchResult{Outcomes: []store.Outcome{store.Persisted}, NewClients: 1}, nil
	}
	var replayed api.Replayed
	w.do("POST", "/api/v1/quarantine/1/replay", "", 200, &replayed)
	if len(replayed.Outcomes) != 1 || replayed.NewClients != 1 {
		t.Errorf("replayed is %+v", replayed)
	}
}

func itoa(n int64) string {
	text, _ := json.Marshal(n)
	return string(text)
}

func TestStreamAndResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	publish := func(id int64) {
		t.Helper()
		err := w.bus.PublishFacts(t.Context(), []events.Fact{{
			ID: id, Tenant: w.tenant.ID, Noun: "message", Verb: "received", Chat: 1, Time: time.Now(), Data: json.RawMessage(`{"text":"a\nb"}`),
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	lines := func(query string) (next func() string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://parley/api/v1/stream"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := w.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatal(res.Status, res.Header)
		}
		in := bufio.NewScanner(res.Body)
		return func() string {
			if !in.Scan() {
				return "end"
			}
			return in.Text()
		}
	}
	next := lines("")
	if got := next(); got != ": parley" {
		t.Fatalf("begins with %q", got)
	}
	next()
	publish(11)
	id := next()
	if !strings.HasPrefix(id, "id: ") || next() != "event: parley.message.received" {
		t.Fatalf("first is %q", id)
	}
	var fact events.Fact
	data := strings.TrimPrefix(next(), "data: ")
	if err := json.Unmarshal([]byte(data), &fact); err != nil || fact.ID != 11 {
		t.Fatalf("data is %s, %v", data, err)
	}
	publish(12)

	resumed := lines("?chat=1&after=" + strings.TrimPrefix(id, "id: "))
	resumed()
	resumed()
	resumed()
	resumed()
	if data := resumed(); !strings.Contains(data, `"id":"12"`) {
		t.Errorf("resumed with %s", data)
	}
	reset := lines("?after=999999")
	if got := reset(); got != "event: reset" {
		t.Errorf("past the end: %q", got)
	}
	w.stop()
	for got := resumed(); got != "end"; got = resumed() {
		t.Log(got)
	}
}
