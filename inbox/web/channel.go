package web

import (
	"crypto/rand"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"parley/events"
	"parley/inbox"
	"parley/inbox/desk"
	"parley/store"
)

func (p *pages) channelPages(mux *http.ServeMux) {
	mux.Handle("GET /channels", p.forAgents(p.showChannels))
	mux.Handle("GET /connect/{transport}", p.looking(inbox.Admin, p.newChannel))
	mux.Handle("POST /connect/{transport}", p.change(inbox.Admin, "channel.add", p.addChannel))
	mux.Handle("GET /channels/{channel}", p.forAgents(p.showChannel))
	mux.Handle("POST /channels/{channel}", p.change(inbox.Admin, "channel.change", p.changeChannel))
	mux.Handle("POST /channels/{channel}/check", p.change(inbox.Admin, "", p.checkChannel))
	mux.Handle("POST /channels/{channel}/rotate", p.change(inbox.Admin, "channel.rotate", p.rotateChannel))
	mux.Handle("POST /channels/{channel}/reconcile", p.change(inbox.Admin, "", p.reconcileChannel))
	for verb, paused := range map[string]bool{"pause": true, "resume": false} {
		mux.Handle("POST /channels/{channel}/"+verb, p.change(inbox.Admin, "channel."+verb, p.pauseChannel(paused)))
	}
}

// channelView is a channel and how it fares.
type channelView struct {
	store.Channel
	// State is a health state, or paused, or starting while nobody has reported.
	State string
	Error string
}

func viewChannel(c store.Channel, h events.ChannelHealth) channelView {
	v := channelView{Channel: c, State: string(h.State), Error: h.Error}
	switch {
	case c.Paused:
		v.State, v.Error = "paused", ""
	case h.State == "":
		v.State = "starting"
	}
	return v
}

// channelsPage is the list of channels.
type channelsPage struct {
	Items []channelView
	// Connect are the transports that who looks may connect.
	Connect []events.Transport
}

func (p *pages) showChannels(w http.ResponseWriter, r *http.Request) {
	list, err := p.Desk.Channels(r.Context(), tenantOf(r))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	var page channelsPage
	health := p.health(r)
	for _, c := range list {
		page.Items = append(page.Items, viewChannel(c, health[c.ID]))
	}
	if may(r, inbox.Admin) {
		for t := range channelFields() {
			if _, spoken := p.Desk.Adapters[t]; spoken {
				page.Connect = append(page.Connect, t)
			}
		}
		slices.Sort(page.Connect)
	}
	p.show(w, r, http.StatusOK, "channels", frame{Title: "channels.title", Here: "channels", Script: true, Page: page})
}

// health is what is known of it: a bus out of reach leaves it open, and the list
// is still worth having.
func (p *pages) health(r *http.Request) map[events.ChannelID]events.ChannelHealth {
	health, err := p.Desk.Health(r.Context())
	if err != nil {
		p.log.WarnContext(r.Context(), "channel health not read", "error", err)
	}
	return health
}

// channelFields are what people fill in to connect an account, by transport.
// Passwords among them are its secrets, all others its settings. What is not here
// has a good default, and the command line sets it: docs/channels.md.
func channelFields() map[events.Transport][]field {
	onOff := []pair{{"", "—"}, {"on", "on"}, {"off", "off"}}
	security := []pair{{"", "TLS"}, {"starttls", "STARTTLS"}, {"none", "none"}}
	twilio := []field{
		{Name: "account_sid", Label: "channels.account_sid", Help: "channels.account_sid_help", Kind: "text", Required: true},
		{Name: "auth_token", Label: "channels.auth_token", Kind: "password", Required: true},
		{Name: "from", Label: "channels.from", Help: "channels.from_help", Kind: "tel"},
		{Name: "messaging_service_sid", Label: "channels.service", Help: "channels.service_help", Kind: "text"},
		{Name: "webhook", Label: "channels.webhook", Help: "channels.webhook_help", Kind: "select", Options: []pair{{"", "auto"}, {"manual", "manual"}}},
	}
	apiURL := field{Name: "api_url", Label: "channels.api_url", Help: "channels.api_url_help", Kind: "url"}
	return map[events.Transport][]field{
		events.Telegram: {
			{Name: "token", Label: "channels.token", Help: "channels.token_help", Kind: "password", Required: true},
			{Name: "groups", Label: "channels.groups", Kind: "select", Options: onOff},
			apiURL,
		},
		events.SMS:      slices.Concat(twilio, []field{{Name: "mms", Label: "channels.mms", Kind: "select", Options: onOff}, apiURL}),
		events.WhatsApp: slices.Concat(twilio, []field{apiURL}),
		events.Email: {
			{Name: "address", Label: "channels.address", Kind: "email", Required: true},
			{Name: "password", Label: "channels.password", Help: "channels.password_help", Kind: "password", Required: true},
			{Name: "imap", Label: "channels.imap", Help: "channels.server_help", Kind: "text", Required: true},
			{Name: "imap_security", Label: "channels.imap_security", Kind: "select", Options: security},
			{Name: "smtp", Label: "channels.smtp", Help: "channels.server_help", Kind: "text", Required: true},
			{Name: "smtp_security", Label: "channels.smtp_security", Kind: "select", Options: security},
			{Name: "username", Label: "channels.username", Help: "channels.username_help", Kind: "text"},
			{Name: "name", Label: "channels.sender", Help: "channels.sender_help", Kind: "text"},
			{Name: "since", Label: "channels.since", Help: "channels.since_help", Kind: "date"},
			{Name: "authserv_id", Label: "channels.authserv", Help: "channels.authserv_help", Kind: "text"},
		},
	}
}

// settingPrefix keeps a setting's name apart from the channel's own.
const settingPrefix = "set_"

// channelForm is for connecting an account.
func (p *pages) channelForm(t events.Transport) (form, bool) {
	fields, known := channelFields()[t]
	_, spoken := p.Desk.Adapters[t]
	if !known || !spoken {
		return form{}, false
	}
	f := form{Action: "/connect/" + string(t), Submit: "channels.connect"}
	f.Fields = append(f.Fields, field{Name: "name", Label: "channels.name", Help: "channels.name_help", Kind: "text", Required: true, Max: 100, Auto: "off"})
	for _, s := range fields {
		s.Name, s.Auto = settingPrefix+s.Name, "off"
		if s.Secret() {
			s.Auto = "new-password"
		}
		f.Fields = append(f.Fields, s)
	}
	return f, true
}

// connectPage is the form to connect an account, and what its provider said of it.
type connectPage struct {
	Transport events.Transport
	Form      form
	// Found is the account's name at the provider, once it was asked; Asked that
	// it was.
	Found string
	Asked bool
	// NoWebhooks says that the provider would have to reach us, and cannot.
	NoWebhooks bool
}

func (p *pages) connectPage(t events.Transport, f form) connectPage {
	return connectPage{Transport: t, Form: f, NoWebhooks: p.Desk.Adapters[t].Mode == events.Webhook && p.Desk.PublicURL == ""}
}

func (p *pages) showConnect(w http.ResponseWriter, r *http.Request, status int, page connectPage) {
	p.show(w, r, status, "channel-new", frame{Title: "channels.new", Here: "channels", Script: true, Page: page})
}

func (p *pages) newChannel(w http.ResponseWriter, r *http.Request) {
	t := events.Transport(r.PathValue("transport"))
	f, ok := p.channelForm(t)
	if !ok {
		p.fail(w, r, notFound("page.not_found"))
		return
	}
	f.Hidden = []pair{{"key", rand.Text()}}
	p.showConnect(w, r, http.StatusOK, p.connectPage(t, f))
}

// channelBlame says which field an error about a channel belongs to: adapters name
// the setting.
func channelBlame(f form) []pair {
	all := []pair{{"name", "a channel named"}, {"name", "has no name"}}
	for _, at := range f.Fields {
		if at.Name != "name" {
			name := at.Name[len(settingPrefix):]
			all = append(all, pair{at.Name, `"` + name + `"`}, pair{at.Name, " " + name + " "}, pair{at.Name, " " + name + "."})
		}
	}
	for _, at := range f.Fields {
		if at.Secret() {
			all = append(all, pair{at.Name, "refused its credentials"})
		}
	}
	return all
}

// addChannel asks the provider, and connects the account unless only that was
// wanted.
func (p *pages) addChannel(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	t := events.Transport(r.PathValue("transport"))
	f, ok := p.channelForm(t)
	if !ok {
		p.fail(w, r, notFound("page.not_found"))
		return
	}
	f.Hidden = []pair{{"key", r.PostFormValue("key")}}
	if p.lacks(r, &f) {
		p.showConnect(w, r, http.StatusUnprocessableEntity, p.connectPage(t, f))
		return
	}
	n := desk.NewChannel{
		Tenant: tenantOf(r), Transport: t, Name: r.PostFormValue("name"), Settings: map[string]string{}, Secrets: map[string]string{},
		Key: r.PostFormValue("key"), Guarded: true, // whoever comes over the network does not reach what the server can
	}
	typedSettings(r, f, n.Settings, n.Secrets)
	if r.PostFormValue("only_ask") != "" {
		report, err := p.Desk.ChannelTry(r.Context(), n)
		page := p.connectPage(t, f)
		page.Asked, page.Found = err == nil, report.Account
		status := http.StatusOK
		if err != nil {
			p.refuse(r, &page.Form, err, channelBlame(f)...)
			status = statusOf(err)
		}
		p.showConnect(w, r, shownStatus(status), page)
		return
	}
	c, err := p.Desk.ChannelAdd(r.Context(), n)
	if err != nil {
		p.refuse(r, &f, err, channelBlame(f)...)
		p.showConnect(w, r, shownStatus(statusOf(err)), p.connectPage(t, f))
		return
	}
	done(w, r, "/channels/"+string(c.ID), "channel_added")
}

// shownStatus is a form's status whose error is somebody else's: that a provider
// does not answer is no failure of the server.
func shownStatus(status int) int {
	if status == http.StatusServiceUnavailable {
		return http.StatusUnprocessableEntity
	}
	return status
}

// typedSettings puts what was typed into settings and secrets; what was left empty
// is taken away.
func typedSettings(r *http.Request, f form, settings, secrets map[string]string) {
	for _, at := range f.Fields {
		if at.Name == "name" {
			continue
		}
		into := settings
		if at.Secret() {
			into = secrets
		}
		name, value := at.Name[len(settingPrefix):], r.PostFormValue(at.Name)
		if delete(into, name); value != "" {
			into[name] = value
		}
	}
}

// channelPage is one channel.
type channelPage struct {
	channelView
	// Edit and Rotate are nil for who may not.
	Edit, Rotate *form
	// Words are what gateway and provider said just now.
	Words []string
}

func (p *pages) channelPage(r *http.Request, c store.Channel) channelPage {
	page := channelPage{channelView: viewChannel(c, p.health(r)[c.ID])}
	full, known := p.channelForm(c.Transport)
	if !may(r, inbox.Admin) || !known {
		return page
	}
	at := "/channels/" + string(c.ID)
	page.Edit = &form{Action: at, Submit: "form.save", Hidden: []pair{{"version", decimal(c.Version)}}}
	page.Rotate = &form{Action: at + "/rotate", Submit: "channels.rotate"}
	settings := c.Unguarded().Settings
	for _, f := range full.Fields {
		switch {
		case f.Secret():
			f.Required = false
			page.Rotate.Fields = append(page.Rotate.Fields, f)
			continue
		case f.Name == "name":
			f.Value = c.Name
		default:
			f.Value = settings[f.Name[len(settingPrefix):]]
		}
		page.Edit.Fields = append(page.Edit.Fields, f)
	}
	for _, name := range p.Desk.Adapters[c.Transport].Optional {
		if !slices.ContainsFunc(page.Rotate.Fields, func(f field) bool { return f.Name == settingPrefix+name }) && name == "auth_token_next" {
			page.Rotate.Fields = append(page.Rotate.Fields, field{
				Name: settingPrefix + name, Label: "channels.auth_token_next", Help: "channels.auth_token_next_help", Kind: "password", Auto: "new-password",
			})
		}
	}
	return page
}

// withChannel finds a request's channel, or answers.
func (p *pages) withChannel(w http.ResponseWriter, r *http.Request, f func(store.Channel)) {
	c, err := p.Desk.Channel(r.Context(), tenantOf(r), r.PathValue("channel"))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	f(c)
}

func (p *pages) showChannelPage(w http.ResponseWriter, r *http.Request, status int, page channelPage) {
	p.show(w, r, status, "channel", frame{Title: "channels.one", Here: "channels", Script: true, Page: page})
}

func (p *pages) showChannel(w http.ResponseWriter, r *http.Request) {
	p.withChannel(w, r, func(c store.Channel) { p.showChannelPage(w, r, http.StatusOK, p.channelPage(r, c)) })
}

func (p *pages) changeChannel(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	p.withChannel(w, r, func(c store.Channel) {
		page := p.channelPage(r, c)
		version, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
		if err != nil || version < 1 || page.Edit == nil {
			p.fail(w, r, &inbox.Error{Code: inbox.Unversioned, Message: "form.broken", Err: err})
			return
		}
		if p.lacks(r, page.Edit) {
			p.showChannelPage(w, r, http.StatusUnprocessableEntity, page)
			return
		}
		name, settings := r.PostFormValue("name"), maps.Clone(c.Unguarded().Settings)
		if settings == nil {
			settings = map[string]string{}
		}
		typedSettings(r, *page.Edit, settings, nil)
		if _, err = p.Desk.ChannelChange(r.Context(), tenantOf(r), string(c.ID), desk.ChannelChange{Name: &name, Settings: settings, Version: version, Guarded: true}); err != nil {
			p.refuse(r, page.Edit, err, channelBlame(*page.Edit)...)
			p.showChannelPage(w, r, shownStatus(statusOf(err)), page)
			return
		}
		done(w, r, "/channels/"+string(c.ID), "saved")
	})
}

func (p *pages) rotateChannel(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	p.withChannel(w, r, func(c store.Channel) {
		page := p.channelPage(r, c)
		if page.Rotate == nil {
			p.fail(w, r, notFound("page.not_found"))
			return
		}
		secrets := map[string]string{}
		typedSettings(r, *page.Rotate, nil, secrets)
		if _, err := p.Desk.ChannelRotate(r.Context(), desk.Rotation{Tenant: tenantOf(r), Channel: string(c.ID), Secrets: secrets}); err != nil {
			p.refuse(r, page.Rotate, err, channelBlame(*page.Rotate)...)
			p.showChannelPage(w, r, shownStatus(statusOf(err)), page)
			return
		}
		done(w, r, "/channels/"+string(c.ID), "rotated")
	})
}

func (p *pages) checkChannel(w http.ResponseWriter, r *http.Request) {
	check, err := p.Desk.ChannelCheck(r.Context(), tenantOf(r), r.PathValue("channel"))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	page := p.channelPage(r, check.Channel)
	page.Words = check.Words
	p.showChannelPage(w, r, http.StatusOK, page)
}

func (p *pages) pauseChannel(paused bool) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := p.Desk.ChannelPause(r.Context(), tenantOf(r), r.PathValue("channel"), paused)
		switch {
		case err != nil:
			p.fail(w, r, err)
		case paused:
			done(w, r, "/channels/"+string(c.ID), "paused")
		default:
			done(w, r, "/channels/"+string(c.ID), "resumed")
		}
	}
}

func (p *pages) reconcileChannel(w http.ResponseWriter, r *http.Request) {
	p.withChannel(w, r, func(c store.Channel) {
		if _, err := p.Desk.ChannelReconcile(r.Context(), tenantOf(r), string(c.ID)); err != nil {
			if e := (*inbox.Error)(nil); errors.As(err, &e) && e.Code == inbox.Refused {
				page := p.channelPage(r, c)
				page.Words = []string{p.words(r, err)}
				p.showChannelPage(w, r, http.StatusConflict, page)
				return
			}
			p.fail(w, r, err)
			return
		}
		done(w, r, "/channels/"+string(c.ID), "reconciling")
	})
}
