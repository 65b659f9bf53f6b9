package inbox

import (
	"fmt"
	"strings"
	"time"

	"parley/events"
)

// Abilities are what an account can do for an agent. The zero value is an
// account of which nothing is known: it limits nothing in advance, and claims
// nothing.
type Abilities struct {
	// ReplyWindow is how long after a client's last message free text may be sent;
	// 0 when for ever.
	ReplyWindow time.Duration `json:"-"`
	Replies     bool          `json:"replies,omitempty"`
	Edits       bool          `json:"edits,omitempty"`
	Reactions   bool          `json:"reactions,omitempty"`
	Templates   bool          `json:"templates,omitempty"`
	// Typing says that the client can be shown that somebody writes.
	Typing bool `json:"typing,omitempty"`
	// Mail says that messages have a subject and recipients.
	Mail bool `json:"mail,omitempty"`
	// Lists says that the provider can list what it has, so that it can be compared
	// with what came.
	Lists bool `json:"-"`
	// MaxText and MaxCaption limit one message of the provider, in its own unit;
	// longer ones are split. Fits says whether a text can replace that of one
	// message.
	MaxText    int `json:"max_text,omitempty"`
	MaxCaption int `json:"max_caption,omitempty"`
	// Fits reports whether text, the caption of a file or not, is one message.
	Fits func(text string, caption bool) bool `json:"-"`
	// Measure is how long a text is for the account, nil when nothing is known.
	Measure func(text string) TextSize `json:"-"`
}

// RouteState says whether a client can be written to on one way now.
type RouteState string

// The states of a route. Only an open one takes free text; one whose window is
// closed takes templates.
const (
	RouteOpen         RouteState = "open"
	RouteWindowClosed RouteState = "window_closed"
	RouteBlocked      RouteState = "blocked"
	RouteUnreachable  RouteState = "unreachable"
	RoutePaused       RouteState = "paused"
	RouteTrouble      RouteState = "needs_attention"
)

// Template is an approved template of the provider, sent instead of free text.
type Template struct {
	// ID is the provider's (Twilio's ContentSid).
	ID        string            `json:"id"`
	Variables map[string]string `json:"variables,omitempty"`
}

// Judge fills State, Reason and WindowEndsAt of a route from what is known of it,
// what its account can do, and whether its client is blocked.
func (r *Route) Judge(can Abilities, blocked bool, now time.Time) {
	r.Can = &can
	r.State, r.Reason = RouteOpen, ""
	if can.ReplyWindow > 0 && r.window != nil {
		ends := r.window.Add(can.ReplyWindow)
		r.WindowEndsAt = &ends
	}
	switch {
	case blocked:
		r.State, r.Reason = RouteBlocked, "The client is blocked. Unblock the client to write to them."
	case r.Unreachable != "":
		r.State, r.Reason = RouteUnreachable, fmt.Sprintf("The client cannot be reached on channel %q: %s.", r.Name, strings.TrimSuffix(r.Unreachable, "."))
	case r.Paused:
		r.State, r.Reason = RoutePaused, fmt.Sprintf("Channel %q is paused.", r.Name)
	case r.trouble != "":
		r.State, r.Reason = RouteTrouble, fmt.Sprintf("Channel %q cannot send until somebody looks at it: %s.", r.Name, strings.TrimSuffix(r.trouble, "."))
	case can.ReplyWindow <= 0:
	case r.window == nil:
		r.State, r.Reason = RouteWindowClosed, fmt.Sprintf("The client has never written on channel %q, so only an approved template may be sent.", r.Name)
	case !now.Before(*r.WindowEndsAt):
		r.State, r.Reason = RouteWindowClosed, fmt.Sprintf(
			"The client last wrote on channel %q more than %s ago, so only an approved template may be sent.", r.Name, inHours(can.ReplyWindow))
	}
}

// Know notes what Judge needs and nobody else sees: when the client's last
// message counts from, and why the account cannot send, empty when it can.
func (r *Route) Know(lastSent *time.Time, trouble string) { r.window, r.trouble = lastSent, trouble }

// Refusal is why a message cannot go this way, nil when it can.
func (r *Route) Refusal(template bool) *Error {
	hint := ""
	switch r.State {
	case RouteOpen, "":
		return nil
	case RouteWindowClosed:
		if template {
			return nil
		}
		hint = "Send a template, wait until they write, or answer on another channel."
	case RouteBlocked:
		hint = "Unblock the client to write to them."
	case RouteUnreachable:
		hint = "Answer on another channel, or wait until they write there again."
	case RoutePaused:
		hint = "Resume it, or answer on another channel."
	case RouteTrouble:
		hint = "See parley channel check, or answer on another channel. What waits is sent once the channel works again."
	}
	return &Error{Code: Refused, Message: r.Reason, Hint: hint, Detail: RouteRefusal{
		State: r.State, Channel: r.Channel, WindowEndsAt: r.WindowEndsAt,
	}}
}

// RouteRefusal is the detail of a reply that was refused for its route.
type RouteRefusal struct {
	State        RouteState       `json:"state"`
	Channel      events.ChannelID `json:"channel"`
	WindowEndsAt *time.Time       `json:"window_ends_at,omitempty"`
}

// inHours is a duration of whole hours, as reply windows are.
func inHours(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return d.String()
}
