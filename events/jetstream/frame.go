package jetstream

import (
	"bytes"
	"fmt"
	"time"

	jsonv1 "github.com/go-json-experiment/json/v1"

	"parley/events"
)

// A frame is one message of an inbound stream: the JSON of one event or more,
// one to a line. Encoded JSON has no raw line break, so that nothing needs
// escaping, and a frame of one event is the event.
const frameSeparator = '\n'

// Record is one stored event.
type Record struct {
	// Seq is the sequence number of its frame in the partition's stream.
	Seq uint64
	// Index is its place in the frame, from 0. Events of one frame were stored
	// together; Seq and Index together name one of them.
	Index int
	// StoredAt is the server's clock.
	StoredAt time.Time
	// Event is what Data says; zero when Err is set.
	Event events.Inbound
	// Data is the stored JSON, its line of the frame.
	Data []byte
	// Err says why Data is not an event. The record counts all the same, and
	// says nothing about its neighbours.
	Err error
}

// appendFrame joins the data of entries.
func appendFrame(frame []byte, entries []entry) []byte {
	for _, e := range entries {
		if len(frame) > 0 {
			frame = append(frame, frameSeparator)
		}
		frame = append(frame, e.data...)
	}
	return frame
}

// decodeFrame returns at least one record: even an empty message counts.
func decodeFrame(m stored) []Record {
	records := make([]Record, 0, 1+bytes.Count(m.data, []byte{frameSeparator}))
	for i, line := range bytes.Split(m.data, []byte{frameSeparator}) {
		r := Record{Seq: m.seq, Index: i, StoredAt: m.at, Data: line}
		// The meaning of encoding/json in less than half its time.
		if err := jsonv1.Unmarshal(line, &r.Event); err != nil {
			r.Event = events.Inbound{}
			r.Err = fmt.Errorf("record %d/%d is not an event: %w", m.seq, i, err)
		}
		records = append(records, r)
	}
	return records
}
