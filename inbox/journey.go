package inbox

import (
	"time"

	"parley/events"
)

// Journey is what happened to one message, when, and why.
type Journey struct {
	MessageID   int64            `json:"message_id"`
	ChatID      int64            `json:"chat_id"`
	Seq         int64            `json:"seq"`
	Direction   Direction        `json:"direction"`
	Channel     events.ChannelID `json:"channel,omitempty"`
	ChannelName string           `json:"channel_name,omitempty"`
	Transport   events.Transport `json:"transport"`
	// EventID is what an inbound message is called in logs, DeliveryID what an
	// outbound one is.
	EventID    events.EventID `json:"event_id,omitempty" doc:"What the logs call it (event=…), if a client sent it."`
	DeliveryID int64          `json:"delivery_id,omitempty" doc:"What the logs call it (delivery=…), if Parley sent it."`
	// TraceID is the OpenTelemetry trace of what happened to it.
	TraceID string `json:"trace_id,omitempty" doc:"Its trace, where messages are traced and this one was sampled."`
	// ProviderChat and ProviderMessage are the provider's key of what came in.
	ProviderChat    string `json:"provider_chat,omitempty"`
	ProviderMessage string `json:"provider_message,omitempty"`
	// ProviderAt is by the provider's clock, which may be off.
	ProviderAt *time.Time `json:"provider_at,omitempty" doc:"When it was sent, by the provider's clock."`
	// RoutedBy says why it went to this chat, Links what else it has to do with.
	RoutedBy string     `json:"routed_by,omitempty"`
	Links    []ChatLink `json:"links,omitempty"`
	// Bus is where the event is on the bus; nil for what did not come by it.
	Bus *JourneyBus `json:"bus,omitempty"`
	// Steps are by rising time.
	Steps []JourneyStep `json:"steps" nullable:"false"`
	// Missing says what is no longer known, in plain words.
	Missing []string `json:"missing" nullable:"false"`
}

// JourneyBus is a place in an inbound stream.
type JourneyBus struct {
	Partition int   `json:"partition"`
	Seq       int64 `json:"seq"`
	// Kept is whether the event is still there.
	Kept bool `json:"kept"`
}

// JourneyStep is one thing that happened, by our clocks: the gateway's for what
// was accepted, NATS's for what it stored, PostgreSQL's for the rest.
type JourneyStep struct {
	At time.Time `json:"at"`
	// What is a word for programs.
	What string `json:"what" enum:"accepted,on_bus,stored,copy,written,queued,attempt,answer,status,edit,reaction,action,file,read,fact"`
	// Words say it to people.
	Words string `json:"words"`
	// Part and Attempt count requests to the provider; Outcome is how one ended.
	Part    *int   `json:"part,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	Outcome string `json:"outcome,omitempty"`
	// ProviderID is what the provider calls it, Ref what we told it.
	ProviderID string `json:"provider_id,omitempty"`
	Ref        string `json:"ref,omitempty"`
	// Code is the provider's.
	Code string `json:"code,omitempty"`
	// EventID is of the event that told of it, FactID of the fact that others were
	// told.
	EventID events.EventID `json:"event_id,omitempty"`
	FactID  int64          `json:"fact_id,omitempty"`
}
