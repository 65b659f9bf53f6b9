package twilio

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

// The roles a number plays.
var (
	_ transports.Factory     = New
	_ transports.Transport   = (*Number)(nil)
	_ transports.Webhook     = (*Number)(nil)
	_ transports.Reparser    = (*Number)(nil)
	_ transports.Connector   = (*Number)(nil)
	_ transports.Sender      = (*Number)(nil)
	_ transports.MediaOpener = (*Number)(nil)
	_ transports.Reconciler  = (*Number)(nil)
	_ transports.Settler     = (*Number)(nil)
)

// Number is one sender at Twilio. It holds no state but its configuration.
type Number struct {
	accountSID string
	// tokens are the auth token and, during a rotation, the next one.
	tokens []string
	// from is empty where only the messaging service is given.
	from    string
	service string
	// whatsApp is false for SMS and MMS.
	whatsApp bool
	// manual leaves the webhook at Twilio as it is.
	manual  bool
	base    *url.URL
	webhook string
	country string
	client  *http.Client
	caps    transports.Capabilities
	errors  map[int]failure
	redact  transports.Redactor
}

// DefaultAPI is Twilio's API.
const DefaultAPI = "https://api.twilio.com"

// Limits of Twilio.
const (
	// https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
	maxText  = 1600
	maxMedia = 10
	maxImage = 5 << 20
	maxOther = 500 << 10
	// https://www.twilio.com/docs/whatsapp/guidance-whatsapp-media-messages
	maxWhatsAppImage = 5 << 20
	maxWhatsAppMedia = 16 << 20
	maxWhatsAppText  = 1024 // of a caption: Meta's limit
	// https://www.twilio.com/docs/whatsapp/key-concepts#the-24-hour-customer-service-window
	whatsAppWindow = 24 * time.Hour
	// https://help.twilio.com/articles/360017773294 (80 messages per second and sender)
	whatsAppRate = 80
	// maxFetch is above what Twilio hands out of either.
	maxFetch = 16 << 20
	// reconcileEvery is how often the list of messages is compared.
	reconcileEvery = time.Hour
)

// New builds a number from an account; its channel's transport, sms or whatsapp,
// says which network.
//
// Secrets: "auth_token" as the console shows it, and "auth_token_next" while it
// is rotated (https://www.twilio.com/docs/iam/api/authtoken): requests signed with
// either are taken, and what the first is refused for is tried with the second.
//
// Settings: "account_sid"; "from", a number in E.164, a short code or a sender
// name; or "messaging_service_sid", or both; "api_url" (default [DefaultAPI]);
// "webhook" auto (default) or manual, which leaves Twilio's own setting alone (a
// messaging service has one webhook for all its senders: it belongs to one channel);
// "mms" on or off (default on for messaging services and for numbers of the
// countries where Twilio has MMS); "rate" in messages per second, 0 for no limit.
func New(account transports.Account) (transports.Transport, error) {
	settings := account.Channel.Settings
	n := &Number{
		accountSID: settings["account_sid"],
		from:       strings.TrimPrefix(strings.TrimSpace(settings["from"]), "whatsapp:"),
		service:    settings["messaging_service_sid"],
		whatsApp:   account.Channel.Transport == events.WhatsApp,
		webhook:    account.WebhookURL(),
		country:    account.Channel.Country,
		errors:     errorTable(),
	}
	for _, name := range []string{"auth_token", "auth_token_next"} {
		if token := account.Secrets[name]; token != "" {
			n.tokens = append(n.tokens, token)
		}
	}
	n.redact = newRedactor(n.accountSID, n.tokens, account.Channel.WebhookPath)
	if account.HTTPClient == nil {
		return nil, errors.New("twilio: the account has no HTTP client")
	}
	n.client = withoutRedirects(account.HTTPClient)
	if err := n.check(account); err != nil {
		return nil, err
	}
	var err error
	if n.base, err = parseBase(settings["api_url"]); err != nil {
		return nil, err
	}
	switch settings["webhook"] {
	case "", "auto":
	case "manual":
		n.manual = true
	default:
		return nil, errors.New(`twilio: setting "webhook" must be auto or manual`)
	}
	mms, err := parseSwitch("mms", settings["mms"], n.mayMMS())
	if err != nil {
		return nil, err
	}
	n.caps = n.capabilities(mms)
	if err := overrideRate(&n.caps.Rate, settings["rate"]); err != nil {
		return nil, err
	}
	return n, nil
}

var (
	accountShape = regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`)
	serviceShape = regexp.MustCompile(`^MG[0-9a-fA-F]{32}$`)
	tokenShape   = regexp.MustCompile(`^[0-9A-Za-z]{16,128}$`)
	numberShape  = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	codeShape    = regexp.MustCompile(`^[0-9]{3,8}$`)
	// https://www.twilio.com/docs/glossary/what-alphanumeric-sender-id
	nameShape = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z +&_-]{0,10}$`)
)

// check says what to set.
func (n *Number) check(account transports.Account) error {
	if t := account.Channel.Transport; t != events.SMS && t != events.WhatsApp {
		return fmt.Errorf("twilio: the channel's transport must be %s or %s", events.SMS, events.WhatsApp)
	}
	if !accountShape.MatchString(n.accountSID) {
		return errors.New(`twilio: setting "account_sid" must be the Account SID of the Twilio console, AC and 32 hexadecimal digits`)
	}
	if account.Secrets["auth_token"] == "" {
		return errors.New(`twilio: secret "auth_token" must be the auth token of the Twilio console`)
	}
	for _, token := range n.tokens {
		if !tokenShape.MatchString(token) {
			return errors.New(`twilio: secrets "auth_token" and "auth_token_next" must be auth tokens of the Twilio console, digits and letters only`)
		}
	}
	if n.from == "" && n.service == "" {
		return errors.New(`twilio: set "from" to the number to send from, such as +15005550006, or "messaging_service_sid"`)
	}
	if n.service != "" && !serviceShape.MatchString(n.service) {
		return errors.New(`twilio: setting "messaging_service_sid" must be MG and 32 hexadecimal digits`)
	}
	switch {
	case n.from == "", numberShape.MatchString(n.from):
	case n.whatsApp:
		return errors.New(`twilio: setting "from" must be a WhatsApp sender's number, such as +14155238886`)
	case !codeShape.MatchString(n.from) && !nameShape.MatchString(n.from):
		return errors.New(`twilio: setting "from" must be a number such as +15005550006, a short code or a sender name of at most 11 characters`)
	}
	return nil
}

// mayMMS reports whether Twilio has MMS where the number is
// (https://help.twilio.com/articles/223181608); what a messaging service picks is
// its own affair.
func (n *Number) mayMMS() bool {
	return n.from == "" || strings.HasPrefix(n.from, "+1") || strings.HasPrefix(n.from, "+61") ||
		codeShape.MatchString(n.from)
}

// Capabilities implements [transports.Transport].
func (n *Number) Capabilities() transports.Capabilities {
	caps := n.caps
	caps.Attachments = maps.Clone(caps.Attachments)
	caps.Captionless = slices.Clone(caps.Captionless)
	return caps
}

func (n *Number) capabilities(mms bool) transports.Capabilities {
	caps := transports.Capabilities{
		MaxText:          maxText,
		TextUnit:         transports.UTF16Units, // a message with any other sign than GSM's is UCS-2
		MaxFetch:         maxFetch,
		Reconcile:        reconcileEvery,
		DeliveryReceipts: n.webhook != "",
	}
	if n.whatsApp {
		caps.MaxCaption = maxWhatsAppText
		caps.Attachments = map[events.ContentType]int64{
			events.Photo:    maxWhatsAppImage,
			events.Video:    maxWhatsAppMedia,
			events.Audio:    maxWhatsAppMedia,
			events.Voice:    maxWhatsAppMedia,
			events.Document: maxWhatsAppMedia,
		}
		caps.Captionless = []events.ContentType{events.Audio, events.Voice, events.Document}
		caps.FetchesMedia = true
		caps.ReplyWindow = whatsAppWindow
		caps.Templates = true
		caps.ReadReceipts = caps.DeliveryReceipts
		caps.Rate = transports.Rate{Messages: whatsAppRate, Per: time.Second, Burst: whatsAppRate}
		return caps
	}
	caps.ReplyWindow = transports.NoReplyWindow
	caps.OptOut = true
	caps.Segments = true
	if mms {
		caps.MaxCaption = maxText
		caps.Attachments = map[events.ContentType]int64{
			events.Photo:    maxImage,
			events.Video:    maxOther,
			events.Audio:    maxOther,
			events.Document: maxOther,
		}
		caps.FetchesMedia = true
		caps.Album, caps.AlbumBytes = maxMedia, maxImage
	}
	return caps
}

func parseBase(raw string) (*url.URL, error) {
	if raw == "" {
		raw = DefaultAPI
	}
	base, err := url.Parse(strings.TrimRight(raw, "/"))
	if err != nil || (base.Scheme != "https" && base.Scheme != "http") || base.Host == "" ||
		base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New(`twilio: setting "api_url" must be a base URL such as ` + DefaultAPI)
	}
	return base, nil
}

func parseSwitch(name, value string, otherwise bool) (bool, error) {
	switch strings.ToLower(value) {
	case "":
		return otherwise, nil
	case "off", "false", "0", "no":
		return false, nil
	case "on", "true", "1", "yes":
		return true, nil
	}
	return false, fmt.Errorf("twilio: setting %q must be on or off", name)
}

func overrideRate(rate *transports.Rate, value string) error {
	if value == "" {
		return nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return errors.New(`twilio: setting "rate" must be messages per second, 0 for no limit`)
	}
	*rate = transports.Rate{}
	if n > 0 {
		*rate = transports.Rate{Messages: n, Per: time.Second, Burst: n}
	}
	return nil
}

// withoutRedirects copies a client. The API never redirects a send, and following
// would hand the credentials to wherever somebody in between points, and repeat
// the send (307 and 308 keep the method).
func withoutRedirects(client *http.Client) *http.Client {
	c := *client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}
