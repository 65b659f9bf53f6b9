package dispatcher_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/inbox/dispatcher"
	"parley/store"
	"parley/store/outboundtest"
	"parley/transports"
)

// A reply's files reach the provider: their bytes, and where it fetches them
// itself a link.
func TestFilesAreSent(t *testing.T) {
	t.Parallel()
	for name, fetches := range map[string]bool{"uploaded": false, "fetched": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := outboundtest.New(t)
			ch := w.Channel(events.Telegram)
			w.People(ch.ID, "p", 1)
			up, err := w.DB.CreateUpload(t.Context(), w.Tenant, store.NewUpload{
				BlobKey: "media/x", Name: "roof.jpg", MIME: "image/jpeg", Size: 4, SHA256: [32]byte{1},
			})
			if err != nil {
				t.Fatal(err)
			}
			user, err := w.DB.EnsureOperator(t.Context(), w.Tenant)
			if err != nil {
				t.Fatal(err)
			}
			var chat, seq int64
			w.Row("SELECT id, last_seq FROM crm_chats", nil, &chat, &seq)
			if _, err := w.DB.Reply(t.Context(), store.Reply{
				Tenant: w.Tenant, Chat: chat, Text: "look", Uploads: []int64{up.ID}, User: user.ID, Seen: seq,
			}); err != nil {
				t.Fatal(err)
			}
			p := newProvider()
			p.caps.MaxCaption = 100
			p.caps.Attachments = map[events.ContentType]int64{events.Photo: 1 << 20}
			p.caps.FetchesMedia = fetches
			got := make(chan string, 1)
			p.script = func(ctx context.Context, part transports.Outbound) error {
				r, err := part.Attachment.Open(ctx)
				if err != nil {
					return err
				}
				content, err := io.ReadAll(r)
				if err != nil {
					return err
				}
				got <- strings.Join([]string{part.Text, string(part.Attachment.Kind), part.Attachment.Name, string(content), part.Attachment.URL}, " ")
				return nil
			}
			dispatch(w, p, func(o *dispatcher.Options) {
				o.OpenFile = func(_ context.Context, key string) (io.ReadCloser, error) {
					return io.NopCloser(strings.NewReader("<" + key + ">")), nil
				}
				o.FileURL = func(f store.HeadFile) string { return "https://x/" + f.BlobKey }
			})
			want := "look photo roof.jpg <media/x> "
			if fetches {
				want += "https://x/media/x"
			}
			select {
			case s := <-got:
				if s != want {
					t.Errorf("the provider got %q, want %q", s, want)
				}
			case <-time.After(time.Minute):
				t.Error("nothing was sent")
			}
		})
	}
}
