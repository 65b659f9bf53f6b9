package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"parley/events/jetstream"
	"parley/inbox"
	"parley/inbox/desk"
	"parley/store"
)

// keyring is what the commands of keys work with: the keys, and who depends on them.
type keyring struct {
	cfg  Config
	keys *inbox.Keyring
	// desk is nil where nothing was connected to.
	desk *desk.Desk
	db   *store.DB
	bus  *jetstream.Bus
}

// keyTimeout bounds connecting.
const keyTimeout = 15 * time.Second

// openKeys connects to the database and the bus of the server with cfg.
func openKeys(ctx context.Context, a *app, cfg Config) (*keyring, error) {
	database, busURL, err := services(ctx, a, &cfg)
	if err != nil {
		return nil, err
	}
	k := &keyring{cfg: cfg}
	if k.keys, err = openKeyring(&cfg); err != nil {
		return nil, err
	}
	e, err := store.Examine(ctx, database)
	if err != nil {
		return nil, err
	}
	if e.Schema < store.SealedSchema {
		return nil, &inbox.Error{
			Code: inbox.Conflict, Message: fmt.Sprintf("The database's schema has version %d, from before keys could be rotated.", e.Schema),
			Hint: "Start every process with this version first, or run: parley migrate",
		}
	}
	connecting, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	if k.bus, err = jetstream.Attach(connecting, busURL); err != nil {
		return nil, err
	}
	if k.db, err = store.Open(ctx, database, nil); err != nil {
		k.bus.Close()
		return nil, err
	}
	k.desk = &desk.Desk{Store: k.db, Bus: k.bus, Keyring: k.keys}
	return k, nil
}

func (k *keyring) close() {
	k.db.Close()
	k.bus.Close()
}

// keyState is a key and what depends on it.
type keyState struct {
	ID string `json:"id"`
	// Made is absent where the key's text does not say; Given is false for a key that
	// is missing among those that were given.
	Made  *time.Time `json:"made,omitempty"`
	Given bool       `json:"given"`
	Seals bool       `json:"seals"`
	// Sealed counts what cannot be opened without it, by kind.
	Sealed map[string]int64 `json:"sealed"`
	// Sealing are the running processes that seal with it, Lacking those that do not
	// have it.
	Sealing []string `json:"sealing"`
	Lacking []string `json:"lacking"`
	// Until is how long links to files work that were made with it, as far as that is
	// over; absent for a key that nobody made any with.
	Until *time.Time `json:"until,omitempty"`
}

// keyReport is what is known of all keys.
type keyReport struct {
	Keys []keyState `json:"keys"`
	// Unnamed counts what was sealed before keys were named, by kind.
	Unnamed map[string]int64 `json:"unnamed"`
	// Waiting counts what other keys that are given sealed, or unnamed ones.
	Waiting int64 `json:"waiting"`
	// Processes counts those that run.
	Processes int `json:"processes"`
}

// onTheBus is the kind of the channels' copies there.
const onTheBus = "channels on the bus"

func (k *keyring) report(ctx context.Context) (r keyReport, err error) {
	r.Unnamed = map[string]int64{}
	for _, key := range k.keys.Keys() {
		s := keyState{ID: key.ID, Given: true, Seals: key.ID == k.keys.Current().ID, Sealed: map[string]int64{}, Sealing: []string{}, Lacking: []string{}}
		if !key.Made.IsZero() {
			s.Made = &key.Made
		}
		r.Keys = append(r.Keys, s)
	}
	counts, err := k.db.SealedCounts(ctx)
	if err != nil {
		return r, err
	}
	for _, c := range counts {
		r.count(string(c.Kind), c.Key, c.Count)
	}
	channels, err := k.bus.Channels(ctx)
	if err != nil {
		return r, err
	}
	for _, ch := range channels {
		if len(ch.Sealed) > 0 {
			_, id := inbox.SealMark(ch.Sealed)
			r.count(onTheBus, id, 1)
		}
	}
	for _, s := range r.Keys {
		if s.Given && !s.Seals {
			r.Waiting += total(s.Sealed)
		}
	}
	if k.keys.Mark() != nil {
		r.Waiting += total(r.Unnamed)
	}
	processes, err := k.bus.KeyReports(ctx)
	if err != nil {
		return r, err
	}
	for _, p := range processes {
		r.process(p, time.Now())
	}
	return r, nil
}

func total(counts map[string]int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}

func (r *keyReport) count(kind, id string, n int64) {
	if id == "" {
		r.Unnamed[kind] += n
		return
	}
	r.key(id).Sealed[kind] += n
}

// key is that of the ID, which is not given where it was not there yet.
func (r *keyReport) key(id string) *keyState {
	i := slices.IndexFunc(r.Keys, func(s keyState) bool { return s.ID == id })
	if i < 0 {
		i = len(r.Keys)
		r.Keys = append(r.Keys, keyState{ID: id, Sealed: map[string]int64{}, Sealing: []string{}, Lacking: []string{}})
	}
	return &r.Keys[i]
}

func (r *keyReport) process(p jetstream.KeyReport, now time.Time) {
	live := !p.Ended && p.Age < keyReportLive
	if live {
		r.Processes++
	}
	for i := range r.Keys {
		s := &r.Keys[i]
		if live && !slices.Contains(p.Opens, s.ID) {
			s.Lacking = append(s.Lacking, p.Process)
		}
		if p.Seals != s.ID {
			continue
		}
		if live {
			s.Sealing = append(s.Sealing, p.Process)
		}
		if until := now.Add(keyLinks - p.Age).UTC().Truncate(time.Second); until.After(now) && (s.Until == nil || s.Until.Before(until)) {
			s.Until = &until
		}
	}
}

// known fails while a running process does not have a key.
func (r *keyReport) known(id string) error {
	if r.Processes == 0 {
		return &inbox.Error{
			Code: inbox.Refused, Message: "No process says which keys it has: none runs, or all are of an older version.",
			Hint: "Start them with this version; each says so within seconds.",
		}
	}
	s := r.key(id)
	if len(s.Lacking) == 0 {
		return nil
	}
	return &inbox.Error{
		Code:    inbox.Refused,
		Message: fmt.Sprintf("Running without the key %s: %s. What is sealed with it they could not open.", id, strings.Join(s.Lacking, ", ")),
		Hint:    "Give it to them as a further line of their secret keys. A file is taken up within seconds; with PARLEY_SECRET_KEY restart them. One that was killed is forgotten after " + keyReportLive.String() + ".",
	}
}

// used fails while a running process seals with another key.
func (r *keyReport) used(id string) error {
	for _, s := range r.Keys {
		if s.ID != id && len(s.Sealing) > 0 {
			return &inbox.Error{
				Code:    inbox.Refused,
				Message: fmt.Sprintf("Still sealing with the key %s: %s.", s.ID, strings.Join(s.Sealing, ", ")),
				Hint:    "Give them the keys with " + id + " first. A file is taken up within seconds; with PARLEY_SECRET_KEY restart them.",
			}
		}
	}
	return nil
}

// free fails while something depends on a key. Links, which end by themselves, count
// unless they are given up.
func (r *keyReport) free(id string, links bool) error {
	s := r.key(id)
	needs := words(s.Sealed)
	if unnamed := words(r.Unnamed); unnamed != "" {
		needs = strings.Trim(needs+"; of before keys were named "+unnamed, "; ")
	}
	if needs != "" {
		return &inbox.Error{Code: inbox.Refused, Message: fmt.Sprintf("The key %s is still needed: it sealed %s.", id, needs), Hint: "Seal them anew first: parley key reseal"}
	}
	if len(s.Sealing) > 0 {
		return &inbox.Error{
			Code: inbox.Refused, Message: fmt.Sprintf("The key %s is still in use, by %s.", id, strings.Join(s.Sealing, ", ")),
			Hint: "Give them the keys with another one first, and then seal anew what they sealed: parley key reseal",
		}
	}
	if links && s.Until != nil {
		return &inbox.Error{
			Code: inbox.Refused, Message: fmt.Sprintf("Links to files that were made with the key %s work until %s.", id, s.Until.Local().Format("2006-01-02 15:04")),
			Hint: "Retire it then. If it is in the wrong hands, give up these links, by which providers fetch what was sent of late: --now",
		}
	}
	return nil
}

// words are counts in words, empty for none.
func words(counts map[string]int64) string {
	var list []string
	for _, kind := range append(kindNames(), onTheBus) {
		if n := counts[kind]; n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, kind))
		}
	}
	return strings.Join(list, ", ")
}

func kindNames() (names []string) {
	for _, kind := range store.SealedKinds() {
		names = append(names, string(kind))
	}
	return names
}
