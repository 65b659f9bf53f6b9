package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// volume is a small disk in memory that can be filled.
type volume struct{ path string }

// newVolume mounts a disk of that many MB on a folder, which only root may.
func newVolume(path string, mb int) (*volume, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=711", mb)); err != nil {
		return nil, fmt.Errorf("mounting a small disk on %s: %w", path, err)
	}
	return &volume{path}, nil
}

func (v *volume) ballast() string { return filepath.Join(v.path, "ballast") }

// fill takes what room is left.
func (v *volume) fill() error {
	file, err := os.OpenFile(v.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		if _, err := file.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2] // the last bytes, too
		} else if err != nil {
			return errors.Join(err, file.Close())
		}
	}
	return file.Close()
}

// clear gives the room back.
func (v *volume) clear() error { return os.Remove(v.ballast()) }

// close takes the disk away, with all that is on it.
func (v *volume) close() error { return syscall.Unmount(v.path, syscall.MNT_DETACH) }
