package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// What a log entry of [Twilio] records, besides LogSent, LogRefused, LogWrote,
// LogDelivered, and LogCalled when a sender was told where to deliver.
const (
	// LogStatus: a message of the account moved on, and was called back about.
	LogStatus = "status"
	// LogFetched: a file that is sent was fetched, or could not be.
	LogFetched = "fetched"
)

// TwilioEntry is one line of the stand-in's log. Entries are never changed.
type TwilioEntry struct {
	// Seq counts from 1 without gaps, for each run anew.
	Seq  int64     `json:"seq"`
	Time time.Time `json:"time"`
	// What is one of the Log constants.
	What string `json:"what"`
	// Sender and Person are addresses as the API writes them.
	Sender string `json:"sender,omitempty"`
	Person string `json:"person,omitempty"`
	SID    string `json:"sid,omitempty"`
	Text   string `json:"text,omitempty"`
	// Files is how many the message has.
	Files    int    `json:"files,omitempty"`
	Template string `json:"template,omitempty"`
	// Status is the message's, of LogStatus; what became of a file, of LogFetched.
	Status string `json:"status,omitempty"`
	// Fault is the fault that was injected, by its name in [TwilioFaults].
	Fault string `json:"fault,omitempty"`
	// Code is the error code answered, or the HTTP status of a webhook's answer, 0
	// when there was none.
	Code int `json:"code,omitempty"`
}

type twilioLog struct {
	now func() time.Time

	mu      sync.Mutex
	entries []TwilioEntry
	file    *os.File
	buf     bytes.Buffer
	failed  error
	grown   chan struct{} // closed when an entry is added; nil while nobody waits
}

func openTwilioLog(path string, now func() time.Time) (*twilioLog, error) {
	l := &twilioLog{now: now}
	if path == "" {
		return l, nil
	}
	file, err := openAppend(path)
	if err != nil {
		return nil, fmt.Errorf("sandbox log: %w", err)
	}
	l.file = file
	return l, nil
}

func (l *twilioLog) add(e TwilioEntry) {
	e.Time = l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Seq = int64(len(l.entries)) + 1
	l.entries = append(l.entries, e)
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

func (l *twilioLog) since(seq int64) []TwilioEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries[min(max(seq, 0), int64(len(l.entries))):])
}

func (l *twilioLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return l.failed
	}
	err := errors.Join(l.failed, l.file.Close())
	l.file = nil
	return err
}

// Log yields the entries after the one numbered seq.
func (t *Twilio) Log(seq int64) []TwilioEntry { return t.log.since(seq) }

// Await yields the first log entry that matches, waiting for it until ctx ends.
// Tests wait on it instead of on time.
func (t *Twilio) Await(ctx context.Context, match func(TwilioEntry) bool) (TwilioEntry, error) {
	next := 0
	for {
		t.log.mu.Lock()
		fresh := slices.Clone(t.log.entries[next:])
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
			return TwilioEntry{}, ctx.Err()
		}
	}
}
