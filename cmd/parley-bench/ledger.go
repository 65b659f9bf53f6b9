package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/transports/sandbox"
)

// written is one message by the stand-in's own log.
type written struct {
	chat, id       int64
	text           string
	person, number int
	at             time.Time
	// accepted is when the first delivery got its 2xx, zero while none has.
	accepted time.Time
	// deliveries counts requests, whatever their answer.
	deliveries, answered int
	// rows found, and when the first was committed.
	rows      int
	committed time.Time
}

// inboundLedger is the stand-in's log of a run against the rows.
type inboundLedger struct {
	byUpdate map[[2]int64]*written // by bot and update
	byKey    map[[2]int64]*written
	after    int64
	// strange rows are not in the log; disordered come before what their writer
	// wrote earlier.
	strange, disordered int
	worst               []*written // disordered ones
}

func newInboundLedger() *inboundLedger {
	return &inboundLedger{byUpdate: map[[2]int64]*written{}, byKey: map[[2]int64]*written{}}
}

// read takes in what the log has grown by.
func (l *inboundLedger) read(t *sandbox.Telegram) error {
	for _, e := range t.Log(l.after) {
		l.after = e.Seq
		switch e.What {
		case sandbox.LogWrote:
			w := &written{chat: e.Chat, id: e.MessageID, text: e.Text, at: e.Time}
			if _, err := fmt.Sscanf(e.Text, "w%d %d ", &w.person, &w.number); err != nil {
				return fmt.Errorf("the stand-in's log has %q: %w", e.Text, err)
			}
			l.byUpdate[[2]int64{e.Bot, e.UpdateID}] = w
			l.byKey[[2]int64{w.chat, w.id}] = w
		case sandbox.LogDelivered:
			w := l.byUpdate[[2]int64{e.Bot, e.UpdateID}]
			if w == nil {
				return fmt.Errorf("the stand-in delivered update %d, which nobody wrote", e.UpdateID)
			}
			w.deliveries++
			if e.Code/100 == http.StatusOK/100 {
				w.answered++
				if w.accepted.IsZero() {
					w.accepted = e.Time
				}
			}
		case sandbox.LogConfirmed:
			// Who polls confirms by asking for what comes behind.
			if w := l.byUpdate[[2]int64{e.Bot, e.UpdateID}]; w != nil && e.Via == "poll" && w.accepted.IsZero() {
				w.accepted = e.Time
			}
		}
	}
	return nil
}

// open counts messages that have no 2xx yet.
func (l *inboundLedger) open() (n int) {
	for _, w := range l.byKey {
		if w.accepted.IsZero() {
			n++
		}
	}
	return n
}

// compare finds each message's rows, in the order they are shown in.
func (l *inboundLedger) compare(ctx context.Context, c *cluster) error {
	for _, w := range l.byKey {
		w.rows, w.committed = 0, time.Time{}
	}
	l.strange, l.disordered, l.worst = 0, 0, nil
	rows, err := c.pool.Query(ctx, `
		SELECT chat_id, coalesce(provider_chat, '0')::bigint, coalesce(provider_message, '0')::bigint, message,
		       pg_xact_commit_timestamp(xmin)
		  FROM crm_chat_messages WHERE direction = 'in' AND stream_seq IS NOT NULL ORDER BY chat_id, seq`)
	if err != nil {
		return err
	}
	var chat, providerChat, providerMessage int64
	var text string
	var committed time.Time
	newest := map[int64]int{} // by row's chat: one chat is one writer
	_, err = pgx.ForEachRow(rows, []any{&chat, &providerChat, &providerMessage, &text, &committed}, func() error {
		w := l.byKey[[2]int64{providerChat, providerMessage}]
		if w == nil || w.text != text {
			l.strange++
			return nil
		}
		if w.rows++; w.rows == 1 {
			w.committed = committed
		}
		if w.number <= newest[chat] {
			l.disordered++
			l.worst = append(l.worst, w)
		}
		newest[chat] = max(newest[chat], w.number)
		return nil
	})
	return err
}
