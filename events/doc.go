// Package events is Parley's vocabulary: what flows between adapters, router,
// dispatcher and the programs that follow along. It holds words, not behaviour,
// and imports the standard library only, so that every layer can speak it.
//
// An [Inbound] is one thing a provider told us, accepted once it is durable in
// its partition's stream. A [Fact] is something Parley did, published after the
// transaction that did it committed.
package events
