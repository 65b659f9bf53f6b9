// Package sandbox holds local stand-ins that speak the providers' wire
// protocols, so that Parley can be tried and tested without accounts.
//
// A stand-in is faithful in what it answers, keeps everything in memory, and
// writes a log of its own: what it accepted, what people wrote, what it
// delivered. A test that breaks things compares that log with the database.
//
// The endpoints under /sandbox/ play the people at the other end. They answer
// on loopback only.
package sandbox
