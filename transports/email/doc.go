// Package email is the adapter for one mailbox: IMAP in (RFC 9051, RFC 3501),
// SMTP out (RFC 5321, RFC 6409).
//
// Inbound: one connection reads the folders read-only (EXAMINE, UID commands,
// BODY.PEEK), so that nothing it does is seen in other mail programs, and waits
// in IDLE. The cursor is, per folder, UIDVALIDITY and the last stored UID; it
// moves only past what emit took. When UIDVALIDITY changes the folder is read
// again from where the import began: the key holds a hash of the content, so
// that what is known stays one message.
//
// A mail becomes one event of content type Letter, a bounce (RFC 3464) one
// StatusChanged per recipient, a mail from the Sent folder one event with Ours.
// Mails are read leniently and within budgets of depth, parts, size and time;
// one that cannot be read becomes a Letter with Mail.Unreadable and its raw form
// attached. No mail is dropped for how it is written: a From that names nobody
// yields a person of its own under sender.invalid.
//
// Keys are chat "mail" and, for received mails, the Message-ID with the start of
// the body hash ("id#hash"), so that one id with two bodies is two messages. A
// mail of ours has the bare Message-ID as its key, which is what bounces and
// answers name. A mail without a Message-ID gets one made of its content.
//
// Inbound.Raw is a JSON object of the mail and what IMAP knows beside it: the
// folder, when it arrived. In its string "mail" each byte of the mail is the
// character of the same number, but 0 is U+0100, which PostgreSQL can store:
// 8-bit bytes survive, ASCII stays readable.
//
// Outbound: one SMTP transaction per part, all recipients or none. A send is
// uncertain only once the end of the data was being written and no answer came;
// the same Message-ID on every attempt makes sending again harmless. What was
// sent carries the header [OwnHeader], by which its copy in the Sent folder is
// known, whatever the server made of the Message-ID.
package email
