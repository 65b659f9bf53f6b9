package events_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"parley/events"
)

var received = events.Fact{
	ID:     42,
	Tenant: "018f0000-0000-7000-8000-000000000001",
	Noun:   "message",
	Verb:   "received",
	Chat:   7,
	Time:   time.Date(2025, 5, 1, 12, 0, 0, 123456789, time.UTC),
	Data:   json.RawMessage(`{"text":"hi"}`),
}

// The form is documented for other programs: it may grow, never change.
const receivedJSON = `{"specversion":"1.0","id":"42","source":"/tenants/018f0000-0000-7000-8000-000000000001",` +
	`"type":"parley.message.received","subject":"chats/7","time":"2025-05-01T12:00:00.123456789Z",` +
	`"datacontenttype":"application/json","data":{"text":"hi"}}`

func TestFactIsCloudEvent(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(received)
	if err != nil || string(got) != receivedJSON {
		t.Errorf("got  %s, %v\nwant %s", got, err, receivedJSON)
	}
	var back events.Fact
	if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, received) {
		t.Errorf("read back as %+v, %v", back, err)
	}
}

func FuzzFact(f *testing.F) {
	f.Add([]byte(receivedJSON))
	f.Add([]byte(`{"specversion":"1.0","id":"x"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var a, b events.Fact
		if json.Unmarshal(data, &a) != nil || a.Tenant == "" {
			return
		}
		again, err := json.Marshal(a)
		if err != nil {
			return // a time that RFC 3339 cannot write
		}
		if err := json.Unmarshal(again, &b); err != nil {
			t.Fatalf("%s became %s: %v", data, again, err)
		}
		if a.ID != b.ID || a.Tenant != b.Tenant || a.Noun != b.Noun || a.Verb != b.Verb || a.Chat != b.Chat || !a.Time.Equal(b.Time) {
			t.Fatalf("%+v became %+v", a, b)
		}
	})
}
