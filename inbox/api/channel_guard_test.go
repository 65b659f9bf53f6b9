package api_test

import (
	"strings"
	"testing"

	"parley/events"
	"parley/inbox/api"
)

// What is added or set over the network is guarded, and stays so; what the operator
// set is left alone by whoever only renames it.
func TestChannelsOverTheNetworkAreGuarded(t *testing.T) {
	t.Parallel()
	w := newPublicWorld(t)
	guarded := func(id events.ChannelID) bool {
		t.Helper()
		ch, err := w.db.Channel(t.Context(), w.a.tenant.ID, id)
		if err != nil {
			t.Fatal(err)
		}
		return ch.Guarded()
	}
	var made api.Channel
	w.ask(w.a.session, "POST", "/api/v1/channels",
		`{"transport":"telegram","name":"Inside","settings":{"api_url":"http://127.0.0.1"},"secrets":{"token":"inside"},"unchecked":true}`, 201, &made)
	if !guarded(made.ID) {
		t.Error("a channel that was added over the network is not guarded")
	}
	if guarded(w.a.channel.ID) {
		t.Error("the operator's channel is guarded")
	}
	change := func(id events.ChannelID, body string) {
		t.Helper()
		path := "/api/v1/channels/" + string(id)
		tag := w.ask(w.a.session, "GET", path, "", 200, nil).Header.Get("ETag")
		w.ask(w.a.session, "PATCH", path, body, 200, nil, "If-Match", tag)
	}
	change(w.a.channel.ID, `{"name":"Renamed"}`)
	if guarded(w.a.channel.ID) {
		t.Error("a new name guards the operator's channel")
	}
	change(w.a.channel.ID, `{"settings":{"api_url":"http://169.254.169.254"}}`)
	change(made.ID, `{"settings":{"api_url":"http://127.0.0.1:2","guarded":""}}`)
	if !guarded(w.a.channel.ID) || !guarded(made.ID) {
		t.Error("settings from the network are not guarded")
	}
	if list := w.ask(w.a.session, "GET", "/api/v1/channels", "", 200, nil); !strings.Contains(list.body, `"guarded":"yes"`) {
		t.Errorf("nobody is told: %s", list.body)
	}
}
