package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"parley/inbox"
	"parley/inbox/access"
)

// configuration checks what needs nothing but the flags and the environment.
func (d *doctor) configuration() {
	const check = "configuration"
	before := len(d.found)
	cfg := d.cfg
	if err := cfg.check(); err != nil {
		message, hint := plain(err)
		d.say(check, checkBroken, message, hint)
	}
	if strings.HasPrefix(cfg.PublicURL, "http://") {
		d.say(check, checkWarning, "The public URL "+cfg.PublicURL+" is not encrypted.", "Providers want https: put a proxy with a certificate in front, and give its URL.")
	}
	if _, err := access.ParseProxies(cfg.TrustedProxies); err != nil {
		message, hint := plain(err)
		d.say(check, checkBroken, message, hint)
	}
	external := cfg.DatabaseURL != "" || cfg.NATSURL != ""
	if external && cfg.BlobURL == "" {
		d.say(check, checkWarning, "No --blob-url is given: files stay with their providers, and payloads over 256 kB are refused.", "Name a folder or bucket that all processes share.")
	}
	if (cfg.DatabaseURL == "") != (cfg.NATSURL == "") {
		d.say(check, checkWarning, "One of PostgreSQL and NATS is external, the other is in the data folder.", "Back both up together; a second process needs both external.")
	}
	if len(d.found) == before {
		d.ok(check, "Roles %s.", strings.Join(cfg.Roles, ", "))
	}
}

func (d *doctor) dataFolder() {
	const check = "data folder"
	dir := d.cfg.DataDir
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		parent := filepath.Dir(dir)
		if tmp, err := os.MkdirTemp(existing(parent), ".parley-doctor-"); err != nil {
			d.say(check, checkBroken, fmt.Sprintf("%s does not exist and cannot be made.", dir), "Make it, owned by the user who runs the server, or name another one with --data-dir.")
		} else {
			_ = os.Remove(tmp)
			d.ok(check, "%s will be made at the first start.", dir)
		}
		return
	case err != nil:
		d.say(check, checkBroken, fmt.Sprintf("%s cannot be looked at: %v.", dir, err), "Run this as the user who runs the server.")
		return
	case !st.IsDir():
		d.say(check, checkBroken, dir+" is not a folder.", "Move it away, or name another one with --data-dir.")
		return
	}
	tmp, err := os.CreateTemp(dir, ".parley-doctor-")
	if err != nil {
		d.say(check, checkBroken, dir+" cannot be written to.", "Give it to the user who runs the server: chown -R USER "+shellQuote(dir))
		return
	}
	_ = tmp.Close()
	_ = os.Remove(tmp.Name())
	if st.Mode().Perm()&0o022 != 0 {
		d.say(check, checkBroken, fmt.Sprintf("Other users may write to %s (mode %04o).", dir, st.Mode().Perm()), "chmod go-w "+shellQuote(dir))
		return
	}
	d.ok(check, "%s", dir)
}

// existing is path or the nearest folder above it that is there.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// What JetStream and PostgreSQL need to go on: both stop when the disk is full.
const (
	littleDisk   = 1 << 30
	someDisk     = 10 << 30
	diskPerCents = 10
)

func (d *doctor) disk() {
	const check = "disk"
	free, size, err := diskFree(existing(d.cfg.DataDir))
	words := fmt.Sprintf("%s of %s are free.", humanize.IBytes(free), humanize.IBytes(size))
	switch do := "Make room, or move the data folder: a full disk stops accepting, and nothing is dropped."; {
	case err != nil:
		d.say(check, checkSkipped, fmt.Sprintf("How much is free is not known: %v.", err), "")
	case free < littleDisk:
		d.say(check, checkBroken, words, do)
	case free < someDisk || free < size*diskPerCents/100:
		d.say(check, checkWarning, words, do)
	default:
		d.ok(check, "%s", words)
	}
}

// findServer asks the server that runs in the data folder, if any.
func (d *doctor) findServer(ctx context.Context) {
	const check = "server"
	c, err := d.app.dial(ctx, d.cfg.DataDir)
	if err != nil {
		message, hint := plain(err)
		d.say(check, checkBroken, message, hint)
		return
	}
	if c == nil {
		d.ok(check, "None runs in the data folder.")
		return
	}
	d.server = c
	ready, missing, err := c.readiness(ctx)
	switch {
	case err != nil:
		d.say(check, checkBroken, fmt.Sprintf("It runs (process %d) and does not answer: %v.", c.PID, err), "Look into its log; restart it if it hangs.")
	case !ready:
		d.say(check, checkBroken, "It is not ready. "+missing, "See the checks below and its log.")
	default:
		d.ok(check, "It runs (process %d) and is ready.", c.PID)
	}
}

func (d *doctor) secretKey() {
	const check = "secret key"
	file := d.cfg.SecretKeyFile
	made := file == "" && d.cfg.SecretKey == ""
	if made {
		file = filepath.Join(d.cfg.DataDir, keyFile)
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) && d.cfg.DatabaseURL == "" && d.cfg.Roles.needDatabase() {
			if _, err := os.Stat(filepath.Join(d.cfg.DataDir, "postgres", "cluster")); err == nil {
				d.say(check, checkBroken, file+" is gone, and there is a database whose credentials it sealed.", "Restore it from a backup. A new one cannot open them.")
				return
			}
			d.ok(check, "One will be made at the first start.")
			return
		}
	}
	cfg := d.cfg
	keys, err := openKeyring(&cfg)
	if err != nil {
		message, hint := plain(err)
		d.say(check, checkBroken, message, hint)
		return
	}
	if d.cfg.SecretKey == "" {
		st, err := os.Stat(file)
		if err != nil {
			d.say(check, checkBroken, fmt.Sprintf("%s cannot be looked at: %v.", file, err), "Run this as the user who runs the server.")
			return
		}
		if st.Mode().Perm()&0o077 != 0 {
			d.say(check, checkBroken, fmt.Sprintf("Other users may read %s (mode %04o).", file, st.Mode().Perm()), "chmod 600 "+shellQuote(file)+", and rotate the channels' secrets if somebody did.")
			return
		}
		if uid, ok := ownerOf(st); ok && uid != os.Geteuid() && uid != 0 && os.Geteuid() != 0 {
			d.say(check, checkBroken, fmt.Sprintf("%s belongs to another user, who may change and read it.", file), "Give it to the user who runs the server: chown")
			return
		}
	}
	d.keys = keys
	d.ok(check, "%s Keep a copy apart from the backups.", keyWords(keys, time.Now()))
}

// ports tries to listen, unless the server does already.
func (d *doctor) ports(ctx context.Context) {
	const check = "ports"
	if d.server != nil {
		d.ok(check, "The running server has them: %s.", d.server.Listen)
		return
	}
	good := true
	for _, p := range []struct{ flag, addr string }{
		{"--listen", d.cfg.Listen}, {"--metrics-listen", d.cfg.MetricsListen}, {"--api-listen", d.cfg.APIListen},
	} {
		if p.addr == "" {
			continue
		}
		l, err := listenTCP(ctx, p.addr, p.flag)
		if err != nil {
			message, hint := plain(err)
			d.say(check, checkBroken, message, hint)
			good = false
			continue
		}
		_ = l.Close()
		if host, _, err := net.SplitHostPort(p.addr); err == nil && p.flag == "--metrics-listen" && (host == "" || net.ParseIP(host).IsUnspecified()) {
			d.say(check, checkWarning, "The metrics are on every address of this machine.", "Let nobody but Prometheus reach them.")
		}
	}
	if good {
		d.ok(check, "They are free.")
	}
}

// plain is an error's message and what to do.
func plain(err error) (message, hint string) {
	var e *inbox.Error
	if errors.As(err, &e) {
		return e.Message, e.Hint
	}
	return strings.TrimSuffix(err.Error(), ".") + ".", ""
}
