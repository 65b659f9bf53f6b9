package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// playground is a demo that runs, with both of its pages.
type playground struct {
	inbox, phones, password string
}

func startPlayground(t *testing.T) playground {
	t.Helper()
	dir := dataFolder(t)
	ctx, stop := context.WithCancel(t.Context())
	out, ended := newStory(), make(chan error, 1)
	go func() {
		ended <- runDemo(ctx, Config{DataDir: dir, Listen: "127.0.0.1:0", APIListen: "127.0.0.1:0"}, out)
	}()
	told := strings.Join(out.until(t, "Ctrl-C stops it.", ended), "\n")
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	find := func(words string) string {
		m := regexp.MustCompile(words + ` (http://[0-9.:]+)`).FindStringSubmatch(told)
		if m == nil {
			t.Fatalf("the demo does not say where %q:\n%s", words, told)
		}
		return strings.TrimSuffix(m[1], ":")
	}
	password, err := os.ReadFile(filepath.Join(dir, "demo-password"))
	if err != nil {
		t.Fatal(err)
	}
	return playground{
		inbox: find("The inbox is at"), phones: find("The clients' phones are at"), password: strings.TrimSpace(string(password)),
	}
}

// TestPhones plays both sides in one browser: a client writes on the page of the
// phones, an agent answers in the inbox, and the answer is on the phone.
func TestPhones(t *testing.T) {
	t.Parallel()
	p := startPlayground(t)
	ctx := browser(t)
	do(t, ctx,
		chromedp.Navigate(p.inbox), chromedp.WaitVisible(`input[name=email]`),
		chromedp.SendKeys(`input[name=email]`, demoAgentEmail), chromedp.SendKeys(`input[name=password]`, p.password), chromedp.Submit(`form`),
		shows(".live", "Live"),
		chromedp.WaitVisible(`a[href="`+p.phones+`"]`),
	)
	phones := browser(t)
	write := func(on, text string) chromedp.Action {
		return chromedp.SendKeys(`.phone.`+on+` textarea`, text+"\r", chromedp.ByQuery)
	}
	do(t, phones,
		chromedp.Navigate(p.phones), shows(".phone.telegram .theirs", "three to five days"),
		chromedp.Navigate(p.phones+"/?who=bo"), shows(".phone.telegram", "Nothing yet."),
		write("whatsapp", "Is anybody there? <b>&"),
		shows(".phone.whatsapp .mine", "Is anybody there? <b>&"),
	)
	do(t, ctx,
		shows(".rows .last", "Is anybody there? <b>&"), click(`.rows a`),
		shows(".message.in .text", "Is anybody there?"),
		chromedp.SendKeys(`#text`, "Somebody is.", chromedp.ByQuery), click(`.composer button.primary`),
		shows(".message.out .tick", "Delivered"),
	)
	do(t, phones, shows(".phone.whatsapp .theirs", "Somebody is."), shows(".phone.whatsapp .theirs small", "unread"), click(`[data-read] button`))
	do(t, ctx, shows(".message.out .tick", "Read"))
	// By SMS and mail, too; a mail without a subject answers the last one.
	do(t, phones, write("sms", "And by SMS"), shows(".phone.sms .mine", "And by SMS"))
	do(t, ctx, shows(".message.in .text", "And by SMS"))
	do(t, phones,
		chromedp.SendKeys(`.phone.email input[name=subject]`, "Order 7", chromedp.ByQuery), write("email", "Where is it?"),
		shows(".phone.email .mine b", "Order 7"), shot("phones"),
	)
	do(t, ctx, shows(".rows .last", "Where is it?"))
	inBothThemes(t, phones, "phones")

	// The next thing that the business sends is accepted, and the line breaks.
	do(t, phones,
		click(`#faults summary`),
		chromedp.SetValue(`[name=strike]`, "reset_after", chromedp.ByQuery), click(`.faults button`),
		shows("#faults summary", "something does"),
	)
	do(t, ctx,
		chromedp.Navigate(p.inbox+"/inbox/1"), shows(".message .text", "Norway"),
		chromedp.SendKeys(`#text`, "Shall we?", chromedp.ByQuery), click(`.composer button.primary`),
		shows(".message.out .tick", "Uncertain"),
	)
	do(t, phones,
		chromedp.Navigate(p.phones), shows(".phone.telegram .theirs", "Shall we?"),
		emulation.SetDeviceMetricsOverride(390, 844, 2, true), shot("phones-phone"), emulation.ClearDeviceMetricsOverride(),
	)
}

// TestPhonesWithoutScripts writes by a form alone, and is told what is wrong.
func TestPhonesWithoutScripts(t *testing.T) {
	t.Parallel()
	p := startPlayground(t)
	ctx := browser(t)
	do(t, ctx,
		emulation.SetScriptExecutionDisabled(true),
		chromedp.Navigate(p.phones+"/?who=cleo"),
		chromedp.SendKeys(`.phone.sms textarea`, " ", chromedp.ByQuery), click(`.phone.sms form button`),
		shows(".refused", "write something first"),
		chromedp.SendKeys(`.phone.sms textarea`, "Hello", chromedp.ByQuery), click(`.phone.sms form button`),
		shows(".phone.sms .mine", "Hello"),
	)
}
