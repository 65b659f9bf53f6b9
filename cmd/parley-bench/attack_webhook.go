package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // Twilio's signature is made with it
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"parley/events"
	"parley/transports/sandbox"
)

// attackers are all kinds.
func (w *attackWorld) attackers() []attacker {
	return slices.Concat([]attacker{
		{kind: "forged webhooks: Telegram", try: w.forgeTelegram},
		{kind: "forged webhooks: SMS", try: func(ctx context.Context, n int, a *attempts) error { return w.forgeTwilio(ctx, n, a, 0) }},
		{kind: "forged webhooks: WhatsApp", try: func(ctx context.Context, n int, a *attempts) error { return w.forgeTwilio(ctx, n, a, 1) }},
		{kind: "replayed webhooks: Telegram", try: w.replayTelegram},
		{kind: "replayed webhooks: SMS", try: func(ctx context.Context, n int, a *attempts) error { return w.replayTwilio(ctx, n, a, 0) }},
		{kind: "replayed webhooks: WhatsApp", try: func(ctx context.Context, n int, a *attempts) error { return w.replayTwilio(ctx, n, a, 1) }},
		{kind: "guessed webhook and file paths", try: w.guessPath},
		{kind: kindMedia, try: w.foreignMedia},
		{kind: kindRedirect, try: w.redirectedMedia},
	}, w.sessionAttackers(), w.accessAttackers(), w.outwardAttackers(), w.mailAttackers(), w.rawAttackers())
}

// forged sends what must not be believed; whatever is answered 2xx got in.
func (w *attackWorld) forged(ctx context.Context, a *attempts, target string, body []byte, header ...string) error {
	code, text, err := w.send(ctx, http.MethodPost, target, body, header...)
	if err != nil {
		return err
	}
	a.tell(code/100 == 2, code, target+" "+strings.Join(header, " ")+" "+text)
	return nil
}

func (w *attackWorld) forgeTelegram(ctx context.Context, n int, a *attempts) error {
	body := []byte(fmt.Sprintf(`{"update_id":%d,"message":{"message_id":%d,"from":{"id":%d,"is_bot":false,"first_name":"mallory"},`+
		`"chat":{"id":%d,"type":"private"},"date":%d,"text":"ATTACK"}}`, n, n, firstPerson, firstPerson, time.Now().Unix()))
	secrets := []string{
		"", "x", w.bot.secret[:len(w.bot.secret)-1], w.bot.secret + "x", strings.ToUpper(w.bot.secret), " " + w.bot.secret + "x",
		rand.Text(), w.bot.token, strings.Repeat("a", 4000), w.bot.secret + "," + w.bot.secret, "null",
	}
	target := w.server.webhook(w.bot)
	switch n % 4 {
	case 1:
		target += "?" + url.Values{"secret_token": {w.bot.secret}}.Encode() // not where it belongs
	case 2:
		body = []byte(strings.Repeat("[", 1000) + string(body))
	}
	return w.forged(ctx, a, target, body, telegramSecret, secrets[n%len(secrets)])
}

// twilioForm is a message's webhook.
func twilioForm(ch *events.Channel, sid, text string) url.Values {
	from, to := "+4915110000001", ch.Settings["from"]
	if ch.Transport == events.WhatsApp {
		from, to = "whatsapp:"+from, "whatsapp:"+to
	}
	return url.Values{
		"MessageSid": {sid}, "SmsMessageSid": {sid}, "AccountSid": {sandbox.DefaultTwilioAccount}, "From": {from}, "To": {to},
		"Body": {text}, "NumMedia": {"0"}, "NumSegments": {"1"}, "ApiVersion": {"2010-04-01"},
	}
}

// sign is Twilio's signature (https://www.twilio.com/docs/usage/security).
func sign(token, target string, form url.Values) string {
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(target))
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		mac.Write([]byte(name + form.Get(name)))
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (w *attackWorld) twilioURL(i int) string {
	return "http://" + w.server.listen + "/webhook/" + w.numbers[i].WebhookPath
}

const formType = "application/x-www-form-urlencoded"

func (w *attackWorld) forgeTwilio(ctx context.Context, n int, a *attempts, number int) error {
	target := w.twilioURL(number)
	form := twilioForm(&w.numbers[number], fmt.Sprintf("SM%032d", n), "ATTACK")
	other := twilioForm(&w.numbers[number], fmt.Sprintf("SM%032d", n), "Hello.")
	signatures := []string{
		"", "AAAA", sign("wrong", target, form), sign(sandbox.DefaultTwilioToken, target, other), sign(sandbox.DefaultTwilioToken, w.twilioURL(1-number), form),
		sign("", target, form), sign(sandbox.DefaultTwilioToken, target+"/", form), sign(sandbox.DefaultTwilioToken, "", nil), strings.Repeat("A", 4000),
		sign(sandbox.DefaultTwilioToken, strings.Replace(target, "http://", "https://", 1), form),
	}
	header := []string{"Content-Type", formType, twilioSignature, signatures[n%len(signatures)], "X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil.example"}
	body := form.Encode()
	if n%3 == 1 {
		// The signed body, and what is to be believed in the query.
		body = other.Encode()
		target += "?" + form.Encode()
	}
	return w.forged(ctx, a, target, []byte(body), header...)
}

// replayed are genuine requests that were overheard; each may be stored once.
type replayed struct {
	mu   sync.Mutex
	once map[string]bool
}

func (r *replayed) note(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.once == nil {
		r.once = map[string]bool{}
	}
	r.once[key] = true
}

func (r *replayed) stored() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.once)
}

// replayTelegram repeats the same ten updates; that they are stored once is
// counted in the end.
func (w *attackWorld) replayTelegram(ctx context.Context, n int, a *attempts) error {
	m := update{run: 900, sender: firstPerson, counter: 1 + n%10, sent: time.Unix(1_700_000_000, 0)}
	code, text, err := w.send(ctx, http.MethodPost, w.server.webhook(w.bot), m.body(nil), telegramSecret, w.bot.secret)
	if err == nil && code == http.StatusOK {
		w.replayed.note(m.text())
	}
	a.tell(false, code, text)
	return err
}

func (w *attackWorld) replayTwilio(ctx context.Context, n int, a *attempts, number int) error {
	sid := fmt.Sprintf("SM%032d", 7_000_000+100*number+n%10)
	form := twilioForm(&w.numbers[number], sid, "REPLAY "+sid)
	code, text, err := w.send(ctx, http.MethodPost, w.twilioURL(number), []byte(form.Encode()),
		"Content-Type", formType, twilioSignature, sign(sandbox.DefaultTwilioToken, w.twilioURL(number), form))
	if err == nil && code/100 == 2 {
		w.replayed.note(sid)
	}
	a.tell(false, code, text)
	return err
}

// guessPath looks for webhooks and files without knowing where they are.
func (w *attackWorld) guessPath(ctx context.Context, n int, a *attempts) error {
	known := w.bot.channel.WebhookPath
	paths := []string{
		"/webhook/" + rand.Text(), "/webhook/" + known[:len(known)-1], "/webhook/" + known + "x", "/webhook/" + strings.ToUpper(known),
		"/webhook/" + string(w.bot.channel.ID), "/webhook/", "/webhook", "/webhook/*", "/webhook/%00", "/webhook/" + strings.Repeat("a", 8000),
		"/webhook/..%2f..%2fapi%2fv1%2fchats", "/media/" + rand.Text(), "/media/", "/media/..%2f..%2fsecret.key", "/media/" + strings.Repeat("A", 200),
		"/api/v1/chats", "/api/v1/status", "/debug/pprof/", "/.git/config", "/metrics/../api/v1/chats", "/postgres", "//" + known,
	}
	target := "http://" + w.server.listen + paths[n%len(paths)]
	body := []byte(`{"update_id":1,"message":{"message_id":1,"chat":{"id":1,"type":"private"},"from":{"id":1,"first_name":"mallory"},"date":1,"text":"ATTACK"}}`)
	if n%2 == 1 {
		code, text, err := w.send(ctx, http.MethodGet, target, nil)
		a.tell(err == nil && code/100 == 2, code, target+" "+text)
		return err
	}
	return w.forged(ctx, a, target, body, telegramSecret, w.bot.secret)
}

// foreignMedia says that files are where only this machine can reach.
func (w *attackWorld) foreignMedia(ctx context.Context, n int, a *attempts) error {
	places := w.canary.places(kindMedia)
	return w.sendMedia(ctx, n, a, fmt.Sprintf("MM%032d", 8_000_000+n), places[n%len(places)])
}

// redirectedMedia says that files are at the provider, who points on to where only
// this machine can reach, at once or from a second address of its own.
func (w *attackWorld) redirectedMedia(ctx context.Context, n int, a *attempts) error {
	sid := fmt.Sprintf("MM%032d", 9_000_000+n)
	return w.sendMedia(ctx, n, a, sid, fmt.Sprintf("%s/2010-04-01/Accounts/%s/Messages/%s/Media/ME%032x", w.between.URL, sandbox.DefaultTwilioAccount, sid, n))
}

// sendMedia is genuinely signed, by a provider that was hijacked. Whether anybody
// went to the place is what the canary saw.
func (w *attackWorld) sendMedia(ctx context.Context, n int, a *attempts, sid, place string) error {
	number := n % 2
	form := twilioForm(&w.numbers[number], sid, "SSRF "+sid)
	form.Set("NumMedia", "1")
	form.Set("MediaUrl0", place)
	form.Set("MediaContentType0", "image/png")
	code, text, err := w.send(ctx, http.MethodPost, w.twilioURL(number), []byte(form.Encode()),
		"Content-Type", formType, twilioSignature, sign(sandbox.DefaultTwilioToken, w.twilioURL(number), form))
	a.tell(false, code, text)
	return err
}

// pointOn answers for the hijacked provider where it is asked for a file, by each of
// the statuses that clients follow.
func (w *attackWorld) pointOn(rw http.ResponseWriter, r *http.Request) bool {
	_, sid, ok := strings.Cut(r.URL.Path, "/Media/ME")
	if !ok {
		return false
	}
	places := w.canary.places(kindRedirect)
	sid, second := strings.CutPrefix(sid, "again/")
	n, _ := strconv.ParseUint(sid, 16, 64) // the first, if it is none
	to := places[n%uint64(len(places))]
	if n/uint64(len(places))%2 == 1 && !second {
		to = w.between.URL + "/Media/MEagain/" + sid
	} else {
		w.redirected.Add(1)
	}
	codes := []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect}
	http.Redirect(rw, r, to, codes[n%uint64(len(codes))]) //nolint:gosec // a hijacked provider does
	return true
}
