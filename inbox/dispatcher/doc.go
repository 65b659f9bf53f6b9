// Package dispatcher sends: it claims queued deliveries, hands each part to its
// channel's adapter once, and settles what became of it.
//
// What may be relied on:
//
//   - A claim is committed before its Send, so a crash leaves a trace. What a dead
//     or frozen process had under way is uncertain to its successor, never sent
//     again; proof that arrives later settles it. Where the transport is a
//     transports.Settler, its provider is asked for that proof.
//   - Each person's messages leave in the order they were queued. A message that
//     is retried, or that is uncertain for up to twice the send deadline, keeps
//     those behind it back.
//   - Only parts that the provider did not accept are tried again. A message is
//     split once, and the split is stored.
//   - One process at a time dispatches a channel, by a lease whose epoch every
//     transaction checks. One channel's trouble stalls no other.
//
// What may be lost: nothing that was queued. What may be doubled: what a person
// decided to send again, and what a transport declares harmless.
//
// Rates are kept by the process that holds the channel's lease, in memory: after
// a fail-over a provider may see one burst more.
package dispatcher
