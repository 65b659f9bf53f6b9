package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	gomail "github.com/emersion/go-message/mail"

	"parley/events"
	"parley/transports/sandbox"
)

// fileNetwork is one network's stand-in, and what it allows.
type fileNetwork struct {
	channel events.Channel
	in, out fileKind
	// arrives is the state of a reply whose files are with the provider.
	arrives string
	// post sends a file to the business as somebody.
	post func(who string, f sandbox.File) error
	// got are the files that somebody got from the business.
	got func(ctx context.Context, who string) ([]sum, error)
}

// channelID is the nth channel's.
func channelID(n int) events.ChannelID {
	return events.ChannelID(fmt.Sprintf("018f0000-0000-7000-8000-0000000f11e%d", n))
}

// overTelegram is a bot, with files of what getFile hands out
// (https://core.telegram.org/bots/api#getfile).
func overTelegram(t *sandbox.Telegram, api string, b bot) fileNetwork {
	return fileNetwork{
		channel: b.channel, in: fileKind{bytes: 20 << 20}, out: fileKind{bytes: 20 << 20}, arrives: "sent",
		post: func(who string, f sandbox.File) error {
			_, err := t.Person(who).Post(sandbox.Post{Kind: "document", File: &f})
			return err
		},
		got: func(ctx context.Context, who string) (all []sum, err error) {
			for _, m := range t.Person(who).Phone() {
				if !m.FromBot || m.FileID == "" {
					continue
				}
				text, err := fetch(ctx, api+"/bot"+sandbox.DefaultTelegramToken+"/getFile?file_id="+url.QueryEscape(m.FileID))
				if err != nil {
					return nil, err
				}
				var answer struct {
					Result struct {
						Path string `json:"file_path"`
					} `json:"result"`
				}
				if err := json.Unmarshal(text, &answer); err != nil {
					return nil, err
				}
				content, err := fetch(ctx, api+"/file/bot"+sandbox.DefaultTelegramToken+"/"+answer.Result.Path)
				if err != nil {
					return nil, err
				}
				all = append(all, sha256.Sum256(content))
			}
			return all, nil
		},
	}
}

// overTwilio is a number or a WhatsApp sender. A phone network takes pictures up
// to 5 MB, WhatsApp documents up to 16 MB
// (https://www.twilio.com/docs/messaging/guides/accepted-mime-types).
func overTwilio(t *sandbox.Twilio, api string, n int, network events.Transport) fileNetwork {
	sender, kind := sandbox.DefaultTwilioNumber, fileKind{picture: true, bytes: 5 << 20}
	if network == events.WhatsApp {
		sender, kind = strings.TrimPrefix(sandbox.DefaultTwilioWhatsApp, "whatsapp:"), fileKind{bytes: 16 << 20}
	}
	person := func(who string) (sandbox.TwilioPerson, error) {
		if network == events.WhatsApp {
			return t.Person(who).WhatsApp()
		}
		return t.Person(who), nil
	}
	return fileNetwork{
		channel: events.Channel{
			ID: channelID(n), Transport: network, Name: string(network), Mode: events.Webhook, Country: "DE",
			WebhookPath: "bench-" + string(network) + "-0123456789abcdef0123456789abcdef",
			Settings: map[string]string{
				"account_sid": sandbox.DefaultTwilioAccount, "from": sender, "api_url": api, "rate": "0", "mms": "on",
			},
		},
		in: kind, out: kind, arrives: "delivered",
		post: func(who string, f sandbox.File) error {
			p, err := person(who)
			if err != nil {
				return err
			}
			_, err = p.Post(sandbox.TwilioPost{Files: []sandbox.File{f}})
			return err
		},
		got: func(ctx context.Context, who string) (all []sum, err error) {
			p, err := person(who)
			if err != nil {
				return nil, err
			}
			for _, m := range p.Phone() {
				if !m.FromBusiness {
					continue
				}
				for _, link := range m.Files {
					content, err := fetch(ctx, link)
					if err != nil {
						return nil, err
					}
					all = append(all, sha256.Sum256(content))
				}
			}
			return all, nil
		},
	}
}

// overMail is a mailbox; 18 MB are what a mail of ours may have in files, 25 MB
// when encoded.
func overMail(m *sandbox.Mail, at sandbox.MailAt, n int) fileNetwork {
	return fileNetwork{
		channel: events.Channel{
			ID: channelID(n), Transport: events.Email, Name: "email", Mode: events.Polling,
			WebhookPath: "bench-email-0123456789abcdef0123456789abcdef",
			Settings: map[string]string{
				"address": m.Address(), "imap": at.IMAP, "smtp": at.SMTP, "imap_security": "none", "smtp_security": "none",
				"authserv_id": "sandbox.example", "since": time.Now().AddDate(0, 0, -2).Format(time.DateOnly),
			},
		},
		in: fileKind{bytes: 20 << 20}, out: fileKind{bytes: 18 << 20}, arrives: "sent",
		post: func(who string, f sandbox.File) error { return m.Deliver(mailWith(who, f)) },
		got: func(_ context.Context, who string) (all []sum, err error) {
			for _, s := range m.Sent() {
				if len(s.To) != 1 || s.To[0] != who+"@people.example" {
					continue
				}
				files, err := filesOf(s.Raw)
				if err != nil {
					return nil, err
				}
				all = append(all, files...)
			}
			return all, nil
		},
	}
}

// mailWith is a mail with a file.
func mailWith(who string, f sandbox.File) []byte {
	var b strings.Builder
	b.Grow(len(f.Content)*3/2 + 1000)
	fmt.Fprintf(&b, "Return-Path: <%[1]s@people.example>\r\nFrom: <%[1]s@people.example>\r\nTo: %[2]s\r\nDate: %[3]s\r\n"+
		"Message-ID: <%[4]x@people.example>\r\nSubject: Files\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"+
		"--b\r\nContent-Type: text/plain\r\n\r\nHere it is.\r\n--b\r\nContent-Type: %[5]s\r\n"+
		"Content-Disposition: attachment; filename=%[6]q\r\nContent-Transfer-Encoding: base64\r\n\r\n",
		who, sandbox.DefaultMailAddress, time.Now().Format(time.RFC1123Z), sha256.Sum256(f.Content), f.MIME, f.Name)
	for text := base64.StdEncoding.EncodeToString(f.Content); text != ""; {
		line := text[:min(76, len(text))]
		b.WriteString(line + "\r\n")
		text = text[len(line):]
	}
	b.WriteString("--b--\r\n")
	return []byte(b.String())
}

// filesOf are the attachments of a mail.
func filesOf(raw []byte) (all []sum, err error) {
	r, err := gomail.CreateReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("a mail that was sent: %w", err)
	}
	for {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return all, r.Close()
		}
		if err != nil {
			return nil, err
		}
		if _, ok := part.Header.(*gomail.AttachmentHeader); !ok {
			continue
		}
		h := sha256.New()
		if _, err := io.Copy(h, part.Body); err != nil {
			return nil, err
		}
		all = append(all, sum(h.Sum(nil)))
	}
}

// fetch gets what is at an address.
func fetch(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("fetching a file: %s", resp.Status)
	}
	return content, err
}
