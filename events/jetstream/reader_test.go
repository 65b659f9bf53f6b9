package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"parley/events"
	"parley/events/jetstream"
	"parley/events/jetstream/natstest"
)

// Everything acknowledged is read exactly once per record and in order, while
// the server goes down and comes back.
func TestReaderAcrossRestarts(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	b := s.Dial(t, one)
	ctx := within(t)
	r, err := b.Reader(ctx, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()

	const callers, each = 4, 60
	progress := make(chan struct{}, callers*each)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				for b.Publish(ctx, event(fmt.Sprint("p", c), i)) != nil { // a provider retries
					if ctx.Err() != nil {
						t.Error("published too little in time")
						return
					}
				}
				progress <- struct{}{}
			}
		})
	}
	wg.Go(func() { // two restarts in the midst of it
		for range 2 {
			for range callers * each / 4 {
				<-progress
			}
			s.Stop(t)
			s.Start(t)
		}
	})

	next, o := map[string]int{}, order{}
	for missing := callers * each; missing > 0; {
		recs, err := r.Next(ctx, 7)
		if err != nil {
			t.Fatalf("%d missing: %v", missing, err)
		}
		for _, rec := range recs {
			o.check(t, rec)
			who := rec.Event.Person.Identity.Value
			switch want := fmt.Sprint(next[who]); {
			case rec.Event.Key.Message == want:
				next[who]++
				missing--
			case next[who] > 0 && rec.Event.Key.Message == fmt.Sprint(next[who]-1):
				// stored, but the answer was lost with the connection
			default:
				t.Fatalf("%s: %s instead of %s", who, rec.Event.Key.Message, want)
			}
		}
	}
	wg.Wait()
}

func TestReaderShowsGapsAndGarbage(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	b := s.Embedded(t, one)
	js := client(t, s)
	mustPublish(t, b, event("ann", 1))
	mustPublish(t, b, event("ann", 2))
	for _, garbage := range []string{"not JSON", "", `{"id": 5}`} {
		if _, err := js.Publish(within(t), "parley.in.0", []byte(garbage)); err != nil {
			t.Fatal(err)
		}
	}
	mustPublish(t, b, event("ann", 3))
	stream, err := js.Stream(within(t), "PARLEY_IN_00")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(within(t), 2); err != nil {
		t.Fatal(err)
	}
	got := read(t, b, 0, 5)
	for i, want := range []uint64{1, 3, 4, 5, 6} {
		if bad := want >= 3 && want <= 5; got[i].Seq != want || bad != (got[i].Err != nil) {
			t.Errorf("record %d: seq %d, err %v", i, got[i].Seq, got[i].Err)
		}
	}
	if !bytes.Equal(got[1].Data, []byte("not JSON")) || got[3].Event.ID != "" {
		t.Errorf("garbage reads %q and %+v", got[1].Data, got[3].Event)
	}

	if frame, err := b.Get(within(t), 0, 6); err != nil || len(frame) != 1 || frame[0].Event.ID != "ann-3" {
		t.Errorf("got %+v, %v", frame, err)
	}
	for _, seq := range []uint64{0, 2, 7} {
		if _, err := b.Get(within(t), 0, seq); !errors.Is(err, jetstream.ErrNotFound) {
			t.Errorf("record %d: %v", seq, err)
		}
	}
	for _, c := range []struct {
		from, to uint64
		want     string
	}{
		{0, 0, "[1 3 4 5 6]"}, {2, 4, "[3 4]"}, {2, 2, "[]"}, {6, 99, "[6]"}, {7, 0, "[]"}, {1, 2, "[1]"},
	} {
		seqs := []uint64{}
		err := b.Scan(within(t), 0, c.from, c.to, func(r jetstream.Record) error {
			seqs = append(seqs, r.Seq)
			return nil
		})
		if err != nil || fmt.Sprint(seqs) != c.want {
			t.Errorf("scan %d to %d: %v, %v, want %s", c.from, c.to, seqs, err, c.want)
		}
	}
	enough := errors.New("enough")
	if err := b.Scan(within(t), 0, 1, 0, func(jetstream.Record) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("scan ended with %v", err)
	}
}

// An undecodable line is one bad record; its neighbours are what they are.
func TestGarbageInsideAFrame(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	b := s.Embedded(t, one)
	frame := strings.Join([]string{`{"id":"a"}`, `{"id":`, ``, `{"id":"b"}`}, "\n")
	if _, err := client(t, s).Publish(within(t), "parley.in.0", []byte(frame)); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, b, event("ann", 1))
	check := func(how string, records []jetstream.Record) {
		t.Helper()
		var got []string
		for _, r := range records {
			got = append(got, fmt.Sprintf("%s %q %s %v", place(r), r.Data, r.Event.ID, r.Err != nil))
		}
		want := `1/0 "{\"id\":\"a\"}" a false, 1/1 "{\"id\":"  true, 1/2 ""  true, 1/3 "{\"id\":\"b\"}" b false`
		if all := strings.Join(got, ", "); all != want {
			t.Errorf("%s\ngot  %s\nwant %s", how, all, want)
		}
	}
	check("read", read(t, b, 0, 5)[:4])
	records, err := b.Get(within(t), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	check("got", records)
	records = nil
	if err := b.Scan(within(t), 0, 1, 1, func(r jetstream.Record) error {
		records = append(records, r)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	check("scanned", records)
	enough := errors.New("enough")
	calls := 0
	err = b.Scan(within(t), 0, 1, 0, func(jetstream.Record) error {
		calls++
		return enough
	})
	if calls != 1 || !errors.Is(err, enough) {
		t.Errorf("%d calls, %v", calls, err)
	}
}

// Next never splits a frame, and fills up with whole ones that are there.
func TestNextReturnsWholeFrames(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one)
	n := 0
	for _, size := range []int{3, 5, 1, 1, 2} {
		var evs []events.Inbound
		for range size {
			evs = append(evs, event("ann", n))
			n++
		}
		mustPublish(t, b, evs...)
	}
	r, err := b.Reader(within(t), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.AwaitRead(t, 5)
	for _, c := range []struct {
		limit int
		want  string
	}{
		{2, "1/0 1/1 1/2"}, // larger than the limit: alone
		{6, "2/0 2/1 2/2 2/3 2/4 3/0"},
		{2, "4/0"}, // the next has two
		{0, "5/0 5/1"},
	} {
		recs, err := r.Next(within(t), c.limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, rec := range recs {
			got = append(got, place(rec))
		}
		if all := strings.Join(got, " "); all != c.want {
			t.Errorf("at most %d: %s, want %s", c.limit, all, c.want)
		}
	}
}

// A scan goes on where it was when its consumer or the server goes.
func TestScanResumes(t *testing.T) {
	t.Parallel()
	for name, disturb := range map[string]func(t *testing.T, s *natstest.Server){
		"restart": func(t *testing.T, s *natstest.Server) {
			s.Stop(t)
			s.Start(t)
		},
		"deleted consumer": func(t *testing.T, s *natstest.Server) {
			js := client(t, s)
			stream, err := js.Stream(within(t), "PARLEY_IN_00")
			if err != nil {
				t.Fatal(err)
			}
			for name := range stream.ConsumerNames(within(t)).Name() {
				if err := stream.DeleteConsumer(within(t), name); err != nil {
					t.Error(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := natstest.Serve(t)
			b := s.Dial(t, one)
			const frames, each = 60, 4 // more bytes than one request asks for
			js := client(t, s)
			line := strings.Repeat("x", 100<<10)
			for range frames {
				if _, err := js.Publish(within(t), "parley.in.0", []byte(strings.Repeat(line+"\n", each-1)+line)); err != nil {
					t.Fatal(err)
				}
			}
			n, o := 0, order{}
			err := b.Scan(within(t), 0, 1, 0, func(r jetstream.Record) error {
				o.check(t, r)
				if n++; n == 7 {
					disturb(t, s)
				}
				return nil
			})
			if err != nil || n != frames*each {
				t.Errorf("%d records, %v", n, err)
			}
		})
	}
}

func TestReaderEnds(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t, one)
	r, err := b.Reader(within(t), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(within(t))
	cancel()
	if _, err := r.Next(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	mustPublish(t, b, event("ann", 1))
	mustPublish(t, b, event("ann", 2))
	if got := readFrom(t, r, 1); got[0].Seq != 1 {
		t.Errorf("got %d", got[0].Seq)
	}
	r.Close()
	for err = nil; err == nil; { // what was fetched may still come
		_, err = r.Next(within(t), 1)
	}
	if !errors.Is(err, jetstream.ErrClosed) {
		t.Errorf("got %v", err)
	}
	other, err := b.Reader(within(t), 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	if _, err := other.Next(within(t), 1); !errors.Is(err, jetstream.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// A reader that is ahead of its stream, or whose stream was made anew, must
// not wait for numbers that other records will get.
func TestReaderOfReplacedStream(t *testing.T) {
	t.Parallel()
	s := natstest.Serve(t)
	b := s.Embedded(t, one)
	mustPublish(t, b, event("ann", 1))
	mustPublish(t, b, event("ann", 2))
	if _, err := b.Reader(within(t), 0, 3); !errors.Is(err, jetstream.ErrReplaced) {
		t.Errorf("ahead: %v", err)
	}
	r, err := b.Reader(within(t), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	readFrom(t, r, 2)
	js := client(t, s)
	stream, err := js.Stream(within(t), "PARLEY_IN_00")
	if err != nil {
		t.Fatal(err)
	}
	before := state(t, b).Identity
	if err := js.DeleteStream(within(t), "PARLEY_IN_00"); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(within(t), stream.CachedInfo().Config); err != nil {
		t.Fatal(err)
	}
	if after := state(t, b).Identity; after == before {
		t.Errorf("both are %s", after)
	}
	mustPublish(t, b, event("bob", 1))
	if recs, err := r.Next(within(t), 1); !errors.Is(err, jetstream.ErrReplaced) {
		t.Errorf("got %v, %v", recs, err)
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte(`{"id":"a","kind":"message","content":{"type":"text"}}`))
	f.Add([]byte("not JSON\n{\"id\":\"b\"}\n"))
	f.Add([]byte(`{"raw":{"a":[1]},"accepted_at":"2025-05-01T12:00:00Z"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var lines [][]byte
		for i, r := range jetstream.Decode(7, data) {
			if r.Seq != 7 || r.Index != i || bytes.Contains(r.Data, []byte("\n")) {
				t.Fatalf("record %d: %+v", i, r)
			}
			if r.Err != nil && (r.Event.ID != "" || r.Event.Kind != events.Kind("")) {
				t.Fatalf("half an event beside %v", r.Err)
			}
			lines = append(lines, r.Data)
		}
		if len(lines) == 0 || !bytes.Equal(bytes.Join(lines, []byte("\n")), data) {
			t.Fatalf("%q reads as %q", data, lines)
		}
	})
}
