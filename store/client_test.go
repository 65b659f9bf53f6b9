package store_test

import (
	"fmt"
	"strings"
	"testing"

	"parley/inbox"
	"parley/store"
)

func (w *deskWorld) client(first, last, phone, email string) inbox.ClientCard {
	w.t.Helper()
	c, err := w.db.AddClient(w.t.Context(), w.tenant, byOperator, store.ClientChange{
		FirstName: &first, LastName: &last, Phone: &phone, Email: &email,
	}, nil, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func TestClients(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	ctx := t.Context()
	n := store.ClientChange{FirstName: new("Ada"), LastName: new("Lovelace"), Phone: new("+442079460018"), DateOfBirth: new("1815-12-10"), PIN: new("7")}
	ada, err := w.db.AddClient(ctx, w.tenant, byOperator, n, []store.NewContact{{Type: inbox.ContactTelegram, Value: "@ada"}}, "k")
	if err != nil || ada.Phone != "+442079460018" || ada.DateOfBirth != "1815-12-10" || len(ada.Contacts) != 1 || ada.Version == 0 {
		t.Fatal(ada, err)
	}
	if again, err := w.db.AddClient(ctx, w.tenant, byOperator, n, nil, "k"); err != nil || again.ID != ada.ID {
		t.Fatal(again, err)
	}
	for what, other := range map[string]store.ClientChange{
		"another address": {FirstName: n.FirstName, LastName: n.LastName, Phone: n.Phone, Email: n.Email, DateOfBirth: n.DateOfBirth, Address: new("elsewhere")},
		"no phone":        {FirstName: n.FirstName, LastName: n.LastName, Email: n.Email, DateOfBirth: n.DateOfBirth, Address: n.Address},
	} {
		if _, err := w.db.AddClient(ctx, w.tenant, byOperator, other, nil, "k"); inbox.CodeOf(err) != inbox.Conflict {
			t.Errorf("the key again with %s: %v", what, err)
		}
	}
	if _, err := w.db.AddClient(ctx, w.tenant, byOperator, n, []store.NewContact{{Type: inbox.ContactTelegram, Value: "@bob"}}, "k"); inbox.CodeOf(err) != inbox.Conflict {
		t.Errorf("the key again with another contact: %v", err)
	}
	_, err = w.db.AddClient(ctx, w.tenant, byOperator, store.ClientChange{FirstName: new("Bob")}, nil, "k")
	wantCode(t, err, inbox.Conflict)
	for _, other := range []store.ClientChange{{FirstName: new("Eve"), Phone: n.Phone}, {FirstName: new("Eve"), PIN: new(" 7 ")}} {
		_, err = w.db.AddClient(ctx, w.tenant, byOperator, other, nil, "")
		if e := errorOf(t, err, inbox.Conflict); e.Detail != (store.OtherClient{Client: ada.ID}) {
			t.Errorf("detail is %v", e.Detail)
		}
	}
	_, err = w.db.AddClient(ctx, w.tenant, byOperator, store.ClientChange{FirstName: new("Eve"), DateOfBirth: new("soon")}, nil, "")
	wantCode(t, err, inbox.Invalid)

	// Who edits what somebody else has changed meanwhile is told.
	changed, err := w.db.ChangeClient(ctx, w.tenant, byOperator, ada.ID, ada.Version, store.ClientChange{Phone: new(""), Comments: new("Counts.")})
	if err != nil || changed.Phone != "" || changed.Comments != "Counts." || changed.LastName != "Lovelace" || changed.Version == ada.Version {
		t.Fatal(changed, err)
	}
	_, err = w.db.ChangeClient(ctx, w.tenant, byOperator, ada.ID, ada.Version, store.ClientChange{Comments: new("")})
	if e := errorOf(t, err, inbox.Changed); e.Detail.(inbox.ClientCard).Comments != "Counts." {
		t.Errorf("detail is %+v", e.Detail)
	}
	// The number is free again.
	bob := w.client("Bob", "", "+442079460018", "")

	// What is hers cannot become his.
	card, err := w.db.AddContact(ctx, w.tenant, byOperator, ada.ID, store.NewContact{Type: inbox.ContactEmail, Value: "ada@example.com"}, "")
	if err != nil || len(card.Contacts) != 2 || card.Version == changed.Version {
		t.Fatal(card, err)
	}
	_, err = w.db.AddContact(ctx, w.tenant, byOperator, bob.ID, store.NewContact{Type: inbox.ContactEmail, Value: "ada@example.com"}, "")
	wantCode(t, err, inbox.Conflict)
	mail := card.Contacts[1].ID
	if _, err = w.db.ChangeContact(ctx, w.tenant, byOperator, ada.ID, mail, 0, store.NewContact{Type: inbox.ContactEmail, Value: "a@example.com"}); err != nil {
		t.Fatal(err)
	}
	if _, err = w.db.AddContact(ctx, w.tenant, byOperator, bob.ID, store.NewContact{Type: inbox.ContactEmail, Value: "ada@example.com"}, ""); err != nil {
		t.Error(err)
	}
	_, err = w.db.RemoveContact(ctx, w.tenant, byOperator, bob.ID, mail)
	wantCode(t, err, inbox.NotFound)
	if card, err = w.db.RemoveContact(ctx, w.tenant, byOperator, ada.ID, mail); err != nil || len(card.Contacts) != 1 {
		t.Error(card, err)
	}
	if n := w.int(`SELECT count(*) FROM parley_identities WHERE client_id = $1`, ada.ID); n != 0 {
		t.Errorf("%d identities", n)
	}
	if n := w.int(`SELECT count(*) FROM parley_audit_log WHERE action = 'client.change' AND target_id = $1`, fmt.Sprint(ada.ID)); n != 4 {
		t.Errorf("%d entries in the audit log", n)
	}
}

// A client who was added is known when they write.
func TestAddedClientIsFoundByWhatTheyWrite(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	c, err := w.db.AddClient(t.Context(), w.tenant, byOperator, store.ClientChange{FirstName: new("Ada")},
		[]store.NewContact{{Type: inbox.ContactTelegram, Value: "77"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	chat := w.says(77, "hello")
	if got := w.chat(chat).Client; got.ID != c.ID {
		t.Errorf("it is client %d, want %d", got.ID, c.ID)
	}
	if card, err := w.db.Client(t.Context(), w.tenant, c.ID); err != nil || card.Chat != chat {
		t.Error(card, err)
	}
	// What they have used themselves stays theirs.
	card, _ := w.db.Client(t.Context(), w.tenant, c.ID)
	if _, err := w.db.RemoveContact(t.Context(), w.tenant, byOperator, c.ID, card.Contacts[0].ID); err != nil {
		t.Fatal(err)
	}
	if n := w.int(`SELECT count(*) FROM parley_identities WHERE client_id = $1`, c.ID); n != 1 {
		t.Errorf("%d identities", n)
	}
	w.mustReply(w.reply(chat, "hi"))
	if err := w.db.DeleteClient(t.Context(), w.tenant, byOperator, c.ID); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"crm_clients", "crm_chats", "crm_chat_messages", "parley_deliveries", "parley_identities"} {
		if n := w.int("SELECT count(*) FROM " + table); n != 0 {
			t.Errorf("%d rows of %s are left", n, table)
		}
	}
	if n := w.facts("client.deleted"); n != 1 {
		t.Errorf("%d facts", n)
	}
	wantCode(t, w.db.DeleteClient(t.Context(), w.tenant, byOperator, c.ID), inbox.NotFound)
}

// indexWords writes the words of what is there.
func (w *deskWorld) indexWords() {
	w.t.Helper()
	for all := false; !all; {
		var err error
		if _, all, err = w.db.IndexWords(w.t.Context(), 0); err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestListClients(t *testing.T) {
	t.Parallel()
	w := newDeskWorld(t)
	w.client("Anna Maria", "Schmidt", "+4917612345678", "anna.s@example.com")
	w.client("Anna", "Jones", "", "")
	ada, err := w.db.AddClient(t.Context(), w.tenant, byOperator, store.ClientChange{FirstName: new("Ada")}, []store.NewContact{
		{Type: inbox.ContactTelegram, Value: "@lovelace"}, {Type: inbox.ContactWhatsApp, Value: "+442079460018"},
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	list := func(page store.ClientPage) string {
		t.Helper()
		var got []string
		for i := 0; ; i++ {
			clients, next, err := w.db.Clients(t.Context(), w.tenant, page)
			if err != nil {
				t.Fatal(page.Search, err)
			}
			for _, c := range clients {
				got = append(got, c.FirstName)
			}
			if page.Cursor = next; next == "" || i > 9 {
				return strings.Join(got, ",")
			}
		}
	}
	if got := list(store.ClientPage{Limit: 2}); got != "Ada,Anna,Anna Maria" {
		t.Errorf("all are %s", got)
	}
	// Before the worker has written their words, by what they were added with.
	for search, want := range map[string]string{"@lovelace": "Ada", "lovelace": "Ada", "+44 20 7946 0018": "Ada", "nobody": "", "\xff": "", "nobody\x00": ""} {
		if got := list(store.ClientPage{Search: search}); got != want {
			t.Errorf("%q finds %s, want %s", search, got, want)
		}
	}
	w.indexWords()
	for search, want := range map[string]string{"anna": "Anna,Anna Maria", "schmidt": "Anna Maria", "lovelace": "Ada", "5678": "Anna Maria"} {
		if got := list(store.ClientPage{Search: search, Limit: 1}); got != want {
			t.Errorf("%q finds %s, want %s", search, got, want)
		}
	}
	_, _, err = w.db.Clients(t.Context(), w.tenant, store.ClientPage{Cursor: "nonsense"})
	wantCode(t, err, inbox.Invalid)
	// Who became a part of another client is found no more.
	bob := w.client("Bob", "", "", "")
	if _, err := w.db.MergeClients(t.Context(), w.tenant, byOperator, bob.ID, ada.ID); err != nil {
		t.Fatal(err)
	}
	if got := list(store.ClientPage{}); got != "Bob,Anna,Anna Maria" {
		t.Errorf("all are %s", got)
	}
}
