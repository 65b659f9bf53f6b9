package main

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
	"parley/inbox/router"
	"parley/store"
	"parley/store/storetest"
	"parley/transports"
	"parley/transports/sandbox"
	"parley/transports/transporttest"
)

// recordedPayloads are what a network sent, and an account that reads it.
type recordedPayloads struct {
	format   transporttest.Format
	pattern  string
	settings map[string]string
	secrets  map[string]string
	// kept is a payload as the adapter keeps it, where it is not the body itself.
	kept func(body []byte) any
}

// recordings are the conformance tests' payloads, by network.
func recordings() map[events.Transport]recordedPayloads {
	number := map[string]string{"account_sid": "AC" + strings.Repeat("0", 32), "from": sandbox.DefaultTwilioNumber}
	whatsapp := map[string]string{"account_sid": number["account_sid"], "from": sandbox.DefaultTwilioWhatsApp}
	token := map[string]string{"auth_token": strings.Repeat("0", 32)}
	verbatim := func(body []byte) any { return string(body) }
	return map[events.Transport]recordedPayloads{
		events.Telegram: {
			format: transporttest.JSON, pattern: "telegram/testdata/updates/*.json",
			secrets: map[string]string{"token": sandbox.DefaultTelegramToken},
		},
		events.SMS: {
			format: transporttest.Form, pattern: "twilio/testdata/webhooks/sms_*.form",
			settings: number, secrets: token, kept: verbatim,
		},
		events.WhatsApp: {
			format: transporttest.Form, pattern: "twilio/testdata/webhooks/whatsapp_*.form",
			settings: whatsapp, secrets: token, kept: verbatim,
		},
		events.Email: {
			format: transporttest.MIME, pattern: "email/testdata/mails/*.eml",
			settings: map[string]string{"address": "office@example.com", "imap": "imap.example.com", "smtp": "smtp.example.com"},
			secrets:  map[string]string{"password": "none", "reply_key": strings.Repeat("0", 32)},
			kept: func(body []byte) any {
				var mail strings.Builder // one character a byte, NUL as the first that is none
				for _, b := range body {
					if b == 0 {
						mail.WriteRune(0x100)
						continue
					}
					mail.WriteRune(rune(b))
				}
				return map[string]string{"folder": "INBOX", "received": "2026-11-02T08:30:05Z", "mail": mail.String()}
			},
		},
	}
}

// TestRecordedPayloadsAreOneMessageAndOneClient sends what every network was
// recorded to send through bus, router and database, and then all of it again:
// each identity is one client with one chat, each key one message, whatever else
// is in the payloads is accounted for, and the second time changes nothing.
func TestRecordedPayloadsAreOneMessageAndOneClient(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	db, err := store.Open(ctx, storetest.NewServer(t).URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	bus := natstest.Start(t)
	routing, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- router.New(router.Options{
			Store: db, Bus: bus, Owner: uuid.NewString(), LeaseTTL: 10 * time.Second, Registerer: prometheus.NewRegistry(),
		}).Run(routing)
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	for network, adapter := range adapters() {
		recorded, ok := recordings()[network]
		if !ok {
			t.Errorf("no recorded payloads of %s", network)
			continue
		}
		account, ch := recorded.connect(t, db, network, adapter)
		clients, messages := wanted(recorded.read(t, account))
		for _, round := range []string{"once", "again"} {
			for _, ev := range recorded.read(t, account) {
				ev.Tenant, ev.Channel, ev.Transport = ch.Tenant, ch.ID, network
				ev.ID, ev.AcceptedAt = store.NewEventID(), time.Now().UTC()
				if err := bus.Publish(ctx, ev); err != nil {
					t.Fatal(err)
				}
			}
			untilRouted(ctx, t, db, bus)
			chats, stored := contents(ctx, t, db, ch.Tenant)
			if len(clients) == 0 || chats != len(clients) || stored != len(messages) {
				t.Errorf("%s, sent %s: %d clients with %d messages, want %d with %d",
					network, round, chats, stored, len(clients), len(messages))
			}
		}
	}
	if report, err := router.Audit(ctx, db, bus); err != nil || !report.Clean {
		t.Errorf("audit: %q, %v", report.Findings, err)
	}
}

// connect makes a business with one account of the network.
func (r recordedPayloads) connect(t *testing.T, db *store.DB, network events.Transport, a adapter) (transports.Reparser, events.Channel) {
	t.Helper()
	tenant, err := db.CreateTenant(t.Context(), string(network))
	if err != nil {
		t.Fatal(err)
	}
	ch, err := db.CreateChannel(t.Context(), events.Channel{
		ID: events.ChannelID(uuid.NewString()), Tenant: tenant.ID, Transport: network, Name: string(network),
		Mode: a.mode, WebhookPath: uuid.NewString(), Country: "DE", Settings: r.settings,
	}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	account, err := a.factory(transports.Account{
		Channel: ch.Channel, Secrets: r.secrets, HTTPClient: &http.Client{}, PublicURL: "https://parley.example",
	})
	if err != nil {
		t.Fatal(err)
	}
	return account.(transports.Reparser), ch.Channel
}

// read makes events of all payloads.
func (r recordedPayloads) read(t *testing.T, account transports.Reparser) (all []events.Inbound) {
	t.Helper()
	for _, p := range transporttest.RecordedFiles(t, r.format, filepath.Join("../../transports", r.pattern)) {
		raw := json.RawMessage(p.Body)
		if r.kept != nil || !json.Valid(raw) {
			var v any = string(p.Body)
			if r.kept != nil {
				v = r.kept(p.Body)
			}
			var err error
			if raw, err = json.Marshal(v); err != nil {
				t.Fatal(err)
			}
		}
		evs, err := account.Reparse(raw)
		if err != nil || len(evs) == 0 {
			t.Errorf("%s: %d events, %v", p.Name, len(evs), err)
		}
		for _, ev := range evs {
			// Who is proven to have written is another client than whoever writes in the
			// same name without proof; which is which is for the tests of the store.
			if ev.Content != nil && ev.Content.Mail != nil && ev.Content.Mail.DMARC == "pass" {
				continue
			}
			all = append(all, ev)
		}
	}
	return all
}

// wanted are the identities and keys of the messages among events.
func wanted(evs []events.Inbound) (clients map[events.Identity]bool, messages map[events.MessageKey]bool) {
	clients, messages = map[events.Identity]bool{}, map[events.MessageKey]bool{}
	const maxID = 512 // bytes; what has a longer id is quarantined
	for _, ev := range evs {
		if ev.Kind == events.Message && ev.Key.Valid() && ev.Person.Identity.Valid() &&
			max(len(ev.Key.Chat), len(ev.Key.Message), len(ev.ProviderEvent), len(ev.Person.Identity.Value)) <= maxID {
			clients[ev.Person.Identity], messages[ev.Key] = true, true
		}
	}
	return clients, messages
}

// contents counts a business's chats and the messages in them.
func contents(ctx context.Context, t *testing.T, db *store.DB, tenant events.TenantID) (chats, messages int) {
	t.Helper()
	list, next, err := db.Chats(ctx, tenant, store.ChatPage{Limit: 100})
	if err != nil || next != "" {
		t.Fatal(err, next)
	}
	for _, chat := range list {
		page, _, err := db.Messages(ctx, tenant, chat.ID, store.MessagePage{Limit: 100})
		if err != nil || len(page) == 100 {
			t.Fatal(err, len(page))
		}
		messages += len(page)
	}
	return len(list), messages
}

// untilRouted waits until everything published is behind the checkpoints.
func untilRouted(ctx context.Context, t *testing.T, db *store.DB, bus *jetstream.Bus) {
	t.Helper()
	for {
		streams, err := bus.Streams(ctx)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := db.Partitions(ctx)
		if err != nil {
			t.Fatal(err)
		}
		behind := len(parts) != len(streams)
		for i := range parts {
			behind = behind || uint64(parts[i].LastSeq) < streams[i].LastSeq
		}
		if !behind {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("still behind: %+v", parts)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
