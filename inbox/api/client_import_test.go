package api_test

import (
	"fmt"
	"testing"

	"parley/inbox"
	"parley/store/storetest"
)

func TestImportOfClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ada, bo inbox.ClientCard
	w.do("POST", "/api/v1/clients", `{"first_name":"Ada","phone":"+4930123456"}`, 201, &ada)
	w.do("POST", "/api/v1/clients", `{"first_name":"Bo","email":"bo@example.com","contacts":[{"type":"telegram","value":"@bo_berg"}]}`, 201, &bo)
	file := "\xef\xbb\xbfName;Phone;Email;Telegram\r\n" +
		"Cy Young;030 111111;cy@example.com;\r\n" + // new
		"Ada;+4930123456;ada@example.com;\r\n" + // Ada gets an address
		"Bo;;;@bo_berg\r\n" + // all of it is there
		"Eve;+4930123456;bo@example.com;\r\n" + // two clients'
		"Cy;030 111111;cy2@example.com;\r\n" + // line 2 again
		"Flo;12;;\r\n" +
		"Gus;;;\r\n" +
		";;gus@example.com;\r\n"
	want := []struct {
		verdict inbox.ImportVerdict
		client  int64
		same    int
	}{
		{inbox.ImportCreated, 0, 0},
		{inbox.ImportMerged, ada.ID, 0},
		{inbox.ImportUnchanged, bo.ID, 0},
		{inbox.ImportRefused, 0, 0},
		{inbox.ImportMerged, 0, 2},
		{inbox.ImportRefused, 0, 0},
		{inbox.ImportCreated, 0, 0},
		{inbox.ImportRefused, 0, 0},
	}
	clients := func() int64 { return storetest.Int(t, w.url, "SELECT count(*) FROM crm_clients") }
	post := func(query string) (r inbox.ImportReport) {
		t.Helper()
		w.do("POST", "/api/v1/clients/import?country=DE"+query, file, 200, &r, "Content-Type", "text/csv")
		if len(r.Lines) != len(want) {
			t.Fatalf("%+v", r)
		}
		return r
	}
	dry := post("&dry_run=true")
	for i, l := range dry.Lines {
		if l.Line != i+2 || l.Verdict != want[i].verdict || l.Client != want[i].client || l.SameAs != want[i].same {
			t.Errorf("dry run: %+v, want %+v", l, want[i])
		}
		if l.Verdict == inbox.ImportRefused && (l.Why == "" || l.Hint == "") {
			t.Errorf("refused without a reason or what to do: %+v", l)
		}
	}
	if clients() != 2 {
		t.Error("the dry run made clients")
	}
	done := post("")
	for i, l := range done.Lines {
		if l.Verdict != want[i].verdict {
			t.Errorf("%+v, want %+v", l, want[i])
		}
	}
	if done.Created != 2 || done.Merged != 2 || done.Unchanged != 1 || done.Refused != 3 || clients() != 4 {
		t.Errorf("%+v, %d clients", done, clients())
	}
	var cy inbox.ClientCard
	w.do("GET", fmt.Sprint("/api/v1/clients/", done.Lines[0].Client), "", 200, &cy)
	if cy.LastName != "Young" || cy.Phone != "+4930111111" || cy.Email != "cy@example.com" || len(cy.Contacts) != 1 || cy.Contacts[0].Value != "cy2@example.com" {
		t.Errorf("%+v", cy)
	}
	// Once more: nobody is made twice.
	again := post("")
	if again.Created != 0 || again.Merged != 0 || again.Unchanged != 5 || clients() != 4 {
		t.Errorf("%+v, %d clients", again, clients())
	}
	if n := storetest.Int(t, w.url, "SELECT count(*) FROM parley_audit_log WHERE action = 'client.import'"); n != 2 {
		t.Errorf("%d entries in the audit log", n)
	}
	w.do("POST", "/api/v1/clients/import", "nonsense", 422, nil, "Content-Type", "text/csv")
}
