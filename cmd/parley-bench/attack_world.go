package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
	"parley/transports"
	"parley/transports/sandbox"
)

const (
	telegramSecret  = "X-Telegram-Bot-Api-Secret-Token" //nolint:gosec // the name of a header
	twilioSignature = "X-Twilio-Signature"
	attackPassword  = "correct horse battery staple"
)

// attackWorld is a server with stand-in providers, two tenants who do not know of
// each other, and what nobody may reach.
type attackWorld struct {
	settings
	dir    string
	report *report
	db     *cluster
	bot    bot
	server *server
	client *http.Client
	// office is the honest users': at an address of their own where the machine has
	// a second one, for requests are counted by address.
	office   *http.Client
	api      string
	telegram *sandbox.Telegram
	twilio   *sandbox.Twilio
	numbers  []events.Channel
	mail     *sandbox.Mail
	mailbox  events.Channel
	letters  letters
	// between stands before the stand-in for Twilio and redirects where an
	// attacker wants.
	between *httptest.Server
	canary  canary
	// names is the attacker's name server, guard makes what stands before it.
	names *rebinding
	guard func() *net.Dialer
	// held is how long a connection that says nothing useful may be kept.
	held time.Duration
	// a works; b is who would like to know.
	a, b     attackTenant
	replayed replayed
	// redirected counts files for which the provider pointed inside.
	redirected atomic.Int64
	// stale counts sessions and tokens that were ended and used again.
	stale atomic.Int64
}

// attackTenant is a business with an owner who logged in.
type attackTenant struct {
	id            events.TenantID
	email, cookie string
	// token is a program's, for chats only.
	token string
}

func newAttackWorld(ctx context.Context, s settings, dir string, r *report) (w *attackWorld, err error) {
	w = &attackWorld{
		settings: s, dir: dir, report: r, guard: transports.PublicDialer, held: heldAtMost,
		client: attackClient(nil), office: attackClient(secondAddress(ctx)),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.canary, err = startCanary(ctx); err != nil {
		return w, err
	}
	if w.names, err = startRebinding(ctx); err != nil {
		return w, err
	}
	if w.db, err = newCluster(ctx, dir, s); err != nil {
		return w, err
	}
	if w.telegram, err = sandbox.NewTelegram(sandbox.TelegramOptions{OpenChats: true}); err != nil {
		return w, err
	}
	telegramAt, err := w.telegram.Start(ctx, "127.0.0.1:0")
	if err != nil {
		return w, err
	}
	if w.bot, err = w.db.addBot(ctx, sandbox.DefaultTelegramToken, telegramAt); err != nil {
		return w, err
	}
	if err := w.startTwilio(ctx); err != nil {
		return w, err
	}
	if err := w.startMail(ctx); err != nil {
		return w, err
	}
	listen, err := freeAddr(ctx)
	if err != nil {
		return w, err
	}
	blobs, err := sub(dir, "blobs")
	if err != nil {
		return w, err
	}
	w.api = "http://" + listen + "/api/v1"
	if w.server, err = startServer(ctx, dir, "parley", s, w.db, w.bot, serverOptions{api: listen, blobs: "file://" + blobs}); err != nil {
		return w, err
	}
	other, err := w.db.db.CreateTenant(ctx, "Other")
	if err != nil {
		return w, err
	}
	if w.a, err = w.join(ctx, w.bot.channel.Tenant, "owner@bench.example"); err != nil {
		return w, err
	}
	w.b, err = w.join(ctx, other.ID, "owner@other.example")
	return w, err
}

func (w *attackWorld) close() error {
	if w.server != nil {
		w.server.stop()
	}
	if w.between != nil {
		w.between.Close()
	}
	var errs []error
	if w.twilio != nil {
		errs = append(errs, w.twilio.Close())
	}
	if w.telegram != nil {
		errs = append(errs, w.telegram.Close())
	}
	if w.db != nil {
		errs = append(errs, w.db.close())
	}
	if w.mail != nil {
		errs = append(errs, w.mail.Close())
	}
	if w.names != nil {
		errs = append(errs, w.names.close())
	}
	errs = append(errs, w.canary.close())
	return errors.Join(errs...)
}

// attackClient comes from an address, nil for any.
func attackClient(from net.Addr) *http.Client {
	dialer := &net.Dialer{LocalAddr: from}
	return &http.Client{
		Transport:     &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 64, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// secondAddress is another of this machine's; nil where it has none.
func secondAddress(ctx context.Context) net.Addr {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.2:0")
	if err != nil {
		return nil
	}
	defer func() { _ = l.Close() }()
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
}

// startTwilio starts the stand-in behind a proxy that an attacker got hold of, and
// connects a number by SMS and by WhatsApp.
func (w *attackWorld) startTwilio(ctx context.Context) (err error) {
	if w.twilio, err = sandbox.NewTwilio(sandbox.TwilioOptions{OpenWindow: true}); err != nil {
		return err
	}
	at, err := w.twilio.Start(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	target, err := url.Parse(at)
	if err != nil {
		return err
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	w.between = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !w.pointOn(rw, r) {
			proxy.ServeHTTP(rw, r)
		}
	}))
	keys, err := inbox.ParseKey(w.bot.key)
	if err != nil {
		return err
	}
	for i, n := range []struct {
		transport events.Transport
		from      string
	}{{events.SMS, sandbox.DefaultTwilioNumber}, {events.WhatsApp, strings.TrimPrefix(sandbox.DefaultTwilioWhatsApp, "whatsapp:")}} {
		ch := events.Channel{
			ID: events.ChannelID(fmt.Sprintf("018f0000-0000-7000-8000-00000000c07%d", i)), Tenant: w.bot.channel.Tenant, Transport: n.transport,
			Name: string(n.transport), Mode: events.Webhook, WebhookPath: fmt.Sprintf("bench-%d-123456789abcdef0123456789abcdef", i), Country: "US",
			Settings: map[string]string{"account_sid": sandbox.DefaultTwilioAccount, "from": n.from, "api_url": w.between.URL},
		}
		if ch.Sealed, err = keys.Seal(string(ch.ID), map[string]string{"auth_token": sandbox.DefaultTwilioToken}); err != nil {
			return err
		}
		if _, err := w.db.db.CreateChannel(ctx, ch, "", ""); err != nil {
			return err
		}
		w.numbers = append(w.numbers, ch)
	}
	return nil
}

// join makes a tenant's owner, logs them in and makes a token.
func (w *attackWorld) join(ctx context.Context, tenant events.TenantID, email string) (attackTenant, error) {
	return join(ctx, w.db, w.client, w.api, tenant, email)
}

// join does so on whatever server answers at api.
func join(ctx context.Context, c *cluster, client *http.Client, api string, tenant events.TenantID, email string) (t attackTenant, err error) {
	t = attackTenant{id: tenant, email: email}
	invitation, err := access.NewCredential(access.InvitationKind, tenant)
	if err != nil {
		return t, err
	}
	by := inbox.Actor{Kind: inbox.Operator, Name: "bench"}
	if _, _, err := c.db.Invite(ctx, tenant, by, inbox.Owner, store.NewInvitation{Email: email, Role: inbox.Owner, Hash: invitation.Hash(), Life: time.Hour}); err != nil {
		return t, err
	}
	ask := func(path string, in map[string]any, out any, header ...string) ([]*http.Cookie, error) {
		body, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, api+path, strings.NewReader(string(body)))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer res.Body.Close()
		if res.StatusCode/100 != 2 {
			return nil, fmt.Errorf("%s: %s", path, res.Status)
		}
		if out == nil {
			return res.Cookies(), nil
		}
		return res.Cookies(), json.NewDecoder(res.Body).Decode(out)
	}
	if _, err := ask("/invitations/accept", map[string]any{"invitation": invitation.Text, "name": "Owner", "password": attackPassword}, nil); err != nil {
		return t, err
	}
	cookies, err := ask("/session", map[string]any{"tenant": tenant, "email": email, "password": attackPassword}, nil)
	if err != nil {
		return t, err
	}
	for _, cookie := range cookies {
		t.cookie = cookie.Name + "=" + cookie.Value
	}
	var token struct{ Secret string }
	_, err = ask("/tokens", map[string]any{"name": "bot", "role": "agent", "scopes": []string{"chats:read", "chats:write"}}, &token, "Cookie", t.cookie)
	t.token = token.Secret
	return t, err
}
