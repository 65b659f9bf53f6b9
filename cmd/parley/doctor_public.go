package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
)

// publicURL asks as a provider would: whether what answers there is this
// installation, which alone knows a link of its own that has expired.
func (d *doctor) publicURL(ctx context.Context) {
	const check = "public URL"
	cfg := d.cfg
	switch {
	case cfg.PublicURL == "":
		d.say(check, checkSkipped, "None is given: channels ask their providers for messages, and webhooks cannot be used.", "")
		return
	case cfg.check() != nil: // said already
		return
	case d.server == nil || !cfg.Roles.has(roleGateway):
		d.say(check, checkSkipped, "No server with the role gateway runs in the data folder, so that nobody can answer.", "")
		return
	case cfg.BlobURL == "" && (cfg.DatabaseURL != "" || cfg.NATSURL != ""):
		d.say(check, checkSkipped, "Without --blob-url there is nothing there that only this installation knows.", "")
		return
	}
	keys, err := openKeyring(&cfg)
	if err != nil { // said already
		d.say(check, checkSkipped, "It takes the secret key.", "")
		return
	}
	links, err := newMediaLinks(&cfg, keys, nil)
	if err != nil {
		d.say(check, checkBroken, err.Error(), "Report it.")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, examineTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, links.Expired(), nil)
	if err != nil {
		d.say(check, checkBroken, fmt.Sprintf("%s is no URL that can be asked.", cfg.PublicURL), "It looks like https://inbox.example.com.")
		return
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }} // providers follow none
	res, err := client.Do(req)
	if err != nil {
		var asked *url.Error // names the link
		if errors.As(err, &asked) {
			err = asked.Err
		}
		// Some networks lead nobody from inside to their own public address.
		d.say(check, checkWarning, fmt.Sprintf("%s cannot be reached from this machine: %v.", cfg.PublicURL, err),
			"Check its name, its certificate and the proxy in front. If it works from elsewhere (curl -i "+cfg.PublicURL+"/webhook/x answers 404), all is well.")
		return
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<16))
	if res.StatusCode != http.StatusGone {
		d.say(check, checkBroken, fmt.Sprintf("At %s somebody else answers (%s).", cfg.PublicURL, res.Status),
			"Let the proxy pass /webhook/ and /media/ to "+d.server.Listen+" with their paths as they are, or correct --public-url.")
		return
	}
	d.ok(check, "Requests to %s arrive here.", cfg.PublicURL)
}

// busRoom looks whether the disk holds what the bus may take of it.
func (d *doctor) busRoom() {
	const check = "bus room"
	if d.cfg.NATSURL != "" {
		d.say(check, checkSkipped, "NATS is external: its servers' disks are not looked at.", "")
		return
	}
	room := d.cfg.BusRoom
	if room == 0 {
		room = embeddedRoom(existing(d.cfg.DataDir))
	}
	free, _, err := diskFree(existing(d.cfg.DataDir))
	if err != nil {
		d.say(check, checkSkipped, fmt.Sprintf("How much is free is not known: %v.", err), "")
		return
	}
	used := folderSize(filepath.Join(d.cfg.DataDir, "nats"))
	need := uint64(room + room/4) //nolint:gosec // facts take a quarter besides; sizes are not negative
	words := fmt.Sprintf("The bus may take %s with its facts, and has %s; %s are free.", humanize.IBytes(need), humanize.IBytes(used), humanize.IBytes(free))
	if need > used && need-used+littleDisk > free {
		d.say(check, checkWarning, words, "Give it less with --bus-room, or make room: full, it refuses in order, but on a full disk PostgreSQL stands still as well.")
		return
	}
	d.ok(check, "%s", words)
}

// folderSize is what the files below a folder take; what cannot be looked at counts
// nothing.
func folderSize(dir string) (n uint64) {
	_ = filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				n += uint64(info.Size()) //nolint:gosec // not negative
			}
		}
		return nil
	})
	return n
}
