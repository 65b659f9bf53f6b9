package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"parley/events"
	"parley/events/jetstream/natstest"
	"parley/inbox"
	"parley/inbox/access"
	"parley/inbox/desk"
	"parley/store"
	"parley/store/storetest"
	"parley/transports/sandbox"
)

// keyWorld is an installation whose processes read one file of keys.
type keyWorld struct {
	*testing.T
	cfg    []Config
	p      []*program
	tenant events.TenantID
	keys   string
	first  *inbox.Keyring // what it began with
	// opts are the flags of commands.
	opts []string
}

// newKeyWorld begins with a key from before keys were named.
func newKeyWorld(t *testing.T, processes int) *keyWorld {
	t.Helper()
	w := &keyWorld{T: t, keys: filepath.Join(t.TempDir(), "parley.key")}
	text := inbox.NewKey() + "\n"
	if err := os.WriteFile(w.keys, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.first, err = inbox.ParseKey(text); err != nil {
		t.Fatal(err)
	}
	one := shared(t, Config{DataDir: dataFolder(t), NATSURL: natstest.Serve(t).URL(), SecretKeyFile: w.keys, PublicURL: "https://inbox.example.com", PrivateWebhooks: true})
	one.SecretKey = ""
	w.opts = []string{"--database-url", one.DatabaseURL, "--nats-url", one.NATSURL, "--secret-key-file", w.keys}
	for range processes {
		w.cfg, w.p = append(w.cfg, one), append(w.p, start(t, one))
		one.DataDir = dataFolder(t)
	}
	tenant, err := w.p[0].Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	w.tenant = tenant.ID
	return w
}

// key runs parley key.
func (w *keyWorld) key(args ...string) string {
	w.Helper()
	return parley(w.T, w.cfg[0].DataDir, append(append([]string{"key"}, args...), w.opts...)...)
}

func (w *keyWorld) keyRefused(want string, args ...string) {
	w.Helper()
	out, err := parleyFails(w.T, w.cfg[0].DataDir, append(append([]string{"key"}, args...), w.opts...)...)
	if err == nil || !strings.Contains(out, want) {
		w.Errorf("parley key %s says %q, %v, not %q", strings.Join(args, " "), out, err, want)
	}
}

func (w *keyWorld) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// list is what parley key list says.
func (w *keyWorld) list() (r keyReport) {
	w.Helper()
	w.must(json.Unmarshal([]byte(w.key("list", "--json")), &r))
	return r
}

// TestRotateUnderTraffic rotates the key of two processes while clients write, agents
// answer and webhooks are called, and then does without the old key.
func TestRotateUnderTraffic(t *testing.T) {
	t.Parallel()
	telegram, address := startTelegram(t)
	w := newKeyWorld(t, 2)
	w.p[0].connect(t, address)
	anna, bert := telegram.Person("anna"), telegram.Person("bert")
	says(t, w.cfg[0].DataDir, anna, "unmistakable-beginning")
	says(t, w.cfg[0].DataDir, bert, "unmistakable-to-be-erased")

	// Bert is erased, and stays so.
	user := storetest.Int(t, w.cfg[0].DatabaseURL, `SELECT i.value::bigint FROM parley_identities i JOIN crm_chats c ON c.client_id = i.client_id
		JOIN crm_chat_messages m ON m.chat_id = c.id WHERE m.message = 'unmistakable-to-be-erased' AND i.kind = $1`, events.TelegramUser)
	client := storetest.Int(t, w.cfg[0].DatabaseURL, `SELECT c.client_id FROM crm_chats c JOIN crm_chat_messages m ON m.chat_id = c.id WHERE m.message = 'unmistakable-to-be-erased'`)
	_, err := w.p[0].Desk.Erase(t.Context(), w.tenant, inbox.Actor{Kind: inbox.Operator}, client)
	w.must(err)
	stillErased := func(p *program) {
		t.Helper()
		ev := &events.Inbound{Tenant: w.tenant, ProviderTime: time.Now().Add(-time.Hour), Person: events.Person{Identity: events.Identity{Kind: events.TelegramUser, Value: fmt.Sprint(user)}}}
		if buried, err := p.Desk.Store.Buried(t.Context(), []*events.Inbound{ev}); err != nil || !buried[0] {
			t.Errorf("who was erased comes back: %v, %v", buried, err)
		}
	}
	stillErased(w.p[0])

	called := w.receiver()
	link := w.link()
	logIn := w.secondFactor()
	logIn(w.p[1])

	// Traffic, without a pause.
	ctx, stop := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	var said, answered atomic.Int64
	traffic.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if _, err := anna.Say(fmt.Sprintf("question-%06d-of-anna", i)); err != nil {
				t.Error(err)
				return
			}
			said.Add(1)
			inbox.Pause(ctx, 20*time.Millisecond)
		}
	})
	now := time.Duration(0)
	traffic.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			_, err := w.p[i%2].Desk.Reply(context.WithoutCancel(ctx), desk.Reply{Tenant: w.tenant, Chat: 1, Text: fmt.Sprintf("answer-%06d-to-anna", i), Force: true, Undo: &now})
			if err != nil {
				t.Error(err)
				return
			}
			answered.Add(1)
			inbox.Pause(ctx, time.Second) // a bot may not write faster to one person
		}
	})
	old := w.first.Current().ID
	w.keyRefused("is the one that seals", "retire", old)
	out := w.key("rotate")
	if !strings.Contains(out, "parley key retire "+old) || !strings.Contains(out, "sealed anew") {
		t.Error(out)
	}
	r := w.list()
	fresh := r.Keys[0].ID
	if fresh == old || r.Waiting != 0 || r.Processes != 2 || len(r.Keys[0].Sealing) != 2 || len(r.Unnamed) != 0 || total(r.Keys[1].Sealed) != 0 || r.Keys[0].Sealed["channels"] != 1 || r.Keys[0].Sealed[onTheBus] != 1 {
		t.Errorf("afterwards: %+v", r)
	}
	if st, err := os.Stat(w.keys); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file of the keys: %v, %v", st.Mode(), err)
	}
	called.next()
	logIn(w.p[0])
	get(t, link, http.StatusOK) // of before
	stillErased(w.p[1])

	w.keyRefused("Links to files that were made with the key "+old, "retire", old)
	if out := w.key("retire", old, "--now"); !strings.Contains(out, "is retired") {
		t.Error(out)
	}
	eventually(w.T, patience, func() bool { return len(w.p[0].Desk.Keyring.IDs())+len(w.p[1].Desk.Keyring.IDs()) == 2 })
	get(t, link, http.StatusNotFound)
	called.next()
	logIn(w.p[1])
	before := answered.Load()
	eventually(w.T, patience, func() bool { return answered.Load() > before+1 })
	stop()
	traffic.Wait()

	// A process that starts now, with the new key alone, has everything.
	w.p[0].Stop(t)
	w.p[0] = start(t, w.cfg[0])
	stillErased(w.p[0])
	says(t, w.cfg[0].DataDir, anna, "unmistakable-end")
	eventually(w.T, patience, func() bool {
		return storetest.Int(t, w.cfg[0].DatabaseURL, `SELECT count(*) FROM crm_chat_messages WHERE message LIKE 'answer-%-to-anna' AND sent_at IS NOT NULL`) == answered.Load()
	})
	if n := storetest.Int(t, w.cfg[0].DatabaseURL, `SELECT count(DISTINCT message) FROM crm_chat_messages WHERE message LIKE 'question-%-of-anna'`); n != said.Load() {
		t.Errorf("%d of %d questions are stored", n, said.Load())
	}
	if n := len(received(telegram, "answer-")); int64(n) != answered.Load() {
		t.Errorf("anna got %d of %d answers", n, answered.Load())
	}
	auditClean(t, w.cfg[0].DataDir)
}

// received are what a bot sent, with that beginning.
func received(tg *sandbox.Telegram, begin string) (texts []string) {
	for _, e := range tg.Log(0) {
		if e.What == sandbox.LogSent && strings.HasPrefix(e.Text, begin) {
			texts = append(texts, e.Text)
		}
	}
	return texts
}

// called is somebody who is told by webhook, and checks each signature.
type called struct {
	*testing.T
	n atomic.Int64
}

func (w *keyWorld) receiver() *called {
	w.Helper()
	c, secret := &called{T: w.T}, make(chan []byte, 1)
	var key []byte
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.Error(err)
		}
		k := <-secret
		secret <- k
		mac := hmac.New(sha256.New, k)
		_, _ = fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("Webhook-Signature") != want {
			w.Errorf("signed %q, not %q", r.Header.Get("Webhook-Signature"), want)
		}
		c.n.Add(1)
	}))
	w.Cleanup(srv.Close)
	_, text, err := w.p[0].Desk.AddWebhook(w.Context(), w.tenant, inbox.Actor{Kind: inbox.Operator}, desk.NewWebhook{URL: srv.URL})
	w.must(err)
	key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	w.must(err)
	secret <- key
	return c
}

// next waits for five calls more.
func (c *called) next() {
	c.Helper()
	before := c.n.Load()
	for late := time.Now().Add(patience); c.n.Load() < before+5; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(late) {
			c.Fatal("nobody called")
		}
	}
}

// link is one to a file, for a provider.
func (w *keyWorld) link() string {
	w.Helper()
	up, err := w.p[0].Desk.Upload(w.Context(), w.tenant, "", "offer.png", "", bytes.NewReader(aPicture(w.T, 50, 50)))
	w.must(err)
	blobs, err := store.OpenBlobs(w.Context(), w.cfg[0].BlobURL)
	w.must(err)
	w.Cleanup(func() { _ = blobs.Close() })
	other := &server{blobs: blobs}
	other.mediaLinks, err = newMediaLinks(&Config{PublicURL: "http://" + w.p[1].Listen}, w.first, blobs)
	w.must(err)
	return other.fileURL()(store.HeadFile{BlobKey: up.BlobKey, Name: up.Name, MIME: up.MIME})
}

// secondFactor makes a user with one; what it returns logs in with a code.
func (w *keyWorld) secondFactor() (logIn func(*program)) {
	w.Helper()
	const email, password, secret = "ann@acme.example", "a long and unmistakable password", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	by := inbox.Actor{Kind: inbox.Operator}
	c, err := access.NewCredential(access.InvitationKind, w.tenant)
	w.must(err)
	_, _, err = w.p[0].Desk.Store.Invite(w.Context(), w.tenant, by, inbox.Owner, store.NewInvitation{Email: email, Role: inbox.Owner, Hash: c.Hash(), Life: time.Hour})
	w.must(err)
	a, err := w.p[0].Guard.Accept(w.Context(), by, c.Text, store.Acceptance{Name: "Ann"}, password)
	w.must(err)
	sealed, err := w.p[0].Guard.SealTOTP(w.tenant, a.ID, secret)
	w.must(err)
	w.must(w.p[0].Desk.Store.SetTOTP(w.Context(), w.tenant, by, a.ID, sealed, 0))
	return func(p *program) {
		w.Helper()
		// Each code works once, and this is about who can open the secret.
		storetest.Exec(w.T, w.cfg[0].DatabaseURL, `UPDATE core_users SET totp_step = 0 WHERE id = $1`, a.ID)
		code, err := totp.GenerateCode(secret, time.Now())
		w.must(err)
		if _, _, err := p.Guard.LogIn(w.Context(), access.Attempt{Tenant: w.tenant, Email: email, Password: password, Code: code, By: inbox.Actor{Address: "192.0.2.1"}}); err != nil {
			w.Errorf("logging in with a second factor: %v", err)
		}
	}
}

// TestBackupOfARetiredKey restores what was backed up before the key was retired.
func TestBackupOfARetiredKey(t *testing.T) {
	t.Parallel()
	telegram, address := startTelegram(t)
	anna := telegram.Person("anna")
	w := newKeyWorld(t, 1)
	w.p[0].connect(t, address)
	says(t, w.cfg[0].DataDir, anna, "unmistakable-before")
	copied := filepath.Join(t.TempDir(), "copy")
	parley(t, w.cfg[0].DataDir, append([]string{"backup", copied, "--blob-url", w.cfg[0].BlobURL}, w.opts...)...)
	old := w.first.Current().ID
	w.key("rotate")
	w.key("retire", old, "--now")
	found, _ := visit(t, w.cfg[0].DataDir, append(w.opts, "--blob-url", w.cfg[0].BlobURL)...)
	fresh := w.list().Keys[0].ID
	finds(t, found, "secret key", checkOK, "The key "+fresh+" seals, made ")
	finds(t, found, "sealed secrets", checkOK, "All are sealed with the key "+fresh)
	w.p[0].Stop(t)

	to := w.cfg[0]
	to.DataDir, to.DatabaseURL, to.NATSURL = dataFolder(t), storetest.NewEmptyDatabase(t), natstest.Serve(t).URL()
	to.BlobURL = "file://" + filepath.Join(to.DataDir, "files")
	w.opts = []string{"--database-url", to.DatabaseURL, "--nats-url", to.NATSURL, "--secret-key-file", w.keys}
	restore := append([]string{"restore", copied, "--blob-url", to.BlobURL}, w.opts...)
	if out, err := parleyFails(t, to.DataDir, restore...); err == nil || !strings.Contains(out, "another secret key, "+old+"; given are "+fresh) || !strings.Contains(out, "further line") {
		t.Errorf("with the new key alone: %s", out)
	}
	ring, err := os.ReadFile(w.keys)
	w.must(err)
	w.must(os.WriteFile(w.keys, append(ring, w.first.Text()...), 0o600))
	parley(t, to.DataDir, restore...)
	w.cfg[0], w.p[0] = to, start(t, to)
	says(t, to.DataDir, anna, "unmistakable-after")

	r := w.list()
	if r.Waiting == 0 || r.Unnamed["channels"] != 1 {
		t.Errorf("restored: %+v", r)
	}
	found, _ = visit(t, to.DataDir, append(w.opts, "--blob-url", to.BlobURL)...)
	finds(t, found, "sealed secrets", checkWarning, "still to be sealed anew")
	w.keyRefused("is still needed", "retire", old, "--now")
	w.keyRefused("Finish it first", "rotate")
	w.key("reseal")
	w.key("retire", old, "--now")
	eventually(w.T, patience, func() bool { return len(w.p[0].Desk.Keyring.IDs()) == 1 })
	says(t, to.DataDir, anna, "unmistakable-end")
}

// TestKeysStepByStep takes the steps in the wrong order, which is refused, and breaks
// the file meanwhile, which harms nobody.
func TestKeysStepByStep(t *testing.T) {
	t.Parallel()
	w := newKeyWorld(t, 1)
	old := w.first.Current().ID
	w.must(os.WriteFile(w.keys, []byte("half a ke"), 0o600))
	eventually(w.T, patience, func() bool { return strings.Contains(w.p[0].logs.String(), "those of before are") })
	if w.p[0].Desk.Keyring.Current().ID != old {
		t.Error("a broken file took its key away")
	}
	w.must(os.WriteFile(w.keys, []byte(w.first.Text()), 0o600))

	w.key("add")
	eventually(w.T, patience, func() bool { return len(w.p[0].Desk.Keyring.IDs()) == 2 })
	fresh := w.list().Keys[1].ID
	// A process that has another file does not know it yet.
	one := w.cfg[0]
	one.DataDir, one.SecretKeyFile, one.SecretKey = dataFolder(t), "", w.first.Text()
	stranger := start(t, one)
	eventually(w.T, patience, func() bool { return w.list().Processes == 2 })
	w.keyRefused("Running without the key "+fresh, "use", fresh)
	if r := w.list(); !r.Keys[0].Seals || r.Keys[0].ID != old {
		t.Errorf("it is used all the same: %+v", r)
	}
	stranger.Stop(t)
	w.key("use", fresh[:6])
	eventually(w.T, patience, func() bool { return w.p[0].Desk.Keyring.Current().ID == fresh })
	w.keyRefused("is still needed: ", "retire", old)
	eventually(w.T, patience, func() bool { r := w.list(); return len(r.Keys[0].Sealing) == 1 })
	if out := w.key("reseal"); !strings.Contains(out, "1 value sealed anew") { // the erasures' key
		t.Error(out)
	}
	w.keyRefused("No key, or more than one", "retire", "0000")

	// Where no file can be changed, it says so.
	cmd := command(t, w.cfg[0].DataDir, append([]string{"key", "rotate"}, w.opts[:4]...)...)
	text, err := os.ReadFile(w.keys)
	w.must(err)
	cmd.Env = append(cmd.Env, "PARLEY_SECRET_KEY="+string(text))
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "in no file that could be changed") {
		t.Errorf("with keys in the environment: %s", out)
	}
}
