package telegram_test

import (
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
)

// newInbox polls a stand-in's updates into a channel for as long as the test
// runs.
func newInbox(t *testing.T, bot interface {
	transports.Poller
	transports.Webhook
},
) *inbox {
	t.Helper()
	in := &inbox{bot: bot, got: make(chan events.Inbound, 100)}
	stop := in.poll(t, "")
	t.Cleanup(func() { stop() })
	return in
}

func chatID(who sandbox.Person) string { return strconv.FormatInt(who.ID(), 10) }

// TestBusinessConversation is a client who writes to a business account that the
// bot is connected to: read, answered in its name, and read along when the owner
// answers from a phone.
func TestBusinessConversation(t *testing.T) {
	tg, bot := standIn(t, sandbox.TelegramOptions{})
	in := newInbox(t, bot)
	anna := tg.Person("anna")
	shop, err := tg.Person("olga").ConnectBusiness(true)
	if err != nil {
		t.Fatal(err)
	}
	if ev := in.next(t); ev.Kind != events.Ignored || !strings.Contains(ev.Reason, "connected to the bot") {
		t.Fatalf("got %s %q", ev.Kind, ev.Reason)
	}
	// With the bot itself and with the account: two chats, both of which begin with
	// message 1.
	must(anna.Say("to the bot"))
	toBot := in.next(t)
	asked := must(anna.At(shop).Say("are you open?"))
	question := in.next(t)
	if question.Ours || question.Content.Text != "are you open?" || question.Person.Identity != toBot.Person.Identity {
		t.Errorf("got %+v", question)
	}
	if question.Key == toBot.Key || question.Person.Address == toBot.Person.Address || question.Key.Message != toBot.Key.Message {
		t.Errorf("keys %+v and %+v", question.Key, toBot.Key)
	}

	// Answered in its name, as a reply, then changed.
	receipt, err := bot.Send(t.Context(), transports.Outbound{
		To: question.Person.Address, ReplyTo: question.Key.Message, Part: transports.Part{Text: "until 8"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Chat != question.Key.Chat {
		t.Errorf("receipt %+v in %s", receipt, question.Key.Chat)
	}
	if err := bot.Edit(t.Context(), transports.Change{To: question.Person.Address, ProviderID: receipt.ProviderID, Text: "until 9"}); err != nil {
		t.Error(err)
	}
	if err := bot.Typing(t.Context(), question.Person.Address); err != nil {
		t.Error(err)
	}
	phone := anna.At(shop).Phone()
	if len(phone) != 2 || phone[1].Text != "until 9" || !phone[1].Edited || phone[1].ReplyTo != asked || !phone[1].FromBot {
		t.Errorf("Anna sees %+v", phone)
	}
	if len(anna.Phone()) != 1 {
		t.Errorf("in the bot's chat: %+v", anna.Phone())
	}

	// The owner writes, changes and deletes; the client changes and deletes.
	id := must(shop.Say(anna, "it's Olga, hi"))
	if ev := in.next(t); !ev.Ours || ev.Kind != events.Message || ev.Person.Identity != question.Person.Identity || ev.Person.Address != question.Person.Address {
		t.Errorf("got %+v", ev)
	}
	if err := shop.Edit(anna, id, "it's Olga!"); err != nil {
		t.Fatal(err)
	}
	if ev := in.next(t); !ev.Ours || ev.Kind != events.Edit || ev.Content.Text != "it's Olga!" {
		t.Errorf("got %+v", ev)
	}
	if err := anna.At(shop).Edit(asked, "are you open tomorrow?"); err != nil {
		t.Fatal(err)
	}
	if ev := in.next(t); ev.Ours || ev.Kind != events.Edit || ev.Key != question.Key {
		t.Errorf("got %+v", ev)
	}
	if err := anna.At(shop).Delete(asked, id); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []int64{asked, id} {
		ev := in.next(t)
		if ev.Content.Type != events.Service || ev.Content.ReplyTo.Message != strconv.FormatInt(gone, 10) || ev.Key.Message != "deleted:"+strconv.FormatInt(gone, 10) {
			t.Errorf("got %s", jsonOf(ev))
		}
	}

	// Without the right to reply, and without a connection.
	for _, test := range []struct {
		do   func() error
		want string
	}{
		{func() error { return shop.AllowReplies(false) }, "does not let the bot write"},
		{shop.Disconnect, "connect it again"},
	} {
		if err := test.do(); err != nil {
			t.Fatal(err)
		}
		if ev := in.next(t); ev.Kind != events.Ignored {
			t.Errorf("got %+v", ev)
		}
		_, err := bot.Send(t.Context(), transports.Outbound{To: question.Person.Address, Part: transports.Part{Text: "hello?"}})
		if outcome(t, err) != transports.Rejected || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
}

// TestAlbums come in as messages of one group, and go out as one request.
func TestAlbums(t *testing.T) {
	tg, bot := standIn(t, sandbox.TelegramOptions{})
	in := newInbox(t, bot)
	anna := tg.Person("anna")
	photo := func(name string) sandbox.Post {
		return sandbox.Post{Kind: "photo", File: &sandbox.File{Name: name, Content: []byte("JPEG " + name), Width: 8, Height: 8}}
	}
	first := photo("a.jpg")
	first.Text = "three of them"
	must(anna.PostAlbum(first, photo("b.jpg"), photo("c.jpg")))
	group := ""
	for i := range 3 {
		ev := in.next(t)
		if ev.Content.Group == "" || (i > 0 && ev.Content.Group != group) || len(ev.Content.Attachments) != 1 || (ev.Content.Text == "") != (i > 0) {
			t.Errorf("part %d: %s", i, jsonOf(ev.Content))
		}
		group = ev.Content.Group
	}
	receipt, err := bot.Send(t.Context(), transports.Outbound{To: chatID(anna), Part: transports.Part{
		Text: "thanks", Entities: []events.Entity{{Type: "bold", Length: 6}},
		Attachment: file(events.Photo, "1.jpg", "JPEG 1"), Album: []transports.File{*file(events.Video, "2.mp4", "MP4 2"), *file(events.Photo, "3.jpg", "JPEG 3")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	phone := anna.Phone()[3:]
	ids := append([]string{receipt.ProviderID}, receipt.Album...)
	if len(phone) != 3 || len(ids) != 3 {
		t.Fatalf("phone %+v, ids %v", phone, ids)
	}
	for i, m := range phone {
		if strconv.FormatInt(m.MessageID, 10) != ids[i] || m.Group == "" || m.Group != phone[0].Group {
			t.Errorf("message %d: %+v, want id %s", i, m, ids[i])
		}
	}
	if phone[0].Text != "thanks" || !slices.Equal(phone[0].Marked, []string{"bold:thanks"}) || phone[1].Kind != "video" {
		t.Errorf("phone %+v", phone)
	}
	if err := bot.Edit(t.Context(), transports.Change{To: chatID(anna), ProviderID: receipt.ProviderID, Text: "many thanks", Caption: true}); err != nil {
		t.Error(err)
	}
	if got := anna.Phone()[3]; got.Text != "many thanks" || !got.Edited {
		t.Errorf("after the edit: %+v", got)
	}
	// The client answers and reacts to a later one of the album.
	answered := must(anna.Post(sandbox.Post{Text: "this one", ReplyTo: phone[2].MessageID}))
	if ev := in.next(t); ev.Content.ReplyTo == nil || ev.Content.ReplyTo.Message != receipt.Album[1] || ev.Key.Message != strconv.FormatInt(answered, 10) {
		t.Errorf("got %s", jsonOf(ev))
	}
	if err := anna.React(phone[1].MessageID, "❤"); err != nil {
		t.Fatal(err)
	}
	if ev := in.next(t); ev.Kind != events.Reacted || ev.Key.Message != receipt.Album[0] {
		t.Errorf("got %s", jsonOf(ev))
	}
}

// TestOutgoingChanges: edits, reactions, typing and topics, as the client sees
// them.
func TestOutgoingChanges(t *testing.T) {
	tg, bot := standIn(t, sandbox.TelegramOptions{})
	anna := tg.Person("anna")
	asked := must(anna.Post(sandbox.Post{Text: "in a topic", Topic: 17}))
	to := chatID(anna)
	receipt, err := bot.Send(t.Context(), transports.Outbound{To: to, Topic: "17", ReplyTo: strconv.FormatInt(asked, 10), Part: transports.Part{
		Text: "see our page 😀", Entities: []events.Entity{{Type: "text_link", Offset: 8, Length: 4, URL: "https://shop.example/"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if m := anna.Phone()[1]; m.Topic != 17 || m.ReplyTo != asked || !slices.Equal(m.Marked, []string{"text_link:page"}) {
		t.Errorf("Anna sees %+v", m)
	}
	change := transports.Change{To: to, ProviderID: receipt.ProviderID, Text: "😀 bold", Entities: []events.Entity{{Type: "bold", Offset: 3, Length: 4}}}
	for range 2 { // the second changes nothing, which is no failure
		if err := bot.Edit(t.Context(), change); err != nil {
			t.Error(err)
		}
	}
	if m := anna.Phone()[1]; m.Text != "😀 bold" || !m.Edited || !slices.Equal(m.Marked, []string{"bold:bold"}) {
		t.Errorf("Anna sees %+v", m)
	}
	for _, test := range []struct {
		emoji []string
		want  []string // nil when refused
	}{{[]string{"👍"}, []string{"👍"}}, {[]string{"❤️"}, []string{"❤"}}, {[]string{"🥨"}, nil}, {nil, []string{}}} {
		err := bot.React(t.Context(), to, strconv.FormatInt(asked, 10), test.emoji)
		if (err == nil) != (test.want != nil) {
			t.Errorf("%v: %v", test.emoji, err)
		}
		if got := anna.Phone()[0].BotReactions; err == nil && !slices.Equal(got, test.want) {
			t.Errorf("%v shows as %v", test.emoji, got)
		}
	}
	if err := bot.Typing(t.Context(), to); err != nil {
		t.Error(err)
	}
	if log := tg.Log(0); log[len(log)-1].Kind != "sendChatAction" || log[len(log)-1].Text != "typing" {
		t.Errorf("log ends with %+v", log[len(log)-1])
	}
	_, err = bot.Send(t.Context(), transports.Outbound{To: to, Topic: "18", Part: transports.Part{Text: "where?"}})
	if outcome(t, err) != transports.Rejected || !strings.Contains(err.Error(), "topic no longer exists") {
		t.Errorf("got %v", err)
	}
	anna.MigrateTo(190000099)
	_, err = bot.Send(t.Context(), transports.Outbound{To: to, Part: transports.Part{Text: "moved?"}})
	var e *transports.SendError
	if !errors.As(err, &e) || e.NewAddress != "190000099" || e.Outcome != transports.Retry {
		t.Fatalf("got %v, want a new address", err)
	}
	if _, err := bot.Send(t.Context(), transports.Outbound{To: e.NewAddress, Part: transports.Part{Text: "moved"}}); err != nil {
		t.Error(err)
	}
}

// TestEveryKindFromThePhone: what a client can post, and that a live location
// moves and ends.
func TestEveryKindFromThePhone(t *testing.T) {
	tg, bot := standIn(t, sandbox.TelegramOptions{})
	in := newInbox(t, bot)
	anna := tg.Person("anna")
	for _, test := range []struct {
		post sandbox.Post
		want events.ContentType
	}{
		{sandbox.Post{Text: "hello", Marks: []sandbox.Mark{{Type: "bold", Length: 5}}, ForwardFrom: "Bob"}, events.Text},
		{sandbox.Post{Kind: "voice", File: &sandbox.File{Name: "v.ogg", Content: []byte("OGG")}}, events.Voice},
		{sandbox.Post{Kind: "animation", File: &sandbox.File{Name: "g.mp4", Content: []byte("MP4")}}, events.Animation},
		{sandbox.Post{Kind: "video_note", File: &sandbox.File{Name: "n.mp4", Content: []byte("MP4"), Width: 9}}, events.VideoNote},
		{sandbox.Post{Location: &[2]float64{52.5, 13.4}, Venue: &[2]string{"Shop", "Street 1"}}, events.Place},
		{sandbox.Post{OwnContact: true}, events.ContactCard},
		{sandbox.Post{Poll: []string{"Red?", "yes", "no"}}, events.Poll},
		{sandbox.Post{Dice: "🎲"}, events.Dice},
		{sandbox.Post{Story: 9}, events.Story},
	} {
		must(anna.Post(test.post))
		ev := in.next(t)
		checkStorable(t, ev)
		if ev.Content.Type != test.want {
			t.Errorf("got %s, want %s", jsonOf(ev.Content), test.want)
		}
	}
	id := must(anna.Post(sandbox.Post{Location: &[2]float64{52.5, 13.4}, Live: 900}))
	where := in.next(t)
	if !where.Content.Location.Live {
		t.Errorf("got %s", jsonOf(where.Content))
	}
	for _, live := range []bool{true, false} {
		if err := anna.Move(id, 52.6, 13.5, live); err != nil {
			t.Fatal(err)
		}
		ev := in.next(t)
		if ev.Kind != events.Edit || ev.Key != where.Key || ev.Content.Location.Latitude != 52.6 || ev.Content.Location.Live != live {
			t.Errorf("got %s", jsonOf(ev))
		}
	}
	pdf := must(anna.Post(sandbox.Post{Kind: "document", File: &sandbox.File{Name: "a.pdf", Content: []byte("1")}}))
	in.next(t)
	if err := anna.EditFile(pdf, "document", sandbox.File{Name: "b.pdf", Content: []byte("2")}); err != nil {
		t.Fatal(err)
	}
	if ev := in.next(t); ev.Kind != events.Edit || ev.Content.Attachments[0].Name != "b.pdf" {
		t.Errorf("got %s", jsonOf(ev))
	}
}

// TestFilesOfALocalServer fetches what a server with --local keeps on its disk,
// also what Telegram's own would not hand out.
func TestFilesOfALocalServer(t *testing.T) {
	dir := t.TempDir()
	tg, err := sandbox.NewTelegram(sandbox.TelegramOptions{LocalFiles: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tg.Close() })
	api := must(tg.Start(t.Context(), "127.0.0.1:0"))
	bot := newBot(t, newClient(t), map[string]string{"api_url": api, "files_dir": dir})
	in := newInbox(t, bot)
	anna := tg.Person("anna")
	content := strings.Repeat("film ", 5<<20) // 25 MB
	must(anna.Post(sandbox.Post{Kind: "document", File: &sandbox.File{Name: "film.mkv", Content: []byte(content)}}))
	media, err := bot.OpenMedia(t.Context(), in.next(t).Content.Attachments[0].Ref)
	if err != nil {
		t.Fatal(err)
	}
	got := must(io.ReadAll(media))
	if err := media.Close(); err != nil || string(got) != content {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the server's folder has %v, %v", entries, err)
	}
}
