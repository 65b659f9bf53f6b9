package telegram_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"parley/events"
	"parley/transports"
	"parley/transports/telegram"
)

const done = `{"ok":true,"result":true}`

func TestChangeRequests(t *testing.T) {
	const api = "POST https://api.telegram.org/bot<token>/"
	for _, test := range []struct {
		name string
		do   func(context.Context, *telegram.Bot) error
		want string
	}{
		{"text", func(ctx context.Context, b *telegram.Bot) error {
			return b.Edit(ctx, transports.Change{To: "5", ProviderID: "77", Text: "new", Entities: []events.Entity{{Type: "bold", Length: 3}}})
		}, api + "editMessageText\nchat_id=5\n" + `entities=[{"type":"bold","offset":0,"length":3}]` + "\nmessage_id=77\ntext=new"},
		{"caption", func(ctx context.Context, b *telegram.Bot) error {
			return b.Edit(ctx, transports.Change{To: "5", ProviderID: "77", Text: "new", Caption: true, Entities: []events.Entity{{Type: "code", Length: 1}}})
		}, api + "editMessageCaption\ncaption=new\n" + `caption_entities=[{"type":"code","offset":0,"length":1}]` + "\nchat_id=5\nmessage_id=77"},
		{"no caption any more", func(ctx context.Context, b *telegram.Bot) error {
			return b.Edit(ctx, transports.Change{To: "5", ProviderID: "77", Caption: true})
		}, api + "editMessageCaption\ncaption=\nchat_id=5\nmessage_id=77"},
		{"in a business account", func(ctx context.Context, b *telegram.Bot) error {
			return b.Edit(ctx, transports.Change{To: "business:Zg:5", ProviderID: "77", Text: "new"})
		}, api + "editMessageText\nbusiness_connection_id=Zg\nchat_id=5\nmessage_id=77\ntext=new"},
		{"reaction", func(ctx context.Context, b *telegram.Bot) error { return b.React(ctx, "5", "77", []string{"❤️"}) }, api + "setMessageReaction\nchat_id=5\nmessage_id=77\n" + `reaction=[{"type":"emoji","emoji":"❤"}]`},
		{"custom reaction", func(ctx context.Context, b *telegram.Bot) error {
			return b.React(ctx, "5", "77", []string{"custom_emoji:5445284980978621387"})
		}, api + "setMessageReaction\nchat_id=5\nmessage_id=77\n" + `reaction=[{"type":"custom_emoji","custom_emoji_id":"5445284980978621387"}]`},
		{"reaction taken back", func(ctx context.Context, b *telegram.Bot) error { return b.React(ctx, "5", "77", nil) }, api + "setMessageReaction\nchat_id=5\nmessage_id=77\nreaction=[]"},
		{"typing", func(ctx context.Context, b *telegram.Bot) error { return b.Typing(ctx, "5") }, api + "sendChatAction\naction=typing\nchat_id=5"},
		{"typing as a business account", func(ctx context.Context, b *telegram.Bot) error { return b.Typing(ctx, "business:Zg:5") }, api + "sendChatAction\naction=typing\nbusiness_connection_id=Zg\nchat_id=5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := &fakeAPI{answers: []fakeAnswer{{status: 200, body: done}}}
			if err := test.do(t.Context(), newBot(t, api.client(), nil)); err != nil {
				t.Fatal(err)
			}
			if got := api.took(); len(got) != 1 || got[0] != test.want {
				t.Errorf("sent:\n%s\nwant:\n%s", strings.Join(got, "\n--\n"), test.want)
			}
		})
	}
}

// TestChangeRefusedBeforeTheNetwork: no answer is scripted.
func TestChangeRefusedBeforeTheNetwork(t *testing.T) {
	bot := newBot(t, (&fakeAPI{}).client(), nil)
	ctx := t.Context()
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for name, test := range map[string]struct {
		err  error
		want transports.Outcome
	}{
		"edit nothing":       {bot.Edit(ctx, transports.Change{To: "5", ProviderID: "callback:1", Text: "x"}), transports.Rejected},
		"edit nobody's":      {bot.Edit(ctx, transports.Change{To: "anna", ProviderID: "1", Text: "x"}), transports.Rejected},
		"text too long":      {bot.Edit(ctx, transports.Change{To: "5", ProviderID: "1", Text: strings.Repeat("😀", 2049)}), transports.Rejected},
		"caption too long":   {bot.Edit(ctx, transports.Change{To: "5", ProviderID: "1", Text: strings.Repeat("x", 1025), Caption: true}), transports.Rejected},
		"react twice":        {bot.React(ctx, "5", "1", []string{"👍", "👎"}), transports.Rejected},
		"react in business":  {bot.React(ctx, "business:Zg:5", "1", []string{"👍"}), transports.Rejected},
		"react to nothing":   {bot.React(ctx, "5", "", []string{"👍"}), transports.Rejected},
		"type to nobody":     {bot.Typing(ctx, ""), transports.Rejected},
		"cancelled edit":     {bot.Edit(cancelled, transports.Change{To: "5", ProviderID: "1", Text: "x"}), transports.Retry},
		"cancelled reaction": {bot.React(cancelled, "5", "1", nil), transports.Retry},
		"cancelled typing":   {bot.Typing(cancelled, "5"), transports.Retry},
	} {
		var e *transports.SendError
		if !errors.As(test.err, &e) || e.Outcome != test.want || e.Words == "" {
			t.Errorf("%s: %v, want %v", name, test.err, test.want)
		}
		checkRedacted(t, test.err)
	}
}

func TestChangeFailures(t *testing.T) {
	refused := func(words string) fakeAnswer {
		return fakeAnswer{status: 400, body: `{"ok":false,"error_code":400,"description":"Bad Request: ` + words + `"}`}
	}
	type want struct {
		outcome transports.Outcome
		words   string
	}
	for _, test := range []struct {
		name   string
		answer fakeAnswer
		want   *want // nil for none
	}{
		{"not modified", refused("message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message"), nil},
		{"too old", refused("message can't be edited"), &want{transports.Rejected, "no longer lets this message be changed"}},
		{"gone", refused("message to edit not found"), &want{transports.Rejected, "gone on Telegram"}},
		{"no such reaction", refused("REACTION_INVALID"), &want{transports.Rejected, "choose another"}},
		{"throttled", fakeAnswer{status: 429, body: `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 7","parameters":{"retry_after":7}}`}, &want{transports.Retry, "slow down"}},
		{"token", fakeAnswer{status: 401, body: `{"ok":false,"error_code":401,"description":"Unauthorized"}`}, &want{transports.Retry, "token"}},
		{"lost", fakeAnswer{err: errors.New("reset /bot" + secrets[0])}, &want{transports.Unknown, "may have been"}},
		{"internal error", fakeAnswer{status: 500, body: `{"ok":false,"error_code":500,"description":"Internal Server Error"}`}, &want{transports.Unknown, "may have been"}},
		{"unreachable", fakeAnswer{unread: true, err: errors.New("refused")}, &want{transports.Retry, "could not be reached"}},
	} {
		for method, do := range map[string]func(*telegram.Bot) error{
			"edit": func(b *telegram.Bot) error {
				return b.Edit(t.Context(), transports.Change{To: "5", ProviderID: "7", Text: "x"})
			},
			"react": func(b *telegram.Bot) error { return b.React(t.Context(), "5", "7", []string{"👍"}) },
		} {
			t.Run(test.name+", "+method, func(t *testing.T) {
				err := do(newBot(t, (&fakeAPI{answers: []fakeAnswer{test.answer}}).client(), nil))
				checkRedacted(t, err)
				var e *transports.SendError
				switch {
				case test.want == nil && method == "edit":
					if err != nil {
						t.Errorf("got %v, want none", err)
					}
				case test.want == nil: // says nothing about reactions
				case !errors.As(err, &e) || e.Outcome != test.want.outcome || !strings.Contains(e.Words, test.want.words):
					t.Errorf("got %v, want %+v", err, *test.want)
				}
			})
		}
	}
}
