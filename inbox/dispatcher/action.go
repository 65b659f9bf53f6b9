package dispatcher

import (
	"context"
	"encoding/json"
	"errors"

	"parley/inbox"
	"parley/store"
	"parley/transports"
)

// actor carries out an action as if it were a message to send: it is claimed,
// tried again and settled like one. Doing it twice is doing it once.
type actor struct {
	editor  transports.Editor
	reactor transports.Reactor
	action  inbox.Action
	target  string
	caption bool
}

var _ transports.Sender = (*actor)(nil)

// Send implements [transports.Sender].
func (a *actor) Send(ctx context.Context, out transports.Outbound) (transports.Receipt, error) {
	if a.action.Text == nil {
		return transports.Receipt{}, a.reactor.React(ctx, out.To, a.target, a.action.Emoji)
	}
	return transports.Receipt{}, a.editor.Edit(ctx, transports.Change{
		To: out.To, ProviderID: a.target, Text: *a.action.Text, Caption: a.caption,
	})
}

// act prepares an action. Its errors are words for the person who wanted it.
func (r *runner) act(h *store.Head) (*actor, error) {
	a := &actor{target: h.Target, caption: len(h.Files) > 0}
	if err := json.Unmarshal(h.Action, &a.action); err != nil {
		return nil, errors.New("What was to be done to the message cannot be read.") //nolint:staticcheck // words for people
	}
	if h.Target == "" {
		return nil, errors.New("The provider does not know the message: it was not sent, or nobody knows whether it was.") //nolint:staticcheck // words for people
	}
	var can bool
	if a.action.Text != nil {
		a.editor, can = r.adapter.transport.(transports.Editor)
		can = can && r.adapter.caps.Edits
	} else {
		a.reactor, can = r.adapter.transport.(transports.Reactor)
		can = can && r.adapter.caps.Reactions
	}
	if !can {
		return nil, errors.New("This channel cannot do that.") //nolint:staticcheck // words for people
	}
	return a, nil
}

// claimAction decides about an action at the head of its lane.
func (r *runner) claimAction(h *store.Head) (store.Claim, job) {
	a, err := r.act(h)
	if err != nil {
		return store.Claim{Refused: true, Code: "impossible", Words: err.Error()}, job{}
	}
	return store.Claim{Parts: 1}, job{sender: a, parts: 1, harmless: true}
}

// isAction reports whether a head is one.
func isAction(h *store.Head) bool { return h.Action != nil }
