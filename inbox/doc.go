// Package inbox holds the nouns of the inbox and their pure rules: what a
// client, a chat, a message and a delivery are, and what may become of them.
// It does no I/O.
package inbox
