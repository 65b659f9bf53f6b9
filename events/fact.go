package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Fact is something Parley did, in CloudEvents 1.0 terms
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md).
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
	// Trace is W3C trace context, if any; it is no part of the fact, and travels in
	// the header of its message.
	Trace string
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
	Data            json.RawMessage `json:"data,omitempty"`
}

// MarshalJSON renders the fact as a structured-mode CloudEvent of type
// "parley.<noun>.<verb>" from source "/tenants/<tenant>".
func (f Fact) MarshalJSON() ([]byte, error) { return f.AppendJSON(nil) }

// AppendJSON appends what MarshalJSON renders. Data is taken as it is: a third
// of the price where it is known to be JSON, as what the database built.
func (f Fact) AppendJSON(b []byte) ([]byte, error) {
	head, err := json.Marshal(cloudEvent{
		SpecVersion:     "1.0",
		ID:              strconv.FormatInt(f.ID, 10),
		Source:          "/tenants/" + string(f.Tenant),
		Type:            "parley." + f.Noun + "." + f.Verb,
		Subject:         "chats/" + strconv.FormatInt(f.Chat, 10),
		Time:            f.Time,
		DataContentType: "application/json",
	})
	if err != nil {
		return nil, err
	}
	b = append(b, head[:len(head)-1]...)
	b = append(b, `,"data":`...)
	if len(f.Data) == 0 {
		b = append(b, "null"...)
	}
	b = append(b, f.Data...)
	return append(b, '}'), nil
}

// errNotFact is why a document is no fact of ours.
var errNotFact = errors.New("not a Parley fact")

// UnmarshalJSON reads what [Fact.MarshalJSON] writes. CloudEvents from elsewhere
// are refused.
func (f *Fact) UnmarshalJSON(data []byte) error {
	var ce cloudEvent
	if err := json.Unmarshal(data, &ce); err != nil {
		return err
	}
	if ce.SpecVersion != "1.0" {
		return fmt.Errorf("%w: CloudEvents version %q", errNotFact, ce.SpecVersion)
	}
	id, err := strconv.ParseInt(ce.ID, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: id %q", errNotFact, ce.ID)
	}
	tenant, ok := strings.CutPrefix(ce.Source, "/tenants/")
	if !ok || tenant == "" {
		return fmt.Errorf("%w: source %q", errNotFact, ce.Source)
	}
	name, ok := strings.CutPrefix(ce.Type, "parley.")
	noun, verb, both := strings.Cut(name, ".")
	if !ok || !both || noun == "" || verb == "" {
		return fmt.Errorf("%w: type %q", errNotFact, ce.Type)
	}
	about, ok := strings.CutPrefix(ce.Subject, "chats/")
	chat, err := strconv.ParseInt(about, 10, 64)
	if !ok || err != nil {
		return fmt.Errorf("%w: subject %q", errNotFact, ce.Subject)
	}
	*f = Fact{ID: id, Tenant: TenantID(tenant), Noun: noun, Verb: verb, Chat: chat, Time: ce.Time, Data: ce.Data}
	return nil
}
