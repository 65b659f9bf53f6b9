package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"parley/inbox"
)

func clientExportCmd(a *app) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "export CLIENT", Short: "Save all that is kept of CLIENT: card, chat, messages, notes and files",
		Long: `Writes a ZIP archive with client.json, chat.json, messages.ndjson, notes.ndjson and
files/. The export is noted in the audit log.`,
		Example: "  parley client export 12 --to client-12.zip",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := clientID(cmd, args[0])
			if err != nil {
				return err
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			res, err := c.open(cmd.Context(), http.MethodGet, fmt.Sprintf("/clients/%d/export", id), nil, nil)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			n, err := saveWhole(res.Body, to)
			if err != nil {
				return err
			}
			return show(a, cmd, map[string]any{"client": id, "file": to, "bytes": n}, func(out io.Writer, _ map[string]any) error {
				_, err := fmt.Fprintf(out, "Client %d is in %s (%s).\n", id, to, bytesInWords(n))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "a new file, which only you can read")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

// saveWhole writes a new file; a part of one is removed again.
func saveWhole(in io.Reader, path string) (int64, error) {
	path = filepath.Clean(path)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return 0, &inbox.Error{Code: inbox.Conflict, Message: path + " is there already.", Hint: "Name a new file.", Err: err}
	}
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(file, in)
	if err = errors.Join(err, file.Close()); err != nil {
		_ = os.Remove(path)
		return 0, &inbox.Error{Code: inbox.Unavailable, Message: "The export was cut short: " + err.Error() + ".", Hint: "Try again; the server's log says why.", Err: err}
	}
	return n, nil
}
