package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"parley/events"
	"parley/inbox"
	"parley/inbox/api"
	"parley/transports/sandbox"
)

// standIn asks the stand-in's control endpoints.
type standIn struct{ base string }

func (a *app) standIn(ctx context.Context) (*standIn, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	if c.Sandbox == "" {
		return nil, &inbox.Error{
			Code: inbox.NotFound, Message: fmt.Sprintf("The server in %s has no stand-in providers.", c.dir),
			Hint: "parley demo runs one that has.",
		}
	}
	return &standIn{base: c.Sandbox}, nil
}

func (s *standIn) ask(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return &inbox.Error{Code: inbox.Unavailable, Message: "The stand-in does not answer.", Hint: "Is the demo still running?", Err: err}
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("reading the stand-in's answer: %w", err)
	}
	if res.StatusCode >= 300 {
		var refused struct {
			Error string `json:"error"`
		}
		_ = json.Unmarshal(said, &refused)
		return &inbox.Error{Code: inbox.Invalid, Message: "The stand-in refused: " + strings.TrimPrefix(refused.Error, "sandbox: ") + "."}
	}
	return json.Unmarshal(said, out)
}

// mailStandIn asks the stand-in for a mail server.
func (a *app) mailStandIn(ctx context.Context) (*standIn, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	at, err := loadMailAt(c.dir)
	if err != nil {
		return nil, err
	}
	var page api.List[api.Channel]
	if err := c.ask(ctx, http.MethodGet, "/channels", nil, nil, &page); err != nil {
		return nil, err
	}
	for _, ch := range page.Items {
		// The file may be an older run's.
		if at.IMAP != "" && ch.Transport == events.Email && ch.Settings["imap"] == at.IMAP {
			return &standIn{base: "http://" + at.Control}, nil
		}
	}
	return nil, noStandIn(c.dir, onEmail)
}

func noStandIn(dir, on string) error {
	return &inbox.Error{
		Code: inbox.NotFound, Message: fmt.Sprintf("The server in %s has no stand-in for %s.", dir, on), Hint: "parley demo runs one that has.",
	}
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

// play asks the stand-in of a network and prints what it says, as [answer] does.
func play[T any](a *app, cmd *cobra.Command, on, method, path string, in any, words func(io.Writer, T) error) error {
	s, err := a.standInOn(cmd.Context(), on)
	if err != nil {
		return err
	}
	var said T
	if err := s.ask(cmd.Context(), method, path, in, &said); err != nil {
		return err
	}
	return show(a, cmd, said, words)
}
