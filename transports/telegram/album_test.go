package telegram_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"parley/events"
	"parley/transports"
)

const acceptedAlbum = `{"ok":true,"result":[
{"message_id":77,"date":1785000000,"chat":{"id":190000001,"type":"private"},"media_group_id":"9"},
{"message_id":78,"date":1785000000,"chat":{"id":190000001,"type":"private"},"media_group_id":"9"}]}`

func TestSendAlbum(t *testing.T) {
	for _, test := range []struct {
		name string
		part transports.Outbound
		want string
		chat string
	}{
		{
			"photo and video, captioned",
			transports.Outbound{To: "190000001", ReplyTo: "3", Part: transports.Part{
				Text: "look", Entities: []events.Entity{{Type: "bold", Length: 4}},
				Attachment: file(events.Photo, "a.jpg", "JPEG"), Album: []transports.File{*file(events.Video, "b.mp4", "MP4")},
			}},
			"POST https://api.telegram.org/bot<token>/sendMediaGroup\nchat_id=190000001\nfile0 file a.jpg=JPEG\nfile1 file b.mp4=MP4\n" +
				`media=[{"type":"photo","media":"attach://file0","caption":"look","caption_entities":[{"type":"bold","offset":0,"length":4}]},{"type":"video","media":"attach://file1"}]` +
				"\n" + `reply_parameters={"message_id":3,"allow_sending_without_reply":true}`,
			"190000001",
		},
		{
			"documents, of a business account",
			transports.Outbound{To: "business:ZgGp:190000001", Topic: "5", Part: transports.Part{
				Attachment: file(events.Document, "a.pdf", "A"), Album: []transports.File{*file(events.Document, "a.pdf", "B")},
			}},
			"POST https://api.telegram.org/bot<token>/sendMediaGroup\nbusiness_connection_id=ZgGp\nchat_id=190000001\nfile0 file a.pdf=A\nfile1 file a.pdf=B\n" +
				`media=[{"type":"document","media":"attach://file0"},{"type":"document","media":"attach://file1"}]` + "\nmessage_thread_id=5",
			"business:ZgGp:190000001",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := &fakeAPI{answers: []fakeAnswer{{status: 200, body: acceptedAlbum}}}
			receipt, err := newBot(t, api.client(), nil).Send(t.Context(), test.part)
			if err != nil {
				t.Fatal(err)
			}
			want := transports.Receipt{ProviderID: "77", Chat: test.chat, AcceptedAt: time.Unix(1785000000, 0).UTC(), Album: []string{"78"}}
			if !reflect.DeepEqual(receipt, want) {
				t.Errorf("receipt %+v, want %+v", receipt, want)
			}
			if got := api.took(); len(got) != 1 || got[0] != test.want {
				t.Errorf("sent:\n%s\nwant:\n%s", got, test.want)
			}
		})
	}
}

// TestAlbumAnswerOfAnotherShape is uncertain, as the album may be there.
func TestAlbumAnswerOfAnotherShape(t *testing.T) {
	for _, result := range []string{
		`true`, `[]`, `[{"message_id":77,"chat":{"id":1}}]`, `[{"message_id":77,"chat":{"id":1}},{"message_id":0,"chat":{"id":1}}]`,
		`[{"message_id":77,"chat":{"id":1}},{"message_id":78}]`, `{"message_id":77,"chat":{"id":1}}`,
	} {
		api := &fakeAPI{answers: []fakeAnswer{{status: 200, body: `{"ok":true,"result":` + result + `}`}}}
		_, err := newBot(t, api.client(), nil).Send(t.Context(), transports.Outbound{To: "1", Part: transports.Part{
			Attachment: file(events.Photo, "a.jpg", "A"), Album: []transports.File{*file(events.Photo, "b.jpg", "B")},
		}})
		var e *transports.SendError
		if !errors.As(err, &e) || e.Outcome != transports.Unknown {
			t.Errorf("%s: %v, want uncertain", result, err)
		}
	}
}

// TestSplitForTelegram: what the account's capabilities make of a message is
// what it can send.
func TestSplitForTelegram(t *testing.T) {
	caps := newBot(t, (&fakeAPI{}).client(), nil).Capabilities()
	files := []transports.File{
		*file(events.Photo, "1", "x"), *file(events.Video, "2", "x"), *file(events.Document, "3", "x"),
		*file(events.Document, "4", "x"), *file(events.Voice, "5", "x"), *file(events.Audio, "6", "x"), *file(events.Audio, "7", "x"),
	}
	parts := transports.Split("caption", nil, files, caps)
	want := []int{2, 2, 1, 2}
	if len(parts) != len(want) {
		t.Fatalf("%d parts, want %d", len(parts), len(want))
	}
	for i, p := range parts {
		if n := 1 + len(p.Album); n != want[i] {
			t.Errorf("part %d has %d files, want %d", i, n, want[i])
		}
		api := &fakeAPI{answers: []fakeAnswer{{status: 200, body: acceptedAlbum}}}
		if want[i] == 1 {
			api.answers[0].body = accepted
		}
		if _, err := newBot(t, api.client(), nil).Send(t.Context(), transports.Outbound{To: "1", Part: p}); err != nil {
			t.Error(err)
		}
	}
}
