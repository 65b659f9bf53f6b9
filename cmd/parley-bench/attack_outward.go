package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// The kinds that have the server connect to what only it can reach.
const (
	kindMedia      = "SSRF: media URLs of a hijacked provider"
	kindRedirect   = "SSRF: redirects of media URLs to private addresses"
	kindChannel    = "SSRF: channels at internal addresses, by a tenant's admin"
	kindMailServer = "SSRF: mail servers at internal addresses, by a tenant's admin"
	kindWebhook    = "SSRF: webhooks out to internal addresses, by a tenant's admin"
	kindRebind     = "SSRF: names that are public when looked at and private when dialled"
)

// outwardAttackers are an admin of another business, which is a tenant like any.
func (w *attackWorld) outwardAttackers() []attacker {
	return []attacker{
		{kind: kindChannel, try: w.internalChannel},
		{kind: kindMailServer, try: w.internalMailServer},
		{kind: kindWebhook, try: w.internalWebhook},
		{kind: kindRebind, try: w.rebind},
	}
}

// elsewhereInside are addresses without a canary: nothing may be sent there, and
// nobody waits for them.
func elsewhereInside() []string {
	list := []string{
		"169.254.169.254", "[fe80::1]", "10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1", "[fd00::1]", "[::ffff:169.254.169.254]", "2852039166", "0xA9FEA9FE",
		"metadata.google.internal", "224.0.0.1", "255.255.255.255", "192.0.0.1", "198.18.0.1", "240.0.0.1", "[2002:7f00:1::]", "[2001:db8::1]",
	}
	if name, err := os.Hostname(); err == nil {
		list = append(list, name) // a name that leads to this machine's own address
	}
	return list
}

// internalChannel is kept or refused, which is not the question: the canary says
// whether it was used.
func (w *attackWorld) internalChannel(ctx context.Context, n int, a *attempts) error {
	places := w.canary.places(kindChannel)
	for _, host := range elsewhereInside() {
		places = append(places, "http://"+host+"/latest/meta-data")
	}
	places = append(places, "file:///etc/passwd", "gopher://127.0.0.1:"+w.canary[kindChannel].port, "unix:///run/postgresql/.s.PGSQL.5432")
	return w.addChannel(ctx, n, a, map[string]any{
		"transport": "telegram", "settings": map[string]string{"api_url": places[n%len(places)]}, "secrets": map[string]string{"token": "123456:mallory"},
	})
}

// internalMailServer makes the server speak IMAP, SMTP or HTTP to somebody.
func (w *attackWorld) internalMailServer(ctx context.Context, n int, a *attempts) error {
	hosts := w.canary.hosts(kindMailServer)
	for _, host := range elsewhereInside() {
		hosts = append(hosts, host+":993")
	}
	host := hosts[n/2%len(hosts)]
	settings := map[string]string{"address": fmt.Sprintf("mallory%d@evil.example", n), "imap": host, "smtp": host}
	secrets := map[string]string{"password": "mallory"}
	switch n / 2 / len(hosts) % 3 {
	case 1:
		settings["imap_security"], settings["smtp_security"] = "none", "none"
	case 2:
		settings["token_url"], settings["client_id"], secrets["refresh_token"] = "https://"+host+"/token", "mallory", "mallory"
	}
	return w.addChannel(ctx, n, a, map[string]any{"transport": "email", "settings": settings, "secrets": secrets})
}

func (w *attackWorld) addChannel(ctx context.Context, n int, a *attempts, channel map[string]any) error {
	channel["name"], channel["mode"], channel["unchecked"] = fmt.Sprintf("mallory %s %d", channel["transport"], n), "polling", n%2 == 1
	body, err := json.Marshal(channel)
	if err != nil {
		return err
	}
	code, text, err := w.send(ctx, http.MethodPost, w.api+"/channels", body, "Cookie", w.b.cookie)
	a.tell(false, code, text)
	return err
}

// internalWebhook adds a webhook, changes where one leads, and has them called.
func (w *attackWorld) internalWebhook(ctx context.Context, n int, a *attempts) error {
	var places []string
	for _, place := range w.canary.places(kindWebhook) {
		if strings.HasPrefix(place, "https:") || n%5 == 0 { // plain http is refused at once
			places = append(places, place)
		}
	}
	for _, host := range elsewhereInside() {
		places = append(places, "https://"+host+":"+w.canary[kindWebhook].port+"/hook")
	}
	at := map[string]any{"url": places[n%len(places)]}
	if n%3 == 0 {
		at["url"] = "https://example.com/hook"
	}
	made, err := w.webhook(ctx, a, http.MethodPost, "/webhooks", at)
	if err != nil || made.ID == "" {
		return err
	}
	if n%3 == 0 {
		if _, err := w.webhook(ctx, a, http.MethodPatch, "/webhooks/"+made.ID, map[string]any{"url": places[n%len(places)]}, "If-Match", `"1"`); err != nil {
			return err
		}
	}
	if _, err := w.webhook(ctx, a, http.MethodPost, "/webhooks/"+made.ID+"/test", nil); err != nil {
		return err
	}
	select {
	case <-time.After(300 * time.Millisecond): // it is called meanwhile
	case <-ctx.Done():
	}
	_, err = w.webhook(ctx, a, http.MethodDelete, "/webhooks/"+made.ID, nil)
	return err
}

type attackWebhook struct{ ID string }

func (w *attackWorld) webhook(ctx context.Context, a *attempts, method, path string, in map[string]any, header ...string) (made attackWebhook, err error) {
	var body []byte
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return made, err
		}
	}
	code, text, err := w.send(ctx, method, w.api+path, body, append([]string{"Cookie", w.b.cookie}, header...)...)
	if err != nil {
		return made, err
	}
	a.tell(false, code, text)
	if code/100 == 2 && text != "" {
		err = json.Unmarshal([]byte(text), &made)
	}
	return made, err
}
