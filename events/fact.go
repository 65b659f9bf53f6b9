package events

import (
	"encoding/json"
	"strconv"
	"time"
)

// Fact is something Parley did, in CloudEvents 1.0 terms
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md).
// Subscribers deduplicate by ID.
type Fact struct {
	// ID rises in the order the facts were written; it may skip numbers.
	ID     int64
	Tenant TenantID
	// Noun and Verb name it: "message", "received".
	Noun, Verb string
	// Chat is the chat it belongs to, 0 when it belongs to none.
	Chat int64
	Time time.Time
	// Data is the JSON payload.
	Data json.RawMessage
}

// cloudEvent is the structured-mode JSON form.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`
}

// MarshalJSON renders the fact as a structured-mode CloudEvent of type
// "parley.<noun>.<verb>" from source "/tenants/<tenant>".
func (f Fact) MarshalJSON() ([]byte, error) {
	return json.Marshal(cloudEvent{
		SpecVersion:     "1.0",
		ID:              strconv.FormatInt(f.ID, 10),
		Source:          "/tenants/" + string(f.Tenant),
		Type:            "parley." + f.Noun + "." + f.Verb,
		Subject:         "chats/" + strconv.FormatInt(f.Chat, 10),
		Time:            f.Time,
		DataContentType: "application/json",
		Data:            f.Data,
	})
}
