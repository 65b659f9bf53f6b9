package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"parley/events/jetstream"
	"parley/inbox"
)

// Names in a backup's folder.
const (
	manifestFile = "manifest.json"
	databaseFile = "database.dump"
	blobsFolder  = "blobs"
)

// backupFormat is raised when an older program could not restore what is written.
const backupFormat = 1

// manifest says what a backup holds.
type manifest struct {
	Format  int       `json:"format"`
	Made    time.Time `json:"made"`
	Program string    `json:"program"`
	// Schema is the database's version; Postgres and NATS are the servers'.
	Schema   int64  `json:"schema"`
	Postgres int    `json:"postgres"`
	NATS     string `json:"nats"`
	// Key is the ID of the secret key that sealed when the backup was made, Keys those
	// of all that sealed something in it; none from before there were several.
	Key     string               `json:"key"`
	Keys    []string             `json:"keys,omitempty"`
	Streams []jetstream.Snapshot `json:"streams"`
	Files   []backupPart         `json:"files"`
}

// backupPart is a file of the backup, its name with slashes.
type backupPart struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func streamFile(stream string) string { return "streams/" + stream + ".snapshot" }

func streamFiles(streams []jetstream.Snapshot) (names []string) {
	for _, s := range streams {
		names = append(names, streamFile(s.Stream))
	}
	return names
}

// readBackup reads a whole backup and compares it with its manifest.
func readBackup(dir string) (m manifest, err error) {
	data, err := os.ReadFile(filepath.Join(dir, manifestFile)) //nolint:gosec // the operator names it
	if err != nil {
		return m, &inbox.Error{Code: inbox.Invalid, Message: dir + " holds no backup.", Hint: "Name a folder that parley backup made.", Err: err}
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("reading the manifest: %w", err)
	}
	damaged := func(name, how string) error {
		return &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("The backup is damaged: %s %s.", name, how), Hint: "Take another one."}
	}
	held := map[string]bool{}
	for _, p := range m.Files {
		held[p.Name] = true
		if !filepath.IsLocal(filepath.FromSlash(p.Name)) {
			return m, damaged(p.Name, "is not a file of its folder")
		}
		f, err := os.Open(filepath.Join(dir, filepath.FromSlash(p.Name))) //nolint:gosec // local, as was just checked
		if errors.Is(err, fs.ErrNotExist) {
			return m, damaged(p.Name, "is missing")
		}
		if err != nil {
			return m, err
		}
		sum := sha256.New()
		n, err := io.Copy(sum, f)
		_ = f.Close()
		if err != nil {
			return m, err
		}
		if n != p.Size || hex.EncodeToString(sum.Sum(nil)) != p.SHA256 {
			return m, damaged(p.Name, "is not what was written")
		}
	}
	for _, name := range append([]string{databaseFile}, streamFiles(m.Streams)...) {
		if !held[name] {
			return m, damaged(name, "is not among its files")
		}
	}
	return m, nil
}
