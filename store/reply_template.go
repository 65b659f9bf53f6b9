package store

import (
	"fmt"
	"strings"

	"parley/events"
	"parley/inbox"
)

// limits of a template: those of Twilio's Content API, amply
// (https://www.twilio.com/docs/content/using-variables-with-content-api).
const (
	maxTemplateID        = 256
	maxTemplateVariables = 100
	maxTemplateBytes     = 16 << 10
)

// validTemplate refuses what no provider takes for a template.
func validTemplate(r *Reply) error {
	t := r.Template
	size := 0
	usable := true
	for name, value := range t.Variables {
		size += len(name) + len(value)
		usable = usable && name != "" && isText(name+value)
	}
	switch {
	case strings.TrimSpace(t.ID) == "" || len(t.ID) > maxTemplateID || !isText(t.ID):
		return &inbox.Error{Code: inbox.Invalid, Message: "The template has no usable id.", Hint: "Give the provider's id of an approved template."}
	case len(t.Variables) > maxTemplateVariables || size > maxTemplateBytes || !usable:
		return &inbox.Error{
			Code:    inbox.Invalid,
			Message: fmt.Sprintf("The template's variables are not text, or more than %d or than %d bytes.", maxTemplateVariables, maxTemplateBytes),
			Hint:    "Give each variable a name and a short text.",
		}
	case len(r.Uploads) > 0:
		return &inbox.Error{Code: inbox.Invalid, Message: "A template carries no files of its own.", Hint: "Leave the files out, or the template."}
	}
	return nil
}

// approvedFor is what the reply is sent as on a channel that takes only
// templates, nil when nothing. Files cannot go with it.
func (r *Reply) approvedFor(channel events.ChannelID) *inbox.Template {
	if len(r.Uploads) > 0 {
		return nil
	}
	if t := r.Approved[channel]; t != nil {
		return t
	}
	return r.Approved[""]
}

// templateText is what is shown of a template whose words are not known.
func templateText(t *inbox.Template) string {
	if t == nil {
		return ""
	}
	return "[template " + t.ID + "]"
}
