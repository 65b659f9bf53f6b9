package transporttest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"parley/events"
	"parley/transports"
)

// Fact is what a provider's documentation says about one capability.
type Fact struct {
	// Field names a field of [transports.Capabilities], or an entry of
	// Attachments: "Attachments.photo".
	Field string
	Has   Having
	// Most is the largest value that the provider takes, where it says one. An
	// adapter may declare less.
	Most int64
	// Source is the page that says so; for what is Absent or Optional, why.
	Source string
}

// Having says whether a provider can do something.
type Having int

// What documentation says.
const (
	// Documented: an adapter that declares zero leaves something out.
	Documented Having = iota
	// Absent: an adapter that declares more than zero makes something up.
	Absent
	// Optional: both are right, for the reason that Source gives.
	Optional
)

// documented is what the providers' own pages say, by network. It is written
// from the documentation and not from the adapters: that is the point of it.
func documented() map[events.Transport][]Fact {
	const (
		botAPI   = "https://core.telegram.org/bots/api"
		botFAQ   = "https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this"
		messages = "https://www.twilio.com/docs/messaging/api/message-resource"
		accepted = "https://www.twilio.com/docs/messaging/guides/accepted-mime-types"
		media    = "https://www.twilio.com/docs/messaging/api/media-resource"
		status   = "https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks"
		whatsapp = "https://www.twilio.com/docs/whatsapp/api"
		waMedia  = "https://www.twilio.com/docs/whatsapp/guidance-whatsapp-media-messages"
		waWindow = "https://www.twilio.com/docs/whatsapp/key-concepts"
		content  = "https://www.twilio.com/docs/content"
		optOut   = "https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out"
		rfc      = "https://www.rfc-editor.org/rfc/"
		kb       = 1 << 10
		mb       = 1 << 20
	)
	return map[events.Transport][]Fact{
		events.Telegram: {
			{"MaxText", Documented, 4096, botAPI + "#sendmessage"},
			{"MaxCaption", Documented, 1024, botAPI + "#sendphoto"},
			{"TextUnit", Documented, 0, botAPI + "#messageentity"},
			{"Segments", Absent, 0, "texts do not travel as SMS"},
			{"Attachments.photo", Documented, 10 * mb, botAPI + "#sendphoto"},
			{"Attachments.video", Documented, 50 * mb, botAPI + "#sendvideo"},
			{"Attachments.animation", Documented, 50 * mb, botAPI + "#sendanimation"},
			{"Attachments.audio", Documented, 50 * mb, botAPI + "#sendaudio"},
			{"Attachments.voice", Documented, 50 * mb, botAPI + "#sendvoice"},
			{"Attachments.video_note", Documented, 50 * mb, botAPI + "#sending-files"},
			{"Attachments.document", Documented, 50 * mb, botAPI + "#senddocument"},
			{"Attachments.sticker", Optional, 50 * mb, "WEBP, TGS or WEBM with requirements of its own: " + botAPI + "#sendsticker"},
			{"Captionless", Documented, 0, botAPI + "#sendvideonote"},
			{"MaxFetch", Documented, 20 * mb, botAPI + "#getfile"},
			// A business connection answers for 24 hours (#businessbotrights, can_reply);
			// that is a right of each connection, and the account's bot has no window.
			{"ReplyWindow", Documented, 0, botAPI + "#sendmessage"},
			{"Replies", Documented, 0, botAPI + "#replyparameters"},
			{"Edits", Documented, 0, botAPI + "#editmessagetext"},
			{"Reactions", Documented, 0, botAPI + "#setmessagereaction"},
			{"Templates", Absent, 0, "bots need no approval of what they write"},
			{"Typing", Documented, 0, botAPI + "#sendchataction"},
			{"Mail", Absent, 0, "messages have no subject"},
			{"Album", Documented, 10, botAPI + "#sendmediagroup"},
			{"AlbumBytes", Absent, 0, "each file has its own limit"},
			{"AlbumKinds", Documented, 0, botAPI + "#sendmediagroup"},
			{"FetchesMedia", Optional, 0, "files are uploaded; by URL they may have 5 and 20 MB only: " + botAPI + "#sending-files"},
			{"OptOut", Absent, 0, "people block the bot instead, by no keyword"},
			{"DeliveryReceipts", Absent, 0, "no update tells of a delivery"},
			{"ReadReceipts", Absent, 0, "no update tells what was read"},
			{"Reconcile", Absent, 0, "bots cannot list a chat's history"},
			{"HarmlessResend", Absent, 0, "sending takes no idempotency key"},
			{"Rate", Documented, 0, botFAQ},
			{"PersonRate", Documented, 0, botFAQ},
		},
		events.SMS: {
			{"MaxText", Documented, 1600, messages},
			{"MaxCaption", Documented, 1600, messages},
			{"TextUnit", Optional, 0, "1600 characters, of a unit that the page leaves open"},
			{"Segments", Documented, 0, "https://www.twilio.com/docs/glossary/what-sms-character-limit"},
			{"Attachments.photo", Documented, 5 * mb, messages + "#create-a-message-resource"},
			{"Attachments.video", Optional, 500 * kb, "accepted but not made to fit the device (" + accepted + "), to 500 KB: " + messages},
			{"Attachments.audio", Optional, 500 * kb, "as video"},
			{"Attachments.document", Optional, 500 * kb, "as video"},
			{"Captionless", Optional, 0, "a Body goes with any MediaUrl"},
			{"MaxFetch", Documented, 0, media},
			{"ReplyWindow", Documented, 0, messages},
			{"Replies", Absent, 0, "an SMS answers no other"},
			{"Edits", Absent, 0, "what was sent stays"},
			{"Reactions", Absent, 0, "there are none"},
			{"Templates", Optional, 0, "SMS may use the Content API, but needs no template"},
			{"Typing", Absent, 0, "nothing shows it"},
			{"Mail", Absent, 0, "messages have no subject"},
			{"Album", Optional, 10, "up to ten MediaUrl: " + messages},
			{"AlbumBytes", Optional, 5 * mb, "what goes with one message has 5 MB in all: " + media},
			{"AlbumKinds", Optional, 0, "any with any"},
			{"FetchesMedia", Documented, 0, messages},
			{"OptOut", Documented, 0, optOut},
			{"DeliveryReceipts", Documented, 0, status},
			{"ReadReceipts", Absent, 0, "only WhatsApp and RCS have read"},
			{"Reconcile", Documented, 0, messages + "#read-multiple-message-resources"},
			{"HarmlessResend", Absent, 0, "creating takes no idempotency key"},
			{"Rate", Optional, 0, "Twilio queues: https://www.twilio.com/docs/messaging/guides/understanding-rate-limits-and-message-queues"},
			{"PersonRate", Optional, 0, "as Rate"},
		},
		events.WhatsApp: {
			{"MaxText", Documented, 1600, messages},
			{"MaxCaption", Documented, 1600, messages},
			{"TextUnit", Optional, 0, "1600 characters, of a unit that the page leaves open"},
			{"Segments", Absent, 0, "WhatsApp messages are whole: " + messages},
			{"Attachments.photo", Documented, 5 * mb, waMedia},
			{"Attachments.video", Documented, 16 * mb, waMedia},
			{"Attachments.audio", Documented, 16 * mb, waMedia},
			{"Attachments.document", Documented, 16 * mb, waMedia},
			{"Attachments.voice", Optional, 16 * mb, "an audio file of one kind: " + waMedia},
			{"Attachments.sticker", Optional, 500 * kb, "image/webp, 512 by 512 pixels, 100 KB or animated 500 KB: " + waMedia},
			{"Captionless", Documented, 0, waMedia},
			{"MaxFetch", Documented, 0, media},
			{"ReplyWindow", Documented, 24 * 60 * 60 * 1_000_000_000, waWindow},
			{"Replies", Absent, 0, "the message resource has no parameter for it: " + messages},
			{"Edits", Absent, 0, "the message resource can only be redacted"},
			{"Reactions", Absent, 0, "Twilio sends none"},
			{"Templates", Documented, 0, content},
			{"Typing", Optional, 0, "a beta that only works after an inbound message: https://www.twilio.com/docs/whatsapp/api/typing-indicators-resource"},
			{"Mail", Absent, 0, "messages have no subject"},
			{"Album", Absent, 0, "one MediaUrl a message: " + waMedia},
			{"AlbumBytes", Absent, 0, "as Album"},
			{"AlbumKinds", Absent, 0, "as Album"},
			{"FetchesMedia", Documented, 0, messages},
			{"OptOut", Optional, 0, "a messaging service may enforce it: " + optOut},
			{"DeliveryReceipts", Documented, 0, status},
			{"ReadReceipts", Documented, 0, whatsapp},
			{"Reconcile", Documented, 0, messages + "#read-multiple-message-resources"},
			{"HarmlessResend", Absent, 0, "creating takes no idempotency key"},
			{"Rate", Optional, 0, "Twilio queues"},
			{"PersonRate", Optional, 0, "Twilio queues"},
		},
		events.Email: {
			{"MaxText", Documented, 0, rfc + "rfc5322#section-2.1.1"},
			{"MaxCaption", Documented, 0, rfc + "rfc2046#section-5.1.3"},
			{"TextUnit", Optional, 0, "servers limit the whole mail, in bytes (RFC 1870)"},
			{"Segments", Absent, 0, "texts do not travel as SMS"},
			{"Attachments.document", Documented, 0, rfc + "rfc2183"},
			{"Attachments.photo", Optional, 0, "any file can be a document"},
			{"Attachments.video", Optional, 0, "any file can be a document"},
			{"Attachments.audio", Optional, 0, "any file can be a document"},
			{"Attachments.voice", Optional, 0, "any file can be a document"},
			{"Attachments.animation", Optional, 0, "any file can be a document"},
			{"Attachments.video_note", Optional, 0, "any file can be a document"},
			{"Attachments.sticker", Optional, 0, "any file can be a document"},
			{"Captionless", Absent, 0, "a text goes with any file"},
			{"MaxFetch", Optional, 0, "files come within the mail: transports.RawMediaOpener"},
			{"ReplyWindow", Documented, 0, rfc + "rfc5321"},
			{"Replies", Documented, 0, rfc + "rfc5322#section-3.6.4"},
			{"Edits", Absent, 0, "what was sent stays"},
			{"Reactions", Absent, 0, "RFC 9078 is an experiment"},
			{"Templates", Absent, 0, "nobody approves mails"},
			{"Typing", Absent, 0, "nothing shows it"},
			{"Mail", Documented, 0, rfc + "rfc5322#section-3.6.5"},
			{"Album", Optional, 0, "a mail may carry many files (RFC 2046), within its size"},
			{"AlbumBytes", Optional, 0, "servers limit the whole mail, as they see fit (RFC 1870)"},
			{"AlbumKinds", Optional, 0, "any with any"},
			{"FetchesMedia", Absent, 0, "files go with the mail"},
			{"OptOut", Optional, 0, "List-Unsubscribe (RFC 8058) is for mailings"},
			{"DeliveryReceipts", Optional, 0, "bounces are sure, successes only where servers offer RFC 3461"},
			{"ReadReceipts", Optional, 0, "RFC 8098 leaves it to the reader"},
			{"Reconcile", Documented, 0, rfc + "rfc9051#section-2.3.1.1"},
			{"HarmlessResend", Documented, 0, rfc + "rfc5322#section-3.6.4"},
			{"Rate", Optional, 0, "each server has its own"},
			{"PersonRate", Optional, 0, "each server has its own"},
		},
	}
}

// compare wants capabilities as documented, and facts about all of them.
func compare(caps transports.Capabilities, facts []Fact) (problems []string) {
	known := map[string]Fact{}
	for _, f := range facts {
		if _, twice := known[f.Field]; twice {
			problems = append(problems, fmt.Sprintf("two facts about %s", f.Field))
		}
		if f.Source == "" || (f.Has == Documented && !strings.HasPrefix(f.Source, "https://")) {
			problems = append(problems, fmt.Sprintf("the fact about %s names no source", f.Field))
		}
		known[f.Field] = f
	}
	declared := declaredBy(caps)
	for _, field := range slices.Sorted(maps.Keys(declared)) {
		f, ok := known[field]
		if !ok {
			problems = append(problems, fmt.Sprintf("%s is declared, but no fact says what the provider documents", field))
			continue
		}
		d := declared[field]
		switch {
		case f.Has == Documented && !d.set && field != "TextUnit":
			problems = append(problems, fmt.Sprintf("%s is zero, but the provider documents it: %s", field, f.Source))
		case f.Has == Absent && d.set:
			problems = append(problems, fmt.Sprintf("%s is declared, but the provider cannot: %s", field, f.Source))
		case f.Most > 0 && d.value > f.Most:
			problems = append(problems, fmt.Sprintf("%s is %d, but the provider takes %d at most: %s", field, d.value, f.Most, f.Source))
		}
		delete(known, field)
	}
	for _, f := range facts { // what is left is attachments that are not declared
		_, left := known[f.Field]
		switch {
		case !left:
		case !strings.HasPrefix(f.Field, "Attachments."):
			problems = append(problems, fmt.Sprintf("a fact about %s, which is no capability", f.Field))
		case f.Has == Documented:
			problems = append(problems, fmt.Sprintf("%s is zero, but the provider documents it: %s", f.Field, f.Source))
		}
	}
	return problems
}

type declaration struct {
	set   bool
	value int64
}

// declaredBy are the fields by name, Attachments by kind.
func declaredBy(caps transports.Capabilities) map[string]declaration {
	all := map[string]declaration{}
	v := reflect.ValueOf(caps)
	for i := range v.NumField() {
		field := v.Type().Field(i).Name
		value := v.Field(i)
		if field == "Attachments" {
			for kind, limit := range caps.Attachments {
				all[field+"."+string(kind)] = declaration{limit != 0, limit}
			}
			continue
		}
		d := declaration{set: !value.IsZero()}
		if value.CanInt() {
			d.value = value.Int()
		}
		all[field] = d
	}
	return all
}
