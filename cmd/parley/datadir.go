package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// defaultDataDir is where a server keeps its data unless told otherwise: the
// system's place for root, else the user's (XDG Base Directory Specification,
// https://specifications.freedesktop.org/basedir-spec/latest/).
func defaultDataDir() string {
	if os.Getuid() == 0 {
		return "/var/lib/parley"
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "parley")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return filepath.Join(os.TempDir(), "parley-"+strconv.Itoa(os.Getuid()))
	}
	return filepath.Join(home, ".local", "share", "parley")
}

// demoDataDir is a folder that PostgreSQL's own user can reach when root runs
// the demo.
func demoDataDir() string { return "/var/tmp/parley-demo-" + strconv.Itoa(os.Getuid()) }

// makeDataDir makes the data folder. Root's private PostgreSQL runs as another
// user, who has to pass through; everything secret inside has its own mode.
func makeDataDir(dir string) error {
	mode := fs.FileMode(0o700)
	if os.Getuid() == 0 {
		mode = 0o711
	}
	if _, err := os.Stat(dir); err == nil {
		return nil // as somebody made it
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // others' folders
		return fmt.Errorf("data folder: %w", err)
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("data folder: %w", err)
	}
	// A strict umask would lock PostgreSQL's user out.
	return os.Chmod(dir, mode)
}

// place is where a running server can be found: the file server.json in its data
// folder. It holds no secret.
type place struct {
	PID     int       `json:"pid"`
	Socket  string    `json:"socket"`
	Listen  string    `json:"listen"`
	Sandbox string    `json:"sandbox,omitempty"`
	Since   time.Time `json:"since"`
}

const placeFile = "server.json"

func (p place) save(dir string) error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, placeFile+".*")
	if err != nil {
		return fmt.Errorf("saying where the server is: %w", err)
	}
	_, err = tmp.Write(append(data, '\n'))
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, placeFile))
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("saying where the server is: %w", err)
	}
	return nil
}

// loadPlace reads what the last server in dir said, whether or not it runs.
func loadPlace(dir string) (p place, err error) {
	data, err := os.ReadFile(filepath.Join(dir, placeFile)) //nolint:gosec // the operator names it
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(data, &p)
}
