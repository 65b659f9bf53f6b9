package sandbox

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The account that a stand-in has which was given none, and what it sends from.
const (
	DefaultTwilioAccount  = "AC00000000000000000000000000005a4d"
	DefaultTwilioToken    = "5a4db0c5000000000000000000005a4d"
	DefaultTwilioNumber   = "+15005550006"
	DefaultTwilioWhatsApp = "whatsapp:+15005550007"
)

// TwilioOptions configure a [Twilio]. The zero value is one account with an SMS
// number and a WhatsApp sender, without limits and faults.
type TwilioOptions struct {
	// Account is the account's SID, Token its auth token. NextToken is the
	// secondary one, valid beside it; webhooks are signed with Token.
	Account, Token, NextToken string
	// Senders of the account; [DefaultTwilioNumber] and [DefaultTwilioWhatsApp]
	// when empty.
	Senders []TwilioSender
	// Services are messaging services, by SID.
	Services map[string]TwilioService
	// Faults from the start; see [Twilio.SetFaults].
	Faults TwilioFaults
	// Rate limits creating messages, per second; zero is no limit.
	Rate float64
	// NoPermission are the beginnings of numbers that the account may not send to.
	NoPermission []string
	// OpenWindow lets WhatsApp senders write whenever they like; Twilio does not.
	OpenWindow bool
	// FetchMedia makes the stand-in fetch the files that are sent, as Twilio does:
	// with HEAD, then GET.
	FetchMedia bool
	// Seed of the faults' dice.
	Seed uint64
	// BaseURL is where files are said to be, for a stand-in that was not started
	// with Start.
	BaseURL string
	// LogPath is a file that log entries are appended to, one JSON object per line.
	LogPath string
	// HTTPClient delivers webhooks; its Timeout is how long Twilio waits: 15
	// seconds by default.
	HTTPClient *http.Client
	// WebhookRetry is the pause before the one retry of a failed webhook; one second
	// by default.
	WebhookRetry time.Duration
	// Now is the clock of dates, rates and windows, time.Now by default.
	Now func() time.Time
}

// TwilioSender is what an account sends from.
type TwilioSender struct {
	// Address is a number, a short code, a name, or "whatsapp:" and a number.
	Address string
	// Webhook is where inbound messages go; the API can change it.
	Webhook string
	// Unlisted keeps a WhatsApp sender out of the list of senders, as Twilio's own
	// sandbox is.
	Unlisted bool
}

// TwilioService is a messaging service.
type TwilioService struct {
	Name    string
	Webhook string
	// Senders are addresses of the account's senders, the first of each network is
	// used.
	Senders []string
}

// Twilio is a local Twilio (https://www.twilio.com/docs/messaging/api) with the
// people who write to its numbers. It is an [http.Handler] for the API and for
// /sandbox/….
//
// Inbound messages are delivered at once and in parallel, signed, and tried again
// once. Messages that were accepted are sent and delivered in the background, each
// step with a callback to the message's own StatusCallback.
type Twilio struct {
	opts    TwilioOptions
	log     *journal[TwilioEntry]
	faults  atomic.Pointer[twilioPlan]
	control http.Handler
	api     http.Handler

	// mu guards what follows. It is never held while the network is used.
	mu       sync.Mutex
	base     string
	closed   bool
	senders  []*twilioSender
	services map[string]*twilioService
	people   map[string]*twilioPerson // by number
	byName   map[string]*twilioPerson
	threads  map[twilioPair]*twilioThread
	messages []*twilioMessage // as they came
	bySID    map[string]*twilioMessage
	media    map[string]*twilioMedia
	bucket   bucket
	creates  int64

	stop    context.Context
	stopped context.CancelFunc
	work    sync.WaitGroup
	server  *http.Server
}

type twilioSender struct {
	TwilioSender
	sid string
}

type twilioService struct {
	TwilioService
	onNumber bool
}

// twilioPair is a conversation: a sender's address and a person's.
type twilioPair struct{ sender, person string }

type twilioThread struct {
	lastInbound time.Time
	optedOut    bool
	messages    []*twilioMessage
}

// NewTwilio builds a stand-in. It opens the log file, if there is to be one, and
// listens nowhere.
func NewTwilio(opts TwilioOptions) (*Twilio, error) {
	if opts.Account == "" {
		opts.Account, opts.Token = DefaultTwilioAccount, DefaultTwilioToken
	}
	if opts.Token == "" {
		return nil, errors.New("sandbox: a Twilio account needs a token")
	}
	if len(opts.Senders) == 0 {
		opts.Senders = []TwilioSender{{Address: DefaultTwilioNumber}, {Address: DefaultTwilioWhatsApp}}
	}
	if opts.HTTPClient == nil {
		opts.HTTPClient = &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	}
	if opts.WebhookRetry <= 0 {
		opts.WebhookRetry = time.Second
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	t := &Twilio{
		opts: opts, base: strings.TrimRight(opts.BaseURL, "/"), services: map[string]*twilioService{},
		people: map[string]*twilioPerson{}, byName: map[string]*twilioPerson{}, threads: map[twilioPair]*twilioThread{},
		bySID: map[string]*twilioMessage{}, media: map[string]*twilioMedia{},
	}
	if t.base == "" {
		t.base = "http://127.0.0.1"
	}
	for _, s := range opts.Senders {
		kind := "PN"
		if strings.HasPrefix(s.Address, "whatsapp:") {
			kind = "XE"
		}
		t.senders = append(t.senders, &twilioSender{TwilioSender: s, sid: newSID(kind)})
	}
	for sid, s := range opts.Services {
		t.services[sid] = &twilioService{TwilioService: s}
	}
	var err error
	if t.log, err = openJournal[TwilioEntry](opts.LogPath, opts.Now, nil); err != nil {
		return nil, err
	}
	t.stop, t.stopped = context.WithCancel(context.Background())
	t.SetFaults(opts.Faults)
	t.control = t.controlMux()
	t.api = t.apiMux()
	return t, nil
}

// Start serves on addr ("127.0.0.1:0" for any port) until Close, and yields the
// base URL: an adapter's api_url.
func (t *Twilio) Start(ctx context.Context, addr string) (string, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("sandbox: %w", err)
	}
	base := "http://" + ln.Addr().String()
	t.mu.Lock()
	t.base = base
	t.mu.Unlock()
	t.server = &http.Server{Handler: t, ReadHeaderTimeout: 10 * time.Second}
	t.work.Go(func() { _ = t.server.Serve(ln) })
	return base, nil
}

// Close stops deliveries and the server, if one was started, waits for them, and
// closes the log file.
func (t *Twilio) Close() error {
	t.stopped()
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	var err error
	if t.server != nil {
		err = t.server.Close()
	}
	t.work.Wait()
	t.opts.HTTPClient.CloseIdleConnections()
	return errors.Join(err, t.log.close())
}

// goes does something in the background, unless the stand-in is closed; mu is
// held.
func (t *Twilio) goes(do func()) {
	if !t.closed {
		t.work.Go(do)
	}
}

// ServeHTTP implements [http.Handler].
func (t *Twilio) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/sandbox/") {
		t.api.ServeHTTP(w, r)
		return
	}
	if !FromLoopback(r) {
		http.NotFound(w, r)
		return
	}
	t.control.ServeHTTP(w, r)
}

// apiMux serves the parts of the API that a sender of messages needs.
func (t *Twilio) apiMux() http.Handler {
	mux := http.NewServeMux()
	const account = "/2010-04-01/Accounts/{account}"
	handle := func(pattern string, h func(http.ResponseWriter, *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if refused := t.authorise(r); refused != nil {
				refused.write(w)
				return
			}
			h(w, r)
		})
	}
	handle("POST "+account+"/Messages.json", t.serveCreate)
	handle("GET "+account+"/Messages.json", t.serveList)
	handle("GET "+account+"/Messages/{message}", t.serveMessage)
	handle("GET "+account+"/Messages/{message}/Media.json", t.serveMediaList)
	handle("GET "+account+"/Messages/{message}/Media/{media}", t.serveMedia)
	handle("GET /2010-04-01/Accounts/{account}", t.serveAccount)
	handle("GET "+account+"/Balance.json", t.serveBalance)
	for _, resource := range []string{"/IncomingPhoneNumbers", "/SMS/ShortCodes"} {
		handle("GET "+account+resource+".json", t.serveNumbers)
		handle("POST "+account+resource+"/{number}", t.serveSetNumber)
	}
	handle("GET /v1/Services/{service}", t.serveService)
	handle("POST /v1/Services/{service}", t.serveSetService)
	handle("GET /v2/Channels/Senders", t.serveSenders)
	handle("POST /v2/Channels/Senders/{sender}", t.serveSetSender)
	// Where files really are, for who was sent there: no credentials are wanted.
	mux.HandleFunc("GET /media/{media}", t.serveFile)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { notHere(r).write(w) })
	return mux
}

// authorise wants the account's own credentials for the account's own resources.
func (t *Twilio) authorise(r *http.Request) *twilioRefusal {
	user, password, _ := r.BasicAuth()
	ok := user == t.opts.Account && sameText(password, t.opts.Token)
	if t.opts.NextToken != "" {
		ok = ok || (user == t.opts.Account && sameText(password, t.opts.NextToken))
	}
	if !ok {
		return &twilioRefusal{Status: http.StatusUnauthorized, Code: 20003, Message: "Authenticate"}
	}
	if account := strings.TrimSuffix(r.PathValue("account"), ".json"); account != "" && account != t.opts.Account {
		return notHere(r)
	}
	return nil
}

func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// newSID makes an id of a kind; ids are never repeated, run after run.
func newSID(kind string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return kind + hex.EncodeToString(b[:])
}

var (
	twilioNumber = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	twilioCode   = regexp.MustCompile(`^[0-9]{3,8}$`)
)

// split takes "whatsapp:" off an address.
func split(address string) (whatsApp bool, number string) {
	number, whatsApp = strings.CutPrefix(address, "whatsapp:")
	return whatsApp, number
}

func isHTTP(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
