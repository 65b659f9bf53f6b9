package web

import "net/http"

func (p *pages) journeyPages(mux *http.ServeMux) {
	mux.Handle("GET /messages/{message}/journey", p.forAgents(p.showJourney))
}

func (p *pages) showJourney(w http.ResponseWriter, r *http.Request) {
	j, err := p.Desk.Journey(r.Context(), tenantOf(r), number(r, "message"))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, http.StatusOK, "journey", frame{Title: "journey.title", Here: "inbox", Script: true, Page: j})
}
