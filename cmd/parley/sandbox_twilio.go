package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"parley/events"
	"parley/inbox"
	"parley/inbox/api"
	"parley/transports/sandbox"
)

// onTelegram is the network that people write on unless told otherwise.
const onTelegram = string(events.Telegram)

func addOn(cmd *cobra.Command, on *string) {
	cmd.Flags().StringVar(on, "on", onTelegram, "the network: telegram, sms, whatsapp or email")
}

// twilioStandIn asks the stand-in that a channel of the network speaks to.
func (a *app) twilioStandIn(ctx context.Context, on string) (*standIn, error) {
	network := events.Transport(on)
	if network != events.SMS && network != events.WhatsApp {
		return nil, &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("The stand-ins have no network %q.", on), Hint: "Use telegram, sms, whatsapp or email.",
		}
	}
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	var page api.List[api.Channel]
	if err := c.ask(ctx, http.MethodGet, "/channels", nil, nil, &page); err != nil {
		return nil, err
	}
	for _, ch := range page.Items {
		if ch.Transport == network && ch.Settings["account_sid"] == sandbox.DefaultTwilioAccount {
			return &standIn{base: ch.Settings["api_url"]}, nil
		}
	}
	return nil, noStandIn(c.dir, on)
}

// standInOn asks the stand-in that a network's channel speaks to.
func (a *app) standInOn(ctx context.Context, on string) (*standIn, error) {
	switch on {
	case onTelegram:
		return a.standIn(ctx)
	case onEmail:
		return a.mailStandIn(ctx)
	}
	return a.twilioStandIn(ctx, on)
}

// networkName is a network as people know it.
func networkName(on string) string {
	if on == string(events.WhatsApp) {
		return "WhatsApp"
	}
	return "SMS"
}

func (a *app) sayOnTwilio(cmd *cobra.Command, on, who, text string) error {
	s, err := a.twilioStandIn(cmd.Context(), on)
	if err != nil {
		return err
	}
	in, err := json.Marshal(map[string]string{"from": who, "text": text, "network": on})
	if err != nil {
		return err
	}
	var sent struct {
		SID string `json:"sid"`
	}
	if err := s.ask(cmd.Context(), http.MethodPost, "/sandbox/twilio/say", in, &sent); err != nil {
		return err
	}
	if a.json {
		return printJSON(cmd.OutOrStdout(), sent)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s wrote on %s. It shows in: parley chats\n", clean(who), networkName(on))
	return err
}

func (a *app) phoneOnTwilio(cmd *cobra.Command, on, who string) error {
	s, err := a.twilioStandIn(cmd.Context(), on)
	if err != nil {
		return err
	}
	var messages []sandbox.TwilioPhoneMessage
	path := "/sandbox/twilio/phone?" + url.Values{"who": {who}, "network": {on}}.Encode()
	if err := s.ask(cmd.Context(), http.MethodGet, path, nil, &messages); err != nil {
		return err
	}
	if a.json {
		return printJSON(cmd.OutOrStdout(), messages)
	}
	shown := make([]sandbox.PhoneMessage, 0, len(messages))
	for _, m := range messages {
		one := sandbox.PhoneMessage{Time: m.Time, FromBot: m.FromBusiness, Kind: "text", Text: m.Text}
		if len(m.Files) > 0 {
			one.Kind, one.File = "file", m.Files[0]
		}
		shown = append(shown, one)
	}
	return printPhone(cmd.OutOrStdout(), who, shown)
}
