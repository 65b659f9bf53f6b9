package desk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// Import is a file of clients.
type Import struct {
	// Country is the ISO 3166 region of phone numbers without prefix, empty when
	// they have one.
	Country string
	// DryRun says what would happen, and does nothing.
	DryRun bool
}

// importLine is a line on its way.
type importLine struct {
	inbox.ImportLine
	change   store.ClientChange
	contacts []store.NewContact
	// ways are all by which somebody may be there already.
	ways []store.NewContact
	key  string
}

// ImportClients reads clients from comma-separated values; see readImport. Each
// line is a transaction of its own: who has one of its numbers, addresses or
// accounts already is not made twice, but gets what they lack; what they have
// stays. A line whose ways belong to two clients is refused, as is one that cannot
// be read; the others go on. The same file may be imported again.
//
// It fails with Invalid when the file as a whole cannot be read; then nothing of
// it is imported.
func (d *Desk) ImportClients(ctx context.Context, tenant events.TenantID, by inbox.Actor, o Import, r io.Reader) (report inbox.ImportReport, err error) {
	report = inbox.ImportReport{DryRun: o.DryRun, Lines: []inbox.ImportLine{}}
	rows, err := readImport(r)
	if err != nil {
		return report, err
	}
	lines := make([]importLine, len(rows))
	for i, row := range rows {
		lines[i] = tidyRow(row, o.Country)
	}
	if err := d.recognise(ctx, tenant, lines); err != nil {
		return report, err
	}
	made := map[store.NewContact]*importLine{} // who was made by an earlier line
	keys := map[string]*importLine{}
	for i := range lines {
		l := &lines[i]
		if l.Verdict == "" {
			if err := d.importLine(ctx, tenant, by, o.DryRun, l, made, keys); err != nil {
				return report, err
			}
		}
		report.Add(l.ImportLine)
	}
	if o.DryRun {
		return report, nil
	}
	return report, d.Store.AppendAudit(ctx, tenant, by, store.NewAuditEntry{
		Action: "client.import", TargetKind: "client",
		Detail: map[string]any{"created": report.Created, "merged": report.Merged, "unchanged": report.Unchanged, "refused": report.Refused},
	})
}

// tidyRow checks a line's cells and brings them into the form in which they are
// compared.
func tidyRow(row importRow, country string) (l importLine) {
	l.Line = row.line
	first, last := row.cells["first_name"], row.cells["last_name"]
	if name := row.cells["name"]; first == "" && name != "" {
		one, rest, _ := strings.Cut(name, " ")
		if first = one; last == "" {
			last = strings.TrimSpace(rest)
		}
	}
	l.Name = strings.TrimSpace(first + " " + last)
	if row.err != nil {
		l.refuse(row.err)
		return l
	}
	cell := func(column string) *string {
		if text, ok := row.cells[column]; ok {
			return &text
		}
		return nil
	}
	l.change = store.ClientChange{
		FirstName: &first, MiddleName: cell("middle_name"), Phone: cell("phone"), Email: cell("email"), Address: cell("address"),
		DateOfBirth: cell("date_of_birth"), Gender: cell("gender"), PIN: cell("pin"), Comments: cell("comments"),
	}
	if last != "" {
		l.change.LastName = &last
	}
	var err error
	if l.change, err = tidyClient(l.change, country); err != nil {
		l.refuse(err)
		return l
	}
	if p := l.change.Phone; p != nil {
		l.ways = append(l.ways, store.NewContact{Type: inbox.ContactPhone, Value: *p})
	}
	if e := l.change.Email; e != nil {
		l.ways = append(l.ways, store.NewContact{Type: inbox.ContactEmail, Value: *e})
	}
	for _, kind := range []inbox.ContactType{inbox.ContactTelegram, inbox.ContactWhatsApp, inbox.ContactOther} {
		text, ok := row.cells[string(kind)]
		if !ok {
			continue
		}
		c, err := TidyContact(store.NewContact{Type: kind, Value: text}, country)
		if err != nil {
			l.refuse(err)
			return l
		}
		l.contacts = append(l.contacts, c)
		if kind != inbox.ContactOther { // which may be anybody's
			l.ways = append(l.ways, c)
		}
	}
	l.key = l.hash()
	return l
}

// hash makes the same line the same client: all there is of one without a way to
// reach them.
func (l *importLine) hash() string {
	h := sha256.New()
	for _, p := range []*string{
		l.change.FirstName, l.change.LastName, l.change.MiddleName, l.change.Phone, l.change.Email, l.change.Address,
		l.change.DateOfBirth, l.change.Gender, l.change.PIN, l.change.Comments,
	} {
		text := ""
		if p != nil {
			text = *p
		}
		_, _ = fmt.Fprintf(h, "%d:%s", len(text), text)
	}
	for _, c := range l.contacts {
		_, _ = fmt.Fprintf(h, "%s:%d:%s", c.Type, len(c.Value), c.Value)
	}
	return "import " + hex.EncodeToString(h.Sum(nil))
}

func (l *importLine) refuse(err error) {
	l.Verdict, l.Client, l.SameAs, l.Why = inbox.ImportRefused, 0, 0, err.Error()
	var e *inbox.Error
	if errors.As(err, &e) {
		l.Why, l.Hint = e.Message, e.Hint
	}
}

// recognise finds who is there already, by a round trip for ways and one for keys.
func (d *Desk) recognise(ctx context.Context, tenant events.TenantID, lines []importLine) error {
	var ways []store.NewContact
	var keys []string
	for i := range lines {
		if lines[i].Verdict == "" {
			ways, keys = append(ways, lines[i].ways...), append(keys, lines[i].key)
		}
	}
	owners, err := d.Store.ContactOwners(ctx, tenant, ways)
	if err != nil {
		return err
	}
	made, err := d.Store.ClientsOfKeys(ctx, tenant, keys)
	if err != nil {
		return err
	}
	for i := range lines {
		l := &lines[i]
		if l.Verdict != "" {
			continue
		}
		for n, owner := range owners[:len(l.ways)] {
			switch way := l.ways[n]; {
			case owner == 0 || owner == l.Client:
			case l.Client != 0:
				l.refuse(&inbox.Error{
					Code: inbox.Conflict, Message: fmt.Sprintf("%s, but %s %s belongs to client %d.", strings.TrimSuffix(l.Why, "."), way.Type, way.Value, owner),
					Hint: fmt.Sprintf("If they are one person: parley client merge %d %d. Else take one of the two out of the line.", l.Client, owner),
				})
			default:
				l.Client, l.Why = owner, fmt.Sprintf("The %s %s belongs to client %d.", way.Type, way.Value, owner)
			}
			if l.Verdict != "" {
				break
			}
		}
		if l.Verdict == "" && l.Client == 0 && made[0] != 0 {
			l.Client, l.Why = made[0], fmt.Sprintf("The same line made client %d.", made[0])
		}
		owners, made = owners[len(l.ways):], made[1:]
	}
	return nil
}

// importLine does what a line says, or finds out what would be done. Its error is
// one for which the others cannot go on.
func (d *Desk) importLine(ctx context.Context, tenant events.TenantID, by inbox.Actor, dry bool, l *importLine,
	made map[store.NewContact]*importLine, keys map[string]*importLine,
) error {
	earlier := keys[l.key]
	for _, way := range l.ways {
		o := made[way]
		if o == nil {
			continue
		}
		if (earlier != nil && earlier != o) || (l.Client != 0 && l.Client != o.Client) {
			l.refuse(&inbox.Error{
				Code: inbox.Conflict, Message: fmt.Sprintf("The %s %s is that of line %d, which is somebody else.", way.Type, way.Value, o.Line),
				Hint: "Make the lines one, or take it out of one of them.",
			})
			return nil
		}
		earlier = o
	}
	if earlier != nil && l.Client == 0 {
		l.Client, l.SameAs, l.Why = earlier.Client, earlier.Line, fmt.Sprintf("It is the same person as line %d.", earlier.Line)
	}
	var err error
	switch {
	case l.Client == 0 && earlier == nil:
		l.Verdict = inbox.ImportCreated
		if !dry {
			var c inbox.ClientCard
			c, err = d.Store.AddClient(ctx, tenant, by, l.change, l.contacts, l.key)
			l.Client = c.ID
		}
	case l.Client == 0: // whom an earlier line would make
		l.Verdict = inbox.ImportMerged
		if l.key == earlier.key {
			l.Verdict = inbox.ImportUnchanged
		}
	default:
		err = d.giveLacking(ctx, tenant, by, dry, l)
	}
	if code := inbox.CodeOf(err); code != "" && code != inbox.Unavailable {
		l.refuse(err)
		return nil
	}
	if err != nil {
		return err
	}
	if earlier == nil {
		earlier = l
	}
	keys[l.key] = earlier
	for _, way := range l.ways {
		made[way] = earlier
	}
	return nil
}

// giveLacking gives a client who is there what they lack.
func (d *Desk) giveLacking(ctx context.Context, tenant events.TenantID, by inbox.Actor, dry bool, l *importLine) error {
	changed := false
	if dry {
		c, err := d.Store.Client(ctx, tenant, l.Client)
		if err != nil {
			return err
		}
		fill, missing := l.change.Lacking(c, slices.Clone(l.contacts))
		changed = !fill.IsEmpty() || len(missing) > 0
	} else {
		var err error
		if changed, err = d.Store.FillClient(ctx, tenant, by, l.Client, l.change, l.contacts); err != nil {
			return err
		}
	}
	l.Verdict = inbox.ImportUnchanged
	if changed {
		l.Verdict = inbox.ImportMerged
	}
	return nil
}
