// Package transports is the seam between Parley and the networks its clients
// write from: what an adapter is, what it can do, and how a send fails.
//
// An adapter is one connected account: a bot, a number, a mailbox. It
// translates and nothing else: it keeps no state that matters, starts no
// goroutines that outlive a call, reads no configuration but what its
// constructor was given, and does no I/O but to its provider.
//
// Adapters implement [Transport] and those of the role interfaces that their
// provider allows; the gateway runs [Webhook], [Poller] and [MediaOpener], the
// dispatcher runs [Sender]. Nothing outside an adapter asks for a transport by
// name: what differs between providers is data, in [Capabilities].
package transports
