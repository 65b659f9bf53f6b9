package router

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"parley/events"
	"parley/events/jetstream"
	"parley/store"
)

// decode prepares a record for the database: what is not an event is marked for
// quarantine, and NUL characters, which PostgreSQL cannot store, are replaced.
func decode(rec *jetstream.Record) store.InboundRecord {
	out := store.InboundRecord{Seq: rec.Seq, Index: rec.Index, Data: rec.Data}
	if rec.Err != nil {
		out.Unstorable = &store.Unstorable{Reason: "The record is not an event: " + rec.Err.Error()}
		return out
	}
	if bytes.Contains(rec.Data, []byte(`\u0000`)) {
		ev, err := withoutNUL(rec.Data)
		if err != nil {
			out.Unstorable = &store.Unstorable{Reason: "The record is not an event: " + err.Error()}
			return out
		}
		out.Event = ev
		return out
	}
	out.Event = &rec.Event
	return out
}

const noteNUL = "NUL characters were replaced"

// withoutNUL decodes an event with every NUL character replaced by U+FFFD.
func withoutNUL(data []byte) (*events.Inbound, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	clean, err := json.Marshal(replaceNUL(tree))
	if err != nil {
		return nil, fmt.Errorf("replacing NUL characters: %w", err)
	}
	var ev events.Inbound
	if err := json.Unmarshal(clean, &ev); err != nil {
		return nil, err
	}
	ev.Notes = append(ev.Notes, noteNUL)
	return &ev, nil
}

func replaceNUL(v any) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, "\x00", "\uFFFD")
	case []any:
		for i := range v {
			v[i] = replaceNUL(v[i])
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[strings.ReplaceAll(key, "\x00", "\uFFFD")] = replaceNUL(value)
		}
		return out
	}
	return v
}
