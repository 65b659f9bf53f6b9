package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"parley/inbox"
)

const keyFile = "secret.key"

// secretKeyFile is the file of the secret keys; empty when they are given as text.
// Made says that the file is our own, in the data folder.
func secretKeyFile(cfg *Config) (path string, made bool, err error) {
	switch {
	case cfg.SecretKey != "":
		return "", false, nil
	case cfg.SecretKeyFile != "":
		return cfg.SecretKeyFile, false, nil
	case cfg.DatabaseURL != "" || !cfg.Roles.needDatabase():
		return "", false, &inbox.Error{
			Code: inbox.Invalid, Message: "An external database needs a secret key, which seals the channels' credentials.",
			Hint: "Make one once with: parley key new > parley.key; start every replica with --secret-key-file parley.key, " +
				"or with the environment variable PARLEY_SECRET_KEY. Keep a copy: without it the credentials are lost.",
		}
	}
	return filepath.Join(cfg.DataDir, keyFile), true, nil
}

// openKeyring parses the supplied keys; without any, and with the private
// database, it makes one at first start. An external database outlives the data
// folder, so a key that lived only there would one day be lost, and with it
// every channel's secrets.
func openKeyring(cfg *Config) (*inbox.Keyring, error) {
	path, made, err := secretKeyFile(cfg)
	if err != nil {
		return nil, err
	}
	if made {
		if err := makeKey(path); err != nil {
			return nil, fmt.Errorf("making the secret key: %w", err)
		}
	}
	text, err := secretKeyText(cfg)
	if err != nil {
		return nil, err
	}
	keys, err := inbox.ParseKey(text)
	if e := (*inbox.Error)(nil); made && errors.As(err, &e) {
		e.Hint = "Restore " + path + " from a backup: a new key cannot open the credentials that are stored."
	}
	return keys, err
}

// secretKeyText is what the file holds, or the text that was given.
func secretKeyText(cfg *Config) (string, error) {
	path, _, err := secretKeyFile(cfg)
	if err != nil || path == "" {
		return cfg.SecretKey, err
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return "", fmt.Errorf("reading the secret key: %w", err)
	}
	return string(text), nil
}

// makeKey writes a new key to path unless there is one. It is whole or not
// there, however the process ends.
func makeKey(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp, err := writeKeys(filepath.Dir(path), inbox.DatedKey(time.Now())+"\n")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp) }()
	// A link never replaces: the first of two processes wins.
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// replaceKeys writes a ring to its file, which keeps its owner. The file holds the
// old ring or the new one, however the process ends.
func replaceKeys(path string, keys *inbox.Keyring) error {
	// Where it is a link, what it leads to.
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("writing the secret keys: %w", err)
	}
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("writing the secret keys: %w", err)
	}
	tmp, err := writeKeys(filepath.Dir(path), keys.Text())
	if err != nil {
		return &inbox.Error{
			Code: inbox.Unavailable, Message: fmt.Sprintf("The secret keys in %s cannot be written: %v.", path, err),
			Hint: "Run this as the user who owns them. Where something else provides the file, as Kubernetes or compose do, change it there: docs/runbook.md, Rotating the secret key.", Err: err,
		}
	}
	defer func() { _ = os.Remove(tmp) }()
	if err := sameOwner(tmp, st); err != nil {
		return &inbox.Error{
			Code: inbox.Forbidden, Message: path + " belongs to another user.",
			Hint: "Run this as that user, or as root: the server could not read it otherwise.", Err: err,
		}
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("writing the secret keys: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// writeKeys makes a file of mode 0600 in dir and syncs it.
func writeKeys(dir, text string) (path string, err error) {
	tmp, err := os.CreateTemp(dir, keyFile+".*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = tmp.WriteString(text)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return "", errors.Join(err, os.Remove(tmp.Name()))
	}
	return tmp.Name(), nil
}

// syncDir makes a folder's new entries survive a power failure.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the data folder
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
