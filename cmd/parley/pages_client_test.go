package main

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// logInTo logs in by the form, without scripts, and goes on to a page.
func (o *office) logInTo(path string) chromedp.Tasks {
	return chromedp.Tasks{
		chromedp.Navigate(o.Pages + path), chromedp.WaitVisible(`input[name=email]`),
		chromedp.SendKeys(`input[name=email]`, agentEmail), chromedp.SendKeys(`input[name=password]`, o.password),
		chromedp.Submit(`form`),
	}
}

// TestClientsPages adds a client, by forms alone, is told what is wrong with one,
// finds them, and deletes them.
func TestClientsPages(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	do(t, ctx,
		emulation.SetScriptExecutionDisabled(true), o.logInTo("/clients"),
		shows(".empty", "no client yet"),
		click(`.heading .button`), chromedp.WaitVisible(`#first_name-field`),
		chromedp.SendKeys(`#first_name-field`, "Ada"), chromedp.SendKeys(`#phone-field`, "twelve"),
		click(`main button.primary`),
		// What was typed stays, and the words are beside the field.
		shows("#phone-wrong", "no phone number"),
	)
	var kept string
	do(t, ctx, chromedp.Value(`#first_name-field`, &kept))
	if kept != "Ada" {
		t.Errorf("the first name is %q", kept)
	}
	do(t, ctx,
		chromedp.SetValue(`#phone-field`, "+49 30 1234567"), click(`main button.primary`),
		shows(".done", "was added"), shows("h1", "Ada"),
		chromedp.SendKeys(`#last_name-field`, "Lovelace"), click(`section[aria-labelledby=known] button.primary`),
		shows(".done", "Saved"), shows("h1", "Ada Lovelace"),
		click(`details summary`), chromedp.SetValue(`#type-field`, "email"), chromedp.SendKeys(`#value-field`, "ada"),
		click(`section[aria-labelledby=contacts] button.primary`), shows("#value-wrong", "no mail address"),
		chromedp.SetValue(`#value-field`, "ada@example.com"), click(`section[aria-labelledby=contacts] button.primary`),
		shows(".items b", "ada@example.com"), shot("client"),
		click(`.items .line button`), shows(".done", "removed"),
		chromedp.Navigate(o.Pages+"/clients?search=love"), shows("tbody a", "Ada Lovelace"), shot("clients"),
		chromedp.Navigate(o.Pages+"/clients?search=nobody"), shows(".empty", "No client has"),
		chromedp.Navigate(o.Pages+"/clients/1/delete"), click(`main button.danger`),
		shows(".done", "was deleted"),
	)
}

// TestClientChangedMeanwhile refuses to undo what a colleague has just written.
func TestClientChangedMeanwhile(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	do(t, ctx,
		o.logInTo("/clients/new"), chromedp.WaitVisible(`#first_name-field`), chromedp.SendKeys(`#first_name-field`, "Ada"),
		click(`main button.primary`), shows("h1", "Ada"),
	)
	other := browser(t)
	do(t, other,
		o.logInTo("/clients/1"), shows("h1", "Ada"), chromedp.SendKeys(`#comments-field`, "Likes engines."),
		click(`section[aria-labelledby=known] button.primary`), shows(".done", "Saved"),
	)
	do(t, ctx,
		chromedp.SendKeys(`#last_name-field`, "Byron"), click(`section[aria-labelledby=known] button.primary`),
		shows("form .flash", "changed"),
	)
	var typed string
	do(t, ctx, chromedp.Value(`#last_name-field`, &typed))
	if typed != "Byron" {
		t.Errorf("the last name typed is %q", typed)
	}
}

// TestTemplatesPages writes a template, counts it, tries it in a chat, copies and
// removes it.
func TestTemplatesPages(t *testing.T) {
	t.Parallel()
	o, ctx := openOffice(t), browser(t)
	if _, err := o.telegram.Person("Anna").Say("Hello"); err != nil {
		t.Fatal(err)
	}
	o.logIn(t, ctx)
	do(t, ctx,
		shows(".rows .name", "Anna"),
		chromedp.Navigate(o.Pages+"/templates"), shows(".empty", "no template yet"),
		click(`.heading .button`), chromedp.WaitVisible(`#name-field`),
		chromedp.SendKeys(`#name-field`, "Greeting"), chromedp.SendKeys(`#text-field`, "Hello {{first_name|there}}, your order {{order is ready."),
		shows("[data-count]", "1 SMS"),
		click(`main button.primary`), shows("#text-wrong", "{{order"),
		chromedp.SetValue(`#text-field`, "Hello {{first_name|there}}, your order {{order}} is ready."), click(`main button.primary`),
		shows(".done", "was added"), shows("dt", "order"),
		click(`.filter button`), shows(".preview", "Hello Anna"), shows(".trouble", "order"),
		chromedp.SetValue(`[name=var_order]`, "7"), click(`.filter button`),
		shows(".preview", "Hello Anna, your order 7 is ready."), shows(".items .line", "1 message"), shot("template"),
		chromedp.SetValue(`#text-field`, "Hello {{first_name|there}}!"), click(`main button.primary`), shows(".done", "Saved"),
		click(`.heading .button`), shows("h1", "New template"), click(`main button.primary`), shows("h1", "Greeting 2"),
		click(`button.danger`), shows(".done", "was removed"), shows(".items h2", "Greeting"), shot("templates"),
	)
}
