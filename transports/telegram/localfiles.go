package telegram

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"parley/transports"
)

// localFiles are the files of a Bot API server of one's own that runs with
// --local: it answers getFile with an absolute path and hands out nothing over
// HTTP (https://core.telegram.org/bots/api#using-a-local-bot-api-server). The zero
// value has none.
type localFiles struct {
	dir    string // where we see them
	server string // where the server has them
}

func newLocalFiles(dir, server string) (localFiles, error) {
	if server == "" {
		server = filepath.ToSlash(dir)
	}
	switch {
	case dir == "" && server != "":
		return localFiles{}, errors.New(`telegram: setting "server_files_dir" needs "files_dir", where this program sees the same folder`)
	case dir == "":
		return localFiles{}, nil
	case !filepath.IsAbs(dir) || filepath.Clean(dir) == string(filepath.Separator):
		return localFiles{}, errors.New(`telegram: setting "files_dir" must be the absolute path of the Bot API server's working directory`)
	case !path.IsAbs(server) || path.Clean(server) == "/":
		return localFiles{}, errors.New(`telegram: setting "server_files_dir" must be the absolute path that the Bot API server has for its working directory`)
	}
	return localFiles{dir: dir, server: path.Clean(server)}, nil
}

// open opens a file by the server's path. Nothing outside of the folder is
// opened, whatever the path says and wherever links lead: the server is trusted
// with its own files only.
func (l localFiles) open(file string, limit int64) (transports.Media, error) {
	if l.dir == "" {
		return transports.Media{}, errors.New(`the Bot API server runs with --local and hands out no files over HTTP: ` +
			`set "files_dir" to where this program sees that server's working directory`)
	}
	inside, ok := strings.CutPrefix(file, l.server+"/")
	if !ok || path.Clean(file) != file || !filepath.IsLocal(filepath.FromSlash(inside)) {
		return transports.Media{}, errors.New(`the Bot API server names a file outside of its working directory: ` +
			`set "server_files_dir" to what that is on the server`)
	}
	f, err := os.OpenInRoot(l.dir, filepath.FromSlash(inside))
	if errors.Is(err, fs.ErrNotExist) {
		return transports.Media{}, fmt.Errorf(`the Bot API server's file is not below "files_dir": %w`, withoutPath(err))
	}
	if err != nil {
		return transports.Media{}, fmt.Errorf("open the Bot API server's file: %w", withoutPath(err))
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		_ = f.Close()
		return transports.Media{}, withoutPath(err)
	case !info.Mode().IsRegular():
		_ = f.Close()
		return transports.Media{}, errors.New("what the Bot API server names is no file")
	case info.Size() > limit:
		_ = f.Close()
		return transports.Media{}, fmt.Errorf("%d bytes: %w", info.Size(), transports.ErrMediaTooLarge)
	}
	return transports.Media{ReadCloser: f, Name: path.Base(file), Size: info.Size()}, nil
}

// withoutPath is an error without the path, which has the token in it.
func withoutPath(err error) error {
	var inPath *fs.PathError
	if errors.As(err, &inPath) {
		return inPath.Err
	}
	return err
}
