package main

import (
	"fmt"
	"strconv"
	"time"
)

// update is one message of a client, as Telegram's webhook brings it
// (https://core.telegram.org/bots/api#update).
type update struct {
	run     int
	sender  int64
	counter int
	sent    time.Time
}

// messageID is unique in its chat: a known sender writes in several runs.
func (u update) messageID() int64 { return int64(u.run)*1_000_000 + int64(u.counter) }

// text says which message this is and when it left, in nanoseconds: what the
// verification and the latency to commit are computed from.
func (u update) text() string {
	return fmt.Sprintf("r%d %d %d %d could you tell me when my order arrives?", u.run, u.sender, u.counter, u.sent.UnixNano())
}

// body appends the update's JSON.
func (u update) body(b []byte) []byte {
	id := strconv.FormatInt(u.sender, 10)
	date := strconv.FormatInt(u.sent.Unix(), 10)
	b = append(b, `{"update_id":`...)
	b = strconv.AppendInt(b, u.sent.UnixNano()/1000%1_000_000_000_000, 10)
	b = append(b, `,"message":{"message_id":`...)
	b = strconv.AppendInt(b, u.messageID(), 10)
	b = append(b, `,"from":{"id":`+id+`,"is_bot":false,"first_name":"Maria","last_name":"Lopez","username":"user`+id+
		`","language_code":"en"},"chat":{"id":`+id+`,"first_name":"Maria","last_name":"Lopez","username":"user`+id+
		`","type":"private"},"date":`+date+`,"text":"`...)
	b = append(b, u.text()...)
	return append(b, `"}}`...)
}
