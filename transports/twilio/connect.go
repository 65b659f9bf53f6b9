package twilio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"parley/transports"
)

// hook is where a sender's inbound webhook is set at Twilio.
type hook struct {
	// url is what is set now.
	url string
	// set changes it.
	set func(context.Context, string) error
	// name is the sender's in the console, empty when it has none.
	name string
}

// errNoSender says that the account does not have the number.
var errNoSender = errors.New("the account has no such sender")

// Connect implements [transports.Connector]: it sets the inbound webhook of the
// messaging service, the number, the short code or the WhatsApp sender. Disconnecting
// takes back only what points here. Sender names receive nothing, so that there is
// nothing to set.
func (n *Number) Connect(ctx context.Context, webhookURL string) error {
	if n.manual {
		return nil
	}
	h, err := n.hook(ctx)
	switch {
	case errors.Is(err, errNoSender):
		return fmt.Errorf(`twilio: %w %s: check "from", or, if it is the WhatsApp sandbox, set its webhook in the Twilio console and the setting "webhook" to manual`, err, n.name())
	case err != nil:
		return err
	case h.set == nil || h.url == webhookURL:
		return nil
	case webhookURL == "" && h.url != n.webhook:
		return nil
	}
	return h.set(ctx, webhookURL)
}

// Check implements [transports.Connector].
func (n *Number) Check(ctx context.Context) (transports.Report, error) {
	report := transports.Report{Account: n.name(), Pending: -1}
	var account struct {
		Name   string `json:"friendly_name"`
		Status string `json:"status"`
	}
	if err := n.get(ctx, "check", DefaultAPI+"/2010-04-01/Accounts/"+n.accountSID+".json", nil, &account); err != nil {
		if notFound(err) {
			return report, fmt.Errorf("%w: there is no such account: check the account SID: %w", transports.ErrCredentials, err)
		}
		return report, err
	}
	if account.Status != "" && account.Status != "active" {
		return report, fmt.Errorf("twilio: %w: the account is %s: look at the Twilio console", transports.ErrCredentials, clean(account.Status))
	}
	h, err := n.hook(ctx)
	switch {
	case errors.Is(err, errNoSender):
		// The WhatsApp sandbox's is in no list.
	case err != nil:
		return report, err
	case h.name != "" && h.name != n.from:
		report.Account = n.name() + " (" + clean(h.name) + ")"
	}
	if !n.manual {
		report.WebhookURL = h.url
	}
	return report, nil
}

// name is the sender as people know it.
func (n *Number) name() string {
	if n.from != "" {
		return n.from
	}
	return n.service
}

// hook finds the inbound webhook. A messaging service's replaces those of its
// numbers.
func (n *Number) hook(ctx context.Context) (hook, error) {
	switch {
	case n.service != "":
		return n.serviceHook(ctx)
	case n.whatsApp:
		return n.whatsAppHook(ctx)
	case numberShape.MatchString(n.from):
		return n.numberHook(ctx, "IncomingPhoneNumbers", "PhoneNumber", "incoming_phone_numbers")
	case codeShape.MatchString(n.from):
		return n.numberHook(ctx, "SMS/ShortCodes", "ShortCode", "short_codes")
	}
	// A sender name. That it is there is known once it sends.
	return hook{}, n.get(ctx, "check", DefaultAPI+"/2010-04-01/Accounts/"+n.accountSID+".json", nil, nil)
}

// numberHook is that of a number or a short code
// (https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource,
// https://www.twilio.com/docs/messaging/api/short-code-resource).
func (n *Number) numberHook(ctx context.Context, resource, filter, list string) (hook, error) {
	const op = "find the number"
	type number struct {
		SID    string `json:"sid"`
		Name   string `json:"friendly_name"`
		SMSURL string `json:"sms_url"`
	}
	base := DefaultAPI + "/2010-04-01/Accounts/" + n.accountSID + "/" + resource
	var (
		answer map[string]json.RawMessage
		found  []number
	)
	if err := n.get(ctx, op, base+".json", url.Values{filter: {n.from}}, &answer); err != nil {
		return hook{}, err
	}
	if err := json.Unmarshal(answer[list], &found); err != nil {
		return hook{}, n.redact.Error(op, fmt.Errorf("the answer is not Twilio's: %w", err))
	}
	if len(found) == 0 || found[0].SID == "" {
		return hook{}, errNoSender
	}
	return hook{url: found[0].SMSURL, name: found[0].Name, set: func(ctx context.Context, to string) error {
		return n.post(ctx, "set the webhook", base+"/"+url.PathEscape(found[0].SID)+".json", url.Values{"SmsUrl": {to}, "SmsMethod": {http.MethodPost}})
	}}, nil
}

// messagingAPI is the API of messaging services and WhatsApp senders; one base URL
// of one's own stands for all.
const messagingAPI = "https://messaging.twilio.com"

// serviceHook is that of a messaging service
// (https://www.twilio.com/docs/messaging/api/service-resource).
func (n *Number) serviceHook(ctx context.Context) (hook, error) {
	at := messagingAPI + "/v1/Services/" + n.service
	var service struct {
		Name     string `json:"friendly_name"`
		URL      string `json:"inbound_request_url"`
		OnNumber bool   `json:"use_inbound_webhook_on_number"`
	}
	if err := n.get(ctx, "find the messaging service", at, nil, &service); err != nil {
		if notFound(err) {
			return hook{}, errNoSender
		}
		return hook{}, err
	}
	h := hook{url: service.URL, name: service.Name, set: func(ctx context.Context, to string) error {
		return n.post(ctx, "set the webhook", at, url.Values{
			"InboundRequestUrl": {to}, "InboundMethod": {http.MethodPost}, "UseInboundWebhookOnNumber": {"false"},
		})
	}}
	if service.OnNumber {
		h.url = "" // not what inbound messages go to
	}
	return h, nil
}

// whatsAppHook is that of a WhatsApp sender
// (https://www.twilio.com/docs/whatsapp/api/senders).
func (n *Number) whatsAppHook(ctx context.Context) (hook, error) {
	const at = messagingAPI + "/v2/Channels/Senders"
	query := url.Values{"Channel": {"whatsapp"}, "PageSize": {"100"}}
	for range maxSenderPages {
		var answer struct {
			Senders []struct {
				SID      string `json:"sid"`
				SenderID string `json:"sender_id"`
				Webhook  struct {
					URL string `json:"callback_url"`
				} `json:"webhook"`
			} `json:"senders"`
			Meta struct {
				Next string `json:"next_page_url"`
			} `json:"meta"`
		}
		if err := n.get(ctx, "find the WhatsApp sender", at, query, &answer); err != nil {
			return hook{}, err
		}
		for _, s := range answer.Senders {
			if s.SenderID == n.on(n.from) && s.SID != "" {
				return hook{url: s.Webhook.URL, set: func(ctx context.Context, to string) error {
					return n.postJSON(ctx, "set the webhook", at+"/"+url.PathEscape(s.SID), map[string]any{
						"webhook": map[string]string{"callback_url": to, "callback_method": http.MethodPost},
					})
				}}, nil
			}
		}
		next, err := url.Parse(answer.Meta.Next)
		if err != nil || answer.Meta.Next == "" {
			break
		}
		query = next.Query()
	}
	return hook{}, errNoSender
}

// maxSenderPages bounds a list whose pages never end.
const maxSenderPages = 50

func (n *Number) post(ctx context.Context, op, rawURL string, form url.Values) error {
	resp, err := n.call(ctx, op).handler().Post(rawURL, form, map[string]any{}, "") //nolint:bodyclose // read closes it
	return n.read(op, resp, err, nil)
}

func (n *Number) postJSON(ctx context.Context, op, rawURL string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return n.redact.Error(op, err)
	}
	headers := map[string]any{"Content-Type": "application/json"}
	resp, err := n.call(ctx, op).handler().Post(rawURL, nil, headers, "", text...) //nolint:bodyclose // read closes it
	return n.read(op, resp, err, nil)
}

// fileName is a name that an answer gives, if it does.
func fileName(resp *http.Response) string {
	_, attrs, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	name := attrs["filename"]
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	return clean(name)
}
