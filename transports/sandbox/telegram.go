package sandbox

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultTelegramToken is the token of the bot that a stand-in without
// configured bots has.
const DefaultTelegramToken = "7000000001:SANDBOX-xxxxxxxxxxxxxxxxxxxxxxxxxxx"

// TelegramOptions configure a [Telegram]. The zero value is one bot without
// limits and faults, that answers at once.
type TelegramOptions struct {
	// Bots that exist; [DefaultTelegramToken] alone when empty.
	Bots []TelegramBot
	// Faults from the start; see [Telegram.SetFaults].
	Faults TelegramFaults
	// Rates limit sends; zero is no limit.
	Rates TelegramRates
	// Seed of the faults' dice and of people's ids.
	Seed uint64
	// OpenChats lets bots write to people who never wrote to them, for
	// benchmarks; Telegram does not.
	OpenChats bool
	// FirstMessageID and FirstUpdateID are where ids start, 1 by default. A
	// stand-in that is restarted beside a database that lived on must not start
	// over.
	FirstMessageID, FirstUpdateID int64
	// LogPath is a file that log entries are appended to, one JSON object per
	// line, each in one write. If it has entries already, ids continue behind
	// them.
	LogPath string
	// LocalFiles makes the stand-in a Bot API server with --local: getFile answers
	// with an absolute path below this folder, and nothing is too large to fetch.
	LocalFiles string
	// HTTPClient delivers webhooks; its Timeout is how long Telegram waits.
	HTTPClient *http.Client
	// WebhookRetry is the first pause after a failed delivery, doubled up to
	// sixty times its length; one second by default.
	WebhookRetry time.Duration
	// Now is the clock of dates and rates, time.Now by default.
	Now func() time.Time
}

// TelegramBot is an account of the stand-in.
type TelegramBot struct {
	// Token as BotFather hands it out: id, colon, secret.
	Token string
	// Username without @, and the name that people see.
	Username, Name string
}

// TelegramRates are how many messages per second the stand-in takes before it
// answers 429: about 30 per bot and 1 per chat are Telegram's
// (https://core.telegram.org/bots/faq). Burst is what an idle chat has saved up.
type TelegramRates struct {
	PerBot, PerChat float64
	Burst           float64
}

// Telegram is a local Bot API server (https://core.telegram.org/bots/api) with
// the people who write to its bots. It is an [http.Handler] for /bot<token>/…,
// /file/bot<token>/… and /sandbox/….
//
// Per bot, updates wait until they are confirmed, by a 2xx of the webhook or by
// a later offset. Webhook deliveries are one at a time per chat, and retried
// until they succeed.
type Telegram struct {
	opts  TelegramOptions
	bots  map[string]*telegramBot // by token; fixed
	first *telegramBot
	log   *journal[TelegramEntry]
	// lastIDs are those of earlier runs.
	lastIDs struct{ message, update int64 }
	faults  atomic.Pointer[telegramPlan]
	files   telegramFiles
	groups  atomic.Int64 // albums, polls and connections, numbered together
	control http.Handler

	peopleMu sync.RWMutex
	people   map[int64]*person
	byName   map[string]*person

	stop    context.Context
	stopped context.CancelFunc
	work    sync.WaitGroup
	server  *http.Server
}

// NewTelegram builds a stand-in. It opens the log file, if there is to be one,
// and listens nowhere.
func NewTelegram(opts TelegramOptions) (*Telegram, error) {
	if len(opts.Bots) == 0 {
		opts.Bots = []TelegramBot{{Token: DefaultTelegramToken, Username: "sandbox_bot", Name: "Sandbox"}}
	}
	if opts.HTTPClient == nil {
		transport := &http.Transport{MaxIdleConnsPerHost: 100}
		opts.HTTPClient = &http.Client{Timeout: time.Minute, Transport: transport}
	}
	if opts.WebhookRetry <= 0 {
		opts.WebhookRetry = time.Second
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	opts.FirstMessageID = max(opts.FirstMessageID, 1)
	opts.FirstUpdateID = max(opts.FirstUpdateID, 1)
	t := &Telegram{
		opts:   opts,
		bots:   make(map[string]*telegramBot, len(opts.Bots)),
		people: map[int64]*person{},
		byName: map[string]*person{},
	}
	if err := t.openLog(); err != nil {
		return nil, err
	}
	t.stop, t.stopped = context.WithCancel(context.Background())
	for _, account := range opts.Bots {
		bot, err := t.newBot(account)
		if err != nil {
			return nil, errors.Join(err, t.log.close())
		}
		t.bots[account.Token] = bot
		if t.first == nil {
			t.first = bot
		}
	}
	t.files.byID = map[string]*storedFile{}
	t.SetFaults(opts.Faults)
	t.control = t.controlMux()
	return t, nil
}

// Start serves on addr ("127.0.0.1:0" for any port) until Close, and yields the
// base URL: an adapter's api_url.
func (t *Telegram) Start(ctx context.Context, addr string) (string, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("sandbox: %w", err)
	}
	t.server = &http.Server{Handler: t, ReadHeaderTimeout: 10 * time.Second}
	t.work.Go(func() { _ = t.server.Serve(ln) })
	return "http://" + ln.Addr().String(), nil
}

// Close stops deliveries, polls and the server, if one was started, waits for
// them, and closes the log file.
func (t *Telegram) Close() error {
	t.stopped()
	for _, b := range t.bots {
		// Whoever is about to start a delivery has started it after this, and
		// nobody does any more.
		b.mu.Lock()
		b.mu.Unlock() //nolint:staticcheck // see above
	}
	var err error
	if t.server != nil {
		err = t.server.Close()
	}
	t.work.Wait()
	t.opts.HTTPClient.CloseIdleConnections()
	return errors.Join(err, t.log.close())
}

// ServeHTTP implements [http.Handler].
func (t *Telegram) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, "/bot"):
		token, method, _ := strings.Cut(path[len("/bot"):], "/")
		t.serveMethod(w, r, token, method)
	case strings.HasPrefix(path, "/file/bot"):
		token, file, _ := strings.Cut(path[len("/file/bot"):], "/")
		t.serveFile(w, r, token, file)
	case strings.HasPrefix(path, "/sandbox/"):
		if !FromLoopback(r) {
			http.NotFound(w, r)
			return
		}
		t.control.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

// FromLoopback reports whether a request came from this machine, and meant it:
// a page in a browser that resolves its own name to 127.0.0.1 sends another
// host.
func FromLoopback(r *http.Request) bool {
	return isLoopback(r.RemoteAddr) && isLoopback(r.Host)
}

func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// personID makes the same id of the same name, run after run.
func (t *Telegram) personID(name string) int64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d/%s", t.opts.Seed, name)
	return 100_000_000 + int64(h.Sum64()%1_900_000_000)
}

func botID(token string) (int64, error) {
	digits, secret, ok := strings.Cut(token, ":")
	id, err := strconv.ParseInt(digits, 10, 64)
	if !ok || secret == "" || err != nil || id <= 0 {
		return 0, errors.New("sandbox: a bot's token is id, colon, secret")
	}
	return id, nil
}
