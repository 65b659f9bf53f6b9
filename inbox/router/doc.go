// Package router stores what the gateways accepted: it reads each partition's
// stream in order, resolves who wrote, and writes messages, facts and its own
// checkpoint in one transaction per batch.
//
// Partitions are leased in PostgreSQL, by its clock, and every batch is fenced:
// a router that was frozen past its lease finds its batch rolled back, so each
// event has one effect however many routers believe they own it. Nothing is
// acknowledged to the bus; the checkpoint row is the only cursor.
//
// A batch that the database refuses because of one event's data is split until
// the event is alone and in quarantine; its neighbours are stored. Every other
// failure waits in place, for ever, with back-off: order is kept and nothing is
// skipped.
//
// The package also runs what follows from stored messages and may only run
// once: the relay of facts to the bus, the removal of old stream records, and
// updates that waited too long for their message.
package router
