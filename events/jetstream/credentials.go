package jetstream

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
)

// Credentials are what a NATS client on this machine needs to connect to the
// embedded server.
type Credentials struct {
	URL      string `json:"url"`
	User     string `json:"user"`
	Password string `json:"password"`
}

const credentialsFile = "nats.json"

// loadCredentials reads the credentials of an earlier run, or makes new ones.
// A file cut short by a crash is replaced: nothing else depends on its content.
func loadCredentials(dir string) (Credentials, error) {
	var c Credentials
	data, err := os.ReadFile(filepath.Join(dir, credentialsFile)) //nolint:gosec // the operator's own directory
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("credentials of embedded NATS: %w", err)
	}
	if err == nil && json.Unmarshal(data, &c) == nil && c.User != "" && c.Password != "" {
		return c, nil
	}
	return Credentials{User: "parley", Password: rand.Text()}, nil
}

// readCredentials reads those that the last run left.
func readCredentials(file string) (c Credentials, err error) {
	data, err := os.ReadFile(file) //nolint:gosec // the operator's own directory
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		return c, fmt.Errorf("credentials of embedded NATS: %w", err)
	}
	return c, nil
}

// withPassword is the URL with user and password.
func (c Credentials) withPassword() (string, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" {
		return "", errors.New("credentials of embedded NATS: no URL")
	}
	u.User = url.UserPassword(c.User, c.Password)
	return u.String(), nil
}

// save replaces the file as a whole, so that a reader never sees half of it.
func (c Credentials) save(dir string) error {
	data, err := json.MarshalIndent(c, "", "  ") //nolint:gosec // this file is where the password is kept
	if err != nil {
		return fmt.Errorf("credentials of embedded NATS: %w", err)
	}
	tmp, err := os.CreateTemp(dir, credentialsFile+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("credentials of embedded NATS: %w", err)
	}
	_, err = tmp.Write(append(data, '\n'))
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, credentialsFile))
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("credentials of embedded NATS: %w", err)
	}
	return nil
}

// portOf is the port in a URL, 0 when it has none.
func portOf(raw string) int {
	u, err := url.Parse(raw)
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return 0
	}
	return port
}
