package inbox

import "time"

// Erasure is one client's end.
type Erasure struct {
	ID string `json:"id"`
	// Client is the number of who was erased.
	Client   int64     `json:"client"`
	At       time.Time `json:"at"`
	Messages int64     `json:"messages"`
	Files    int64     `json:"files"`
	// Done is set once nothing is left outside of the database either: on the bus
	// and in the blob store.
	Done bool `json:"done"`
}
