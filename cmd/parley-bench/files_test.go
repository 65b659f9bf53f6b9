package main

import (
	"bytes"
	"image/png"
	"os"
	"slices"
	"testing"

	"parley/transports/sandbox"
)

// TestFilesAreOfTheirSize makes sure that no file is refused for being larger than
// its network allows, nor much smaller.
func TestFilesAreOfTheirSize(t *testing.T) {
	t.Parallel()
	for _, kind := range []fileKind{{bytes: 20 << 20}, {picture: true, bytes: 5 << 20}, {picture: true, bytes: 10 << 10}} {
		f, err := kind.make()
		if err != nil {
			t.Fatal(err)
		}
		if n := len(f.Content); n > kind.bytes || n < kind.bytes*8/10 {
			t.Errorf("%s has %d bytes", kind, n)
		}
		if kind.picture {
			if _, err := png.Decode(bytes.NewReader(f.Content)); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
}

func TestFilesOfAMail(t *testing.T) {
	t.Parallel()
	f, err := fileKind{bytes: 1 << 20}.make()
	if err != nil {
		t.Fatal(err)
	}
	got, err := filesOf(mailWith("anna", f))
	if err != nil || !slices.Equal(got, sumsOf([]sandbox.File{f})) {
		t.Errorf("%d other files, %v", len(got), err)
	}
}

func TestPeakMemory(t *testing.T) {
	t.Parallel()
	peak, err := peakOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	now, err := residentOf(os.Getpid())
	if err != nil || now <= 0 || peak < now/2 {
		t.Errorf("%d bytes now, %d at most, %v", now, peak, err)
	}
}
