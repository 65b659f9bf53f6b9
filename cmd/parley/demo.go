package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"parley/events"
	"parley/inbox"
	"parley/inbox/desk"
	"parley/store"
	"parley/transports/sandbox"
)

func demoCmd(a *app) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try Parley: a server with stand-in providers and a first conversation",
		Long: `Runs a server like serve, with a private PostgreSQL and NATS in the data folder, beside stand-ins for
Telegram, Twilio (SMS and WhatsApp) and a mail server that you can play the clients of. Nothing leaves this
machine. The next run goes on where this one ended; remove the data folder to start over.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.config(cmd, a, demoDataDir())
			if err != nil {
				return err
			}
			if !f.debug {
				// The demo's story is on the terminal; the details are in a file.
				log, err := demoLog(cfg.DataDir)
				if err != nil {
					return err
				}
				defer log.Close()
				if cfg.Logger, err = newLogger(log, f.logs, f.logLevel()); err != nil {
					return err
				}
			}
			return runDemo(cmd.Context(), cfg, cmd.OutOrStdout())
		},
	}
	f.add(cmd, "127.0.0.1:0")
	return cmd
}

func demoLog(dir string) (*os.File, error) {
	if err := makeDataDir(dir); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "parley.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600) //nolint:gosec // in the data folder
	if err != nil {
		return nil, fmt.Errorf("the demo's log: %w", err)
	}
	return log, nil
}

const demoChannel = "Sandbox"

// runDemo is a server with a stand-in beside it. It ends with ctx.
func runDemo(ctx context.Context, cfg Config, out io.Writer) error {
	if err := makeDataDir(cfg.DataDir); err != nil {
		return err
	}
	d := &demo{cfg: cfg, out: out}
	d.say("Starting Parley in %s …", cfg.DataDir)
	if err := d.startStandIn(ctx); err != nil {
		return err
	}
	defer func() { _ = d.telegram.Close() }()
	if err := d.startTwilio(ctx); err != nil {
		return err
	}
	defer func() { _ = d.twilio.Close() }()
	if err := d.startMail(ctx); err != nil {
		return err
	}
	defer func() { _ = d.mail.Close() }()
	hangUp, err := d.startPhones(ctx)
	if err != nil {
		return err
	}
	defer hangUp()
	failed := make(chan error, 1)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d.cfg.Sandbox = d.address
	if d.cfg.APIListen == "" {
		d.cfg.APIListen = pagesAddress(ctx)
	}
	d.cfg.Started = func(ctx context.Context, r *Running) {
		if err := d.play(ctx, r); err != nil && ctx.Err() == nil {
			failed <- err
			stop()
		}
	}
	if d.cfg.Traces, err = openTraces(ctx, d.cfg.Version, d.cfg.Logger); err != nil {
		return err
	}
	err = Run(ctx, d.cfg)
	select {
	case cause := <-failed:
		return errors.Join(cause, err)
	default:
	}
	if err == nil {
		d.say("\nStopped. Everything is kept in %s; the next run goes on from there.", cfg.DataDir)
	}
	return err
}

type demo struct {
	cfg      Config
	out      io.Writer
	telegram *sandbox.Telegram
	address  string
	twilio   *sandbox.Twilio
	twilioAt string
	mail     *sandbox.Mail
	mailAt   sandbox.MailAt
	// inbox is where the pages are, once they are.
	inbox atomic.Pointer[string]
}

func (d *demo) say(format string, args ...any) { _, _ = fmt.Fprintf(d.out, format+"\n", args...) }

// startStandIn starts the stand-in where the last run had it, if that is free.
func (d *demo) startStandIn(ctx context.Context) (err error) {
	d.telegram, err = sandbox.NewTelegram(sandbox.TelegramOptions{
		LogPath: filepath.Join(d.cfg.DataDir, "sandbox.jsonl"),
		// It forgets who wrote; the demo's agent may still answer them.
		OpenChats: true,
	})
	if err != nil {
		return fmt.Errorf("the stand-in for Telegram: %w", err)
	}
	if d.address, err = startWhereItWas(ctx, filepath.Join(d.cfg.DataDir, "sandbox.addr"), d.telegram.Start); err != nil {
		return fmt.Errorf("the stand-in for Telegram: %w", err)
	}
	return nil
}

// startWhereItWas starts a stand-in at the address in a file, or at any, which it
// writes there.
func startWhereItWas(ctx context.Context, file string, start func(context.Context, string) (string, error)) (string, error) {
	addr := "127.0.0.1:0"
	last, err := os.ReadFile(file) //nolint:gosec // in the data folder
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("its last address: %w", err)
	}
	if host, port, err := net.SplitHostPort(strings.TrimSpace(string(last))); err == nil && host == "127.0.0.1" {
		addr = net.JoinHostPort(host, port)
	}
	base, err := start(ctx, addr)
	if err != nil {
		base, err = start(ctx, "127.0.0.1:0")
	}
	if err != nil {
		return "", err
	}
	if u, err := url.Parse(base); err == nil {
		return base, os.WriteFile(file, []byte(u.Host+"\n"), 0o600)
	}
	return base, nil
}

// play connects the stand-in and, on the first run, lets a client write and an
// agent answer.
func (d *demo) play(ctx context.Context, r *Running) error {
	d.inbox.Store(&r.Pages)
	tenant, err := r.Desk.Tenant(ctx, "")
	if err != nil {
		return err
	}
	first, err := d.connect(ctx, r.Desk, tenant.ID)
	if err != nil {
		return err
	}
	if err := d.connectTwilio(ctx, r.Desk, tenant.ID); err != nil {
		return err
	}
	if err := d.connectMail(ctx, r.Desk, tenant.ID); err != nil {
		return err
	}
	if first {
		if err := d.firstExchange(ctx, r.Desk, tenant.ID); err != nil {
			return err
		}
	}
	password, err := d.makeAgent(ctx, r, tenant.ID)
	if err != nil {
		return err
	}
	d.where(r, password)
	return nil
}

// connect adds the stand-in as a channel, or tells an old channel where it is
// now.
func (d *demo) connect(ctx context.Context, dk *desk.Desk, tenant events.TenantID) (first bool, err error) {
	ch, err := dk.Channel(ctx, tenant, demoChannel)
	if inbox.CodeOf(err) == inbox.NotFound {
		_, err = dk.ChannelAdd(ctx, desk.NewChannel{
			Tenant: tenant, Transport: events.Telegram, Name: demoChannel, Mode: events.Polling,
			Settings: map[string]string{"api_url": d.address},
			Secrets:  map[string]string{"token": sandbox.DefaultTelegramToken},
		})
		return true, err
	}
	if err != nil || ch.Settings["api_url"] == d.address {
		return false, err
	}
	if _, err = dk.Store.UpdateChannel(ctx, tenant, ch.ID, store.ChannelChange{Settings: map[string]string{"api_url": d.address}}); err != nil {
		return false, err
	}
	return false, dk.Project(ctx)
}

// Lines of the first exchange.
const (
	demoClient   = "Anna"
	demoQuestion = "Hello! Do you ship to Norway? 🇳🇴"
	demoAnswer   = "Hi Anna, yes we do. It takes three to five days. 📦"
)

// demoPatience is far above what each step of the exchange takes.
const demoPatience = time.Minute

func (d *demo) firstExchange(ctx context.Context, dk *desk.Desk, tenant events.TenantID) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoPatience, errors.New("the first exchange did not come about; the log says why"))
	defer cancel()
	tail, err := dk.Stream(ctx, desk.StreamFrom{Tenant: tenant})
	if err != nil {
		return err
	}
	defer tail.Close()
	d.say("\n%s writes on Telegram:   %s", demoClient, demoQuestion)
	began := time.Now()
	if _, err := d.telegram.Person(demoClient).Say(demoQuestion); err != nil {
		return err
	}
	chat, err := awaitFact(ctx, tail, "message", "received")
	if err != nil {
		return err
	}
	d.say("  … in the inbox as chat %d after %s", chat, time.Since(began).Round(time.Millisecond))
	c, err := dk.Chat(ctx, tenant, chat)
	if err != nil {
		return err
	}
	d.say("An agent answers:         %s", demoAnswer)
	began = time.Now()
	if _, err := dk.Reply(ctx, desk.Reply{Tenant: tenant, Chat: chat, Text: demoAnswer, Seen: c.LastSeq}); err != nil {
		return err
	}
	if _, err := awaitFact(ctx, tail, "message", "sent"); err != nil {
		return err
	}
	d.say("  … on %s's phone after %s", demoClient, time.Since(began).Round(time.Millisecond))
	return nil
}

// awaitFact waits for a fact and returns its chat.
func awaitFact(ctx context.Context, tail *desk.Stream, noun, verb string) (chat int64, err error) {
	for {
		facts, err := tail.Next(ctx)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return 0, fmt.Errorf("waiting for %s %s: %w", noun, verb, err)
		}
		for _, f := range facts {
			if f.Fact.Noun == noun && f.Fact.Verb == verb {
				return f.Fact.Chat, nil
			}
		}
	}
}

// where says where things are and what to try.
func (d *demo) where(r *Running, password string) {
	self := shellQuote(selfName())
	d.say("\nParley is up. The inbox is at %s", r.Pages)
	if password != "" {
		d.say("  log in as %s with the password %s", demoAgentEmail, password)
	}
	d.say("The clients' phones are at %s: write there as Anna, and answer in the inbox.", d.cfg.Phones)
	d.say("\nOr play the clients, or both sides, from a second terminal:")
	if d.cfg.DataDir != demoDataDir() {
		d.say("  export PARLEY_DATA_DIR=%s", shellQuote(d.cfg.DataDir))
	}
	commands := func(lines ...[2]string) {
		for _, line := range lines {
			d.say("  %s  # %s", pad(self+" "+line[0], len(self)+50), line[1])
		}
	}
	commands(
		[2]string{"sandbox say anna \"And to Sweden?\"", "write as a client; any name makes one"},
		[2]string{"chats", "the inbox"},
		[2]string{"chat show 1", "one chat"},
		[2]string{"chat reply 1 \"To Sweden as well.\"", "answer as an agent"},
		[2]string{"sandbox phone anna", "what the client sees"},
		[2]string{"chat tail", "follow what happens"},
		[2]string{"audit", "prove that nothing was lost"},
	)
	d.say("\nThat was Telegram. Clients write in three other ways (sandbox phone takes --on, too):")
	commands(
		[2]string{"sandbox say --on sms bo \"Hi!\"", "SMS"},
		[2]string{"sandbox say --on whatsapp bo \"Hello?\"", "WhatsApp, in the same chat: one phone number"},
		[2]string{"sandbox say --on email --subject Order bo \"Hi!\"", "email, in a chat of its own"},
	)
	d.say("A mail tells no phone number, nor does Telegram, and a name proves nothing: there bo is another client.")
	d.say("")
	t := &table{}
	t.add("  health and metrics", "http://"+r.Listen+"/readyz, /metrics")
	if r.NATS != nil {
		t.add("  facts on NATS", r.NATS.URL+", user and password in "+filepath.Join(d.cfg.DataDir, "nats", "nats.json"))
	}
	t.add("  PostgreSQL", "psql "+shellQuote(r.DatabaseURL))
	t.add("  log", filepath.Join(d.cfg.DataDir, "parley.log"))
	_ = t.print(d.out)
	d.say("\nCtrl-C stops it.")
}

// selfName is how this program was called, so that the commands shown can be
// pasted.
func selfName() string {
	if len(os.Args) == 0 || strings.HasSuffix(os.Args[0], ".test") {
		return "parley"
	}
	return os.Args[0]
}
