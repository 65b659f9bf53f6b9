package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"parley/inbox"
	"parley/inbox/api"
)

// fileLine is a file of a message: what it is, and how far it has come.
func fileLine(f *inbox.File) string {
	name := clean(f.Name)
	if name == "" {
		name = strings.ReplaceAll(string(f.Kind), "_", " ")
	}
	about := []string{}
	if f.Size > 0 {
		about = append(about, bytesInWords(f.Size))
	}
	switch f.State {
	case inbox.FileStored:
		about = append(about, "file "+strconv.FormatInt(f.Upload, 10))
	case inbox.FilePending:
		about = append(about, "being fetched")
		if f.Words != "" {
			about = append(about, oneLine(f.Words, 0))
		}
	case inbox.FileFailed:
		about = append(about, "not fetched: "+oneLine(f.Words, 0))
	}
	return fmt.Sprintf("+ %s (%s)", name, strings.Join(about, ", "))
}

func bytesInWords(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.0f kB", float64(n)/(1<<10))
	}
	return plural(n, "byte")
}

// uploadAll uploads files and returns their ids.
func (c *client) uploadAll(ctx context.Context, paths []string) ([]int64, error) {
	ids := make([]int64, len(paths))
	for i, path := range paths {
		var err error
		if ids[i], err = c.upload(ctx, path); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func (c *client) upload(ctx context.Context, path string) (int64, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return 0, &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("The file cannot be read: %v.", err), Err: err}
	}
	defer func() { _ = f.Close() }()
	kind := mime.TypeByExtension(filepath.Ext(path))
	if kind == "" {
		kind = "application/octet-stream"
	}
	var up inbox.Upload
	// Read through a wrapper: what sends it would close the file.
	err = c.ask(ctx, http.MethodPost, "/uploads", url.Values{"name": {filepath.Base(path)}}, io.MultiReader(f), &up, "Content-Type", kind)
	return up.ID, err
}

func chatFilesCmd(a *app) *cobra.Command {
	var dir string
	var again bool
	cmd := &cobra.Command{
		Use:   "files CHAT SEQ",
		Short: "Save a message's files, or have them fetched again",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := chatID(cmd, args[0])
			if err != nil {
				return err
			}
			seq, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || seq < 1 {
				return &usageError{cmd, errorf("%q is not a message's number; parley chat show %d shows them", args[1], id)}
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			m, err := c.messageAt(cmd.Context(), id, seq)
			if err != nil {
				return err
			}
			if again {
				return c.refetch(cmd, a, m)
			}
			return c.saveFiles(cmd, a, m, dir)
		},
	}
	cmd.Flags().StringVarP(&dir, "output", "o", ".", "folder to save them in")
	cmd.Flags().BoolVar(&again, "refetch", false, "fetch again from the provider what could not be fetched")
	return cmd
}

// messageAt is a chat's message with that seq.
func (c *client) messageAt(ctx context.Context, chat, seq int64) (m inbox.Message, err error) {
	var page api.Messages
	query := url.Values{"around": {strconv.FormatInt(seq, 10)}, "limit": {"1"}}
	if err := c.ask(ctx, http.MethodGet, fmt.Sprintf("/chats/%d/messages", chat), query, nil, &page); err != nil {
		return m, err
	}
	for _, m := range page.Items {
		if m.Seq == seq {
			return m, nil
		}
	}
	return m, &inbox.Error{
		Code: inbox.NotFound, Message: fmt.Sprintf("There is no message %d in chat %d.", seq, chat),
		Hint: fmt.Sprintf("See the numbers with: parley chat show %d", chat),
	}
}

func (c *client) refetch(cmd *cobra.Command, a *app, m inbox.Message) error {
	var done struct {
		Files int64 `json:"files"`
	}
	if err := c.ask(cmd.Context(), http.MethodPost, fmt.Sprintf("/messages/%d/refetch", m.ID), nil, nil, &done); err != nil {
		return err
	}
	if a.json {
		return printJSON(cmd.OutOrStdout(), done)
	}
	words := "No file of this message is to be fetched again."
	if done.Files > 0 {
		words = fmt.Sprintf("Fetching %s again. See what becomes of it: parley chat show %d", plural(done.Files, "file"), m.ChatID)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), words)
	return err
}

func (c *client) saveFiles(cmd *cobra.Command, a *app, m inbox.Message, dir string) error {
	paths := []string{}
	for i := range m.Attachments {
		f := &m.Attachments[i]
		if f.Upload == 0 {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "parley:", fileLine(f))
			continue
		}
		path, err := c.save(cmd.Context(), f, m, dir)
		if err != nil {
			return err
		}
		paths = append(paths, path)
	}
	if a.json {
		return printJSON(cmd.OutOrStdout(), paths)
	}
	if len(paths) == 0 {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "No files to save.")
		return err
	}
	for _, path := range paths {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), path); err != nil {
			return err
		}
	}
	return nil
}

// save writes a file to a new place; nothing is replaced.
func (c *client) save(ctx context.Context, f *inbox.File, m inbox.Message, dir string) (path string, err error) {
	res, err := c.open(ctx, http.MethodGet, fmt.Sprintf("/uploads/%d/content", f.Upload), nil, nil)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	name := inbox.CleanFileName(f.Name)
	if name == "" {
		name = fmt.Sprintf("chat-%d-%d-%d", m.ChatID, m.Seq, f.Position)
		plain, _, _ := mime.ParseMediaType(f.MIME)
		if ext, err := mime.ExtensionsByType(plain); err == nil && len(ext) > 0 {
			name += ext[len(ext)-1]
		}
	}
	ext := filepath.Ext(name)
	path = filepath.Join(dir, name)
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator names the folder, and the name is clean
	for n := 2; errors.Is(err, os.ErrExist) && n < 1000; n++ {
		path = filepath.Join(dir, fmt.Sprintf("%s-%d%s", strings.TrimSuffix(name, ext), n, ext))
		out, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // as above
	}
	if err != nil {
		return "", &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("The file cannot be saved: %v.", err), Err: err}
	}
	_, err = io.Copy(out, res.Body)
	if err = errors.Join(err, out.Close()); err != nil {
		_ = os.Remove(path)
		return "", fmt.Errorf("saving %s: %w", path, err)
	}
	return path, nil
}
