package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"strings"

	"parley/events"
	"parley/inbox"
	"parley/inbox/desk"
	"parley/store"
	"parley/transports/sandbox"
)

// The demo's channels at the stand-in for Twilio.
const (
	demoSMS      = "Sandbox SMS"
	demoWhatsApp = "Sandbox WhatsApp"
)

// startTwilio starts the stand-in where the last run had it, if that is free.
// Twilio only pushes, so that the server needs an address that is known before it
// runs.
func (d *demo) startTwilio(ctx context.Context) (err error) {
	d.twilio, err = sandbox.NewTwilio(sandbox.TwilioOptions{
		LogPath: filepath.Join(d.cfg.DataDir, "sandbox-twilio.jsonl"),
		// It forgets who wrote when; the demo's agent may still answer them.
		OpenWindow: true,
		FetchMedia: true,
	})
	if err != nil {
		return fmt.Errorf("the stand-in for Twilio: %w", err)
	}
	if d.twilioAt, err = startWhereItWas(ctx, filepath.Join(d.cfg.DataDir, "sandbox-twilio.addr"), d.twilio.Start); err != nil {
		return fmt.Errorf("the stand-in for Twilio: %w", err)
	}
	if d.cfg.PublicURL != "" {
		return nil
	}
	if host, ok := strings.CutSuffix(d.cfg.Listen, ":0"); ok {
		var lc net.ListenConfig
		free, err := lc.Listen(ctx, "tcp", d.cfg.Listen)
		if err != nil {
			return fmt.Errorf("find a free port on %s: %w", host, err)
		}
		d.cfg.Listen = free.Addr().String()
		if err := free.Close(); err != nil {
			return err
		}
	}
	d.cfg.PublicURL = "http://" + d.cfg.Listen
	return nil
}

// connectTwilio adds the stand-in's senders as channels, or tells old channels
// where it is now.
func (d *demo) connectTwilio(ctx context.Context, dk *desk.Desk, tenant events.TenantID) error {
	for _, c := range []struct {
		name, from string
		transport  events.Transport
	}{
		{demoSMS, sandbox.DefaultTwilioNumber, events.SMS},
		{demoWhatsApp, strings.TrimPrefix(sandbox.DefaultTwilioWhatsApp, "whatsapp:"), events.WhatsApp},
	} {
		settings := map[string]string{"account_sid": sandbox.DefaultTwilioAccount, "from": c.from, "api_url": d.twilioAt}
		ch, err := dk.Channel(ctx, tenant, c.name)
		switch {
		case inbox.CodeOf(err) == inbox.NotFound:
			if _, err = dk.ChannelAdd(ctx, desk.NewChannel{
				Tenant: tenant, Transport: c.transport, Name: c.name, Mode: events.Webhook, Country: "DE", Settings: settings,
				Secrets: map[string]string{"auth_token": sandbox.DefaultTwilioToken},
			}); err == nil {
				err = d.awaitWebhook(ctx, settings["from"])
			}
		case err == nil && !maps.Equal(ch.Settings, settings):
			if _, err = dk.Store.UpdateChannel(ctx, tenant, ch.ID, store.ChannelChange{Settings: settings}); err == nil {
				err = dk.Project(ctx)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitWebhook waits until the stand-in was told where to deliver: what people
// write before, Twilio delivers to nobody.
func (d *demo) awaitWebhook(ctx context.Context, from string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoPatience, errors.New("nobody told the stand-in for Twilio where to deliver; the log says why"))
	defer cancel()
	_, err := d.twilio.Await(ctx, func(e sandbox.TwilioEntry) bool {
		return e.What == sandbox.LogCalled && strings.TrimPrefix(e.Sender, "whatsapp:") == from
	})
	if err != nil {
		return context.Cause(ctx)
	}
	return nil
}
