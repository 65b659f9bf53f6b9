package web

import (
	"net/http"

	"parley/inbox"
)

// inbox serves the list of chats, a chat, and what can be done there.
func (p *pages) inbox(mux *http.ServeMux) {
	for path, show := range map[string]http.HandlerFunc{
		"/inbox":                           p.showInbox,
		"/inbox/{chat}":                    p.showChat,
		"/inbox/{chat}/client":             p.showPanel,
		"/inbox/{chat}/head":               p.showHead,
		"/inbox/{chat}/notes":              p.showNotes,
		"/inbox/{chat}/ways":               p.showWays,
		"/inbox/{chat}/scheduled":          p.showScheduled,
		"/inbox/{chat}/templates":          p.showTemplates,
		"/inbox/{chat}/messages":           p.showMessages,
		"/inbox/{chat}/messages/{message}": p.showMessage,
	} {
		mux.Handle("GET "+path, p.forAgents(show))
	}
	// Where the store writes the audit log itself the action is empty.
	for _, form := range []struct {
		path, action string
		do           http.HandlerFunc
	}{
		{"reply", "message.reply", p.reply},
		{"read", "", p.markRead},
		{"status", "", p.chatForm(p.setStatus)},
		{"assign", "", p.chatForm(p.assign)},
		{"label", "", p.chatForm(p.label)},
		{"draft", "", p.chatForm(p.keepDraft)},
		{"notes/{note}", "", p.chatForm(p.changeNote)},
		{"scheduled/{scheduled}/cancel", "scheduled.cancel", p.chatForm(p.cancelScheduled)},
		{"messages/{message}/edit", "message.edit", p.chatForm(p.edit)},
		{"messages/{message}/react", "message.react", p.chatForm(p.react)},
		{"client/profile", "", p.panelForm(p.panelProfile)},
		{"client/contacts", "", p.panelForm(p.panelContact)},
		{"client/contacts/{contact}", "", p.panelForm(p.panelContactOf)},
		{"client/merge", "", p.panelForm(p.panelMerge)},
		{"client/block", "", p.panelForm(p.panelBlock)},
		{"messages/{message}/undo", "message.undo", p.chatForm(p.undo)},
	} {
		mux.Handle("POST /inbox/{chat}/"+form.path, p.change(inbox.Agent, form.action, form.do))
	}
	mux.Handle("GET /inbox/{chat}/client/contacts/{contact}/move", p.looking(inbox.Agent, p.pickForContact))
	mux.Handle("GET /inbox/{chat}/client/merge", p.looking(inbox.Agent, p.pickForMerge))
	mux.Handle("POST /inbox/{chat}/client/erase", p.change(inbox.Admin, "", p.erase))
}
