// Package twilio is the adapter for one sender at Twilio: a phone number, a short
// code or a messaging service, for SMS and MMS, or for WhatsApp. Which, is the
// channel's transport: WhatsApp's addresses are those of SMS behind "whatsapp:"
// (https://www.twilio.com/docs/messaging/channels).
//
// Inbound: a webhook is authenticated by its signature over the configured
// public URL, never over what a proxy says the URL was
// (https://www.twilio.com/docs/usage/webhooks/webhooks-security), and becomes one
// event, or two when the message opts its sender out or in. Twilio delivers in
// parallel and tries again once at most, so that order is the order of
// acceptance, and what an outage lost is found in Twilio's list of messages:
// Reconcile. The dedupe key is (the person's number, MessageSid).
//
// Outbound: one request per part. Twilio has no idempotency key, so a send is
// retried only when it certainly was not accepted. What is unclear is settled by
// the status callback, whose URL carries our own reference and which may arrive
// before the send's own answer, or by the list: Settle.
//
// Senders without a number (a bank's name, a short code) are people of their own
// with an identity of kind events.SenderName: their messages are stored and
// shown; names cannot be answered.
//
// Requests go out through twilio-go, behind a BaseClient of our own that adds
// what the SDK lacks: contexts, another base URL, Retry-After, and whether a
// request left.
package twilio
