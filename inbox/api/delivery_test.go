package api_test

import (
	"fmt"
	"strconv"
	"testing"

	"parley/inbox"
	"parley/inbox/api"
)

// What failed or may not have arrived can be found and decided about.
func TestDeliveriesAreSettledByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says(1, "hello")
	var ms [5]inbox.Message
	for i := range ms {
		w.do("POST", "/api/v1/chats/1/messages", `{"text":"hi","seen":1,"force":true}`, 201, &ms[i])
	}
	id := func(i int) int64 { return ms[i].Delivery.ID }
	for i, state := range []string{"uncertain", "uncertain", "uncertain", "failed"} {
		w.exec(fmt.Sprintf("UPDATE parley_deliveries SET state = '%s', parts = 1, words = 'No answer.' WHERE id = %d", state, id(i)))
	}
	var page api.List[inbox.DeliveryItem]
	w.do("GET", "/api/v1/deliveries", "", 200, &page)
	if len(page.Items) != 4 || page.Items[0].ID != id(3) || page.Items[0].State != inbox.Failed || page.Items[1].Text != "hi" ||
		page.Items[1].Words != "No answer." || page.Items[1].ChatID != 1 || page.Items[1].ChannelName != "Support" || page.Items[1].Address != "1" {
		t.Fatalf("in trouble are %+v", page.Items)
	}
	w.do("GET", "/api/v1/deliveries?state=uncertain&limit=1", "", 200, &page)
	if len(page.Items) != 1 || page.Items[0].ID != id(2) {
		t.Errorf("uncertain are %+v", page.Items)
	}
	w.do("GET", "/api/v1/deliveries?waiting=true", "", 200, &page)
	if len(page.Items) != 1 || page.Items[0].ID != id(4) {
		t.Errorf("waiting are %+v", page.Items)
	}

	path := func(i int, verb string) string {
		return "/api/v1/deliveries/" + strconv.FormatInt(id(i), 10) + "/" + verb
	}
	var m inbox.Message
	w.do("POST", path(0, "retry"), "", 200, &m)
	if m.ID != ms[0].ID || m.Delivery.State != inbox.Queued {
		t.Errorf("sent again it is %+v", m.Delivery)
	}
	w.do("POST", path(1, "settle"), `{"as":"sent"}`, 200, &m)
	if m.Delivery.State != inbox.Sent || m.SentAt == nil {
		t.Errorf("settled as sent it is %+v", m.Delivery)
	}
	m = inbox.Message{}
	w.do("POST", path(2, "settle"), `{"as":"failed"}`, 200, &m)
	if m.Delivery.State != inbox.Failed || m.SentAt != nil {
		t.Errorf("settled as failed it is %+v", m.Delivery)
	}
	w.do("POST", path(4, "cancel"), "", 200, &m)
	if m.Delivery.State != inbox.Cancelled {
		t.Errorf("cancelled it is %+v", m.Delivery)
	}
	for _, refused := range []struct {
		path, body string
		status     int
	}{
		{path(1, "retry"), "", 409},
		{path(1, "cancel"), "", 409},
		{path(3, "settle"), `{"as":"sent"}`, 409},
		{path(2, "settle"), `{"as":"read"}`, 422},
		{"/api/v1/deliveries/99/cancel", "", 404},
	} {
		var p api.Problem
		w.do("POST", refused.path, refused.body, refused.status, &p)
		if p.Detail == "" {
			t.Errorf("%s: refused without words", refused.path)
		}
	}
	if _, err := w.db.CreateTenant(t.Context(), "Other"); err != nil {
		t.Fatal(err)
	}
	w.do("POST", path(0, "cancel"), "", 404, nil, "Parley-Tenant", "Other")
	w.do("GET", "/api/v1/deliveries", "", 200, &page, "Parley-Tenant", "Other")
	if len(page.Items) != 0 {
		t.Errorf("the other tenant sees %+v", page.Items)
	}
}
