package store_test

import (
	"fmt"
	"strings"
	"testing"

	"parley/inbox"
	"parley/store/storetest"
)

func TestSuggestionsSayWhy(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	client := func(tenant, name, columns, values string) int64 {
		if columns != "" {
			columns, values = ", "+columns, ", "+values
		}
		return storetest.Int(t, w.url, fmt.Sprintf("INSERT INTO crm_clients (tenant_id, first_name%s) VALUES ($1, $2%s) RETURNING id", columns, values), tenant, name)
	}
	contact := func(client int64, kind, value string) int64 {
		return storetest.Int(t, w.url, `INSERT INTO crm_client_contacts (tenant_id, client_id, contact_type, contact_value)
			SELECT tenant_id, id, $2, $3 FROM crm_clients WHERE id = $1 RETURNING id`, client, kind, value)
	}
	a := string(w.a)
	me := client(a, "Anna", "last_name, phone_number, email, date_of_birth", "'Berg', '+4930111', 'anna@example.com', '1990-01-02'")
	phone, mail := client(a, "By phone", "", ""), client(a, "By mail", "email", "'anna@example.com'")
	contact(phone, "whatsapp", "+4930111")
	contact(mail, "phone", "+4930111")
	name := client(a, "anna", "last_name, date_of_birth", "'BERG', '1990-01-02'")
	client(a, "Anna", "last_name", "'Berg'") // the name alone is not enough
	moved := contact(client(a, "Other", "", ""), "email", "anna@example.com")
	if err := w.db.MoveContact(t.Context(), w.a, byOperator, moved, name); err != nil {
		t.Fatal(err)
	}
	contact(client(string(w.b), "Elsewhere", "phone_number", "'+4930111'"), "email", "anna@example.com")

	show := func(client int64) string {
		t.Helper()
		found, err := w.db.Suggestions(t.Context(), w.a, client)
		if err != nil {
			t.Fatal(err)
		}
		var parts []string
		for _, s := range found {
			var kinds []string
			for _, r := range s.Reasons {
				if strings.Contains(r.Words, "%!") {
					t.Error(r.Words)
				}
				kinds = append(kinds, r.Kind)
			}
			parts = append(parts, fmt.Sprint(s.Client.ID, " ", strings.Join(kinds, "+")))
		}
		return strings.Join(parts, ", ")
	}
	want := fmt.Sprintf("%d phone, %d phone+email, %d email+name", phone, mail, name)
	if have := show(me); have != want {
		t.Errorf("suggestions are %q, want %q", have, want)
	}
	// One that was merged is suggested no more; whom it went into still is.
	if _, err := w.db.MergeClients(t.Context(), w.a, byOperator, phone, mail); err != nil {
		t.Fatal(err)
	}
	if have, want := show(me), fmt.Sprintf("%d phone+email, %d email+name", phone, name); have != want {
		t.Errorf("suggestions are %q, want %q", have, want)
	}
	err := w.db.MoveContact(t.Context(), w.a, byOperator, moved, mail)
	w.code(err, inbox.Conflict)
}
