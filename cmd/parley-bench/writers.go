package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"parley/transports/sandbox"
)

const (
	// writers are the clients who write while things break.
	writerPeople = 500
	// redeliver is the share of messages that the provider delivers once more
	// although it got its 2xx.
	redeliver = 0.2
	// copies is how many requests deliver a message at the same time, in one of
	// copiesEvery seconds.
	copies      = 8
	copiesEvery = 8
)

// writers let clients write at a rate, and count what each of them wrote.
type writers struct {
	telegram *sandbox.Telegram
	people   []sandbox.Person
	counter  []int
	dice     *rand.Rand
}

func newWriters(t *sandbox.Telegram, dice *rand.Rand) *writers {
	w := &writers{telegram: t, dice: dice, counter: make([]int, writerPeople)}
	for i := range writerPeople {
		w.people = append(w.people, t.AddPerson(fmt.Sprintf("client %d", i), sandbox.PersonOptions{}))
	}
	return w
}

// write writes that many messages, each by somebody the dice choose.
func (w *writers) write(ctx context.Context, messages, rate int) error {
	began := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := 0; n < messages; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		f := sandbox.TelegramFaults{Redeliver: redeliver}
		if int(time.Since(began).Seconds())%copiesEvery == copiesEvery-1 {
			f.Copies = copies
		}
		w.telegram.SetFaults(f)
		for due := int(time.Since(began).Seconds() * float64(rate)); n < min(due, messages); n++ {
			if err := w.say(w.dice.IntN(len(w.people))); err != nil {
				return err
			}
		}
	}
	w.telegram.SetFaults(sandbox.TelegramFaults{Redeliver: redeliver})
	return nil
}

// say lets one client write what comes next.
func (w *writers) say(i int) error {
	w.counter[i]++
	_, err := w.people[i].Say(fmt.Sprintf("w%d %d and when will my order arrive?", i, w.counter[i]))
	return err
}
