package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"parley/inbox"
)

const keyFile = "secret.key"

// openKeyring parses the supplied key; without one, and with the private
// database, it makes one at first start. An external database outlives the data
// folder, so a key that lived only there would one day be lost, and with it
// every channel's secrets.
func openKeyring(cfg *Config) (*inbox.Keyring, error) {
	if cfg.SecretKey != "" {
		return inbox.ParseKey(cfg.SecretKey)
	}
	path := cfg.SecretKeyFile
	made := path == ""
	if made {
		if cfg.DatabaseURL != "" || !cfg.Roles.needDatabase() {
			return nil, &inbox.Error{
				Code: inbox.Invalid, Message: "An external database needs a secret key, which seals the channels' credentials.",
				Hint: "Make one once with: openssl rand -base64 32 > parley.key; start every replica with --secret-key-file parley.key, " +
					"or with the environment variable PARLEY_SECRET_KEY. Keep a copy: without it the credentials are lost.",
			}
		}
		path = filepath.Join(cfg.DataDir, keyFile)
		if err := makeKey(path); err != nil {
			return nil, fmt.Errorf("making the secret key: %w", err)
		}
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("reading the secret key: %w", err)
	}
	keys, err := inbox.ParseKey(string(text))
	if e := (*inbox.Error)(nil); made && errors.As(err, &e) {
		e.Hint = "Restore " + path + " from a backup: a new key cannot open the credentials that are stored."
	}
	return keys, err
}

// makeKey writes a new key to path unless there is one. It is whole or not
// there, however the process ends.
func makeKey(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), keyFile+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.WriteString(inbox.NewKey() + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	// A link never replaces: the first of two processes wins.
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a folder's new entries survive a power failure.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the data folder
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
