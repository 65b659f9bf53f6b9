package main

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestDirections shows what clients write from right to left in its direction,
// beside what is written from left to right: text, names and previews, and what is
// being typed.
func TestDirections(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	o.says(t, "Bo", "Hello, do you speak Hebrew?")
	o.says(t, "נועה", "שלום, מתי אתם פתוחים?")
	o.says(t, "נועה", "Are you open on Friday?")
	if _, err := o.telegram.Person("נועה").Say("ההזמנה שלי היא ABC-1234, תודה.\nMy order is late."); err != nil {
		t.Fatal(err)
	}
	o.says(t, "ليلى", "مرحبا، أين طلبي رقم 12؟")
	o.logIn(t, ctx)
	// The direction that an element's text runs in, and where its lines begin.
	runs := func(what, selector, want string) {
		t.Helper()
		var got string
		do(t, ctx, chromedp.WaitVisible(selector, chromedp.ByQuery), chromedp.Evaluate(fmt.Sprintf(`getComputedStyle(document.querySelector(%q)).direction`, selector), &got))
		if got != want {
			t.Errorf("%s runs %s, want %s", what, got, want)
		}
	}
	do(t, ctx, shows(".rows .name", "נועה"), shows(".rows .name", "ليلى"))
	runs("an Arabic name", `.rows li:nth-child(1) .name bdi`, "rtl")
	runs("an Arabic preview", `.rows li:nth-child(1) .last`, "rtl")
	runs("a Hebrew name", `.rows li:nth-child(2) .name bdi`, "rtl")
	runs("a Hebrew preview", `.rows li:nth-child(2) .last`, "rtl")
	runs("an English name", `.rows li:nth-child(3) .name bdi`, "ltr")
	runs("an English preview", `.rows li:nth-child(3) .last`, "ltr")
	runs("the page", `body`, "ltr")

	do(t, ctx, click(`.rows li:nth-child(2) a`), shows("#m1 .text", "שלום"), shows(".live", "Live"))
	runs("the name above a thread", `.who h1`, "rtl")
	runs("a sender's name", `#m1 h2 bdi`, "rtl")
	runs("a Hebrew message", `#m1 .text`, "rtl")
	runs("an English message", `#m2 .text`, "ltr")
	runs("a Hebrew message with Latin in it", `#m3 .text`, "rtl")
	// Of one message each line runs in its own direction: the Hebrew one begins at the
	// right edge of its bubble, the English one at the left.
	var begins []float64
	do(t, ctx, chromedp.Evaluate(`{
		const text = document.querySelector("#m3 .text"), words = text.firstChild, box = text.getBoundingClientRect();
		const at = (i) => { const r = document.createRange(); r.setStart(words, i); r.setEnd(words, i + 1); return r.getBoundingClientRect(); };
		const second = words.data.indexOf("My");
		[box.right - at(0).right, at(second).left - box.left];
	}`, &begins))
	if begins[0] > 2 || begins[1] > 2 {
		t.Errorf("the Hebrew line begins %.0f px from the right, the English one %.0f px from the left", begins[0], begins[1])
	}
	do(t, ctx, chromedp.SendKeys(`#text`, "כן, עד שש", chromedp.ByQuery))
	runs("what is typed", `#text`, "rtl")
	do(t, ctx, click(`[data-send]`), shows(".message.out .text", "כן, עד שש"))
	runs("an answer", `.message.out .text`, "rtl")
	// "You:" is the page's own word; what follows is not.
	do(t, ctx, shows(".rows li:first-child .last", "כן, עד שש"), shot("directions"))
	runs("an answer's preview", `.rows li:first-child .last bdi`, "rtl")
	runs("what is before it", `.rows li:first-child .last`, "ltr")
}
