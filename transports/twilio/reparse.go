package twilio

import (
	"encoding/json"
	"errors"

	"parley/events"
)

// Reparse implements [transports.Reparser].
func (n *Number) Reparse(raw json.RawMessage) ([]events.Inbound, error) {
	if len(raw) == 0 || !json.Valid(raw) {
		return nil, errors.New("twilio: not a stored payload")
	}
	payload := []byte(raw)
	var verbatim string
	if json.Unmarshal(raw, &verbatim) == nil {
		payload = []byte(verbatim)
	}
	kept, isJSON := keep(payload)
	return n.parse(payload, kept, isJSON), nil
}
