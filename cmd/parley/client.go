package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"parley/inbox"
	"parley/inbox/api"
)

func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// client talks to the server of a data folder through its socket.
type client struct {
	place
	dir    string
	tenant string
	http   *http.Client
}

// connect finds the server to talk to: the one of --data-dir, else the one that
// runs in a usual folder.
func (a *app) connect(ctx context.Context) (*client, error) {
	dirs := []string{a.dataDir}
	if a.dataDir == "" {
		dirs = []string{defaultDataDir(), demoDataDir()}
	}
	var found []*client
	for _, dir := range dirs {
		c, err := a.dial(ctx, dir)
		if err != nil {
			return nil, err
		}
		if c != nil {
			found = append(found, c)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("Two servers run on this machine, in %s and %s.", found[0].dir, found[1].dir),
			Hint: "Say which one with --data-dir, or PARLEY_DATA_DIR.",
		}
	case a.dataDir != "":
		return nil, &inbox.Error{
			Code: inbox.Unavailable, Message: fmt.Sprintf("No Parley server runs in %s.", a.dataDir),
			Hint: "Start one with: parley serve --data-dir " + shellQuote(a.dataDir),
		}
	}
	return nil, &inbox.Error{
		Code: inbox.Unavailable, Message: "No Parley server runs on this machine.",
		Hint: "Start one with: parley serve. To try Parley: parley demo. If its data folder is another one, name it with --data-dir.",
	}
}

// dial is the server of dir, nil when none runs there.
func (a *app) dial(ctx context.Context, dir string) (*client, error) {
	where, err := loadPlace(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, &inbox.Error{
			Code: inbox.Unauthorized, Message: fmt.Sprintf("The data folder %s belongs to another user.", dir),
			Hint: "Run the command as the user who runs the server.", Err: err,
		}
	case err != nil:
		return nil, fmt.Errorf("reading where the server is: %w", err)
	}
	if !alive(ctx, where.Socket) {
		return nil, nil
	}
	return &client{place: where, dir: dir, tenant: a.tenant, http: socketClient(where.Socket)}, nil
}

// socketClient makes every request to the socket, whatever its host.
func socketClient(path string) *http.Client {
	var d net.Dialer
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", path) },
	}}
}

// askTimeout bounds a request that does not say otherwise.
const askTimeout = time.Minute

// ask makes one request under /api/v1 and decodes its answer into out. What the
// server refuses is an *inbox.Error, with the problem's data as json.RawMessage.
func (c *client) ask(ctx context.Context, method, path string, query url.Values, in, out any, header ...string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	res, err := c.open(ctx, method, path, query, in, header...)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("reading the server's answer: %w", err)
	}
	return nil
}

// open makes a request and hands out the answer's body.
func (c *client) open(ctx context.Context, method, path string, query url.Values, in any, header ...string) (*http.Response, error) {
	var body io.Reader
	if r, ok := in.(io.Reader); ok {
		body = r // a file, with its own type in header
	} else if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	target := "http://parley/api/v1" + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "parley/"+version) // for the audit log
	if in != nil {
		req.Header.Set("Content-Type", "application/json") // unless header says otherwise
	}
	if c.tenant != "" {
		req.Header.Set("Parley-Tenant", c.tenant)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &inbox.Error{
			Code: inbox.Unavailable, Message: fmt.Sprintf("The server in %s does not answer.", c.dir),
			Hint: "It may be starting or stopping; its log says.", Err: err,
		}
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, refusal(res)
}

func refusal(res *http.Response) error {
	var p struct {
		api.Problem
		Data json.RawMessage `json:"data"`
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	if json.Unmarshal(body, &p) != nil || p.Detail == "" {
		return fmt.Errorf("the server answered %s: %s", res.Status, strings.TrimSpace(string(body)))
	}
	return &inbox.Error{Code: p.Code, Message: p.Detail, Hint: p.Hint, Detail: p.Data}
}

// shellQuote makes text one word of a shell.
func shellQuote(text string) string {
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,", r)
	}) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// seenPath is where the command line notes which messages it has shown.
func (c *client) seenPath() string { return filepath.Join(c.dir, "seen.json") }
