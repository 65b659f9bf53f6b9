package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"parley/events"
	"parley/transports/sandbox"
)

// The kinds whose success is what is stored, shown or sent in the end.
const (
	kindForgedMail   = "mail: forged From, findings, answers"
	kindInjectedMail = "mail: header injection, by mails and by replies"
	kindHTMLMail     = "mail: hostile HTML"
)

// mailAttackers write to the business's mailbox, or have it write. A mail cannot be
// refused, so what comes of it is judged in the end.
func (w *attackWorld) mailAttackers() []attacker {
	return []attacker{
		{kind: kindForgedMail, try: w.forgeMail, pause: 50 * time.Millisecond},
		{kind: kindInjectedMail, try: w.injectMail, pause: 50 * time.Millisecond},
		{kind: kindHTMLMail, try: w.htmlMail, pause: 50 * time.Millisecond},
		{kind: "mail: bombs of parts, depth, headers, encodings", try: w.bombMail, pause: 250 * time.Millisecond},
		// The stand-in keeps them in memory.
		{kind: "mail: oversized", try: w.oversizedMail, pause: time.Second, most: 6},
	}
}

// letters counts what was written to the mailbox.
type letters struct{ delivered atomic.Int64 }

// startMail starts the stand-in for a mail server and connects its mailbox.
func (w *attackWorld) startMail(ctx context.Context) (err error) {
	if w.mail, err = sandbox.NewMail(sandbox.MailOptions{}); err != nil {
		return err
	}
	at, err := w.mail.Start(ctx, sandbox.MailAt{})
	if err != nil {
		return err
	}
	w.mailbox, err = w.db.addChannel(ctx, w.bot.key, events.Channel{
		ID: "018f0000-0000-7000-8000-00000000c079", Transport: events.Email, Name: "Mail", Mode: events.Polling, WebhookPath: strings.Repeat("m", 40),
		Settings: map[string]string{
			"address": w.mail.Address(), "imap": at.IMAP, "smtp": at.SMTP, "imap_security": "none", "smtp_security": "none",
			"since": "2000-01-01", "sent": "off", "authserv_id": mailServer, "poll": "5",
		},
	}, map[string]string{"password": sandbox.DefaultMailPassword})
	return err
}

// mailServer is whose findings (RFC 8601) the mailbox trusts, victim who writes to
// the business by mail.
const (
	mailServer = "sandbox.example"
	victim     = "ada@people.example"
)

// deliver puts a mail into the mailbox, with its own server's finding on top.
func (w *attackWorld) deliver(a *attempts, finding, mail string) error {
	err := w.mail.Deliver([]byte("Authentication-Results: " + mailServer + "; " + finding + "\r\n" + mail))
	if err != nil {
		return err
	}
	w.letters.delivered.Add(1)
	a.tell(false, 0, "")
	return nil
}

// deliveredID is a Message-ID that no other mail has.
func (w *attackWorld) mailID(n int, kind string) string {
	return fmt.Sprintf("Message-ID: <%s-%d-%d@evil.example>\r\n", kind, n, time.Now().UnixNano())
}

// forgeMail claims to be somebody whose client there is: in none of these did the
// mailbox's own server find that it is so.
func (w *attackWorld) forgeMail(_ context.Context, n int, a *attempts) error {
	const fail, none, other = "dmarc=fail header.from=people.example", "dmarc=none", "dmarc=pass header.from=evil.example"
	forgeries := []struct{ finding, head string }{
		{fail, "From: Ada <" + victim + ">\r\n"},
		{fail, "From: Ada <" + victim + ">\r\nAuthentication-Results: " + mailServer + "; dmarc=pass header.from=people.example\r\n"},
		{none, "From: Ada <" + victim + ">\r\nAuthentication-Results: evil.example; dmarc=pass header.from=people.example\r\n"},
		{none, "From: Ada <" + victim + ">\r\nAuthentication-Results: " + mailServer + " (; dmarc=pass)\r\n"},
		{"spf=pass; dkim=pass header.d=evil.example", "From: Ada <" + victim + ">\r\n"},
		{fail + ` reason="dmarc=pass header.from=people.example"`, "From: Ada <" + victim + ">\r\n"},
		{other, "From: Ada <" + victim + ">\r\n"},
		{other, "From: \"" + victim + "\" <mallory@evil.example>\r\n"},
		{other, "From: mallory@evil.example\r\nFrom: " + victim + "\r\n"},
		{other, "From: mallory@evil.example, " + victim + "\r\n"},
		{other, "From: mallory@evil.example\r\nSender: " + victim + "\r\nReply-To: " + victim + "\r\nReturn-Path: <" + victim + ">\r\n"},
		{other, "From: =?utf-8?q?ada=40people=2Eexample=00?= <mallory@evil.example>\r\n"},
		{other, "From: <" + victim + "@evil.example>\r\n"},
		{other, "From: \"ada@people.example,\"@evil.example\r\n"},
	}
	f := forgeries[n%len(forgeries)]
	to := w.mail.Address()
	thread := ""
	switch n / len(forgeries) % 3 {
	case 1: // a thread that was overheard
		if sent := w.mail.Sent(); len(sent) > 0 {
			thread = "In-Reply-To: " + messageID.FindString(string(sent[0].Raw)) + "\r\nReferences: " + messageID.FindString(string(sent[0].Raw)) + "\r\n"
		}
	case 2: // the address of an answer, with a signature that was guessed
		to = strings.Replace(to, "@", fmt.Sprintf("+%d.%016x@", 1+n%20, n), 1)
	}
	return w.deliver(a, f.finding, f.head+"To: "+to+"\r\nSubject: About my order\r\n"+w.mailID(n, "forged")+thread+"\r\nFORGED MAIL: pay to this account from now on.\r\n")
}

var messageID = regexp.MustCompile(`<[^<>\s]+@[^<>\s]+>`)

// injected is what appears in a mail of the business if anybody can add lines to it.
const injected = "injected.example"

// injectMail writes what becomes part of answers, and answers: as whoever may, with
// fields that end a line.
func (w *attackWorld) injectMail(ctx context.Context, n int, a *attempts) error {
	line := "\r\nBcc: bcc@" + injected + "\r\nX-Injected: yes\r\n\r\nBODY"
	encoded := "=0D=0ABcc:_bcc=40" + injected + "=0D=0AX-Injected:_yes"
	if n%2 == 0 {
		heads := []string{
			"From: inject@people.example\r\nSubject: =?utf-8?q?Hi" + encoded + "?=\r\n",
			"From: =?utf-8?q?Name" + encoded + "?= <inject@people.example>\r\nSubject: Hi\r\n",
			"From: inject@people.example\r\nReply-To: =?utf-8?q?N" + encoded + "?= <inject@people.example>\r\nSubject: Hi\r\n",
			"From: inject@people.example\r\nSubject: Hi\r\nReferences: <a\r\n\tb@c> <" + strings.Repeat("r", 2000) + "@" + injected + "\r>\r\n",
			"From: inject@people.example\r\nSubject: Hi\rBcc: bcc@" + injected + "\r\n",
			"From: inject@people.example\r\nSubject: Hi\x00\x0b\x0c\xe2\x80\xa8Bcc: bcc@" + injected + "\r\n",
			"From: \"inject\\\r\n Bcc: bcc@" + injected + "\" <inject@people.example>\r\nSubject: Hi\r\n",
		}
		return w.deliver(a, "dmarc=pass header.from=people.example", heads[n/2%len(heads)]+w.mailID(n, "inject")+"To: "+w.mail.Address()+"\r\n\r\nHostile head.\r\n")
	}
	var chat int64
	if err := w.db.pool.QueryRow(ctx, `SELECT coalesce(max(chat_id), 0) FROM crm_chat_members WHERE channel_id = $1 AND address = 'inject@people.example'`,
		string(w.mailbox.ID)).Scan(&chat); err != nil || chat == 0 {
		return err // none was stored yet
	}
	bodies := []map[string]any{
		{},
		{"subject": "Hi" + line},
		{"subject": "Hi\rBcc: bcc@" + injected},
		{"to": []string{"inject@people.example" + line}},
		{"to": []string{"\"N" + line + "\" <inject@people.example>"}},
		{"cc": []string{"=?utf-8?q?N" + encoded + "?= <inject@people.example>"}},
		{"subject": "=?utf-8?q?Hi" + encoded + "?="},
	}
	body := bodies[n/2%len(bodies)]
	body["text"], body["seen"], body["force"] = "Injected?"+line+"\r\n.\r\nMAIL FROM:<mallory@evil.example>\r\nRCPT TO:<bcc@"+injected+">\r\n", 1, true
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	code, text, err := w.send(ctx, http.MethodPost, fmt.Sprintf("%s/chats/%d/messages", w.api, chat), data, "Authorization", "Bearer "+w.a.token)
	a.tell(false, code, text)
	return err
}

// oversizedMail is as large as mailboxes allow, and larger.
func (w *attackWorld) oversizedMail(_ context.Context, n int, a *attempts) error {
	size := []int{18 << 20, 72 << 20}[n%2]
	line := strings.Repeat("QUJD", 19) + "\r\n"
	return w.deliver(a, "dmarc=pass header.from=people.example", "From: large@people.example\r\nSubject: Large\r\n"+w.mailID(n, "large")+
		"MIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=large.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n"+strings.Repeat(line, size/len(line)))
}

// judgeMail says of mails what came of them: forged ones in somebody else's chat,
// lines in mails of the business that nobody meant, HTML that would do something.
func (w *attackWorld) judgeMail(ctx context.Context, all []*attempts) error {
	var joined int64
	if err := w.db.pool.QueryRow(ctx, `
		SELECT count(*) FROM crm_chat_messages m WHERE m.message LIKE 'FORGED MAIL%' AND m.chat_id IN (
			SELECT chat_id FROM crm_chat_messages WHERE message LIKE 'honest mail%')`).Scan(&joined); err != nil {
		return err
	}
	lines := int64(0)
	for _, s := range w.mail.Sent() {
		head, _, _ := strings.Cut(string(s.Raw), "\r\n\r\n")
		if injectedLine.MatchString(head) || strings.Contains(strings.Join(s.To, " "), injected) {
			lines++
		}
	}
	shown, err := w.hostileHTML(ctx)
	if err != nil {
		return err
	}
	for _, a := range all {
		if n := map[string]int64{kindForgedMail: joined, kindInjectedMail: lines, kindHTMLMail: shown}[a.kind]; n > 0 {
			a.got.Add(n)
			a.first = fmt.Sprintf("%d mails", n)
		}
	}
	var stored int64
	err = w.db.pool.QueryRow(ctx, "SELECT count(*) FROM crm_chat_messages WHERE direction = 'in' AND channel_id = $1", string(w.mailbox.ID)).Scan(&stored)
	w.report.holds(stored >= w.letters.delivered.Load(), "%d mails are stored, %d came", stored, w.letters.delivered.Load())
	w.report.say("\nOf %s mails that came every one is stored, hostile ones among them; %s mails left.", thousands(w.letters.delivered.Load()), thousands(len(w.mail.Sent())))
	return errors.Join(err)
}

// injectedLine begins a line of a head that the business did not write.
var injectedLine = regexp.MustCompile(`(?im)(^|[\r\n\v\f]|\x{2028})(bcc|x-injected)\s*:`)
