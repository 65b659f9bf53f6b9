package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"parley/events"
	"parley/events/jetstream"
	"parley/inbox"
	"parley/inbox/media"
	"parley/store"
	"parley/transports"
	"parley/transports/gateway"
)

// openBlobs opens the store of files and large payloads, or returns nil where a
// folder of this process's own would hide them from the others.
func openBlobs(ctx context.Context, cfg *Config) (store.Blobs, error) {
	if cfg.BlobURL != "" {
		return store.OpenBlobs(ctx, cfg.BlobURL)
	}
	if cfg.NATSURL != "" || cfg.DatabaseURL != "" {
		return nil, nil
	}
	return store.OpenBlobFolder(filepath.Join(cfg.DataDir, "blobs"))
}

// newMediaLinks makes the links under which providers fetch our files. Their key
// comes from the secret keys, so that every replica answers every link.
func newMediaLinks(cfg *Config, keys *inbox.Keyring, blobs store.Blobs) (*gateway.MediaLinks, error) {
	return gateway.NewMediaLinks(gateway.MediaLinkOptions{
		Keys: func() [][]byte { return keys.Derive("parley media links 1") }, PublicURL: cfg.PublicURL, Gone: store.ErrNoBlob, Logger: cfg.Logger,
		Open: func(ctx context.Context, key string) (io.ReadSeekCloser, error) { return blobs.Open(ctx, key) },
	})
}

// newLibrary makes the library of files, nil without a blob store.
func (s *server) newLibrary(db *store.DB) (*media.Library, error) {
	if s.blobs == nil {
		return nil, nil
	}
	// Not the system's folder, which may be memory.
	dir := filepath.Join(s.cfg.DataDir, "tmp")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of files under way: %w", err)
	}
	return media.NewLibrary(media.LibraryOptions{DB: db, Blobs: s.blobs, TempDir: dir}), nil
}

// openFile is how the dispatcher opens what it sends, nil without a blob store.
func (s *server) openFile() func(context.Context, string) (io.ReadCloser, error) {
	if s.blobs == nil {
		return nil
	}
	return func(ctx context.Context, key string) (io.ReadCloser, error) { return s.blobs.Open(ctx, key) }
}

// fileURL is how the dispatcher makes links for providers that fetch.
func (s *server) fileURL() func(store.HeadFile) string {
	if s.mediaLinks == nil {
		return nil
	}
	return func(f store.HeadFile) string {
		return s.mediaLinks.URL(gateway.LinkedFile{Key: f.BlobKey, MIME: f.MIME, Name: f.Name})
	}
}

// startFetcher fetches clients' files until ctx ends. It is the dispatcher's
// role: that one calls providers, and has the database.
func (s *server) startFetcher(ctx context.Context, db *store.DB, files *media.Library) error {
	if files == nil {
		return nil
	}
	log := s.log.With("role", roleDispatcher, "part", "media")
	opener, err := gateway.NewMediaOpener(gateway.MediaOptions{
		Factories: factories(), OpenSecrets: secretsOpener(s.keys), PublicURL: s.cfg.PublicURL, Logger: log, Registerer: s.reg,
	})
	if err != nil {
		return err
	}
	f, err := media.New(media.Options{
		DB: db, Library: files, Payload: busPayload(s.bus), Logger: log, Registerer: s.reg, Owner: ownerName(),
		Open: func(ctx context.Context, ch events.Channel, a events.Attachment, raw json.RawMessage) (transports.Media, error) {
			m, err := opener.Open(ctx, ch, a, raw)
			if errors.Is(err, gateway.ErrNoMedia) {
				err = fmt.Errorf("%w: %w", media.ErrCannotFetch, err)
			}
			return m, err
		},
	})
	if err != nil {
		return err
	}
	s.work.Go(func() { f.Run(ctx) })
	return nil
}

// busPayload finds the payload of an event on the bus.
func busPayload(bus *jetstream.Bus) func(context.Context, *store.MediaJob) (json.RawMessage, error) {
	return func(ctx context.Context, j *store.MediaJob) (json.RawMessage, error) {
		recs, err := bus.Get(ctx, j.Partition, j.StreamSeq)
		if errors.Is(err, jetstream.ErrNotFound) {
			return nil, fmt.Errorf("%w: %w", media.ErrNoPayload, err)
		}
		if err != nil {
			return nil, err
		}
		for i := range recs {
			if recs[i].Err == nil && recs[i].Event.ID == j.Event {
				return recs[i].Event.Raw, nil
			}
		}
		return nil, media.ErrNoPayload // the stream is another one by now
	}
}
