package main

import (
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"parley/transports/sandbox"
)

// TestMessageActions reacts to a client's message and edits one's own.
func TestMessageActions(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	anna := o.telegram.Person("Anna")
	id, err := anna.Say("Two lamps, please")
	if err != nil {
		t.Fatal(err)
	}
	o.logIn(t, ctx)
	do(t, ctx,
		shows(".rows .name", "Anna"), click(`.rows a`), shows("#m1 .text", "Two lamps, please"),
		click(`#m1 .react summary`), chromedp.WaitVisible(`#m1 .react button`, chromedp.ByQuery), shot("react"),
	)
	inBothThemes(t, ctx, "reactions to choose from")
	do(t, ctx,
		click(`#m1 .react button[value="👍"]`), shows("#m1 .reactions", "👍 Olga Agent"),
		chromedp.SendKeys(`#text`, "Tree lamps, then.", chromedp.ByQuery), click(`[data-send]`), shows("#m2 .tick", "Sent"),
		click(`#m2 .more-of summary`), chromedp.SetValue(`#m2 textarea`, "Two lamps, then.", chromedp.ByQuery), click(`#m2 .more-of .verbs button`),
		shows("#m2 .text", "Two lamps, then."), shows("#m2 .history", "edited"),
	)
	phone := anna.Phone()
	if i := slices.IndexFunc(phone, func(m sandbox.PhoneMessage) bool { return m.MessageID == id }); i < 0 || !slices.Equal(phone[i].BotReactions, []string{"👍"}) {
		t.Errorf("the phone shows %+v", phone)
	}
	if last := phone[len(phone)-1]; last.Text != "Two lamps, then." || !last.Edited {
		t.Errorf("the phone shows %+v", last)
	}
	// She reacts, and changes what she wrote: what is open stays open.
	do(t, ctx,
		click(`#m2 .history summary`), shows("#m2 .history .text", "Tree lamps, then."), shot("history"),
		chromedp.Evaluate(`document.querySelector("#m2 .history").kept = true; document.querySelector("#m1").kept = true`, nil),
	)
	inBothThemes(t, ctx, "an edited message")
	if err := anna.React(phone[len(phone)-1].MessageID, "🔥"); err != nil {
		t.Fatal(err)
	}
	if err := anna.Edit(id, "Two red lamps, please"); err != nil {
		t.Fatal(err)
	}
	do(t, ctx,
		shows("#m2 .reactions", "🔥 Anna"), shows("#m1 .text", "Two red lamps, please"), shows("#m1 .history", "edited"),
		chromedp.Poll(`document.querySelector("#m2 .history").open && document.querySelector("#m2 .history").kept && document.querySelector("#m1").kept`, nil),
	)
}

// TestKindsOfMessages shows places, cards, polls, players and pictures.
func TestKindsOfMessages(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	anna := o.telegram.Person("Anna")
	for _, p := range []sandbox.Post{
		{Location: &[2]float64{59.91, 10.75}, Venue: &[2]string{"The harbour", "Pier 1"}},
		{Contact: &[2]string{"4915112345678", "Carla"}},
		{Poll: []string{"Which lamp?", "Red", "Green"}},
		{Kind: "voice", File: &sandbox.File{Name: "v.ogg", MIME: "audio/ogg", Content: noise("OggS", 4000), Duration: 3}},
		{Kind: "photo", File: &sandbox.File{Name: "one.png", MIME: "image/png", Content: aPicture(t, 400, 300), Width: 400, Height: 300}, Text: "One"},
		{Kind: "photo", File: &sandbox.File{Name: "two.png", MIME: "image/png", Content: aPicture(t, 300, 300), Width: 300, Height: 300}, Text: "Two"},
		{Dice: "🎲"},
	} {
		if _, err := anna.Post(p); err != nil {
			t.Fatal(err)
		}
	}
	awaitFacts(t, o.dir, 1, "attachment", "stored", 3)
	o.logIn(t, ctx)
	do(t, ctx,
		shows(".rows .name", "Anna"), click(`.rows a`),
		shows("#m1 .card", "The harbour"), shows("#m1 .card", "59.91000, 10.75000"), shows("#m2 .card", "Carla"), shows("#m3 .card", "Green"),
		chromedp.WaitVisible(`#m4 audio[controls]`, chromedp.ByQuery), chromedp.WaitVisible(`#m6 .picture img`, chromedp.ByQuery), shot("kinds"),
	)
	inBothThemes(t, ctx, "kinds of messages")
	// A player outlives a change of its message.
	do(t, ctx, chromedp.Evaluate(`document.querySelector("#m4 audio").kept = true`, nil))
	do(t, ctx,
		click(`#m4 .react summary`), click(`#m4 .react button[value="🙏"]`), shows("#m4 .reactions", "🙏"),
		chromedp.Poll(`document.querySelector("#m4 audio").kept === true`, nil),
		// Pictures are shown large, one after the other.
		click(`#m5 .picture`), chromedp.WaitVisible(`.viewer[open] img`, chromedp.ByQuery),
		chromedp.Poll(`document.querySelector(".viewer img").naturalWidth === 400`, nil),
		keys(kb.ArrowRight), chromedp.Poll(`document.querySelector(".viewer img").naturalWidth === 300`, nil), shot("viewer"),
	)
	inBothThemes(t, ctx, "viewer")
	do(t, ctx, keys(kb.Escape), gone(`.viewer[open]`))
	// A file that is fetched while somebody looks comes by itself.
	if _, err := anna.Post(sandbox.Post{Kind: "photo", File: &sandbox.File{Name: "three.png", MIME: "image/png", Content: aPicture(t, 200, 300), Width: 200, Height: 300}, Text: "Three"}); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, shows("#m8 .text", "Three"), chromedp.WaitVisible(`#m8 .picture img`, chromedp.ByQuery))
}

// TestWrittenAgain takes up the words of a message that was refused for good.
func TestWrittenAgain(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	o.says(t, "Anna", "Hello?")
	o.logIn(t, ctx)
	o.telegram.SetFaults(sandbox.TelegramFaults{Next: []string{"refuse_400"}})
	do(t, ctx,
		click(`.rows a`), shows("#m1 .text", "Hello?"),
		chromedp.SendKeys(`#text`, "Hello!", chromedp.ByQuery), click(`[data-send]`), shows("#m2 .tick", "Not sent"), shot("failed"),
	)
	inBothThemes(t, ctx, "a message that failed")
	do(t, ctx,
		click(`#m2 [data-again]`), chromedp.Poll(`document.querySelector("#text").value === "Hello!"`, nil),
		click(`[data-send]`), shows("#m3 .tick", "Sent"),
	)
	if heard := o.heard("Anna"); len(heard) != 1 {
		t.Errorf("the phone shows %q", heard)
	}
}
