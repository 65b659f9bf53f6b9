package telegram

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"parley/events"
	"parley/transports"
)

// The roles a bot plays.
var (
	_ transports.Factory     = New
	_ transports.Transport   = (*Bot)(nil)
	_ transports.Webhook     = (*Bot)(nil)
	_ transports.Reparser    = (*Bot)(nil)
	_ transports.Poller      = (*Bot)(nil)
	_ transports.Connector   = (*Bot)(nil)
	_ transports.Sender      = (*Bot)(nil)
	_ transports.Editor      = (*Bot)(nil)
	_ transports.Reactor     = (*Bot)(nil)
	_ transports.Typer       = (*Bot)(nil)
	_ transports.MediaOpener = (*Bot)(nil)
)

// Bot is one Telegram bot. It holds no state but its configuration.
type Bot struct {
	id       int64 // its user id, the digits of the token; 0 when unknown
	token    string
	secret   string
	base     *url.URL
	endpoint string // the SDK's pattern: token, method
	client   *http.Client
	country  string
	groups   bool
	files    localFiles
	caps     transports.Capabilities
	redact   transports.Redactor
}

// DefaultAPI is the Bot API that Telegram hosts.
const DefaultAPI = "https://api.telegram.org"

// Limits of the Bot API.
const (
	maxText    = 4096     // https://core.telegram.org/bots/api#sendmessage: characters after entities parsing
	maxCaption = 1024     // https://core.telegram.org/bots/api#sendphoto
	maxPhoto   = 10 << 20 // https://core.telegram.org/bots/api#sending-files
	maxUpload  = 50 << 20 // as above
	maxFetch   = 20 << 20 // https://core.telegram.org/bots/api#getfile
	maxAlbum   = 10       // https://core.telegram.org/bots/api#sendmediagroup
	// Of a Bot API server of one's own that runs with --local
	// (https://core.telegram.org/bots/api#using-a-local-bot-api-server).
	maxLocalUpload = 2000 << 20
	maxLocalFetch  = 4000 << 20 // it sets no limit; Telegram's is what a premium user may upload
	accountMsg     = 30         // messages per second: https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
	personMsg      = 1          // as above: one per second in one chat, with short bursts
	personIdle     = 3          // ours: what "short bursts" is taken to mean
)

// New builds a bot from an account.
//
// Secrets: "token" as BotFather gave it, and "webhook_secret", 1 to 256 of A-Z,
// a-z, 0-9, _ and - (https://core.telegram.org/bots/api#setwebhook); without it
// every webhook request counts as forged.
//
// Settings:
//   - "api_url" (default [DefaultAPI]) for a Bot API server of one's own. A bot
//     that moves to another server has to be logged out of the former first
//     (https://core.telegram.org/bots/api#logout).
//   - "files_dir" when that server runs with --local: the folder where we see
//     its working directory, absolute. It raises the limits of files to the
//     server's. "server_files_dir" is the same folder's path on the server, when
//     that is another.
//   - "groups" on or off (default) to take messages from group chats.
//   - "rate" and "person_rate" in messages per second instead of 30 and 1, 0 for
//     no limit.
func New(account transports.Account) (transports.Transport, error) {
	b := &Bot{
		token:   account.Secrets["token"],
		secret:  account.Secrets["webhook_secret"],
		country: account.Channel.Country,
		caps:    capabilities(),
	}
	b.redact = newRedactor(b.token, b.secret, account.Channel.WebhookPath)
	if account.HTTPClient == nil {
		return nil, errors.New("telegram: the account has no HTTP client")
	}
	b.client = withoutRedirects(account.HTTPClient)
	if !tokenShape.MatchString(b.token) {
		return nil, errors.New(`telegram: secret "token" must be the bot's token as BotFather gave it, such as 123456:ABC-DEF`)
	}
	if b.secret != "" && !secretShape.MatchString(b.secret) {
		return nil, errors.New(`telegram: secret "webhook_secret" must be 1 to 256 of A-Z, a-z, 0-9, _ and -`)
	}
	digits, _, _ := strings.Cut(b.token, ":")
	b.id, _ = strconv.ParseInt(digits, 10, 64) // more digits than any id has: none
	settings := account.Channel.Settings
	var err error
	if b.base, err = parseBase(settings["api_url"]); err != nil {
		return nil, err
	}
	b.endpoint = strings.ReplaceAll(b.base.String(), "%", "%%") + "/bot%s/%s"
	if b.groups, err = parseSwitch("groups", settings["groups"]); err != nil {
		return nil, err
	}
	if b.files, err = newLocalFiles(settings["files_dir"], settings["server_files_dir"]); err != nil {
		return nil, err
	}
	if b.files.dir != "" {
		b.caps.MaxFetch = maxLocalFetch
		for kind, limit := range b.caps.Attachments {
			if limit == maxUpload {
				b.caps.Attachments[kind] = maxLocalUpload
			}
		}
	}
	if err := overrideRate(&b.caps.Rate, "rate", settings["rate"]); err != nil {
		return nil, err
	}
	if err := overrideRate(&b.caps.PersonRate, "person_rate", settings["person_rate"]); err != nil {
		return nil, err
	}
	return b, nil
}

var (
	tokenShape  = regexp.MustCompile(`^[0-9]{1,20}:[A-Za-z0-9_-]{1,200}$`)
	secretShape = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)
)

// Capabilities implements [transports.Transport].
func (b *Bot) Capabilities() transports.Capabilities {
	caps := b.caps
	caps.Attachments = maps.Clone(caps.Attachments)
	caps.Captionless = slices.Clone(caps.Captionless)
	caps.AlbumKinds = albumKinds()
	return caps
}

func capabilities() transports.Capabilities {
	return transports.Capabilities{
		MaxText:    maxText,
		MaxCaption: maxCaption,
		TextUnit:   transports.UTF16Units,
		Attachments: map[events.ContentType]int64{
			events.Photo:     maxPhoto,
			events.Video:     maxUpload,
			events.Animation: maxUpload,
			events.Audio:     maxUpload,
			events.Voice:     maxUpload,
			events.VideoNote: maxUpload,
			events.Document:  maxUpload,
		},
		Captionless: []events.ContentType{events.VideoNote},
		MaxFetch:    maxFetch,
		ReplyWindow: transports.NoReplyWindow,
		Replies:     true,
		Edits:       true,
		Reactions:   true,
		Typing:      true,
		Album:       maxAlbum,
		Rate:        transports.Rate{Messages: accountMsg, Per: time.Second, Burst: accountMsg},
		PersonRate:  transports.Rate{Messages: personMsg, Per: time.Second, Burst: personIdle},
	}
}

// albumKinds are the kinds that an album can hold together
// (https://core.telegram.org/bots/api#sendmediagroup).
func albumKinds() [][]events.ContentType {
	return [][]events.ContentType{{events.Photo, events.Video}, {events.Document}, {events.Audio}}
}

func parseBase(raw string) (*url.URL, error) {
	if raw == "" {
		raw = DefaultAPI
	}
	base, err := url.Parse(strings.TrimRight(raw, "/"))
	if err != nil || (base.Scheme != "https" && base.Scheme != "http") || base.Host == "" ||
		base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		// The value is not repeated: whoever pastes a whole request URL here has
		// pasted the token too.
		return nil, errors.New(`telegram: setting "api_url" must be a base URL such as ` + DefaultAPI)
	}
	return base, nil
}

func parseSwitch(name, value string) (bool, error) {
	switch strings.ToLower(value) {
	case "", "off", "false", "0", "no":
		return false, nil
	case "on", "true", "1", "yes":
		return true, nil
	}
	return false, fmt.Errorf("telegram: setting %q must be on or off", name)
}

func overrideRate(rate *transports.Rate, name, value string) error {
	if value == "" {
		return nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return fmt.Errorf("telegram: setting %q must be messages per second, 0 for no limit", name)
	}
	if n == 0 {
		*rate = transports.Rate{}
		return nil
	}
	*rate = transports.Rate{Messages: n, Per: time.Second, Burst: max(n, rate.Burst)}
	return nil
}

// withoutRedirects copies a client. The Bot API never redirects, and following
// would hand the token to wherever somebody in between points, and repeat a
// send (307 and 308 keep the method).
func withoutRedirects(client *http.Client) *http.Client {
	c := *client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}
