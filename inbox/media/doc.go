// Package media keeps the files of messages: it takes bytes in from providers
// and agents, hands them out again, and removes what no message has.
//
// # What is promised
//
// A file's row is written only after its bytes are durable in the blob store; a
// crash between the two leaves a blob that no row names, which is removed later,
// and the file is fetched again. A try to fetch a file is settled once: stored,
// failed for good with a reason, or tried again with growing pauses for a day. A
// process that dies loses its tries only for as long as their lease.
//
// # What it costs
//
// Bytes are streamed through a file without a name in the temporary folder, never
// held in memory; only what a provider sent within its own payload (a mail's
// parts) is read whole, one payload at a time. One picture is decoded at a time,
// within a budget. At most Options.Concurrency files are under way, and at most
// half of them of one channel, so that a slow provider delays nobody else.
//
// # What is believed
//
// Nothing that the sender says of a file: its type is sniffed, its name cleaned.
// It is handed out so that a browser neither runs nor guesses anything.
package media
