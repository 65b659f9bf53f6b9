package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// settings are the flags that all measurements share. Every command takes all of
// them, so that `all` and `faults` can pass theirs on.
type settings struct {
	quick   bool
	keep    bool
	folder  string
	parley  string
	reports string
	seed    uint64
	profile bool
	serve   string
	skewed  string
	from    string
	explain time.Duration

	seconds  time.Duration
	each     time.Duration
	rounds   int
	preload  int
	messages int
	chats    int
	tenants  int
	streams  int
	think    time.Duration
	replies  int
	rate     int
}

// parseSettings reads the flags; quick lowers what was not given.
func parseSettings(name string, args []string) (settings, error) {
	var s settings
	beside, err := besideMe()
	if err != nil {
		return s, err
	}
	f := flag.NewFlagSet("parley-bench "+name, flag.ContinueOnError)
	f.BoolVar(&s.quick, "quick", false, "a short run with little data: figures for developers, not for quoting")
	f.BoolVar(&s.keep, "keep", false, "keep the folder with databases and logs")
	f.StringVar(&s.folder, "dir", "/var/tmp", "where to make the working folder; PostgreSQL's own user must be able to pass through")
	f.StringVar(&s.parley, "parley", filepath.Join(beside, "parley"), "the program to measure")
	f.StringVar(&s.reports, "reports", beside, "the folder that reports are written to")
	f.Uint64Var(&s.seed, "seed", 1, "of the dice: faults, and when they strike")
	f.BoolVar(&s.profile, "profile", false, "load pg_stat_statements, and report the statements that took longest")
	f.StringVar(&s.serve, "serve", "", "further flags of parley serve, such as \"--partitions 2\"")
	f.StringVar(&s.from, "from", "", "upgrade: the program of an earlier version")
	f.StringVar(&s.skewed, "skewed", "", "faults cluster: the same program with a clock that is wrong (make skewed)")
	f.DurationVar(&s.explain, "explain", 0, "let PostgreSQL log the plans of statements that take longer (see --keep)")
	f.DurationVar(&s.seconds, "time", 20*time.Second, "inbound, walls, attack, desk, page, stream, start, scale: length of one measurement; soak: of all (1h)")
	f.DurationVar(&s.each, "each", 2*time.Second, "attack: how long each kind is tried alone")
	f.IntVar(&s.rounds, "rounds", 3, "inbound, walls, start, scale: how often each measurement is made; faults cluster: how often each fault strikes")
	f.IntVar(&s.preload, "preload", 1_000_000, "inbound, walls, scale: messages stored before, ten to a chat (scale 100,000)")
	f.IntVar(&s.messages, "messages", 100_000, "faults inbound: messages that clients write (100,000); desk: messages of the large tenant (10,000,000), page: (1,000,000)")
	f.IntVar(&s.chats, "chats", 1_000_000, "desk, page: chats of the large tenant")
	f.IntVar(&s.tenants, "tenants", 1_000, "desk, page: small tenants beside it; stream: tenants")
	f.IntVar(&s.streams, "streams", 1_000, "stream, soak: streams that are open (soak 50)")
	f.DurationVar(&s.think, "think", 250*time.Millisecond, "desk: how often each of 32 connections asks")
	f.IntVar(&s.rate, "rate", 600, "faults inbound, soak: messages written per second (soak 300)")
	f.IntVar(&s.replies, "replies", 0, "outbound: replies to send (50,000, faults 20,000); soak: replies a second (50)")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	given := map[string]bool{}
	f.Visit(func(fl *flag.Flag) { given[fl.Name] = true })
	if name == "desk" && !given["messages"] {
		s.messages = 10_000_000
	}
	if name == "page" && !given["messages"] {
		s.messages = 1_000_000
	}
	if name == "stream" && !given["tenants"] {
		s.tenants = 20
	}
	if name == "soak" {
		s.soakDefaults(given)
	}
	if (name == "start" || name == "scale") && !given["preload"] {
		s.preload = 100_000
	}
	s.hurry(given)
	return s, nil
}

// soakDefaults are those of the soak, where they are others. A quick one is shorter.
func (s *settings) soakDefaults(given map[string]bool) {
	for name, set := range map[string]func(){
		"time": func() {
			if s.seconds = time.Hour; s.quick {
				s.seconds = time.Minute
			}
		},
		"rate":    func() { s.rate = 300 },
		"replies": func() { s.replies = 50 },
		"streams": func() { s.streams = 50 },
	} {
		if !given[name] {
			set()
			given[name] = true
		}
	}
}

// hurry makes a quick run of what was not asked for otherwise.
func (s *settings) hurry(given map[string]bool) {
	if !s.quick {
		return
	}
	lower := func(name string, v *int, to int) {
		if !given[name] {
			*v = to
		}
	}
	if !given["time"] {
		s.seconds = 5 * time.Second
	}
	lower("rounds", &s.rounds, 1)
	lower("preload", &s.preload, 100_000)
	lower("messages", &s.messages, 15_000)
	lower("chats", &s.chats, 1_500)
	lower("tenants", &s.tenants, 20)
	lower("streams", &s.streams, 100)
	lower("rate", &s.rate, 300)
	lower("replies", &s.replies, 5_000)
}

// besideMe is the folder of this program.
func besideMe() (string, error) {
	me, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	return filepath.Dir(me), nil
}
