package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// What a log entry records.
const (
	// LogSent: a bot's message was accepted and is on the person's phone.
	LogSent = "sent"
	// LogRefused: a bot's message was not accepted, by rule or by fault.
	LogRefused = "refused"
	// LogWrote: a person did something that made an update.
	LogWrote = "wrote"
	// LogDelivered: an update was handed out; it may be handed out again.
	LogDelivered = "delivered"
	// LogConfirmed: an update was confirmed and forgotten.
	LogConfirmed = "confirmed"
	// LogCalled: a bot edited, deleted, reacted to or answered something.
	LogCalled = "called"
)

// TelegramEntry is one line of the stand-in's log. Entries are never changed.
type TelegramEntry struct {
	// Seq counts from 1 without gaps.
	Seq  int64     `json:"seq"`
	Time time.Time `json:"time"`
	// What is one of the Log constants.
	What string `json:"what"`
	// Bot and Chat are ids; a private chat's is the person's.
	Bot       int64 `json:"bot"`
	Chat      int64 `json:"chat,omitempty"`
	MessageID int64 `json:"message_id,omitempty"`
	UpdateID  int64 `json:"update_id,omitempty"`
	// Kind is the content's ("text", "photo", …), or the method or update field
	// where there is none.
	Kind string `json:"kind,omitempty"`
	Text string `json:"text,omitempty"`
	// Connection is the business connection of the chat, if it is one's.
	Connection string `json:"connection,omitempty"`
	// Topic is the thread within the chat, Group the album.
	Topic int64  `json:"topic,omitempty"`
	Group string `json:"group,omitempty"`
	// ReplyTo is the message answered.
	ReplyTo int64 `json:"reply_to,omitempty"`
	// Fault is the fault that was injected, by its name in [TelegramFaults].
	Fault string `json:"fault,omitempty"`
	// Code is the error code answered, or the HTTP status of a webhook delivery,
	// 0 when there was none.
	Code int `json:"code,omitempty"`
	// Via is "webhook" or "poll" for updates.
	Via string `json:"via,omitempty"`
}

type telegramLog struct {
	now func() time.Time

	mu sync.Mutex
	// Entries are kept in blocks of logBlock: copying a long log to make it longer
	// would hold up everybody who writes to it.
	blocks  [][]TelegramEntry
	count   int
	base    int64 // Seq of the last entry of an earlier run
	lastIDs struct{ message, update int64 }
	file    *os.File
	buf     bytes.Buffer
	failed  error
	grown   chan struct{} // closed when an entry is added; nil while nobody waits
}

const logBlock = 4096

func openTelegramLog(path string, now func() time.Time) (*telegramLog, error) {
	l := &telegramLog{now: now}
	if path == "" {
		return l, nil
	}
	file, err := openAppend(path)
	if err != nil {
		return nil, fmt.Errorf("sandbox log: %w", err)
	}
	l.file = file
	if err := l.resume(); err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox log: %w", err), file.Close())
	}
	return l, nil
}

// resume reads where an earlier run ended. A line that a crash cut short is
// ended, so that the next starts on its own.
func (l *telegramLog) resume() error {
	in := bufio.NewReader(l.file)
	for {
		line, err := in.ReadBytes('\n')
		var e TelegramEntry
		if json.Unmarshal(line, &e) == nil {
			l.base = max(l.base, e.Seq)
			l.lastIDs.message = max(l.lastIDs.message, e.MessageID)
			l.lastIDs.update = max(l.lastIDs.update, e.UpdateID)
		}
		if errors.Is(err, io.EOF) {
			if len(line) > 0 {
				_, err := l.file.WriteString("\n")
				return err
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (l *telegramLog) add(e TelegramEntry) {
	e.Time = l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count%logBlock == 0 {
		l.blocks = append(l.blocks, make([]TelegramEntry, 0, logBlock))
	}
	l.count++
	e.Seq = l.base + int64(l.count)
	last := &l.blocks[len(l.blocks)-1]
	*last = append(*last, e)
	if l.file != nil && l.failed == nil {
		l.buf.Reset()
		if l.failed = json.NewEncoder(&l.buf).Encode(e); l.failed == nil {
			_, l.failed = l.file.Write(l.buf.Bytes())
		}
	}
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
}

func (l *telegramLog) since(seq int64) []TelegramEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.from(int(min(max(seq-l.base, 0), int64(l.count))))
}

// from copies the entries of this run from the one with that index on; mu is
// held.
func (l *telegramLog) from(index int) []TelegramEntry {
	out := make([]TelegramEntry, 0, l.count-index)
	for index < l.count {
		rest := l.blocks[index/logBlock][index%logBlock:]
		out = append(out, rest...)
		index += len(rest)
	}
	return out
}

func (l *telegramLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return l.failed
	}
	err := errors.Join(l.failed, l.file.Close())
	l.file = nil
	return err
}

// Log yields the entries after the one numbered seq, of this run.
func (t *Telegram) Log(seq int64) []TelegramEntry { return t.log.since(seq) }

// Await yields the first log entry of this run that matches, waiting for it
// until ctx ends. Tests wait on it instead of on time.
func (t *Telegram) Await(ctx context.Context, match func(TelegramEntry) bool) (TelegramEntry, error) {
	next := 0
	for {
		t.log.mu.Lock()
		fresh := t.log.from(next)
		var grown chan struct{}
		if len(fresh) == 0 {
			if t.log.grown == nil {
				t.log.grown = make(chan struct{})
			}
			grown = t.log.grown
		}
		t.log.mu.Unlock()
		for _, e := range fresh {
			if match(e) {
				return e, nil
			}
		}
		next += len(fresh)
		if grown == nil {
			continue
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return TelegramEntry{}, ctx.Err()
		}
	}
}
