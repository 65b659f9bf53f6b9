package web

import (
	"strings"
	"testing"

	"golang.org/x/net/html"

	"parley/inbox"
)

// TestCleanMail has what mails try.
func TestCleanMail(t *testing.T) {
	files := []inbox.File{{ContentID: "Logo@x", Upload: 7}, {ContentID: "late@x"}}
	for mail, want := range map[string]string{
		`<p onclick="x()">Hi <b>you</b></p><script>alert(1)</script>`:    `<p>Hi <b>you</b></p>`,
		`<img src="cid:logo@X" alt="Logo">`:                              `<img src="/api/v1/uploads/7/content?inline=true" alt="Logo">`,
		`<img src="https://tracker.example/1.gif" alt="">`:               `<img alt="">`,
		`<img src="cid:late@x">`:                                         ``,
		`<a href="javascript:alert(1)">x</a>`:                            `x`,
		`<form action="/logout" method="post"><input name="a"></form>`:   ``,
		`<p style="color:red;position:fixed;background:url(//x/y)">x`:    `<p style="color: red">x`,
		`<svg><script>alert(1)</script></svg><iframe src="/"></iframe>x`: `x`,
		`<base href="https://evil.example"><meta http-equiv=refresh>x`:   `x`,
		`<img src="/api/v1/uploads/7/content?inline=true&x=1">`:          ``,
	} {
		if got := cleanMail(mail, files); got != want {
			t.Errorf("%s\n got %s\nwant %s", mail, got, want)
		}
	}
	if got := cleanMail(`<a href="https://a.example/">x</a>`, nil); !strings.Contains(got, `noreferrer`) || !strings.Contains(got, `target="_blank"`) {
		t.Errorf("a link leaves with the page's address: %s", got)
	}
}

// FuzzCleanMail looks in what is left for what must not be.
func FuzzCleanMail(f *testing.F) {
	for _, s := range []string{
		`<p>x`, `<img src=x onerror=alert(1)>`, `<a href=" java&#x0A;script:x">`, `<svg/onload=x>`, `<math><mtext></form><form><mglyph><style></math><img src onerror=x>`,
		`<img src="cid:a">`, `<style>@import "x"</style>`, `<table background="https://x">`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, mail string) {
		z := html.NewTokenizer(strings.NewReader(cleanMail(mail, []inbox.File{{ContentID: "a", Upload: 1}})))
		for z.Next() != html.ErrorToken {
			token := z.Token()
			switch token.Data {
			case "script", "style", "iframe", "object", "embed", "form", "input", "link", "meta", "base", "svg", "math":
				if token.Type != html.TextToken {
					t.Fatalf("%q leaves %s", mail, token)
				}
			}
			for _, a := range token.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "srcset" || a.Key == "background" ||
					a.Key == "src" && !ownPicture.MatchString(a.Val) ||
					a.Key == "href" && strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.Val)), "javascript:") ||
					a.Key == "style" && strings.Contains(a.Val, "url(") {
					t.Fatalf("%q leaves %s", mail, token)
				}
			}
		}
	})
}
