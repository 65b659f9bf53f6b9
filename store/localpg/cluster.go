package localpg

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const passFile = "passfile"

// ensureCluster makes the cluster when there is none. Everything is made in a folder
// aside, which gets its name in one step at the end: a process that dies half-way
// leaves no half cluster.
func (s *Server) ensureCluster(ctx context.Context) error {
	f := s.folder
	if err := f.removeUnfinished(); err != nil {
		return fmt.Errorf("removing an unfinished cluster: %w", err)
	}
	password, err := f.readPassword()
	if err != nil {
		return err
	}
	major, err := f.clusterMajor()
	if err != nil {
		return err
	}
	if major > 0 && password != "" {
		return nil
	}
	known := password != ""
	if !known {
		password = rand.Text() // at least 128 bits, letters and digits: needs no quoting anywhere
	}
	if major > 0 {
		s.log.WarnContext(ctx, "the password file was missing: giving the role a new password")
		err = s.singleUser(ctx, f.clusterPath(), password,
			fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'", Role, password))
	} else {
		s.log.InfoContext(ctx, "making a new PostgreSQL cluster", "data", f.path, "version", s.install.Version)
		err = s.makeCluster(ctx, password)
	}
	if err != nil || known {
		return err
	}
	// Last, so that a file that is there is always true: without it, the next start
	// sets a new password.
	return f.writePassword(password)
}

func (s *Server) makeCluster(ctx context.Context, password string) error {
	f := s.folder
	name := newClusters + rand.Text()[:8]
	if err := f.root.Mkdir(name, 0o700); err != nil {
		return err
	}
	if f.server.drop {
		if err := f.root.Lchown(name, f.server.uid, f.server.gid); err != nil {
			return err
		}
	}
	dir := filepath.Join(f.path, name)
	args := append([]string{
		"-D", dir, "-U", superuser, "--encoding=UTF8", "--data-checksums",
		// Nobody logs in by what initdb writes: pg_hba.conf is written below.
		"--auth=reject",
	}, localeArgs(ctx)...)
	if s.opts.UnsafeLoseDataOnPowerFailure {
		args = append(args, "--no-sync")
	}
	if out, err := f.command(ctx, s.install, "initdb", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w%s", err, tail(out))
	}
	for file, content := range clusterFiles(f.server.name) {
		if err := f.writeFile(filepath.Join(name, file), content, f.server.uid, f.server.gid); err != nil {
			return err
		}
	}
	err := s.singleUser(ctx, dir, password,
		fmt.Sprintf("CREATE ROLE %s LOGIN NOSUPERUSER NOBYPASSRLS NOREPLICATION CREATEDB CREATEROLE PASSWORD '%s'",
			Role, password),
		fmt.Sprintf("CREATE DATABASE %s OWNER %s", Database, Role))
	if err != nil {
		return err
	}
	if err := f.root.Rename(name, clusterDir); err != nil {
		return err
	}
	return f.syncDir()
}

// singleUser runs statements as the superuser without a server: no superuser ever
// needs a way to log in. The password is kept out of the error.
func (s *Server) singleUser(ctx context.Context, dir, password string, statements ...string) error {
	args := []string{"--single", "-D", dir, "-c", "exit_on_error=true", "-c", "log_min_messages=error"}
	if s.opts.UnsafeLoseDataOnPowerFailure {
		args = append(args, "-c", "fsync=off")
	}
	cmd := s.folder.command(ctx, s.install, "postgres", append(args, "postgres")...)
	// One statement per line; through stdin, because arguments are for all to see.
	cmd.Stdin = strings.NewReader(strings.Join(statements, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("setting up the role %s: %w%s", Role, err,
			tail(bytes.ReplaceAll(out, []byte(password), []byte("***"))))
	}
	return nil
}

// readPassword reads the password file; empty when there is none.
func (f *folder) readPassword() (string, error) {
	b, err := f.root.ReadFile(passFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	fields := strings.Split(strings.TrimSpace(string(b)), ":")
	if len(fields) != 5 || fields[4] == "" {
		return "", fmt.Errorf("%s is no password file; remove it and the next start makes a new one",
			filepath.Join(f.path, passFile))
	}
	return fields[4], nil
}

func (f *folder) writePassword(password string) error {
	line := fmt.Sprintf("*:*:*:%s:%s\n", Role, password)
	if err := f.writeFile(passFile+".new", line, f.owner, -1); err != nil {
		return err
	}
	if err := f.root.Rename(passFile+".new", passFile); err != nil {
		return err
	}
	return f.syncDir()
}

func (f *folder) removeUnfinished() error {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), newClusters) {
			if err := f.root.RemoveAll(e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// localeArgs choose the cluster's locale. Sorting is by code point, because it is the
// one order that no upgrade of the operating system changes (a changed order corrupts
// indexes); what people see sorted says its collation. Letter classes come from a
// UTF-8 locale: under plain C, lower() and full-text search know only ASCII.
func localeArgs(ctx context.Context) []string {
	ctype := "C.UTF-8"
	// Systems without the locale program (Alpine) have C.UTF-8.
	if out, err := exec.CommandContext(ctx, "locale", "-a").Output(); err == nil {
		installed := strings.Fields(string(out))
		for _, name := range []string{"C.UTF-8", "C.utf8", "en_US.UTF-8", "en_US.utf8"} {
			if slices.Contains(installed, name) {
				ctype = name
				break
			}
		}
	}
	return []string{"--locale=C", "--lc-ctype=" + ctype}
}

// tail is the end of a program's output for an error's text.
func tail(out []byte) string {
	text := strings.TrimSpace(string(out))
	if text == "" {
		return ""
	}
	if len(text) > 2000 {
		text = "..." + text[len(text)-2000:]
	}
	return ":\n" + text
}
