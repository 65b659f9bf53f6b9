package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"parley/events/jetstream"
	"parley/inbox"
	"parley/store"
	"parley/transports/gateway"
)

const (
	// keyWatch is how often the file of the keys is read again: a few dozen bytes.
	keyWatch = 2 * time.Second
	// keyReportEvery is how often a process says which keys it has; one that was
	// silent for keyReportLive is gone.
	keyReportEvery = 30 * time.Second
	keyReportLive  = 3 * keyReportEvery
	// keyLinks is for how long what was made with a key, and is stored nowhere, is good
	// for: links to files, and sign-ins under way, which are over sooner.
	keyLinks = gateway.MediaLinkTime + time.Hour
)

// watchKeys takes up changes of the file of the keys, and tells the other processes
// which keys this one has, until ctx ends.
func (s *server) watchKeys(ctx context.Context) {
	id, report := rand.Text(), jetstream.KeyReport{Process: ownerName(), Roles: s.cfg.Roles}
	var told, forgot time.Time
	tell := func(ctx context.Context) {
		before := report
		report.Opens = s.keys.IDs()
		report.Seals = report.Opens[0]
		err := s.bus.PutKeyReport(ctx, id, report)
		if before.Seals != "" && before.Seals != report.Seals {
			before.Ended = true // afterwards: at no time this process is not heard of
			err = errors.Join(err, s.bus.PutKeyReport(ctx, id, before))
		}
		if err == nil && time.Since(forgot) > time.Hour {
			forgot = time.Now()
			err = s.bus.ForgetKeyReports(ctx, keyLinks)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Debug("which keys this process has is not told yet, will be tried again", "error", err)
		}
	}
	tick := time.NewTicker(keyWatch)
	defer tick.Stop()
	for {
		if s.takeUpKeys() || time.Since(told) >= keyReportEvery {
			tell(ctx)
			told = time.Now()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			report.Ended = true
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			tell(ending)
			cancel()
			return
		}
	}
}

// takeUpKeys reads the file of the keys again. Changed is false while it cannot be
// read or used: then the keys stay that there are.
func (s *server) takeUpKeys() (changed bool) {
	if s.cfg.SecretKey != "" {
		return false
	}
	text, err := secretKeyText(&s.cfg)
	var next *inbox.Keyring
	if err == nil {
		next, err = inbox.ParseKey(text)
	}
	if err != nil {
		if words := err.Error(); words != s.keyTrouble {
			s.keyTrouble = words
			s.log.Error("the changed secret keys cannot be used; those of before are", "error", err)
		}
		return false
	}
	s.keyTrouble = ""
	before, now := s.keys.IDs(), next.IDs()
	if slices.Equal(before, now) {
		return false
	}
	s.keys.Replace(next)
	s.log.Info("the secret keys were changed", "seals", now[0], "opens", strings.Join(now, " "), "before", strings.Join(before, " "))
	return true
}

// useErasureKey has the hashes of what was erased made with a key of their own,
// which is sealed in the database and stays when the secret key is rotated. An
// installation of before has the key that was derived from its secret key, the
// oldest in the ring, so that its hashes hold.
func useErasureKey(ctx context.Context, db *store.DB, keys *inbox.Keyring) error {
	sealed, err := db.Secret(ctx, inbox.SealedErasures, func() ([]byte, error) {
		oldest, ok := keys.Oldest()
		if !ok {
			return nil, &inbox.Error{
				Code: inbox.Conflict, Message: "The database does not hold the key of its erasures yet, and which of the secret keys it comes from is not known: no one of them is the oldest.",
				Hint: "Write behind each key when it was made, such as 2026-01-31T12:00:00Z, or start once with the key alone that the installation had first.",
			}
		}
		return keys.Seal(inbox.SealedErasures, map[string]string{"key": hex.EncodeToString(oldest.Derive("parley erasures 1"))})
	})
	if err != nil {
		return err
	}
	secrets, err := keys.Open(inbox.SealedErasures, sealed)
	if err != nil {
		return &inbox.Error{
			Code: inbox.Unavailable, Message: fmt.Sprintf("The key of the erasures: %v.", err),
			Hint: "Without it, clients who were erased would come back. Add the missing secret key as a further line; parley key list shows which.", Err: err,
		}
	}
	key, err := hex.DecodeString(secrets["key"])
	if err != nil {
		return fmt.Errorf("the key of the erasures: %w", err)
	}
	db.SetErasureKey(key)
	return nil
}
