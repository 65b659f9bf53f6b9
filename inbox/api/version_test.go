package api_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"parley/inbox"
	"parley/inbox/api"
	"parley/store"
	"parley/store/storetest"
)

// Two who edit the same thing: the second is told, and nothing of the first's is
// lost; who does not say what they read is asked to.
func TestTwoWhoEdit(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	user := w.join(w.a, "agent@acme.example", inbox.Agent)
	for path, bodies := range map[string][2]string{
		"/api/v1/channels/" + string(w.a.channel.ID):      {`{"name":"First"}`, `{"name":"Second","settings":{"a":"b"}}`},
		fmt.Sprintf("/api/v1/users/%d", user.ID):          {`{"role":"admin"}`, `{"disabled":true}`},
		fmt.Sprintf("/api/v1/templates/%d", w.a.template): {`{"text":"First."}`, `{"text":"Second."}`},
		fmt.Sprintf("/api/v1/teams/%d", w.a.team):         {`{"name":"First"}`, `{"members":[]}`},
		fmt.Sprintf("/api/v1/labels/%d", w.a.label):       {`{"name":"First"}`, `{"colour":"#123456"}`},
		fmt.Sprintf("/api/v1/notes/%d", w.a.note):         {`{"text":"First."}`, `{"text":"Second."}`},
		"/api/v1/webhooks/" + w.a.webhook:                 {`{"description":"First"}`, `{"description":"Second"}`},
	} {
		// What is only listed has its version in the list.
		listed := !slices.Contains([]string{"channels", "users", "templates"}, strings.Split(path, "/")[3])
		read := `"1"`
		if !listed {
			read = w.ask(w.a.session, "GET", path, "", 200, nil).Header.Get("ETag")
		}
		if len(read) < 3 || read[0] != '"' {
			t.Fatalf("%s has the ETag %s", path, read)
		}
		if !strings.Contains(path, "templates") {
			res := w.ask(w.a.session, "PATCH", path, bodies[0], 428, nil, "If-Match", "")
			if !strings.Contains(res.body, "version_needed") || !strings.Contains(res.body, "Read it first") {
				t.Errorf("%s without a version: %s", path, res.body)
			}
		}
		for _, odd := range []string{"3x", `W/"1"`, "-1", `"0"`} {
			w.ask(w.a.session, "PATCH", path, bodies[0], 422, nil, "If-Match", odd)
		}
		first := w.ask(w.a.session, "PATCH", path, bodies[0], 200, nil, "If-Match", read)
		if now := first.Header.Get("ETag"); now == read || !listed && now != w.ask(w.a.session, "GET", path, "", 200, nil).Header.Get("ETag") {
			t.Errorf("%s had %s and has %s", path, read, now)
		}
		late := w.ask(w.a.session, "PATCH", path, bodies[1], 412, nil, "If-Match", read)
		if !strings.Contains(late.body, `"changed"`) || !strings.Contains(late.body, "Read it again") {
			t.Errorf("%s: %s", path, late.body)
		}
		if listed {
			continue
		}
		if now := w.ask(w.a.session, "GET", path, "", 200, nil).body; now != first.body {
			t.Errorf("%s: the refused change changed\n%s to\n%s", path, first.body, now)
		}
		// Many at once with the same version: one of them.
		var mu sync.Mutex
		var done []int
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				res := w.send(w.a.session, "PATCH", path, bodies[1], "If-Match", first.Header.Get("ETag"))
				mu.Lock()
				defer mu.Unlock()
				if res.StatusCode != 412 {
					done = append(done, res.StatusCode)
				}
			})
		}
		if all.Wait(); len(done) != 1 || done[0] != 200 {
			t.Errorf("%s: %v of six did it", path, done)
		}
		w.ask(w.a.session, "PATCH", path, bodies[1], 200, nil, "If-Match", "*")
	}
}

func TestChannelIsChanged(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	var ch api.Channel
	w.ask(w.a.session, "PATCH", "/api/v1/channels/Support", `{"name":" Help ","country":"de","settings":{"api_url":"http://x"}}`, 200, &ch)
	if ch.ID != w.a.channel.ID || ch.Name != "Help" || ch.Country != "DE" || ch.Settings["api_url"] != "http://x" || ch.Version != w.a.channel.Version+1 {
		t.Errorf("%+v", ch)
	}
	if e := w.lastEntry(); e.Action != "channel.change" || e.TargetID != string(ch.ID) {
		t.Errorf("noted as %+v", e)
	}
	w.ask(w.a.session, "POST", "/api/v1/channels", `{"transport":"telegram","name":"Other","secrets":{"token":"other"}}`, 201, nil)
	w.ask(w.a.session, "PATCH", "/api/v1/channels/Other", `{"name":"hELP"}`, 409, nil)
	w.ask(w.a.session, "PATCH", "/api/v1/channels/Other", `{"name":"other"}`, 200, nil) // its own
	w.ask(w.a.session, "PATCH", "/api/v1/channels/Other", `{"name":"  "}`, 422, nil)
	w.ask(w.a.session, "PATCH", "/api/v1/channels/Other", `{"mode":"webhook"}`, 422, nil) // no public URL
	w.ask(w.a.session, "PATCH", "/api/v1/channels/Other", `{"country":"D"}`, 422, nil)
}

func TestChannelsAndFilesWithAKeyAreOnce(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	const body = `{"transport":"telegram","name":"Keyed","secrets":{"token":"keyed"}}`
	var mu sync.Mutex
	channels, files := map[string]bool{}, map[string]bool{}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			ch := w.send(w.a.session, "POST", "/api/v1/channels", body, "Idempotency-Key", "k")
			up := w.send(w.a.session, "POST", "/api/v1/uploads?name=a.txt", "bytes", "Idempotency-Key", "k")
			mu.Lock()
			defer mu.Unlock()
			channels[fmt.Sprint(ch.StatusCode, ch.body)], files[fmt.Sprint(up.StatusCode, up.body)] = true, true
		})
	}
	all.Wait()
	for _, got := range []map[string]bool{channels, files} {
		for text := range got {
			if len(got) != 1 || !strings.HasPrefix(text, "201") {
				t.Errorf("%d answers: %s", len(got), text)
			}
		}
	}
	if n := storetest.Int(t, w.url, "SELECT count(*) FROM parley_audit_log WHERE action = 'channel.add' AND tenant_id = $1", string(w.a.tenant.ID)); n != 1 {
		t.Errorf("%d notes of one channel", n)
	}
	for _, other := range []string{
		strings.Replace(body, "Keyed", "Other", 1), strings.Replace(body, `"keyed"`, `"other"`, 1), strings.Replace(body, "}}", `},"settings":{"a":"b"}}`, 1),
	} {
		w.ask(w.a.session, "POST", "/api/v1/channels", other, 409, nil, "Idempotency-Key", "k")
	}
	w.ask(w.a.session, "POST", "/api/v1/uploads?name=a.txt", "others", 409, nil, "Idempotency-Key", "k")
	w.ask(w.a.session, "POST", "/api/v1/uploads?name=b.txt", "bytes", 409, nil, "Idempotency-Key", "k")
	w.ask(w.b.session, "POST", "/api/v1/channels", strings.Replace(body, "Keyed", "Theirs", 1), 201, nil, "Idempotency-Key", "k")
	w.ask(w.b.session, "POST", "/api/v1/uploads?name=b.txt", "theirs", 201, nil, "Idempotency-Key", "k")
}

// Every create takes an Idempotency-Key, and every change of what two people edit
// a version; whoever adds one says here why it does not.
func TestCreatesTakeKeysAndChangesVersions(t *testing.T) {
	t.Parallel()
	// Why doing it twice is doing it once, or does no harm.
	keyless := map[string]string{
		"log-in": "each is a session of its own", "accept-invitation": "an invitation is used up",
		"begin-second-factor": "stores nothing that counts before it is confirmed; the last one does",
		"merge-clients":       "a second merge finds them merged", "unmerge-client": "a second one finds them apart", "take-contact": "a second one finds it taken",
		"add-block":      "there is one rule for each kind and value",
		"import-clients": "each line is a key: it finds whom it made", "preview": "stores nothing", "show-typing": "lasts some seconds",
		"audit": "reads", "check-channel": "asks the provider", "reconcile-channel": "what is there already is not fetched again",
		"refetch":           "what is stored already is not fetched again",
		"replay-quarantine": "an event that was settled stays settled",
		"pause-channel":     "a state", "resume-channel": "a state", "suspend-tenant": "a state", "resume-tenant": "a state", "block-client": "a state", "unblock-client": "a state",
		"read-chat": "a mark", "unread-chat": "a mark", "cancel-scheduled": "a state", "undo": "a state", "cancel-delivery": "a state",
		"retry-delivery":  "only what failed is tried again, and it has not failed while it is tried",
		"settle-delivery": "only what is uncertain is settled",
		"edit-message":    "the same text again changes nothing", "react-to-message": "the same reactions again change nothing",
		"remove-tenant": "it is gone", "erase-client": "they are gone",
		"rotate-channel": "the provider is told the last one, and what it signs by the one before is taken for a while",
		"test-webhook":   "a further test; receivers know each by its webhook-id",
		"replay-webhook": "the same deliveries under the same webhook-id, by which receivers know them",
	}
	unversioned := map[string]string{
		"set-chat-status": "seen refuses it when the client has written since", "assign-chat": "free refuses to take it from somebody else",
		"set-alert-bot": "one choice, and the last one counts", "set-desk-settings": "one number, and the last one counts",
		"set-alerts": "one's own, in one piece", "set-my-alerts": "likewise", "put-draft": "likewise",
		"continue-resumable": "Upload-Offset says what it goes on from, and refuses it when more has arrived",
		"label-chat":         "a label is there or not", "confirm-second-factor": "the code is of the secret that it confirms",
	}
	all := operations()
	for id := range keyless {
		if all[id] == nil {
			t.Errorf("%s is excused and no operation", id)
		}
	}
	for id, op := range all {
		takes := map[string]bool{}
		for _, p := range op.Parameters {
			takes[p.Name] = true
		}
		repeats := takes["Idempotency-Key"] || takes["If-Match"]
		if (keyless[id] != "" && repeats) || (unversioned[id] != "" && takes["If-Match"]) {
			t.Errorf("%s is excused and needs no excuse", id)
		}
		if op.Method == "POST" && !repeats && keyless[id] == "" {
			t.Errorf("%s takes no Idempotency-Key: embed ForKey, or say why a repetition does no harm", id)
		}
		if (op.Method == "PATCH" || op.Method == "PUT") && !takes["If-Match"] && unversioned[id] == "" {
			t.Errorf("%s changes what others may be changing and takes no If-Match: embed ForVersion", id)
		}
	}
}

// Those who stand in for whoever answered elsewhere are no users: nobody lists,
// changes or invites them, and nobody logs in as one.
func TestStandInsAreNoUsers(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	id := storetest.Int(t, w.url, `INSERT INTO core_users (tenant_id, name, email, password_hash, channel_id)
		SELECT $1, 'Support', 'standin@acme.example', password_hash, $2 FROM core_users WHERE id = $3 RETURNING id`,
		string(w.a.tenant.ID), string(w.a.channel.ID), w.a.owner.ID)
	var users api.List[store.Account]
	w.ask(w.a.session, "GET", "/api/v1/users?limit=200", "", 200, &users)
	for _, u := range users.Items {
		if u.ID == id {
			t.Error("listed")
		}
	}
	path := fmt.Sprintf("/api/v1/users/%d", id)
	w.ask(w.a.session, "GET", path, "", 404, nil)
	w.ask(w.a.session, "PATCH", path, `{"role":"admin"}`, 404, nil)
	w.ask(w.a.session, "POST", path+"/reset", "", 404, nil)
	w.ask("", "POST", "/api/v1/session", fmt.Sprintf(`{"tenant":"Acme","email":"standin@acme.example","password":%q}`, password), 401, nil)
}
