package web

import (
	"net/http"
	"strings"
	"time"

	"parley/inbox"
	"parley/inbox/access"
	"parley/store"
)

// change is a form's handler: it needs a role, and what it changes is noted in
// the audit log, as action, in the transaction that changes it. An empty action
// notes nothing.
func (p *pages) change(role inbox.Role, action string, f func(http.ResponseWriter, *http.Request)) http.Handler {
	return p.forAgents(func(w http.ResponseWriter, r *http.Request) {
		who := access.From(r.Context())
		if !who.Role.AtLeast(role) {
			p.fail(w, r, &inbox.Error{Code: inbox.Forbidden, Message: "error.role_" + string(role)})
			return
		}
		if action != "" {
			e := store.NewAuditEntry{Action: action}
			e.TargetKind, _, _ = strings.Cut(action, ".")
			for _, name := range []string{"delivery", "message", "chat", "template", "channel", "event"} {
				if e.TargetID = r.PathValue(name); e.TargetID != "" {
					break
				}
			}
			r = r.WithContext(store.WithNote(r.Context(), &store.Note{By: who.Actor, Entry: e}))
		}
		f(w, r)
	})
}

// uploadTime is how long a form with files may take to arrive.
const uploadTime = 10 * time.Minute

// takeTime lets a form with files take longer than the server's other requests.
func takeTime(w http.ResponseWriter) {
	// Not every server can; then its own limit holds.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(uploadTime))
}
