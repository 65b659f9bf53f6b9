// Package telegram is the adapter for one Telegram bot, by the Bot API
// (https://core.telegram.org/bots/api), hosted by Telegram or by oneself.
//
// Inbound: an update is authenticated by the webhook's secret token, or fetched
// by long polling, and becomes one event; only deletions of several messages are
// more. What the adapter does not understand
// becomes an event of content type Unsupported that keeps the update verbatim;
// nothing with a proven origin is dropped. Identity is the numeric user id,
// the dedupe key (chat id, message id); update ids are no key for messages, as
// they restart at random after a week without updates. The photos of an album come
// as messages of their own, seconds apart, joined by Content.Group.
//
// A bot can be connected to somebody's business account and answer in its name.
// Such a chat has an address of its own, "business:<connection>:<chat id>", which
// is the chat of its message keys too: the same person's chat with the bot numbers
// its messages apart. What the account's owner writes on a phone is Ours; a
// deletion is a service message, for nothing stored is taken away.
//
// Outbound: one request per part, an album included. The Bot API has no idempotency key, so a send
// is retried only when it certainly was not accepted: the API said so, or the
// request never left in full. Everything else is uncertain.
//
// The API puts the token into every URL, and so into every error of net/http:
// errors that leave this package are rebuilt without token, webhook secret and
// webhook path.
//
// Requests go out through go-telegram-bot-api v5.5.1. It predates contexts, most
// kinds of updates and all methods since 2021, so that only its raw calls
// (MakeRequest, UploadFiles) are used, each with a client that carries the
// call's context, and updates are decoded here.
package telegram
