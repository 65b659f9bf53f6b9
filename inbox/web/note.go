package web

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"parley/inbox"
	"parley/inbox/access"
)

// notesAtOnce is how many of a chat's notes its pages know of.
const notesAtOnce = 200

// noteRow is a private note as it is shown between messages.
type noteRow struct {
	inbox.Note
	Shown string
	Text  []textPart
	// Mine says that the reader may change it.
	Mine bool
}

// notes are a chat's notes by the seq of the message that they stand below.
func (p *pages) notes(ctx context.Context, chat int64, loc *time.Location) (map[int64][]noteRow, error) {
	who := access.From(ctx)
	list, err := p.Desk.Store.Notes(ctx, who.Tenant, chat, 0, notesAtOnce)
	if err != nil {
		return nil, err
	}
	by := make(map[int64][]noteRow)
	for i := len(list) - 1; i >= 0; i-- {
		n := list[i]
		mine := n.User != nil && n.User.ID == who.User || who.Role.AtLeast(inbox.Admin)
		by[n.AfterSeq] = append(by[n.AfterSeq], noteRow{Note: n, Shown: n.CreatedAt.In(loc).Format("15:04"), Text: textParts(n.Text), Mine: mine})
	}
	return by, nil
}

// place puts notes below the messages after which they were written. Those of
// other pages are left out; newest says that the last message is the chat's.
func place(list []messageRow, notes map[int64][]noteRow, newest bool) {
	for _, seq := range slices.Sorted(maps.Keys(notes)) {
		i, exact := slices.BinarySearchFunc(list, seq, func(m messageRow, seq int64) int { return cmp.Compare(m.Seq, seq) })
		if !exact {
			i--
		}
		if i < 0 || i == len(list)-1 && !exact && !newest {
			continue
		}
		list[i].Notes = append(list[i].Notes, notes[seq]...)
	}
}

// showNotes are a chat's notes for scripts, each with the seq that it stands below.
func (p *pages) showNotes(w http.ResponseWriter, r *http.Request) {
	id, err := chatID(r)
	var by map[int64][]noteRow
	if err == nil {
		by, err = p.notes(r.Context(), id, zone(r))
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	var all []noteRow
	for _, list := range by {
		all = append(all, list...)
	}
	p.fragment(w, r, http.StatusOK, "notes", all)
}

// changeNote changes a note, or removes it.
func (p *pages) changeNote(r *http.Request, _ int64) error {
	id, err := strconv.ParseInt(r.PathValue("note"), 10, 64)
	if err != nil {
		return notFound("page.not_found")
	}
	version, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil {
		return notFound("page.not_found")
	}
	text := new(r.PostFormValue("text"))
	if r.PostFormValue("remove") != "" {
		text = nil
	}
	who := access.From(r.Context())
	_, err = p.Desk.Store.ChangeNote(r.Context(), who.Tenant, who.Actor, id, who.User, who.Role.AtLeast(inbox.Admin), text, version)
	return err
}
