package desk

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// ClientExport is one client's data, ready to be written.
type ClientExport struct {
	desk   *Desk
	tenant events.TenantID
	card   inbox.ClientCard
}

// exportPage is how many messages or notes are read at a time.
const exportPage = 200

// ExportClient begins an export and notes it in the audit log. It fails with
// NotFound.
func (d *Desk) ExportClient(ctx context.Context, tenant events.TenantID, by inbox.Actor, client int64) (*ClientExport, error) {
	card, err := d.Store.Client(ctx, tenant, client)
	if err != nil {
		return nil, err
	}
	if err := d.Store.AppendAudit(ctx, tenant, by, store.NewAuditEntry{
		Action: "client.export", TargetKind: "client", TargetID: strconv.FormatInt(client, 10),
	}); err != nil {
		return nil, err
	}
	return &ClientExport{desk: d, tenant: tenant, card: card}, nil
}

// Name is a name for the file.
func (e *ClientExport) Name() string { return fmt.Sprintf("client-%d.zip", e.card.ID) }

// Write streams a ZIP archive, of which it holds one page of messages at a time:
//
//	client.json      the client with their contacts
//	chat.json        the chat, with status, assignment, labels and routes
//	messages.ndjson  every message, the oldest first: text, what came with it, its
//	                 delivery, edits, reactions, and routed_by, why it is here
//	notes.ndjson     what agents wrote about them, the newest first
//	files/ID-NAME    the files, once each, by the id that messages name
//	missing.txt      which files are not there, if any
//
// Without an error the archive is complete; otherwise it has no end and no program
// takes it for whole.
func (e *ClientExport) Write(ctx context.Context, w io.Writer) error {
	z := zip.NewWriter(w)
	if err := e.one(z, "client.json", e.card); err != nil {
		return err
	}
	if e.card.Chat != 0 {
		if err := e.chat(ctx, z); err != nil {
			return err
		}
	}
	return z.Close()
}

func (e *ClientExport) chat(ctx context.Context, z *zip.Writer) error {
	chat, err := e.desk.Store.Chat(ctx, e.tenant, e.card.Chat)
	if err != nil {
		return err
	}
	if err := e.one(z, "chat.json", chat); err != nil {
		return err
	}
	// Ids and names of files are kept until the messages are written: one entry of
	// an archive after the other.
	files, err := e.messages(ctx, z)
	if err != nil {
		return err
	}
	if err := e.notes(ctx, z); err != nil {
		return err
	}
	return e.files(ctx, z, files)
}

func (e *ClientExport) create(z *zip.Writer, name string, method uint16) (io.Writer, error) {
	// The same data is the same archive, whenever it is made.
	return z.CreateHeader(&zip.FileHeader{Name: name, Method: method, Modified: e.card.UpdatedAt})
}

func (e *ClientExport) one(z *zip.Writer, name string, v any) error {
	w, err := e.create(z, name, zip.Deflate)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// exportedFile is a file that some message has.
type exportedFile struct {
	id   int64
	name string
}

func (e *ClientExport) messages(ctx context.Context, z *zip.Writer) (files []exportedFile, err error) {
	w, err := e.create(z, "messages.ndjson", zip.Deflate)
	if err != nil {
		return nil, err
	}
	enc := json.NewEncoder(w)
	seen := map[int64]bool{}
	last := int64(0)
	for {
		// From the first seq on, which Around has among them, then after the last.
		page := store.MessagePage{After: last, Limit: exportPage}
		if last == 0 {
			page = store.MessagePage{Around: 1, Limit: exportPage}
		}
		ms, _, err := e.desk.Store.Messages(ctx, e.tenant, e.card.Chat, page)
		if err != nil || len(ms) == 0 {
			return files, err
		}
		for i := range ms {
			if err := enc.Encode(&ms[i]); err != nil {
				return nil, err
			}
			last = ms[i].Seq
			for _, f := range ms[i].Attachments {
				if f.Upload != 0 && !seen[f.Upload] {
					seen[f.Upload] = true
					files = append(files, exportedFile{f.Upload, inbox.CleanFileName(f.Name)})
				}
			}
		}
	}
}

func (e *ClientExport) notes(ctx context.Context, z *zip.Writer) error {
	w, err := e.create(z, "notes.ndjson", zip.Deflate)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	before := int64(0)
	for {
		notes, err := e.desk.Store.Notes(ctx, e.tenant, e.card.Chat, before, exportPage)
		if err != nil || len(notes) == 0 {
			return err
		}
		for _, n := range notes {
			if err := enc.Encode(n); err != nil {
				return err
			}
			before = n.ID
		}
	}
}

func (e *ClientExport) files(ctx context.Context, z *zip.Writer, files []exportedFile) error {
	missing := ""
	for _, f := range files {
		err := e.file(ctx, z, f)
		switch {
		case inbox.CodeOf(err) == inbox.NotFound || errors.Is(err, errNoFiles):
			missing += fmt.Sprintf("%d %s: %v\n", f.id, f.name, err)
		case err != nil:
			return err
		}
	}
	if missing == "" {
		return nil
	}
	w, err := e.create(z, "missing.txt", zip.Deflate)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, missing)
	return err
}

func (e *ClientExport) file(ctx context.Context, z *zip.Writer, f exportedFile) error {
	in, err := e.desk.OpenUpload(ctx, e.tenant, f.id, false)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	name := strconv.FormatInt(f.id, 10)
	if f.name != "" {
		name += "-" + f.name
	}
	// Pictures, sounds and films are compressed already.
	w, err := e.create(z, "files/"+name, zip.Store)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return err
}
