package web

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/inbox"
)

// rendered is how messages look, as text of the page.
func rendered(t *testing.T, ms ...inbox.Message) string {
	t.Helper()
	a, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	l, err := loadLooks(a)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := l.by[0].ExecuteTemplate(&b, "messages", rows(ms, time.Now(), time.UTC)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestMailIsFolded shows what is new, folds what a mail repeats, and says when
// its sender is not proven.
func TestMailIsFolded(t *testing.T) {
	text := "Yes, please.\n> Shall we send it?"
	m := inbox.Message{ID: 1, Seq: 1, Direction: inbox.In, Kind: "email", Transport: events.Email, Text: text, Content: &events.Content{
		Type: events.Letter, Text: text,
		Mail: &events.Mail{Subject: "Re: Your order", To: []events.MailAddress{{Name: "Office", Address: "office@example.com"}}, Cc: []events.MailAddress{{Address: "bo@example.org"}, {Address: "cleo@example.org"}}, Quoted: strings.Index(text, ">"), DMARC: "fail"},
	}}
	page := rendered(t, m)
	before, folded, ok := strings.Cut(page, `<details class="quoted">`)
	if !ok || !strings.Contains(before, "Yes, please.") || strings.Contains(before, "Shall we") || !strings.Contains(folded, "&gt; Shall we send it?") {
		t.Errorf("not folded:\n%s", page)
	}
	for _, want := range []string{"<bdi title=\"Office\">office@example.com</bdi>", "<bdi>bo@example.org</bdi>, <bdi>cleo@example.org</bdi>", "Re: Your order", "could not be proven"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	m.Content.Mail.DMARC, m.Content.Mail.Quoted = "pass", 0
	if page = rendered(t, m); strings.Contains(page, "could not be proven") || strings.Contains(page, "<details") {
		t.Errorf("a proven mail without a quote:\n%s", page)
	}
}

// TestNothingOfAClientIsMarkup puts markup into everything that a client decides.
func TestNothingOfAClientIsMarkup(t *testing.T) {
	for _, evil := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</textarea><svg onload=alert(1)>`,
		`javascript:alert(1)`, "\u202e<b>x</b>", `{{.}}`, `https://a.example/"onclick="alert(1)`,
	} {
		page := rendered(t, inbox.Message{
			Direction: inbox.In, Transport: events.Telegram, Sender: evil, Text: evil,
			Content: &events.Content{
				Text: evil, Quote: evil, Unsupported: evil, Forward: &events.Forward{From: evil},
				Location: &events.Location{Title: evil, Address: evil}, Contact: &events.Contact{FirstName: evil, LastName: evil, Phone: evil},
				Poll: &events.PollCard{Question: evil, Options: []string{evil}}, Mail: &events.Mail{Subject: evil, Unreadable: evil, To: []events.MailAddress{{Name: evil, Address: evil}}},
			},
			Attachments: []inbox.File{
				{Name: evil, Upload: 1, Kind: events.Photo}, {Name: evil, Upload: 1, Kind: events.Document}, {Name: evil, State: inbox.FileFailed, Words: evil},
			},
			Delivery: &inbox.Delivery{State: inbox.Failed, Words: evil},
		})
		for _, bad := range []string{"<script>alert", "<img src=x", "<svg onload", "<b>x</b>", `" onmouseover`, `"onclick`, `href="javascript:`} {
			if strings.Contains(page, bad) {
				t.Errorf("%s reaches the page:\n%s", bad, page)
			}
		}
	}
}

// TestAlbumIsShownAsOne joins what came as one to what came before of it, and to
// nothing else; whoever asks for one file alone still learns of which album it is.
func TestAlbumIsShownAsOne(t *testing.T) {
	anna := uuid.New()
	file := func(seq int64, group string) inbox.Message {
		return inbox.Message{
			ID: seq, Seq: seq, SenderID: anna, Direction: inbox.In, Transport: events.Telegram, CreatedAt: time.Unix(seq, 0),
			Content: &events.Content{Type: events.Photo, Group: group}, Attachments: []inbox.File{{Kind: events.Photo, Upload: seq}},
		}
	}
	of := func(ms ...inbox.Message) (joined []bool) {
		for _, r := range rows(ms, time.Now(), time.UTC) {
			joined = append(joined, r.Joined)
		}
		return joined
	}
	other := file(3, "7")
	other.SenderID = uuid.New()
	for name, c := range map[string]struct {
		ms   []inbox.Message
		want []bool
	}{
		"one album":       {[]inbox.Message{file(1, "7"), file(2, "7"), file(3, "7")}, []bool{false, true, true}},
		"two albums":      {[]inbox.Message{file(1, "7"), file(2, "8"), file(3, "8")}, []bool{false, false, true}},
		"no album":        {[]inbox.Message{file(1, ""), file(2, "")}, []bool{false, false}},
		"something among": {[]inbox.Message{file(1, "7"), file(2, ""), file(3, "7")}, []bool{false, false, false}},
		"somebody else's": {[]inbox.Message{file(1, "7"), other}, []bool{false, false}},
	} {
		if got := of(c.ms...); !slices.Equal(got, c.want) {
			t.Errorf("%s: joined %v, want %v", name, got, c.want)
		}
	}
	if page := rendered(t, file(2, "7")); !strings.Contains(page, `data-album="7"`) || strings.Contains(page, "joined") {
		t.Errorf("one file alone:\n%s", page)
	}
}

// TestRows groups neighbours and names days.
func TestRows(t *testing.T) {
	anna, bo := uuid.New(), uuid.New()
	at := time.Date(2026, 3, 1, 23, 58, 0, 0, time.UTC)
	read := at
	ms := []inbox.Message{
		{Seq: 1, SenderID: anna, Direction: inbox.In, CreatedAt: at, ReadAt: &read},
		{Seq: 2, SenderID: anna, Direction: inbox.In, CreatedAt: at.Add(time.Minute)},
		{Seq: 3, SenderID: anna, Direction: inbox.In, CreatedAt: at.Add(3 * time.Minute)},
		{Seq: 4, SenderID: bo, Direction: inbox.Out, CreatedAt: at.Add(4 * time.Minute)},
		{Seq: 5, SenderID: bo, Direction: inbox.Out, CreatedAt: at.Add(20 * time.Minute)},
	}
	got := rows(ms, at, time.UTC)
	divide(got)
	for i, want := range []struct {
		day              string
		grouped, divider bool
	}{
		{"Sunday, 1 March 2026", false, false}, {"", true, true}, {"Monday, 2 March 2026", false, false}, {"", false, false}, {"", false, false},
	} {
		if r := got[i]; r.Day != want.day || r.Grouped != want.grouped || r.Divider != want.divider {
			t.Errorf("message %d: day %q, grouped %v, divider %v", i+1, r.Day, r.Grouped, r.Divider)
		}
	}
	// In another zone the day is another.
	if got := rows(ms[:1], at, time.FixedZone("", 3600)); got[0].Day != "Monday, 2 March 2026" || got[0].Shown != "00:58" {
		t.Errorf("an hour east it is %s, %s", got[0].Day, got[0].Shown)
	}
}
