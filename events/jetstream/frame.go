package jetstream

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/nats-io/nats.go"

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

// traceHeader has the trace context of each event of a frame, in their order, "-"
// where an event has none; frames of which no event is traced have no such header.
const traceHeader = "traceparent"

func traces(groups []*group, messages int) nats.Header {
	var list []string
	n := 0
	for _, g := range groups {
		for i := range g.entries {
			if t := g.entries[i].trace; t != "" {
				if list == nil {
					list = slices.Repeat([]string{"-"}, messages)
				}
				list[n] = t
			}
			n++
		}
	}
	if list == nil {
		return nil
	}
	return nats.Header{traceHeader: list}
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
		if t := m.header[traceHeader]; i < len(t) && t[i] != "-" {
			r.Event.Trace = t[i]
		}
		records = append(records, r)
	}
	return records
}
