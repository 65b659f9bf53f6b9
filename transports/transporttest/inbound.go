package transporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/events"
	"parley/transports"
)

// persons wants one identity of one person, and several of several.
func (h Harness) persons(t *testing.T) {
	read := h.read(t)
	whose := map[events.Identity]string{}
	for _, name := range slices.Sorted(maps.Keys(h.Persons)) {
		var first events.Person
		for i, body := range h.Persons[name] {
			evs, err := read(body)
			if err != nil || len(evs) != 1 {
				t.Errorf("%s, payload %d: %d events, %v", name, i, len(evs), err)
				continue
			}
			who := evs[0].Person
			if !who.Identity.Valid() || who.Address == "" {
				t.Errorf("%s, payload %d: nobody wrote it, or nobody to answer: %+v", name, i, who)
				continue
			}
			if i == 0 {
				first = who
			}
			if who.Identity != first.Identity {
				t.Errorf("%s is two clients: %v and %v", name, first.Identity, who.Identity)
			}
			if other, taken := whose[who.Identity]; taken && other != name {
				t.Errorf("%s and %s are one client: %v", other, name, who.Identity)
			}
			whose[who.Identity] = name
		}
		if len(h.Persons[name]) < 2 && len(h.Persons) < 2 {
			t.Errorf("%s has one payload: nothing to compare", name)
		}
	}
}

// recorded wants every recorded payload accounted for, on every way in, and a
// field that nobody knows yet to change nothing.
func (h Harness) recorded(t *testing.T) {
	for name, read := range h.ways(t) {
		t.Run(name, func(t *testing.T) {
			count := map[verdict]int{}
			for _, p := range h.Recorded {
				if name == "poll" && nothing(p.Format, p.Body) {
					continue
				}
				v, problems := judge(read, p.Body)
				count[v]++
				for _, problem := range problems {
					t.Errorf("%s: %s", p.Name, problem)
				}
				if name != "poll" {
					unknownFields(t, read, p)
				}
			}
			if count[stored] == 0 {
				t.Error("nothing of what was recorded is stored")
			}
			t.Logf("%d stored, %d refused, %d unsupported", count[stored], count[refused], count[unsupported])
		})
	}
}

func unknownFields(t *testing.T, read reader, p Payload) {
	t.Helper()
	before, err := read(p.Body)
	if err != nil {
		return
	}
	for where, body := range withUnknown(p) {
		after, err := read(body)
		if err != nil || len(after) != len(before) {
			t.Errorf("%s: with an unknown field in %s, %d events and %v instead of %d", p.Name, where, len(after), err, len(before))
			continue
		}
		for i := range after {
			if was, is := essence(before[i]), essence(after[i]); was != is {
				t.Errorf("%s: an unknown field in %s made %s of %s", p.Name, where, is, was)
			}
		}
	}
}

// essence is what a field that nobody knows must not change.
func essence(ev events.Inbound) string {
	kind, text := events.ContentType(""), ""
	if ev.Content != nil {
		kind, text = ev.Content.Type, ev.Content.Text
	}
	return fmt.Sprintf("%s %s %q of %v, key %+v", ev.Kind, kind, cutAt(text, 80), ev.Person.Identity, ev.Key)
}

// withUnknown are copies of a payload, each with a field more, by where it is.
func withUnknown(p Payload) map[string][]byte {
	const name = "zz_not_known_yet"
	all := map[string][]byte{}
	switch p.Format {
	case JSON:
		root, ok := parseJSON(p.Body)
		if !ok || root.kind == 0 {
			break
		}
		spots := []place{{in: &tree{kind: '[', items: []item{{value: root}}}, path: "the body"}}
		spots = append(spots, root.places()...)
		for _, spot := range spots {
			object := spot.item().value
			if object.kind != '{' {
				continue
			}
			object.items = append(object.items, item{name, &tree{raw: []byte(`{"a":[1,"b",null]}`)}})
			all[spot.path] = root.bytes()
			object.items = object.items[:len(object.items)-1]
		}
	case Form:
		if _, err := url.ParseQuery(string(p.Body)); err == nil && len(p.Body) > 0 {
			all["the form"] = append(bytes.Clone(p.Body), "&"+name+"=1"...)
		}
	case MIME:
		all["the header"] = append([]byte("X-Not-Known-Yet: 1\r\n"), p.Body...)
	}
	return all
}

// mutants wants an account of every mutant, on every way in.
func (h Harness) mutants(t *testing.T) {
	for name, read := range h.ways(t) {
		t.Run(name, func(t *testing.T) {
			n := mutants(t)
			if name == "poll" {
				n = max(n/10, 1) // each is an account of its own
			}
			count := map[verdict]int{}
			failures, none := 0, 0
			for number := range n {
				m := Mutate(h.Recorded[number%len(h.Recorded)], number)
				if name == "poll" && nothing(h.Recorded[number%len(h.Recorded)].Format, m.Body) {
					none++
					continue
				}
				v, problems := judge(read, m.Body)
				count[v]++
				for _, problem := range problems {
					t.Errorf("%v: %s\n%.300q", m, problem, m.Body)
				}
				if failures += len(problems); failures > 10 {
					t.Fatal("and so on")
				}
			}
			if sum := count[stored] + count[refused] + count[unsupported] + none; sum != n {
				t.Errorf("%d of %d mutants are accounted for", sum, n)
			}
			// Whatever a mail is made of, it is from somebody and is shown.
			all := count[stored] == n && h.Recorded[0].Format != MIME
			if n >= 100 && (count[stored] == 0 || all) {
				t.Errorf("%d of %d mutants are stored: they damage nothing, or everything", count[stored], n)
			}
			t.Logf("%d mutants: %d stored, %d refused, %d unsupported", n, count[stored], count[refused], count[unsupported])
		})
	}
}

// nothing tells a payload that a provider cannot hand out in a list.
func nothing(format Format, body []byte) bool {
	return format == JSON && len(bytes.TrimSpace(body)) == 0
}

// patience is how long a poller may take to hand out what waits for it.
const patience = 5 * time.Second

var (
	// errEnough ends a poll.
	errEnough = errors.New("enough was seen")
	// errDeaf is what became of a poll that did not end.
	errDeaf = errors.New("the poll does not end when told to")
)

// pollFor polls, and leaves a poller alone that does not end with ctx.
func pollFor(ctx context.Context, poller transports.Poller, cursor string, emit transports.Emit) error {
	done := make(chan error, 1)
	go func() {
		_, err := caught(func([]byte) ([]events.Inbound, error) { return nil, poller.Poll(ctx, cursor, emit) })(nil)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(time.Second):
		return errDeaf
	}
}

// pollOne polls until something is emitted, or the poll fails.
func (h Harness) pollOne(t *testing.T, body []byte) ([]events.Inbound, error) {
	poller := h.Polled(t, [][]byte{body}).(transports.Poller)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []events.Inbound
	err := pollFor(ctx, poller, "", func(_ context.Context, evs []events.Inbound, _ string) error {
		got = append(got, evs...)
		if len(evs) == 0 {
			return nil
		}
		cancel()
		return errEnough
	})
	if len(got) > 0 {
		return got, nil
	}
	if ctx.Err() != nil {
		return nil, nil // neither an event nor a word
	}
	return nil, err
}

// pollInOrder wants everything, in order, whatever emit refuses on the way.
func (h Harness) pollInOrder(t *testing.T) {
	const n = 12
	read := h.read(t)
	var bodies [][]byte
	var want []string
	for i := range n {
		text := fmt.Sprintf("message %d", i+1)
		bodies = append(bodies, h.Message(i+1, text))
		evs, err := read(bodies[i])
		if err != nil || len(evs) != 1 {
			t.Fatalf("%d events, %v", len(evs), err)
		}
		want = append(want, text)
	}
	for _, refuse := range []int{-1, 0, 1} { // the emit that fails; none at first
		seen, problems := h.pollRefusing(t, bodies, refuse)
		for _, problem := range problems {
			t.Errorf("emit %d refused: %s", refuse, problem)
		}
		if !slices.Equal(seen, want) {
			t.Errorf("emit %d refused: got %q, want %q", refuse, seen, want)
		}
		if t.Failed() {
			return
		}
	}
}

// pollRefusing polls until everything was seen, again from the last durable
// cursor whenever a poll ends, as the gateway does. One emit is refused.
func (h Harness) pollRefusing(t *testing.T, bodies [][]byte, refuse int) (seen, problems []string) {
	account := h.Polled(t, bodies).(transports.Poller)
	cursor, calls := "", 0
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		refused := false
		err := pollFor(ctx, account, cursor, func(_ context.Context, evs []events.Inbound, next string) error {
			if refused {
				problems = append(problems, "the poll went on after emit failed")
				cancel()
				return errEnough
			}
			if calls++; calls-1 == refuse {
				refused = true
				return errEnough
			}
			for _, ev := range evs {
				if ev.Content != nil {
					seen = append(seen, strings.TrimSpace(ev.Content.Text))
				}
			}
			if cursor = next; cursor == "" {
				problems = append(problems, "emitted without a cursor")
			}
			if len(seen) >= len(bodies) {
				cancel() // there will be no more
			}
			return nil
		})
		late := errors.Is(ctx.Err(), context.DeadlineExceeded)
		cancel()
		var panicked *crash
		if err == nil || errors.Is(err, errDeaf) || errors.As(err, &panicked) {
			problems = append(problems, fmt.Sprintf("the poll ended with %v", err))
		}
		if late || len(seen) >= len(bodies) {
			break
		}
	}
	return seen, problems
}
