package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A reply says which message the agent saw last, so that nobody answers past
// something they have not read. The command line notes what it has printed, and
// takes that for seen: it never claims more.

// seen is the newest seq that was printed of a chat, 0 for none.
func (c *client) seen(chat int64) int64 {
	return c.loadSeen()[c.seenKey(chat)]
}

func (c *client) seenKey(chat int64) string { return fmt.Sprintf("%s/%d", c.tenant, chat) }

func (c *client) loadSeen() map[string]int64 {
	notes := map[string]int64{}
	data, err := os.ReadFile(c.seenPath())
	if err == nil && json.Unmarshal(data, &notes) != nil {
		return map[string]int64{} // what is lost is only that something was seen
	}
	return notes
}

// saw notes that messages up to seq were printed. Failing to is no failure: the
// next reply then has to look again.
func (c *client) saw(chat, seq int64) {
	notes := c.loadSeen()
	key := c.seenKey(chat)
	if notes[key] >= seq {
		return
	}
	notes[key] = seq
	_ = c.saveSeen(notes)
}

// forget is for a note that the server does not believe: its database is
// another one now.
func (c *client) forget(chat int64) {
	notes := c.loadSeen()
	delete(notes, c.seenKey(chat))
	_ = c.saveSeen(notes)
}

func (c *client) saveSeen(notes map[string]int64) error {
	data, err := json.Marshal(notes)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(c.seenPath()), "seen.*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), c.seenPath())
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}
